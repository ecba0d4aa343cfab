#include "worker_slot.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

#include "state_table.hpp"

namespace cluster {
namespace {

struct WorkerSlotTest : testing::Test {
  using State = WorkerSlot::State;
  WorkerSlot slot;
};

TEST_F(WorkerSlotTest, TheTableIsWholeAndEachStateCanBeLeft) {
  test::expect_whole(WorkerSlot::table, {});
}

TEST_F(WorkerSlotTest, ItKnowsItsCurrentProcessAndWhatItWasStartedWith) {
  EXPECT_TRUE(slot.vacant());
  slot.fill(11, {{"VERSION", "1"}});
  EXPECT_FALSE(slot.vacant());
  slot.fill(12, {{"VERSION", "2"}});
  EXPECT_EQ(slot.current(), 12);
  slot.vacate();
  EXPECT_EQ(slot.current(), 0);
  EXPECT_EQ(slot.variables.at("VERSION"), "2") << "the next process is started with the same";
}

TEST_F(WorkerSlotTest, AProcessThatIsPutInDuringThePauseDoesNotEndThePause) {
  slot.begin_pause(5);
  slot.fill(11, {});
  EXPECT_EQ(slot.state(), State::bridged);
  EXPECT_EQ(slot.current(), 11);
  slot.vacate();
  EXPECT_EQ(slot.state(), State::pausing);
  EXPECT_EQ(slot.end_pause(), 5U);
  EXPECT_EQ(slot.state(), State::empty);
}

TEST_F(WorkerSlotTest, TheEndOfThePauseLeavesAProcessInItsPlace) {
  slot.begin_pause(5);
  slot.fill(11, {});
  slot.end_pause();
  EXPECT_EQ(slot.state(), State::held);
  EXPECT_EQ(slot.current(), 11);
}

TEST_F(WorkerSlotTest, ImpossibleEventsAreDefects) {
  EXPECT_THROW(slot.vacate(), std::logic_error) << "nobody is there";
  EXPECT_THROW(slot.end_pause(), std::logic_error) << "no pause has begun";
  slot.fill(11, {});
  EXPECT_THROW(slot.begin_pause(5), std::logic_error) << "a slot that is held needs no successor";
  slot.vacate();
  slot.begin_pause(5);
  EXPECT_THROW(slot.begin_pause(6), std::logic_error) << "two timers would start two successors";
}

TEST_F(WorkerSlotTest, ThePauseDoublesUntilAProcessWasStable) {
  using std::chrono::milliseconds;
  const Clock::duration young{0};
  for (const int expected : {100, 200, 400, 800, 1'600, 3'200, 5'000, 5'000}) {
    EXPECT_EQ(slot.next_pause(young), milliseconds(expected));
  }
  EXPECT_EQ(slot.next_pause(WorkerSlot::stable_after), milliseconds(0));
  EXPECT_EQ(slot.next_pause(young), milliseconds(100));
}

}  // namespace
}  // namespace cluster
