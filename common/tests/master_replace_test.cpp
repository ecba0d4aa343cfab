// Deaths, replacements, and the parts of a rolling restart.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "master_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::MasterTest;
using test::patience;

struct MasterOfEight : MasterTest {
  MasterOfEight() : MasterTest(8) {}
};

TEST_F(MasterTest, AKilledWorkerIsReplacedInItsSlotByAnotherProcess) {
  start();
  const auto old = master.current(2);
  const auto other = master.current(1);
  EXPECT_TRUE(master.kill(old, SIGKILL));
  ASSERT_TRUE(await_deaths(1));
  EXPECT_EQ(deaths[0].worker.slot, 2);
  EXPECT_EQ(deaths[0].worker.pid, old);
  EXPECT_TRUE(deaths[0].worker.ready);
  EXPECT_EQ(deaths[0].status.signal, SIGKILL);
  EXPECT_FALSE(master.kill(old, SIGKILL)) << "no signal for a pid that was reaped";
  EXPECT_EQ(master.send(old, {{"type", "echo"}}), Channel::Sent::closed);

  ASSERT_TRUE(await([&] { return master.all_ready(); }));

  EXPECT_NE(master.current(2), old);
  EXPECT_EQ(ask(master.current(2), {{"type", "who"}})["number"], 2);
  EXPECT_EQ(master.current(1), other) << "the other is left alone";
}

TEST_F(MasterTest, ADeathTellsTheExitCode) {
  start();
  master.send(master.current(1), {{"type", "exit"}, {"code", 42}});
  ASSERT_TRUE(await_deaths(1));
  EXPECT_EQ(deaths[0].status.code, 42);
  EXPECT_NE(output.text().find("exit code 42"), std::string::npos);
}

TEST_F(MasterOfEight, AllThatDieAtOnceAreToldAndReplaced) {
  start();
  std::map<int, pid_t> before;
  for (const auto& worker : master.workers()) {
    before[worker.slot] = worker.pid;
    master.kill(worker.pid, SIGSTOP);
  }
  for (const auto& worker : master.workers())
    master.kill(worker.pid, worker.slot % 2 == 0 ? SIGKILL : SIGABRT);
  for (const auto& worker : master.workers()) master.kill(worker.pid, SIGCONT);
  ASSERT_TRUE(await_deaths(8));
  for (const auto& death : deaths) {
    EXPECT_EQ(death.worker.pid, before.at(death.worker.slot));
    EXPECT_EQ(death.status.signal, death.worker.slot % 2 == 0 ? SIGKILL : SIGABRT);
  }
  EXPECT_TRUE(await([&] { return master.all_ready(); }));
  EXPECT_EQ(deaths.size(), 8U);
  EXPECT_EQ(master.workers().size(), 8U);
}

TEST_F(MasterTest, ACrashLoopHasPausesThatDouble) {
  master.start(1, role("crash"));
  ASSERT_TRUE(await_deaths(4));
  master.stop_replacing();

  const auto spawns = journal("spawn");
  const auto exits = journal("exit");

  ASSERT_EQ(spawns.size(), 4U);
  ASSERT_EQ(exits.size(), 4U);
  const std::vector<double> pauses{0.1, 0.2, 0.4};
  for (std::size_t i = 0; i < pauses.size(); ++i) {
    const double pause = spawns[i + 1]["t"].get<double>() - exits[i]["t"].get<double>();
    EXPECT_GE(pause, pauses[i] - 0.002) << "between death " << i + 1 << " and the next start";
    EXPECT_LE(pause, pauses[i] + 1.0) << "between death " << i + 1 << " and the next start";
  }
  EXPECT_EQ(deaths[0].status.code, 3);
}

