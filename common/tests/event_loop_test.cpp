#include "cluster/event_loop.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cluster/channel.hpp"
#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::patience;

using Events = std::vector<std::string>;

// Descriptors.

TEST(EventLoop, TellsWhatCanBeReadUntilItIsForgotten) {
  EventLoop loop;
  auto [here, there] = Channel::make_pair();
  int told = 0;
  loop.watch_readable(here.get(), "here", [&] { ++told; });
  loop.run_once(0ns);
  EXPECT_EQ(told, 0);

  test::write_all(there.get(), "x");
  loop.run_once(patience);
  loop.run_once(patience);  // not read yet: called again
  EXPECT_EQ(told, 2);

  loop.forget(here.get());
  loop.run_once(0ns);
  EXPECT_EQ(told, 2);
}

TEST(EventLoop, TellsEndOfFileAsReadable) {
  EventLoop loop;
  auto [here, there] = Channel::make_pair();
  bool told = false;
  loop.watch_readable(here.get(), "here", [&] { told = true; });
  there.reset();
  EXPECT_TRUE(loop.wait_until([&] { return told; }, patience));
}

TEST(EventLoop, TellsWhatCanBeWrittenOnlyWhileItIsAsked) {
  EventLoop loop;
  auto [here, there] = Channel::make_pair();
  int readable = 0;
  int writable = 0;
  loop.watch_readable(here.get(), "here", [&] { ++readable; });
  loop.watch_writable(here.get(), [&] {
    ++writable;
    loop.unwatch_writable(here.get());
  });
  loop.run_once(patience);
  loop.run_once(0ns);
  EXPECT_EQ(writable, 1);
  EXPECT_EQ(readable, 0);

  test::write_all(there.get(), "x");
  loop.run_once(patience);
  EXPECT_EQ(readable, 1);
}

TEST(EventLoop, AHandlerMayForgetItselfAndOthersThatAreDueInTheSameTurn) {
  EventLoop loop;
  auto [a, a_end] = Channel::make_pair();
  auto [b, b_end] = Channel::make_pair();
  int told = 0;
  const auto forget_both = [&, &first = a, &second = b] {
    ++told;
    loop.forget(first.get());
    loop.forget(second.get());
  };
  loop.watch_readable(a.get(), "a", forget_both);
  loop.watch_readable(b.get(), "b", forget_both);
  test::write_all(a_end.get(), "x");
  test::write_all(b_end.get(), "x");
  loop.run_once(patience);
  loop.run_once(0ns);
  EXPECT_EQ(told, 1);
}

TEST(EventLoop, ADescriptorNumberThatIsUsedAgainInTheSameTurnIsNotTakenForTheFormer) {
  EventLoop loop;
  auto [a, a_end] = Channel::make_pair();
  auto [b, b_end] = Channel::make_pair();
  Events events;
  std::pair<UniqueFd, UniqueFd> fresh;
  const auto replace = [&](UniqueFd& other, const char* name) {
    events.emplace_back(name);
    loop.forget(other.get());
    other.reset();
    fresh = Channel::make_pair();  // the lowest free number: the other's
    loop.watch_readable(fresh.first.get(), "fresh", [&] { events.emplace_back("fresh"); });
  };
  loop.watch_readable(a.get(), "a", [&, &other = b, &self = a] {
    loop.forget(self.get());
    replace(other, "first");
  });
  loop.watch_readable(b.get(), "b", [&, &other = a, &self = b] {
    loop.forget(self.get());
    replace(other, "first");
  });
  test::write_all(a_end.get(), "x");
  test::write_all(b_end.get(), "x");

  loop.run_once(patience);
  EXPECT_EQ(events, Events{"first"});
  test::write_all(fresh.second.get(), "x");
  loop.run_once(patience);
  EXPECT_EQ(events, (Events{"first", "fresh"}));
}

// Signals.

TEST(EventLoop, TellsEachOfABurstOfSignals) {
  const test::SignalMask mask;
  EventLoop loop;
  std::vector<int> told;
  const std::vector<int> signals{SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP, SIGWINCH, SIGCONT};
  for (const int signal : signals) {
    loop.on_signal(signal, [&](int number) { told.push_back(number); });
  }
  for (int i = 0; i < 3; ++i) {
    for (const int signal : signals) ::kill(::getpid(), signal);
  }
  loop.run_once(patience);
  // Several signals of one kind may arrive as one; no kind may be missing.
  for (const int signal : signals) {
    EXPECT_NE(std::find(told.begin(), told.end(), signal), told.end())
        << "signal " << signal << " was lost";
  }
  loop.run_once(0ns);
  EXPECT_EQ(told.size(), signals.size());
}

TEST(EventLoop, ALaterSignalHandlerReplacesTheFormerEvenFromInsideIt) {
  const test::SignalMask mask;
  EventLoop loop;
  Events events;
  loop.on_signal(SIGUSR1, [&](int) {
    events.emplace_back("first");
    loop.on_signal(SIGUSR1, [&](int) { events.emplace_back("second"); });
  });
  ::kill(::getpid(), SIGUSR1);
  loop.run_once(patience);
  ::kill(::getpid(), SIGUSR1);
  loop.run_once(patience);
  EXPECT_EQ(events, (Events{"first", "second"}));
}

