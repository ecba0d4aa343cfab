// How a master ends its workers.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "master_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::MasterTest;
using test::patience;

struct MasterEndTest : MasterTest {
  MasterEndTest() { master.end_by_signal(); }
  void signal_once(int number = SIGTERM) {
    ::kill(::getpid(), number);
    ASSERT_TRUE(await([this] { return master.ending(); }));
  }
};

TEST_F(MasterEndTest, WorkersThatGoByThemselvesMakeAGracefulEnd) {
  start();
  EXPECT_FALSE(master.ending());
  signal_once(SIGINT);
  EXPECT_TRUE(master.end_workers(patience));
  EXPECT_TRUE(master.workers().empty());
  ASSERT_EQ(deaths.size(), 2U);
  for (const auto& death : deaths) EXPECT_EQ(death.status.code, 0);
  EXPECT_EQ(journal("spawn").size(), 2U);
}

TEST_F(MasterEndTest, AWorkerThatIsStillStartingIsNoLoss) {
  master.start_workers(role("obey"));
  signal_once();
  EXPECT_TRUE(master.end_workers(patience));
}

TEST_F(MasterEndTest, AWorkerThatDoesNotGoIsKilledAfterTheTimeout) {
  start();
  const auto stopped = master.current(1);
  master.kill(stopped, SIGSTOP);
  signal_once();
  const auto began = Clock::now();
  EXPECT_FALSE(master.end_workers(300ms));
  EXPECT_GE(Clock::now() - began, 300ms);
  ASSERT_EQ(deaths.size(), 2U);
  EXPECT_EQ(deaths[0].status.code, 0);
  EXPECT_EQ(deaths[1].worker.pid, stopped);
  EXPECT_EQ(deaths[1].status.signal, SIGKILL);
}

TEST_F(MasterEndTest, ASecondSignalEndsTheWait) {
  start();
  master.kill(master.current(1), SIGSTOP);
  signal_once();
  master.loop().after(100ms, [] { ::kill(::getpid(), SIGINT); });
  EXPECT_FALSE(master.forced());
  EXPECT_FALSE(master.end_workers(1h));
  EXPECT_TRUE(master.forced());
  EXPECT_TRUE(master.workers().empty());
}

TEST_F(MasterEndTest, NobodyIsReplacedAfterTheSignal) {
  start();
  signal_once();
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_FALSE(master.wait_until([&] { return master.current(1) != 0; }, 300ms));
}

TEST_F(MasterEndTest, IfWantedWorkersAreReplacedUntilTheEnd) {
  master.end_by_signal(Master::Meanwhile::replace);
  start();
  signal_once();
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_TRUE(await([&] { return master.all_ready(); }));
  EXPECT_TRUE(master.end_workers(patience));
  EXPECT_EQ(journal("spawn").size(), 3U);
}

TEST_F(MasterEndTest, AWorkerThatFailedBeforeTheSignalIsNoLossOfTheEnd) {
  start();
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));  // before the signal: nothing of the end
  signal_once();
  EXPECT_TRUE(master.end_workers(patience));
}

TEST_F(MasterEndTest, AWorkerThatFailsAfterTheSignalMakesAForcedEnd) {
  start();
  signal_once();
  master.send(master.current(1), {{"type", "exit"}, {"code", 1}});
  ASSERT_TRUE(await_deaths(1));
  EXPECT_FALSE(master.end_workers(patience));
}

}  // namespace
}  // namespace cluster
