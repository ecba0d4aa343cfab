#include "cluster/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::patience;
using test::Script;

Process sleeping() {
  static const Script script("exec sleep 1000");
  return script.run();
}

std::optional<ExitStatus> await_end(Process& process) {
  std::optional<ExitStatus> status;
  test::eventually([&] { return (status = process.try_reap()).has_value(); });
  return status;
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

TEST(Process, TellsTheExitCode) {
  const Script script("exit 7");
  auto process = script.run();
  const auto status = await_end(process);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 7);
  EXPECT_FALSE(status->signal);
  EXPECT_EQ(status->text(), "exit code 7");
}

TEST(Process, TellsTheSignal) {
  const Script script("kill -KILL $$");
  auto process = script.run();
  const auto status = await_end(process);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGKILL);
  EXPECT_FALSE(status->code);
  EXPECT_EQ(status->text(), "signal 9 (Killed)");
}

TEST(Process, IsSignalledAndReapedOnce) {
  auto process = sleeping();
  EXPECT_FALSE(process.try_reap());
  EXPECT_TRUE(process.signal(SIGTERM));
  const auto status = await_end(process);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGTERM);
  EXPECT_FALSE(process.try_reap()) << "a second time there is nothing to reap";
  EXPECT_FALSE(process.signal(0)) << "no signal for a pid that was reaped";
  EXPECT_EQ(process.pidfd(), -1);
}

TEST(Process, ThePidfdIsReadableOnlyAfterTheEndAndCloseOnExec) {
  auto process = sleeping();
  EXPECT_TRUE(test::is_close_on_exec(process.pidfd()));
  EventLoop loop;
  bool ended = false;
  loop.watch_readable(process.pidfd(), "end of a child", [&] { ended = true; });
  loop.run_once(0ns);
  EXPECT_FALSE(ended);
  process.signal(SIGKILL);
  EXPECT_TRUE(loop.wait_until([&] { return ended; }, patience));
  loop.forget(process.pidfd());
  EXPECT_TRUE(process.try_reap());
}

TEST(Process, EightThatDieAtOnceAreAllReapedWithTheirOwnStatus) {
  EventLoop loop;
  const Script script("kill -STOP $$; test $CODE -lt 4 && exit $CODE; kill -KILL $$");
  std::vector<Process> processes;
  std::vector<std::optional<ExitStatus>> statuses(8);
  for (int i = 0; i < 8; ++i) processes.push_back(script.run({"CODE=" + std::to_string(i)}));
  for (std::size_t i = 0; i < 8; ++i) {
    const int pidfd = processes[i].pidfd();
    loop.watch_readable(pidfd, "end of a child", [&, i, pidfd] {
      statuses[i] = processes[i].try_reap();
      loop.forget(pidfd);
    });
    ASSERT_TRUE(test::eventually([&] { return test::is_stopped(processes[i].pid()); }));
  }
  for (const auto& process : processes) process.signal(SIGCONT);
  EXPECT_TRUE(loop.wait_until(
      [&] {
        return std::all_of(statuses.begin(), statuses.end(),
                           [](const auto& status) { return !!status; });
      },
      patience));
  for (int i = 0; i < 8; ++i) {
    const auto& status = *statuses[static_cast<std::size_t>(i)];
    EXPECT_EQ(status.code, i < 4 ? std::optional(i) : std::nullopt);
    EXPECT_EQ(status.signal, i < 4 ? std::nullopt : std::optional(SIGKILL));
  }
  EXPECT_FALSE(has_children());
}

TEST(Process, AChildThatCannotBeExecutedIsAnExceptionAndLeavesNothing) {
  const test::TempDir dir;
  std::ofstream(dir / "text") << "no program";
  const auto before = test::open_descriptors();
  for (const auto& [path, error] : {std::pair{dir / "missing", ENOENT},
                                    std::pair{dir / "text", EACCES}, std::pair{dir / "", EACCES}}) {
    try {
      Process::spawn(path, {}, {});
      ADD_FAILURE() << path << " was executed";
    } catch (const std::system_error& failure) {
      EXPECT_EQ(failure.code().value(), error) << path << ": " << failure.what();
      EXPECT_NE(std::string(failure.what()).find("posix_spawn " + path), std::string::npos)
          << failure.what();
    }
  }
  EXPECT_EQ(test::open_descriptors(), before);
  EXPECT_FALSE(has_children());
}

