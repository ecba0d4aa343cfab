// A handler may put another one in its own place while it runs: it must live until it returns.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>

#include "master_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::MasterTest;
using test::patience;

// What a handler holds, and whether it still lives.
struct Held {
  std::shared_ptr<int> held = std::make_shared<int>(1);
  std::weak_ptr<int> watched = held;
  bool survived = false;
  std::shared_ptr<int> take() { return std::move(held); }
  void look() { survived = !watched.expired(); }
};

TEST_F(MasterTest, AMessageHandlerMayReplaceItself) {
  start();
  Held test;
  bool second = false;
  master.on_message("echo", [this, &test, &second, held = test.take()](const auto&, const auto&) {
    auto& own = test;
    auto& later = second;
    master.on_message("echo", [&later](const auto&, const auto&) { later = true; });
    own.look();
  });
  for (int i = 0; i < 2; ++i) master.send(master.current(1), {{"type", "echo"}, {"id", i}});
  EXPECT_TRUE(await([&] { return second; }));
  EXPECT_TRUE(test.survived);
}

TEST_F(MasterTest, AHandlerOfDeathsMayReplaceItself) {
  start();
  Held test;
  master.on_death([this, &test, held = test.take()](const auto&) {
    auto& own = test;
    auto& self = *this;
    master.on_death([&self](const Master::Death& death) { self.deaths.push_back(death); });
    own.look();
  });
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await([&] { return master.workers().size() == 1; }));
  master.kill(master.current(2), SIGKILL);
  EXPECT_TRUE(await_deaths(1));
  EXPECT_TRUE(test.survived);
}

TEST_F(MasterTest, AHandlerOfSignalsMayReplaceItself) {
  Held test;
  bool second = false;
  master.on_signal({SIGUSR1}, [this, &test, &second, held = test.take()](int) {
    auto& own = test;
    auto& later = second;
    master.on_signal({SIGUSR1}, [&later](int) { later = true; });
    own.look();
    ::kill(::getpid(), SIGUSR1);
  });
  ::kill(::getpid(), SIGUSR1);
  EXPECT_TRUE(await([&] { return second; }));
  EXPECT_TRUE(test.survived);
}

TEST_F(MasterTest, AMessageHandlerOfAWorkerMayReplaceItself) {
  start();
  EXPECT_EQ(ask(master.current(1), {{"type", "replace"}})["alive"], true);
}

struct LoopTest : testing::Test {
  LoopTest() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0) {
      here.reset(ends[0]);
      there.reset(ends[1]);
    }
  }
  ~LoopTest() override { loop.forget(here.get()); }
  EventLoop loop;
  UniqueFd here;
  UniqueFd there;
  Held test;
  int later = 0;
};

TEST_F(LoopTest, AReadHandlerLivesUntilItReturns) {
  loop.watch_readable(here.get(), "first", [this, held = test.take()] {
    auto& self = *this;
    loop.watch_readable(here.get(), "replaced", [&self] { ++self.later; });
    self.test.look();
  });
  test::write_all(there.get(), "x");
  EXPECT_TRUE(loop.wait_until([&] { return later > 0; }, patience));
  EXPECT_TRUE(test.survived);
}

// The loop looks more closely at a handler that has been called for long.
TEST_F(LoopTest, AReadHandlerUnderSuspicionLivesUntilItReturns) {
  int turns = 0;
  loop.watch_readable(here.get(), "first", [this, &turns, held = test.take()] {
    if (++turns < 2 * EventLoop::trusted_turns) return;
    auto& self = *this;
    loop.watch_readable(here.get(), "replaced", [&self] { ++self.later; });
    self.test.look();
  });
  test::write_all(there.get(), "x");
  EXPECT_TRUE(loop.wait_until([&] { return later > 0; }, patience));
  EXPECT_TRUE(test.survived);
}

TEST_F(LoopTest, AWriteHandlerLivesUntilItReturns) {
  loop.watch_writable(here.get(), [this, held = test.take()] {
    auto& self = *this;
    loop.watch_writable(here.get(), [&self] { ++self.later; });
    self.test.look();
  });
  EXPECT_TRUE(loop.wait_until([&] { return later > 0; }, patience));
  EXPECT_TRUE(test.survived);
}

TEST_F(LoopTest, ATimerThatCancelsItselfLivesUntilItReturns) {
  EventLoop::TimerId id = 0;
  id = loop.every(1ms, [this, &id, held = test.take()] {
    auto& self = *this;
    loop.cancel(id);
    self.test.look();
    ++self.later;
  });
  EXPECT_TRUE(loop.wait_until([&] { return later > 0; }, patience));
  EXPECT_TRUE(test.survived);
}

}  // namespace
}  // namespace cluster
