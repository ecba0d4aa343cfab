#include <gtest/gtest.h>

#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

#include "cluster/event_loop.hpp"
#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::patience;

// The names of the timers that have fired.
class Fired {
 public:
  EventLoop::Handler note(const std::string& name) {
    return [this, name] { names_.push_back(name); };
  }
  const std::vector<std::string>& names() const { return names_; }
  std::size_t count() const { return names_.size(); }

 private:
  std::vector<std::string> names_;
};

using Names = std::vector<std::string>;

TEST(EventLoopTimer, FiresInTheOrderOfTheTimesAndNeverEarly) {
  EventLoop loop;
  Fired fired;
  const auto begin = Clock::now();
  std::vector<Clock::duration> at;
  for (const auto delay : {30ms, 10ms, 20ms, 0ms}) {
    loop.after(delay, [&, delay] {
      fired.note(std::to_string(delay.count()))();
      at.push_back(Clock::now() - begin - delay);
    });
  }
  EXPECT_TRUE(loop.wait_until([&] { return fired.count() == 4; }, patience));
  EXPECT_EQ(fired.names(), (Names{"0", "10", "20", "30"}));
  for (const auto late : at) EXPECT_GE(late, 0ns);
}

TEST(EventLoopTimer, KeepsTheOrderWhenAllAreDueAtOnce) {
  EventLoop loop;
  Fired fired;
  loop.after(3ms, fired.note("third"));
  loop.after(1ms, fired.note("first"));
  loop.after(2ms, fired.note("second"));
  test::burn(4ms);
  loop.run_once(0ns);
  EXPECT_EQ(fired.names(), (Names{"first", "second", "third"}));
}

TEST(EventLoopTimer, FiresOnce) {
  EventLoop loop;
  Fired fired;
  loop.after(0ns, fired.note("once"));
  loop.wait_until([] { return false; }, 20ms);
  EXPECT_EQ(fired.count(), 1U);
}

TEST(EventLoopTimer, ACancelledOneDoesNotFireAndCancellingAgainIsNoError) {
  EventLoop loop;
  Fired fired;
  const auto timer = loop.after(1ms, fired.note("cancelled"));
  loop.after(2ms, fired.note("kept"));
  loop.cancel(timer);
  loop.cancel(timer);
  EXPECT_TRUE(loop.wait_until([&] { return fired.count() > 0; }, patience));
  loop.cancel(timer);
  EXPECT_EQ(fired.names(), Names{"kept"});
}

TEST(EventLoopTimer, MayBeCancelledInsideItsOwnHandler) {
  EventLoop loop;
  int ticks = 0;
  EventLoop::TimerId timer = 0;
  timer = loop.every(1ms, [&] {
    if (++ticks == 3) loop.cancel(timer);
  });
  EventLoop::TimerId once = 0;
  bool fired = false;
  once = loop.after(1ms, [&] {
    fired = true;
    loop.cancel(once);
  });
  EXPECT_TRUE(loop.wait_until([&] { return ticks == 3; }, patience));
  EXPECT_TRUE(fired);
  EXPECT_FALSE(loop.wait_until([&] { return ticks > 3; }, 20ms));
}

TEST(EventLoopTimer, MayBeCancelledByAnotherThatIsDueInTheSameTurn) {
  EventLoop loop;
  Fired fired;
  EventLoop::TimerId second = 0;
  EventLoop::TimerId ticking = 0;
  loop.after(1ms, [&] {
    fired.note("first")();
    loop.cancel(second);
    loop.cancel(ticking);
  });
  second = loop.after(2ms, fired.note("second"));
  ticking = loop.every(2ms, fired.note("tick"));
  test::burn(5ms);
  loop.run_once(0ns);
  loop.wait_until([] { return false; }, 10ms);
  EXPECT_EQ(fired.names(), Names{"first"});
}

TEST(EventLoopTimer, AnIdIsNotTakenForALaterTimer) {
  EventLoop loop;
  Fired fired;
  const auto over = loop.after(0ns, fired.note("first"));
  loop.run_once(patience);
  loop.after(1ms, fired.note("second"));
  loop.cancel(over);
  EXPECT_TRUE(loop.wait_until([&] { return fired.count() == 2; }, patience));
}

TEST(EventLoopTimer, AHandlerMaySetTimersAndZeroDelayDoesNotStarveTheLoop) {
  EventLoop loop;
  int turns = 0;
  EventLoop::Handler again = [&] {
    ++turns;
    loop.after(0ns, again);
  };
  loop.after(0ns, again);
  bool posted = false;
  loop.post([&] { posted = true; });
  EXPECT_TRUE(loop.wait_until([&] { return turns >= 5 && posted; }, patience));
}

TEST(EventLoopTimer, EveryNeedsAPeriod) {
  EventLoop loop;
  EXPECT_THROW(loop.every(0ns, [] {}), std::invalid_argument);
  EXPECT_THROW(loop.every(-1ms, [] {}), std::invalid_argument);
}

