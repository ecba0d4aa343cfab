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

// A shell script; it is run by path like any program.
class Script {
 public:
  explicit Script(const std::string& text) : path_(dir_ / "script") {
    std::ofstream(path_) << "#!/bin/sh\n" << text << '\n';
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
  }
  Process run(const std::vector<std::string>& variables = {},
              const std::vector<int>& inherited = {}) const {
    return Process::spawn(path_, variables, inherited);
  }

 private:
  test::TempDir dir_;
  std::string path_;
};

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
      EXPECT_NE(std::string(failure.what()).find("posix_spawn"), std::string::npos)
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

TEST(Process, StartsWithEmptyMaskAndDefaultDispositions) {
  const test::SignalMask mask;
  EventLoop loop;
  loop.on_signal(SIGUSR1, [](int) {});  // blocks it
  const auto before = std::signal(SIGUSR2, SIG_IGN);

  test::Helper child(loop, "describe", {"TEST_VARIABLE=here"});

  EXPECT_TRUE(loop.wait_until([&] { return child.closed; }, patience));
  std::signal(SIGUSR2, before);
  ASSERT_EQ(child.messages.size(), 1U);
  EXPECT_EQ(child.messages[0]["blocked"], 0);
  EXPECT_EQ(child.messages[0]["ignored"], false);
  EXPECT_EQ(child.messages[0]["variable"], "here");
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
  const UniqueFd inherited(::memfd_create("inherited", MFD_CLOEXEC));
  const UniqueFd other(::memfd_create("other", MFD_CLOEXEC));
  const Script script(
      "readlink /proc/$$/fd/$GIVEN | grep -q inherited && ! test -e /proc/$$/fd/$OTHER");
  auto process = script.run(
      {"GIVEN=" + std::to_string(inherited.get()), "OTHER=" + std::to_string(other.get())},
      {inherited.get()});
  EXPECT_EQ(await_end(process)->code, 0);
}

TEST(Process, OwnProgramIsThePathOfTheCallAlsoThroughALink) {
  const auto plain = own_program();
  EXPECT_TRUE(plain.is_absolute());
  EXPECT_TRUE(std::filesystem::equivalent(plain, "/proc/self/exe"));

  const test::TempDir dir;
  auto link = dir / "link";
  std::filesystem::create_symlink(plain, link);
  char* const before = std::exchange(program_invocation_name, link.data());
  EXPECT_EQ(own_program(), link) << "a file put behind the link is what is to run next";
  auto stranger = dir / "stranger";
  std::ofstream{stranger};
  program_invocation_name = stranger.data();
  EXPECT_EQ(own_program(), std::filesystem::read_symlink("/proc/self/exe"));
  program_invocation_name = before;
}

TEST(Process, ResidentBytesGrowWithTheMemoryThatIsTouched) {
  constexpr std::size_t size = std::size_t{32} << 20;
  const auto before = resident_bytes(::getpid());
  ASSERT_GT(before, 0U);
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_GE(resident_bytes(::getpid()), before + size * 3 / 4);
  ::munmap(memory, size);
  EXPECT_EQ(resident_bytes(0x7fffffff), 0U);
}

}  // namespace
}  // namespace cluster
