#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include "cluster/event_loop.hpp"
#include "cluster/listener.hpp"
#include "cluster/system.hpp"
#include "http_client.hpp"
#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::patience;

constexpr int before_report = EventLoop::trusted_turns + EventLoop::fruitless_turns - 1;

// Handlers that do not read what they were called for, and the log's reports about them.
struct BusyLoopTest : testing::Test {
  void turn(int turns) {
    for (int i = 0; i < turns; ++i) loop.run_once(0ns);
  }
  long reports() const {
    const auto lines = test::lines_of(output.text());
    return std::count_if(lines.begin(), lines.end(), [](const auto& line) {
      return line.find("busy wait: ") != std::string::npos;
    });
  }
  // The watch is reported once, by its name, and not a turn too soon.
  void expect_report(const std::string& name, const std::string& advice) {
    turn(before_report);
    EXPECT_EQ(reports(), 0);
    turn(3 * before_report);
    ASSERT_EQ(reports(), 1);
    EXPECT_NE(output.text().find("test[" + std::to_string(::getpid()) + "] busy wait: "),
              std::string::npos);
    EXPECT_NE(output.text().find('"' + name + '"'), std::string::npos);
    EXPECT_NE(output.text().find(advice), std::string::npos);
  }

  test::CaughtOutput output;
  EventLoop loop{Log("test")};
  int calls = 0;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    check("pipe2", ::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK));
    out.reset(ends[0]);
    in.reset(ends[1]);
  }
  UniqueFd out;
  UniqueFd in;
};

void read_one(int fd) {
  char byte = 0;
  EXPECT_EQ(::read(fd, &byte, 1), 1);
}

// A handler that does not read is named.

TEST_F(BusyLoopTest, APipeThatIsNotRead) {
  const Pipe pipe;
  test::write_all(pipe.in.get(), "x");
  loop.watch_readable(pipe.out.get(), "orders", [&] { ++calls; });
  expect_report("orders", "it must read what has come, or forget() the descriptor");
  EXPECT_EQ(calls, 4 * before_report) << "it is still called";
}

TEST_F(BusyLoopTest, ASocketThatIsNotRead) {
  const auto [here, there] = Channel::make_pair();
  test::write_all(there.get(), "x");
  loop.watch_readable(here.get(), "channel to worker 2", [&] { ++calls; });
  expect_report("channel to worker 2", "has not read");
}

TEST_F(BusyLoopTest, AnEndOfFileThatIsNotHeeded) {
  auto [here, there] = Channel::make_pair();
  there.reset();
  loop.watch_readable(here.get(), "channel to worker 3", [&, fd = here.get()] {
    char byte = 0;
    EXPECT_EQ(::recv(fd, &byte, 1, 0), 0);
  });
  expect_report("channel to worker 3", "forget()");
}

TEST_F(BusyLoopTest, APidfdThatIsNotForgotten) {
  test::Helper child(loop, "wait");
  ASSERT_TRUE(loop.wait_until([&] { return !child.messages.empty(); }, patience));
  child.process.signal(SIGKILL);
  ASSERT_TRUE(loop.wait_until([&] { return child.closed; }, patience));
  const UniqueFd pidfd = test::open_pidfd(child.process.pid());
  ASSERT_TRUE(test::wait_gone(pidfd, patience));
  loop.watch_readable(pidfd.get(), "end of worker 1", [&] { ++calls; });
  expect_report("end of worker 1", "forget()");
}

TEST_F(BusyLoopTest, AnEventfdThatIsNotRead) {
  const UniqueFd count(check("eventfd", ::eventfd(3, EFD_CLOEXEC)));
  loop.watch_readable(count.get(), "wake-ups", [&] { ++calls; });
  expect_report("wake-ups", "has not read");
}