// Each tick is due a period after the tick before was *due*. So after a late tick the next one
// comes sooner than a period later. A loop that counted from the end of the handler could not do
// that.
TEST(EventLoopTimer, EveryDoesNotDrift) {
  constexpr auto period = 20ms;
  EventLoop loop;
  std::vector<Clock::time_point> at;
  loop.every(period, [&] {
    at.push_back(Clock::now());
    if (at.size() % 2 == 1)
      loop.after(period - 2ms, [] { test::burn(10ms); });  // the next tick is about 8 ms late
  });
  const auto begin = Clock::now();
  const auto caught_up = [&] {
    for (std::size_t i = 1; i < at.size(); ++i) {
      if (at[i] - at[i - 1] < period - 4ms) return true;
    }
    return false;
  };
  EXPECT_TRUE(loop.wait_until(caught_up, patience));
  for (std::size_t i = 0; i < at.size(); ++i) {
    EXPECT_GE(at[i] - begin, period * (i + 1)) << "tick " << i << " came early";
  }
}

TEST(EventLoopTimer, EveryFiresOnceAfterAStall) {
  constexpr auto period = 100ms;
  EventLoop loop;
  bool undisturbed = false;
  for (int attempt = 0; attempt < 10 && !undisturbed; ++attempt) {
    int ticks = 0;
    const auto timer = loop.every(period, [&] { ++ticks; });
    test::burn(5 * period + period / 4);
    const auto begin = Clock::now();
    for (int turn = 0; turn < 20; ++turn) loop.run_once(0ns);
    undisturbed = Clock::now() - begin < period / 2;  // else the next tick is due by right
    if (undisturbed) {
      EXPECT_EQ(ticks, 1) << "five ticks were missed";
    }
    loop.cancel(timer);
  }
  EXPECT_TRUE(undisturbed);
}

TEST(EventLoopTimer, WaitUntilWaitsNoLongerForAFarTimer) {
  EventLoop loop;
  loop.after(1h, [] {});
  const auto begin = Clock::now();
  EXPECT_FALSE(loop.wait_until([] { return false; }, 20ms));
  EXPECT_GE(Clock::now() - begin, 20ms);
}

TEST(EventLoopTimer, AVeryFarTimerIsTaken) {
  EventLoop loop;
  loop.after(24h * 365 * 100, [] {});  // more milliseconds than an int holds
  loop.run_once(1ms);
  SUCCEED();
}

TEST(EventLoopTimer, TheLongestDurationsAreNeverOver) {
  EventLoop loop;
  Fired fired;
  loop.after(std::chrono::milliseconds::max(), fired.note("milliseconds"));
  loop.after(std::chrono::nanoseconds::max(), fired.note("nanoseconds"));
  loop.after(std::chrono::hours::max(), fired.note("hours"));
  loop.after(std::chrono::duration<double>(1e300), fired.note("seconds"));
  loop.every(std::chrono::nanoseconds::max(), fired.note("period"));
  loop.run_once(0ns);
  EXPECT_EQ(fired.names(), Names());
  bool posted = false;
  loop.after(1ms, [&] { posted = true; });
  EXPECT_TRUE(loop.wait_until([&] { return posted; }, std::chrono::milliseconds::max()));
  posted = false;
  loop.after(1ms, [&] { posted = true; });
  EXPECT_TRUE(loop.wait_until([&] { return posted; }, std::chrono::nanoseconds::max()));
}

TEST(EventLoopTimer, ATimeBeforeNowIsDueAtOnce) {
  EventLoop loop;
  Fired fired;
  loop.after(std::chrono::nanoseconds::min(), fired.note("nanoseconds"));
  loop.after(std::chrono::milliseconds::min(), fired.note("milliseconds"));
  loop.run_once(0ns);
  EXPECT_EQ(fired.count(), 2U);
  EXPECT_FALSE(loop.wait_until([] { return false; }, std::chrono::hours::min()));
}

// Nobody is judged by time in which the whole process was stopped. A helper waits for a second, for
// a timer and for a condition; meanwhile it is stopped for longer.
void expect_that_a_stop_does_not_count(EventLoop& loop, test::Helper& helper,
                                       std::size_t messages) {
  ASSERT_TRUE(test::eventually([&] { return test::is_stopped(helper.process.pid()); }));
  loop.run_once(0ns);
  const bool over_before = helper.messages.size() > 1;  // a very busy machine
  EXPECT_FALSE(loop.wait_until([&] { return helper.closed; }, 2500ms));
  const auto continued = Clock::now();
  helper.process.signal(SIGCONT);
  EXPECT_TRUE(loop.wait_until([&] { return helper.messages.size() == messages; }, patience));
  if (!over_before) {
    EXPECT_GE(Clock::now() - continued, 300ms);
  }
}

TEST(EventLoopTimer, AStopDuringTheWaitDoesNotCount) {
  EventLoop loop;
  test::Helper helper(loop, "timers");
  ASSERT_TRUE(loop.wait_until([&] { return helper.messages.size() == 1; }, patience));
  ASSERT_TRUE(test::eventually([&] { return test::is_asleep(helper.process.pid()); }));
  helper.process.signal(SIGSTOP);
  expect_that_a_stop_does_not_count(loop, helper, 3);
}

TEST(EventLoopTimer, AStopInsideAHandlerDoesNotCount) {
  EventLoop loop;
  test::Helper helper(loop, "timers and a stop");
  ASSERT_TRUE(loop.wait_until([&] { return helper.messages.size() == 1; }, patience));
  expect_that_a_stop_does_not_count(loop, helper, 4);
  // What the handler has planned when it went on comes first: it is not put off.
  ASSERT_GE(helper.messages.size(), 2U);
  EXPECT_EQ(helper.messages[1]["over"], "planned after the stop");
}

}  // namespace
}  // namespace cluster