TEST_F(MasterTest, AWorkerThatHasLivedForASecondIsReplacedWithoutAPause) {
  start();
  const auto started = master.find(master.current(1))->started;
  master.wait_until([&] { return Clock::now() - started > 1'000ms; }, 1'100ms);
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  ASSERT_TRUE(await([&] { return master.current(1) != 0; }));
  EXPECT_EQ(output.text().find("died young"), std::string::npos);

  master.kill(master.current(1), SIGKILL);  // this one dies young
  ASSERT_TRUE(await_deaths(2));
  EXPECT_NE(output.text().find("the next one starts in 100 ms"), std::string::npos);
}

TEST_F(MasterTest, AWorkerThatCannotBeStartedIsTriedAgain) {
  auto program = dir / "program";
  std::filesystem::create_symlink(own_program(), program);
  char* const before = std::exchange(program_invocation_name, program.data());
  Master other(1, std::nullopt, "");
  program_invocation_name = before;
  std::filesystem::remove(program);

  EXPECT_EQ(other.start(1, role("obey")), 0);

  EXPECT_EQ(other.current(1), 0);
  EXPECT_NE(output.text().find("worker 1 could not be started: posix_spawn"), std::string::npos);
  EXPECT_FALSE(other.wait_until([&] { return other.current(1) != 0; }, 150ms));
  std::filesystem::create_symlink(own_program(), program);
  EXPECT_TRUE(other.wait_until([&] { return other.all_ready(); }, patience));
}

TEST_F(MasterTest, AMasterWithoutDescriptorsTriesAgain) {
  {
    const test::NoMoreDescriptors exhausted;
    EXPECT_EQ(master.start(1, role("obey")), 0);
    EXPECT_EQ(master.start(2, role("obey")), 0);
  }
  EXPECT_EQ(master.current(1), 0);
  EXPECT_TRUE(await([&] { return master.all_ready(); }));
}

// The parts of a rolling restart.

TEST_F(MasterTest, ASuccessorIsPromotedAndTheRetiredOneNotReplaced) {
  start();
  const auto old = master.current(1);
  const auto successor = master.start(1, role("obey", "2"));
  ASSERT_NE(successor, 0);
  EXPECT_EQ(master.current(1), old) << "until it is promoted";
  ASSERT_TRUE(await([&] { return master.find(successor)->ready; }));
  EXPECT_EQ(master.workers().size(), 3U);
  EXPECT_EQ(master.workers()[1].pid, successor) << "by slot and age";
  EXPECT_EQ(ask(old, {{"type", "who"}})["version"], "");
  EXPECT_EQ(ask(successor, {{"type", "who"}})["version"], "2");

  master.promote(successor);

  EXPECT_EQ(master.current(1), successor);
  EXPECT_TRUE(master.find(old)->leaving);
  EXPECT_TRUE(master.all_ready());
  master.kill(old, SIGTERM);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_TRUE(deaths[0].worker.leaving);
  EXPECT_EQ(deaths[0].status.code, 0) << "SIGTERM ends a worker without a handler for it";
  EXPECT_FALSE(master.wait_until([&] { return journal("spawn").size() > 3; }, 300ms));
  EXPECT_EQ(master.current(1), successor);

  master.kill(successor, SIGKILL);
  ASSERT_TRUE(await_deaths(2));
  ASSERT_TRUE(await([&] { return master.all_ready(); }));
  EXPECT_EQ(ask(master.current(1), {{"type", "who"}})["version"], "2")
      << "its replacement is of its kind";
}

TEST_F(MasterTest, ASuccessorThatDiesDisturbsNothing) {
  start();
  const auto old = master.current(1);
  master.kill(master.start(1, role("obey", "2")), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_FALSE(master.wait_until([&] { return journal("spawn").size() > 3; }, 300ms));
  EXPECT_EQ(master.current(1), old);

  master.kill(old, SIGKILL);
  ASSERT_TRUE(await_deaths(2));
  ASSERT_TRUE(await([&] { return master.all_ready(); }));
  EXPECT_EQ(ask(master.current(1), {{"type", "who"}})["version"], "") << "it was never promoted";
}

TEST_F(MasterTest, ASuccessorMayTakeTheSlotOfADeadOne) {
  start();
  const auto successor = master.start(1, role("obey", "2"));
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  ASSERT_EQ(master.current(1), 0);
  master.promote(successor);
  EXPECT_FALSE(master.wait_until([&] { return master.current(1) != successor; }, 300ms));
  EXPECT_EQ(master.workers().size(), 2U) << "the replacement that was planned is not started";
}

TEST_F(MasterTest, ARetiredWorkerIsNotReplaced) {
  start();
  const auto pid = master.current(1);
  master.retire(pid);
  master.kill(pid, SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_EQ(master.current(1), 0);
  EXPECT_FALSE(master.wait_until([&] { return master.current(1) != 0; }, 300ms));
  EXPECT_FALSE(master.all_ready());
}

TEST_F(MasterTest, NobodyIsReplacedAfterStopReplacingNorInAPauseThatRan) {
  start();
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));  // its replacement is planned now
  master.stop_replacing();
  master.kill(master.current(2), SIGKILL);
  ASSERT_TRUE(await_deaths(2));
  EXPECT_FALSE(master.wait_until([&] { return !master.workers().empty(); }, 300ms));
}

TEST_F(MasterTest, AReplacementInTheDeathHandlerIsNotDoubled) {
  start();
  master.on_death([&](const Master::Death& death) {
    deaths.push_back(death);
    master.start(death.worker.slot, role("obey"));
  });
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  ASSERT_TRUE(await([&] { return master.all_ready(); }));
  EXPECT_FALSE(master.wait_until([&] { return master.workers().size() != 2; }, 300ms));
}

TEST_F(MasterTest, AStartThatFailsIsToldOnceHoweverOftenItIsTried) {
  {
    const test::NoMoreDescriptors none_left;
    master.start_workers(role("obey"));
    master.wait_until([] { return false; }, 1s);  // it tries after 100 ms, 200 ms, 400 ms
  }
  EXPECT_TRUE(await([&] { return master.all_ready(); }));
  const auto text = output.text();
  for (const std::string told :
       {"worker 1 could not be started", "worker 2 could not be started"}) {
    const auto first = text.find(told);
    ASSERT_NE(first, std::string::npos);
    EXPECT_EQ(text.find(told, first + 1), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace cluster