TEST(Process, OneThatIsNotReapedIsKilledAndReapedAtTheEnd) {
  UniqueFd pidfd;
  {
    const auto process = sleeping();
    pidfd = test::open_pidfd(process.pid());
  }
  EXPECT_TRUE(test::wait_gone(pidfd, 0ms));
  EXPECT_FALSE(has_children());
}

TEST(Process, AMovedOneLeavesTheChildAlone) {
  auto first = sleeping();
  const pid_t pid = first.pid();
  {
    auto second = std::move(first);
    EXPECT_EQ(second.pid(), pid);
    EXPECT_TRUE(second.signal(0));
    second.signal(SIGKILL);
    EXPECT_TRUE(await_end(second));
  }
}

TEST(Process, TheEnvironmentIsOursWithVariablesPutInPlace) {
  const test::Variable kept("TEST_KEPT", "kept");
  const test::Variable replaced("TEST_REPLACED", "old");
  const test::Variable similar("TEST_REPLACED_NOT", "similar");
  const Script script(R"(test "$TEST_KEPT $TEST_REPLACED $TEST_REPLACED_NOT $TEST_ADDED" )"
                      R"(= "kept new similar a=b")");
  auto process = script.run({"TEST_REPLACED=new", "TEST_ADDED=a=b"});
  EXPECT_EQ(await_end(process)->code, 0);
}

TEST(Process, ThePathIsTheOnlyArgument) {
  const Script script("test $# = 0 && test -x \"$0\"");
  auto process = script.run();
  EXPECT_EQ(await_end(process)->code, 0);
}

TEST(Process, StartsWithAnEmptyMaskAndWhatIsIgnoredStaysIgnored) {
  const test::SignalMask mask;
  EventLoop loop;
  loop.on_signal(SIGUSR1, [](int) {});  // blocks it
  for (const bool ignored : {true, false}) {
    std::signal(SIGUSR2, ignored ? SIG_IGN : SIG_DFL);
    const test::Helper child(loop, "describe", {"TEST_VARIABLE=here"});
    EXPECT_TRUE(loop.wait_until([&] { return child.closed; }, patience));
    ASSERT_EQ(child.messages.size(), 1U);
    EXPECT_EQ(child.messages[0]["blocked"], 0);
    EXPECT_EQ(child.messages[0]["ignored"], ignored);
    EXPECT_EQ(child.messages[0]["variable"], "here");
  }
}

TEST(Process, NoDescriptorIsLeakedByAThousandSpawns) {
  EventLoop loop;
  const auto in_child = [&loop] {
    test::Helper child(loop, "describe");
    EXPECT_TRUE(loop.wait_until([&] { return child.closed; }, patience));
    return child.messages.empty() ? 0 : child.messages[0]["descriptors"].get<int>();
  };
  const auto before = test::open_descriptors();
  const auto before_in_child = in_child();
  ASSERT_GT(before_in_child, 0);

  const UniqueFd handed_down(::memfd_create("handed down", MFD_CLOEXEC));
  for (int i = 0; i < 250; ++i) {
    std::vector<Process> processes;
    for (int j = 0; j < 4; ++j)
      processes.push_back(Process::spawn("/bin/true", {}, {handed_down.get()}));
    for (auto& process : processes) ASSERT_EQ(await_end(process)->code, 0);
  }

  EXPECT_TRUE(test::is_close_on_exec(handed_down.get()))
      << "only the child's copy is to be inherited";
  EXPECT_EQ(test::open_descriptors(), before + 1);
  EXPECT_EQ(in_child(), before_in_child);
  EXPECT_FALSE(has_children());
}

