// Signals of a master and its workers: SIGHUP, SIGUSR1 and SIGUSR2, which come to all of them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <initializer_list>
#include <optional>
#include <vector>

#include "master_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::MasterTest;
using test::patience;

TEST_F(MasterTest, SignalsForTheMasterDoNothingToItAndItsWorkers) {
  start();
  const auto workers = master.workers();
  for (const int signal : {SIGUSR1, SIGUSR2}) ::kill(::getpid(), signal);
  for (const auto& worker : workers) {
    for (const int signal : {SIGUSR1, SIGUSR2, SIGHUP, SIGINT}) master.kill(worker.pid, signal);
    EXPECT_EQ(ask(worker.pid, {{"type", "echo"}, {"id", 5}})["id"], 5);
  }
  EXPECT_EQ(deaths.size(), 0U);
}

TEST_F(MasterTest, AWorkerIgnoresTheMastersSignalsFromItsFirstInstant) {
  for (int i = 0; i < 10; ++i) {
    const auto pid = master.start(1, role("obey"));
    master.kill(pid, SIGUSR1);
    master.kill(pid, SIGUSR2);
    ASSERT_TRUE(await([&] { return !master.find(pid) || master.find(pid)->ready; }));
    ASSERT_TRUE(master.find(pid));
    master.retire(pid);
    master.kill(pid, SIGKILL);
    ASSERT_TRUE(await([&] { return !master.find(pid); }));
  }
}

struct HangupTest : testing::Test {
  test::SignalMask mask;
  test::CaughtOutput output;
  std::vector<int> told;
  EventLoop::SignalHandler tell() {
    return [this](int signal) { told.push_back(signal); };
  }
};

TEST_F(HangupTest, IsToldToTheHandlerOfSigtermOnceAndNotAsASecondSignal) {
  std::signal(SIGHUP, SIG_DFL);
  Master master(1, std::nullopt, "");
  master.on_signal({SIGTERM, SIGINT}, tell());
  ::kill(::getpid(), SIGHUP);
  EXPECT_TRUE(master.wait_until([&] { return !told.empty(); }, patience));
  ::kill(::getpid(), SIGHUP);  // a terminal and its shell both send it
  master.loop().run_once(0ns);
  EXPECT_EQ(told, std::vector<int>{SIGHUP});
  ::kill(::getpid(), SIGINT);
  EXPECT_TRUE(master.wait_until([&] { return told.size() == 2; }, patience));
}

TEST_F(HangupTest, AfterSigtermForcesNothing) {
  std::signal(SIGHUP, SIG_DFL);
  Master master(1, std::nullopt, "");
  master.end_by_signal();
  ::kill(::getpid(), SIGTERM);
  EXPECT_TRUE(master.wait_until([&] { return master.ending(); }, patience));
  ::kill(::getpid(), SIGHUP);
  master.loop().run_once(0ns);
  EXPECT_FALSE(master.forced());
}

TEST_F(HangupTest, StaysIgnoredInTheMasterAndItsWorkers) {
  std::signal(SIGHUP, SIG_IGN);  // as nohup does
  Master master(1, std::nullopt, "");
  master.end_by_signal();
  master.start_workers({{"TEST_ROLE", "obey"}});
  const auto pid = master.current(1);
  master.kill(pid, SIGHUP);
  ::kill(::getpid(), SIGHUP);
  EXPECT_TRUE(master.wait_until([&] { return master.all_ready(); }, patience));
  EXPECT_EQ(master.current(1), pid);
  master.kill(pid, SIGHUP);
  master.loop().run_once(50ms);
  EXPECT_EQ(master.current(1), pid);
  EXPECT_FALSE(master.ending());
}

TEST_F(HangupTest, MayHaveAHandlerOfItsOwn) {
  std::signal(SIGHUP, SIG_DFL);
  Master master(1, std::nullopt, "");
  master.on_signal({SIGHUP}, tell());
  master.end_by_signal();
  ::kill(::getpid(), SIGHUP);
  ::kill(::getpid(), SIGHUP);
  EXPECT_TRUE(master.wait_until([&] { return !told.empty(); }, patience));
  EXPECT_FALSE(master.ending());
}

}  // namespace
}  // namespace cluster