TEST_F(BusyLoopTest, AListenerThatDoesNotAccept) {
  const auto listener = listen_on({"127.0.0.1", 0});
  const test::Client client(listener.address.port);
  loop.watch_readable(listener.fd.get(), "listener", [&] { ++calls; });
  ASSERT_TRUE(loop.wait_until([&] { return calls > 0; }, patience));
  turn(2 * before_report);
  EXPECT_NE(output.text().find("\"listener\""), std::string::npos);
}

TEST_F(BusyLoopTest, OnlyTheOneOfTwoThatDoesNotRead) {
  const auto [idle, idle_peer] = Channel::make_pair();
  const auto [busy, busy_peer] = Channel::make_pair();
  test::write_all(idle_peer.get(), "x");
  test::write_all(busy_peer.get(), std::string(4 * before_report, 'x'));
  loop.watch_readable(idle.get(), "does not read", [&] { ++calls; });
  loop.watch_readable(busy.get(), "reads", [&, fd = busy.get()] { read_one(fd); });
  expect_report("does not read", "has not read");
}

// A handler that reads, if only a little, is not reported.

constexpr int many = 5 * before_report;

TEST_F(BusyLoopTest, AByteOfManyIsProgress) {
  const auto [here, there] = Channel::make_pair();
  const Pipe pipe;
  test::write_all(there.get(), std::string(many, 'x'));
  test::write_all(pipe.in.get(), std::string(many, 'x'));
  loop.watch_readable(here.get(), "socket", [&, fd = here.get()] { read_one(fd); });
  loop.watch_readable(pipe.out.get(), "pipe", [&] { read_one(pipe.out.get()); });
  turn(many);
  EXPECT_EQ(test::read_available(here.get()), "");
  EXPECT_EQ(reports(), 0);
}