TEST(EventLoop, TellsSignalsBeforeAnythingElseOfTheTurn) {
  const test::SignalMask mask;
  EventLoop loop;
  Events events;
  auto [here, there] = Channel::make_pair();
  loop.watch_readable(here.get(), "here", [&] { events.emplace_back("readable"); });
  loop.on_signal(SIGUSR1, [&](int) { events.emplace_back("signal"); });
  loop.after(0ns, [&] { events.emplace_back("timer"); });
  test::write_all(there.get(), "x");
  loop.post([&] { events.emplace_back("posted"); });
  ::kill(::getpid(), SIGUSR1);
  loop.run_once(patience);
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events.front(), "signal");
}

TEST(EventLoop, TellsASignalBeforeADeathThatCameWithIt) {
  const test::SignalMask mask;
  for (int round = 0; round < 5; ++round) {
    EventLoop loop;
    Events events;
    test::Helper child(loop, "wait");
    loop.wait_until([&] { return !child.messages.empty(); }, patience);
    loop.watch_readable(child.process.pidfd(), "end of a child", [&] {
      events.emplace_back("death");
      loop.forget(child.process.pidfd());
    });
    loop.on_signal(SIGTERM, [&](int) { events.emplace_back("signal"); });
    child.process.signal(SIGTERM);
    ::kill(::getpid(), SIGTERM);
    const UniqueFd pidfd = test::open_pidfd(child.process.pid());
    ASSERT_TRUE(test::wait_gone(pidfd, patience));  // now both events wait for the loop
    loop.run_once(patience);
    ASSERT_EQ(events, (Events{"signal", "death"}));
  }
}

// Work that other threads post.

TEST(EventLoop, RunsWhatManyThreadsPostInTheOrderOfEach) {
  constexpr int threads = 4;
  constexpr int each = 2'000;
  EventLoop loop;
  std::vector<int> next(threads);
  int in_order = 0;
  int all = 0;
  const auto loop_thread = std::this_thread::get_id();
  {
    std::vector<std::jthread> posters;
    for (std::size_t poster = 0; poster < threads; ++poster) {
      posters.emplace_back([&, poster] {
        for (int number = 0; number < each; ++number) {
          loop.post([&, poster, number] {
            in_order +=
                next[poster]++ == number && std::this_thread::get_id() == loop_thread ? 1 : 0;
            ++all;
          });
        }
      });
    }
    EXPECT_TRUE(loop.wait_until([&] { return all == threads * each; }, patience));
  }
  EXPECT_EQ(in_order, threads * each);
}

TEST(EventLoop, APostFromAHandlerRunsInALaterTurn) {
  EventLoop loop;
  int depth = 0;
  const EventLoop::Handler again = [&] {
    if (++depth < 3) loop.post(again);
  };
  loop.post(again);
  loop.run_once(patience);
  EXPECT_EQ(depth, 1);
  EXPECT_TRUE(loop.wait_until([&] { return depth == 3; }, patience));
}

TEST(EventLoop, APostWakesALoopThatWaitsForEver) {
  EventLoop loop;
  bool posted = false;
  const std::jthread other([&] { loop.post([&] { posted = true; }); });
  loop.wait_until([&] { return posted; });
  EXPECT_TRUE(posted);
}

TEST(EventLoop, TheEndOfTheTurnComesAfterAllItsHandlersAndOnce) {
  EventLoop loop;
  Events events;
  loop.after(0ns, [&] { events.emplace_back("timer"); });
  loop.post([&] {
    events.emplace_back("posted");
    loop.at_end_of_turn([&] {
      events.emplace_back("end");
      loop.at_end_of_turn([&] { events.emplace_back("very end"); });
    });
  });
  loop.run_once(patience);
  loop.run_once(0ns);
  EXPECT_EQ(events, (Events{"posted", "timer", "end", "very end"}));
}

// The main line.

TEST(EventLoop, WaitUntilTellsWhetherTheConditionHolds) {
  EventLoop loop;
  EXPECT_TRUE(loop.wait_until([] { return true; }, 0ns));
  const auto before = Clock::now();
  EXPECT_FALSE(loop.wait_until([] { return false; }, 30ms));
  EXPECT_GE(Clock::now() - before, 30ms);
  bool fired = false;
  loop.after(10ms, [&] { fired = true; });
  EXPECT_TRUE(loop.wait_until([&] { return fired; }, patience));
}

TEST(EventLoop, WaitUntilLooksOnceMoreWhenTheTimeIsOver) {
  EventLoop loop;
  bool posted = false;
  loop.post([&] { posted = true; });
  EXPECT_TRUE(loop.wait_until([&] { return posted; }, 0ns));
}

TEST(EventLoop, AHandlerMustNotRunTheLoop) {
  EventLoop loop;
  bool refused = false;
  loop.post([&] {
    try {
      loop.wait_until([] { return true; });
      loop.wait_until([] { return false; }, 0ns);
    } catch (const std::logic_error&) {
      refused = true;
    }
  });
  loop.run_once(patience);
  EXPECT_TRUE(refused);
}

TEST(EventLoop, ItsDescriptorsAreCloseOnExecAndGivenBack) {
  const test::SignalMask mask;
  const auto before = test::descriptors();
  {
    EventLoop loop;
    loop.on_signal(SIGUSR1, [](int) {});
    auto own = test::descriptors();
    EXPECT_GT(own.size(), before.size());
    std::erase_if(own, [&](int fd) { return before.contains(fd); });
    for (const int fd : own) EXPECT_TRUE(test::is_close_on_exec(fd)) << fd;
  }
  EXPECT_EQ(test::descriptors(), before);
}

}  // namespace
}  // namespace cluster
