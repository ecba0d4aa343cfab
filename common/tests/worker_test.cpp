// A worker ends with its master, in whatever way the master ends.
#include "cluster/worker.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>

#include "handover.hpp"
#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::patience;

// The contract says one second. A busy machine may need one more.
constexpr auto soon = 2s;

// A master in a process of its own. Its worker is no child of this process.
struct WorkerTest : testing::Test {
  WorkerTest() : WorkerTest("obey") {}
  explicit WorkerTest(const std::string& role) : master(loop, "master", {"TEST_ROLE=" + role}) {
    if (loop.wait_until([&] { return !master.messages.empty(); }, patience)) {
      worker = master.messages[0]["worker"];
      pidfd = test::open_pidfd(worker);
    }
  }
  test::CaughtOutput output;
  EventLoop loop;
  test::Helper master;
  pid_t worker = 0;
  UniqueFd pidfd;
};

struct BusyWorkerTest : WorkerTest {
  BusyWorkerTest() : WorkerTest("busy") {}
};

TEST_F(WorkerTest, IsGoneSoonAfterItsMasterWasKilled) {
  ASSERT_NE(worker, 0);
  ASSERT_FALSE(test::wait_gone(pidfd, 0ms));
  master.process.signal(SIGKILL);
  EXPECT_TRUE(test::wait_gone(pidfd, soon));
}

TEST_F(WorkerTest, IsGoneAtTheLatestWhenItIsContinuedAfterItsMasterWasKilled) {
  ASSERT_NE(worker, 0);
  ::kill(worker, SIGSTOP);
  ASSERT_TRUE(test::eventually([&] { return test::is_stopped(worker); }));
  master.process.signal(SIGKILL);
  ASSERT_TRUE(test::eventually([&] { return master.process.try_reap().has_value(); }));
  if (!test::wait_gone(pidfd, 500ms)) {
    ::kill(worker, SIGCONT);
  }
  EXPECT_TRUE(test::wait_gone(pidfd, soon));
}

TEST_F(BusyWorkerTest, IsGoneSoonAlsoWhenItDoesNotComeToItsLoop) {
  ASSERT_NE(worker, 0);
  master.process.signal(SIGKILL);
  EXPECT_TRUE(test::wait_gone(pidfd, soon));
}

TEST_F(WorkerTest, EndsWithAMasterThatHasNoHandlerForSigterm) {
  ASSERT_NE(worker, 0);
  master.process.signal(SIGTERM);
  std::optional<ExitStatus> status;
  ASSERT_TRUE(test::eventually([&] { return (status = master.process.try_reap()).has_value(); }));
  EXPECT_EQ(status->code, 0);
  EXPECT_TRUE(test::wait_gone(pidfd, soon));
}

TEST_F(WorkerTest, StaysWhileItsMasterIsOnlyStopped) {
  ASSERT_NE(worker, 0);
  master.process.signal(SIGSTOP);
  ASSERT_TRUE(test::eventually([&] { return test::is_stopped(master.process.pid()); }));
  EXPECT_FALSE(test::wait_gone(pidfd, 200ms));
}

TEST_F(WorkerTest, LeavesSigintToItsMasterAndEndsOnSigterm) {
  ASSERT_NE(worker, 0);
  ::kill(worker, SIGINT);
  EXPECT_FALSE(test::wait_gone(pidfd, 200ms));
  ::kill(worker, SIGTERM);
  EXPECT_TRUE(test::wait_gone(pidfd, patience));
}

// This process takes the place of the master, with a bare end of the channel.
struct Handed {
  Handed() : Handed(Channel::make_pair()) {}
  explicit Handed(std::pair<UniqueFd, UniqueFd> ends)
      : channel(std::move(ends.first)),
        worker(Process::spawn(own_program(),
                              {Handover{3, ::getpid(), Process::first_inherited, -1}.variable()},
                              {ends.second.get()})) {}
  bool await_ready() const {
    std::string text;
    return test::eventually([&] {
      return (text += test::read_available(channel.get())) == test::frame(R"({"type":"ready"})");
    });
  }
  std::optional<ExitStatus> await_end() {
    std::optional<ExitStatus> status;
    test::eventually([&] { return (status = worker.try_reap()).has_value(); });
    return status;
  }

  test::CaughtOutput output;
  UniqueFd channel;
  Process worker;
};

TEST(Worker, EndsWhenTheChannelEndsAlsoWhileTheMasterLives) {
  Handed handed;
  ASSERT_TRUE(handed.await_ready());
  handed.channel.reset();
  const auto status = handed.await_end();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 1);
}

TEST(Worker, EndsWhenTheMasterSendsNoJson) {
  Handed handed;
  ASSERT_TRUE(handed.await_ready());
  test::write_all(handed.channel.get(), test::frame("no json"));
  const auto status = handed.await_end();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 1);
}

TEST(Worker, IsToldItsNumberInItsLogName) {
  Handed handed;
  ASSERT_TRUE(handed.await_ready());
  test::write_all(handed.channel.get(), test::frame(R"({"no":"type"})"));
  EXPECT_TRUE(test::eventually([&] {
    return handed.output.text().find(" worker3[" + std::to_string(handed.worker.pid()) +
                                     "] the master sent") != std::string::npos;
  }));
}

TEST(Worker, IsNoneWithoutAMaster) {
  EXPECT_FALSE(Worker::is_one());
  EXPECT_THROW(Worker(""), std::logic_error);
}

TEST(Worker, EndsAtOnceWhenItsMasterIsGoneBeforeItStarts) {
  const test::CaughtOutput output;
  const auto not_its_parent = ::getppid();
  const auto [here, there] = Channel::make_pair();
  const Handover handover{1, not_its_parent, Process::first_inherited, -1};
  auto orphan = Process::spawn(own_program(), {handover.variable()}, {there.get()});
  std::optional<ExitStatus> status;
  ASSERT_TRUE(test::eventually([&] { return (status = orphan.try_reap()).has_value(); }));
  EXPECT_EQ(status->code, 1);
  EXPECT_NE(output.text().find("is gone"), std::string::npos);
}

}  // namespace
}  // namespace cluster
