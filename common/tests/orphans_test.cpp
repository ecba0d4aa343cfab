// Whatever descends from a worker goes with it.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <sstream>
#include <string>
#include <vector>

#include "master_support.hpp"
#include "orphans.hpp"

namespace cluster {
namespace {

using test::MasterTest;
using test::patience;

bool exists(pid_t pid) {
  return ::kill(pid, 0) == 0 || errno != ESRCH;
}

struct OrphansTest : MasterTest {
  // Lets the worker run a command of the shell that writes pids.
  std::vector<pid_t> run(pid_t worker, const std::string& command) {
    std::istringstream text(
        ask(worker, {{"type", "run"}, {"command", command}})["output"].get<std::string>());
    std::vector<pid_t> pids;
    for (pid_t pid = 0; text >> pid;) pids.push_back(pid);
    return pids;
  }
};

TEST_F(OrphansTest, WhatAWorkerLeavesBehindIsKilledWhenItEnds) {
  start();
  const auto worker = master.current(1);
  const auto pids = run(worker, "sleep 1000 >/dev/null & echo $!");
  ASSERT_EQ(pids.size(), 1U);
  EXPECT_TRUE(exists(pids[0]));
  master.kill(worker, SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_FALSE(exists(pids[0])) << "also not as a zombie";
}

TEST_F(OrphansTest, WhateverDescendsFromAWorkerIsKilled) {
  start();
  const auto worker = master.current(1);
  // A child with a child of its own, in a session of its own.
  const test::Script family("sleep 1000 & echo $! > $0.pids; exec sleep 1000");
  const auto pids =
      run(worker, "setsid " + family.path() +
                      " >/dev/null & echo $!; "
                      "until test -s " +
                      family.path() + ".pids; do :; done; cat " + family.path() + ".pids");
  ASSERT_EQ(pids.size(), 2U);
  master.kill(worker, SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  for (const auto pid : pids) EXPECT_FALSE(exists(pid)) << pid;
}

TEST_F(OrphansTest, AreReapedAlsoWhileTheirWorkerLives) {
  start();
  const auto pids = run(master.current(1), "(exec >/dev/null; sleep 0.01) & echo $!");
  ASSERT_EQ(pids.size(), 1U);
  EXPECT_TRUE(await([&] { return !exists(pids[0]); }));
  EXPECT_EQ(deaths.size(), 0U);
}

TEST_F(OrphansTest, AChildWithAProcessOfItsOwnIsLeftAlone) {
  start();
  const test::Script script("exec sleep 1000");
  auto other = script.run();
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_FALSE(other.try_reap());
  EXPECT_TRUE(other.signal(0));
}

// A child as it is there when a shell has started one and then become the master's program.
struct Elder {
  Elder() {
    const std::vector<const char*> words{"sleep", "1000", nullptr};
    // NOLINTNEXTLINE(*-const-cast): it does not write there
    ::posix_spawnp(&pid, words[0], nullptr, nullptr, const_cast<char**>(words.data()), environ);
  }
  ~Elder() {
    if (::waitpid(pid, nullptr, WNOHANG) == 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
  Elder(const Elder&) = delete;
  Elder& operator=(const Elder&) = delete;

  pid_t pid = 0;
};

struct ElderTest : Elder, MasterTest {};

TEST_F(ElderTest, AChildFromBeforeTheMasterIsLeftAloneUntilItEnds) {
  start();
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT), 0);
  EXPECT_EQ(info.si_pid, 0) << "it lives";
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(await([&] { return !exists(pid); })) << "it is reaped, too";
}

TEST_F(ElderTest, IsNotForgottenWhenNobodyCanSeeTheChildren) {
  start();
  {
    const test::NoMoreDescriptors none;
    end_orphans();
  }
  end_orphans();
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT), 0);
  EXPECT_EQ(info.si_pid, 0) << "it lives";
}

TEST_F(OrphansTest, GoWithTheirMaster) {
  pid_t orphan = 0;
  {
    Master other(1, std::nullopt, "");
    other.on_message("said", [&](const Master::WorkerInfo&, const Json& message) {
      orphan = std::stoi(message["output"].get<std::string>());
    });
    other.start_workers(role("obey"));
    ASSERT_TRUE(other.wait_until([&] { return other.all_ready(); }, patience));
    other.send(other.current(1), {{"type", "run"}, {"command", "sleep 1000 >/dev/null & echo $!"}});
    ASSERT_TRUE(other.wait_until([&] { return orphan != 0; }, patience));
  }
  EXPECT_FALSE(exists(orphan));
}

}  // namespace
}  // namespace cluster