TEST(Process, AChildGetsTheInheritedDescriptorsAndNoOther) {
  // They stand where the child's numbers are to be, in the wrong order.
  const UniqueFd first(::memfd_create("first", MFD_CLOEXEC));
  const UniqueFd second(::memfd_create("second", MFD_CLOEXEC));
  const Script script(R"(readlink /proc/$$/fd/3 | grep -q second && )"
                      R"(readlink /proc/$$/fd/4 | grep -q first && ! test -e /proc/$$/fd/5)");
  auto process = script.run({}, {second.get(), first.get()});
  EXPECT_EQ(await_end(process)->code, 0);
}

TEST(Process, AStreamOfTheStandardLibraryIsClosedInAChild) {
  const test::TempDir dir;
  const std::ofstream stream(dir / "open");
  const Script script(R"(! ls -l /proc/$$/fd | grep open)");
  auto process = script.run();
  EXPECT_EQ(await_end(process)->code, 0);
}

TEST(Process, OwnProgramIsThePathOfTheCallAlsoThroughALink) {
  const auto plain = own_program();
  EXPECT_TRUE(plain.is_absolute());
  EXPECT_TRUE(std::filesystem::equivalent(plain, "/proc/self/exe"));
}

// A program is deployed by a link that is flipped, so the link is what is to run next.
TEST(Process, OwnProgramKeepsTheLinksOfTheNameThatWasTyped) {
  const test::TempDir dir;
  std::filesystem::create_directory(dir / "releases");
  std::filesystem::create_symlink(own_program(), dir / "releases/ex2");
  std::filesystem::create_symlink("releases", dir / "current");
  EventLoop loop;
  for (const auto* start : {
           R"(exec "$DIR/current/ex2")",
           R"(cd "$DIR/current" && exec ./ex2)",
           R"(cd "$DIR" && exec current/ex2)",
           R"(PATH="$DIR/current:$PATH"; exec ex2)",
           R"(cd "$DIR/current"; PATH=":$PATH"; exec ex2)",
       }) {
    const Script script(start);
    const test::Helper child(loop, "describe", {"DIR=" + dir / ""}, script.path());
    ASSERT_TRUE(loop.wait_until([&] { return child.closed; }, patience)) << start;
    ASSERT_EQ(child.messages.size(), 1U) << start;
    const std::filesystem::path found = child.messages[0]["program"].get<std::string>();
    EXPECT_EQ(found.lexically_normal(), (dir / "current/ex2")) << start;
  }
}

TEST(Process, OwnProgramBelievesNoPwdAndNoNameThatLie) {
  EventLoop loop;
  for (const auto* start : {R"(PWD=/tmp exec ./program)", R"(PWD=nonsense exec ./program)",
                            R"(unset PWD; exec ./program)", R"(exec -a /bin/true ./program)"}) {
    const test::TempDir dir;
    std::filesystem::create_symlink(own_program(), dir / "program");
    std::ofstream(dir / "start") << "#!/bin/bash\ncd '" << dir / ""
                                 << "'; " << start << '\n';
    std::filesystem::permissions(dir / "start", std::filesystem::perms::owner_all);
    const test::Helper child(loop, "describe", {}, dir / "start");
    ASSERT_TRUE(loop.wait_until([&] { return child.closed; }, patience)) << start;
    ASSERT_EQ(child.messages.size(), 1U) << start;
    const std::filesystem::path found = child.messages[0]["program"].get<std::string>();
    EXPECT_EQ(found.lexically_normal(), dir / "program") << start;
  }
}

TEST(Process, ResidentBytesGrowWithTheMemoryThatIsTouched) {
  constexpr std::size_t size = std::size_t{32} << 20;
  const auto before = resident_bytes(::getpid());
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_GE(resident_bytes(::getpid()), before + size * 3 / 4);
  ::munmap(memory, size);
}

TEST(Process, ResidentBytesAreNeverZero) {
  ASSERT_GT(resident_bytes(::getpid()), 0U);
  EXPECT_GT(resident_bytes(::getppid()), 0U);
  EXPECT_THROW(resident_bytes(0x7fffffff), std::system_error);
  const test::NoMoreDescriptors none_left;
  EXPECT_GT(resident_bytes(::getpid()), 0U);
  EXPECT_THROW(resident_bytes(::getppid()), std::system_error);
}

}  // namespace
}  // namespace cluster
