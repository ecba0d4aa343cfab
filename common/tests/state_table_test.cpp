#include "cluster/state_table.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "state_table.hpp"

namespace cluster {
namespace {

enum class Door : std::uint8_t { open, closed, locked };
enum class Act : std::uint8_t { push, turn_key };

constexpr StateTable<Door, 3, Act, 2> doors{"door",
                                            {"push", "turn_key"},
                                            {{Door::open, "open", Door::closed, impossible},
                                             {Door::closed, "closed", Door::open, Door::locked},
                                             {Door::locked, "locked", impossible, Door::closed}}};

// The compiler knows the table.
static_assert(doors.next(Door::open, Act::push) == Door::closed);
static_assert(!doors.next(Door::locked, Act::push));

TEST(StateTable, GivesTheNextState) {
  EXPECT_EQ(doors.after(Door::open, Act::push), Door::closed);
  EXPECT_EQ(doors.after(Door::closed, Act::push), Door::open);
  EXPECT_EQ(doors.after(Door::closed, Act::turn_key), Door::locked);
}

TEST(StateTable, AnImpossibleEventIsADefectThatNamesMachineEventAndState) {
  std::string text;
  try {
    doors.after(Door::locked, Act::push);
  } catch (const std::logic_error& error) {
    text = error.what();
  }
  EXPECT_EQ(text, R"(door: "push" is impossible while "locked")");
}

TEST(StateTable, TheStatesThatTheFirstOneLeadsTo) {
  EXPECT_EQ(test::reached(doors, Door::locked).size(), 3U);
  constexpr StateTable<Door, 3, Act, 2> stuck{"door",
                                              {"push", "turn_key"},
                                              {{Door::open, "open", Door::closed, impossible},
                                               {Door::closed, "closed", impossible, impossible},
                                               {Door::locked, "locked", impossible, Door::closed}}};
  EXPECT_EQ(test::reached(stuck, Door::open), (std::set{Door::open, Door::closed}));
  test::expect_whole(doors, {});
}

}  // namespace
}  // namespace cluster