TEST_F(BusyLoopTest, OneOfManyConnectionsIsProgress) {
  const auto listener = listen_on({"127.0.0.1", 0});
  const test::Client first(listener.address.port);
  const test::Client second(listener.address.port);
  std::vector<UniqueFd> accepted;
  loop.watch_readable(listener.fd.get(), "listener", [&] {
    // Fewer than fruitless_turns lie between two accepted connections.
    if (++calls % 500 == 0) accepted.emplace_back(::accept(listener.fd.get(), nullptr, nullptr));
  });
  ASSERT_TRUE(loop.wait_until([&] { return calls >= 1'000; }, patience));
  EXPECT_EQ(reports(), 0);
  EXPECT_EQ(accepted.size(), 2U);
}

TEST_F(BusyLoopTest, OneOfManyWakeUpsIsProgress) {
  const UniqueFd count(check("eventfd", ::eventfd(many, EFD_CLOEXEC | EFD_SEMAPHORE)));
  loop.watch_readable(count.get(), "wake-ups", [&] {
    std::uint64_t one = 0;
    EXPECT_EQ(::read(count.get(), &one, sizeof one), 8);
    ++calls;
  });
  turn(many);
  EXPECT_EQ(calls, many);
  EXPECT_EQ(reports(), 0);
}

TEST_F(BusyLoopTest, APeerThatSendsAsMuchAsIsReadHidesNoProgress) {
  const auto [here, there] = Channel::make_pair();
  test::write_all(there.get(), "x");
  loop.watch_readable(here.get(), "channel", [&, fd = here.get(), peer = there.get()] {
    read_one(fd);
    test::write_all(peer, "y");  // afterwards as much is unread as before
    ++calls;
  });
  turn(many);
  EXPECT_EQ(calls, many);
  EXPECT_EQ(reports(), 0);
}

TEST_F(BusyLoopTest, ASocketThatAnotherProcessorKeepsFullIsProgress) {
  const auto [here, there] = Channel::make_pair();
  std::atomic<bool> going_on = true;
  const std::jthread sender([&, fd = there.get()] {
    const std::string block(4'096, 'x');
    while (going_on)
      [[maybe_unused]] const auto sent = ::send(fd, block.data(), block.size(), MSG_NOSIGNAL);
  });
  loop.watch_readable(here.get(), "channel", [&, fd = here.get()] {
    std::array<char, 4'096> block{};
    EXPECT_GT(::recv(fd, block.data(), block.size(), 0), 0);
    ++calls;
  });
  EXPECT_TRUE(loop.wait_until([&] { return calls >= many; }, patience));
  going_on = false;
  EXPECT_EQ(reports(), 0);
}

TEST_F(BusyLoopTest, APostThatPostsItselfIsProgress) {
  const EventLoop::Handler again = [&] {
    ++calls;
    loop.post(again);
  };
  loop.post(again);
  turn(many);
  EXPECT_EQ(calls, many);
  EXPECT_EQ(reports(), 0);
}

TEST_F(BusyLoopTest, ASignalInEachTurnIsProgress) {
  const test::SignalMask mask;
  loop.on_signal(SIGUSR1, [&](int) { ++calls; });
  for (int i = 0; i < many; ++i) {
    ::kill(::getpid(), SIGUSR1);
    turn(1);
  }
  EXPECT_EQ(calls, many);
  EXPECT_EQ(reports(), 0);
}

// The count.

TEST_F(BusyLoopTest, ProgressBeginsTheCountAnew) {
  const auto [here, there] = Channel::make_pair();
  test::write_all(there.get(), "xyz");
  bool read = false;
  loop.watch_readable(here.get(), "channel", [&, fd = here.get()] {
    if (read) read_one(fd);
  });
  for (int i = 0; i < 2; ++i) {
    turn(before_report);
    read = true;
    turn(1);
    read = false;
  }
  EXPECT_EQ(reports(), 0);
  turn(2 * before_report);
  EXPECT_EQ(reports(), 1);
}

TEST_F(BusyLoopTest, ATurnWithoutTheWatchBeginsTheCountAnewAndANewStretchIsReportedAgain) {
  const auto [here, there] = Channel::make_pair();
  test::write_all(there.get(), "x");
  loop.watch_readable(here.get(), "channel", [&] { ++calls; });
  turn(before_report);
  test::read_available(here.get());
  turn(1);
  test::write_all(there.get(), "x");
  turn(before_report);
  EXPECT_EQ(reports(), 0);
  turn(1);
  EXPECT_EQ(reports(), 1);

  test::read_available(here.get());
  turn(1);
  test::write_all(there.get(), "x");
  turn(2 * before_report);
  EXPECT_EQ(reports(), 2);
}

TEST_F(BusyLoopTest, AHandlerThatForgetsItselfAtLastIsNotLookedAtAnyMore) {
  auto [here, there] = Channel::make_pair();
  test::write_all(there.get(), "x");
  loop.watch_readable(here.get(), "channel", [&, &self = here] {
    if (++calls == before_report) {
      loop.forget(self.get());
      self.reset();
    }
  });
  turn(2 * before_report);
  EXPECT_EQ(calls, before_report);
  EXPECT_EQ(reports(), 0);
}

TEST_F(BusyLoopTest, ItsProbesLeaveNoDescriptorBehind) {
  const auto [here, there] = Channel::make_pair();
  test::write_all(there.get(), "x");
  const auto before = test::open_descriptors();
  loop.watch_readable(here.get(), "channel", [&] { ++calls; });
  turn(2 * before_report);
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST_F(BusyLoopTest, WithoutAFreeDescriptorNothingIsReportedAndNothingBreaks) {
  const auto [here, there] = Channel::make_pair();
  test::write_all(there.get(), "x");
  loop.watch_readable(here.get(), "channel", [&] { ++calls; });
  {
    const test::NoMoreDescriptors none;
    turn(2 * before_report);
  }
  EXPECT_EQ(calls, 2 * before_report);
  EXPECT_EQ(reports(), 0);
}

}  // namespace
}  // namespace cluster
