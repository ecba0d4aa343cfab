#pragma once

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "cluster/state_table.hpp"

namespace cluster::test {

// All states that can be reached from the first one, and the first one.
template <typename State, std::size_t states, typename Event, std::size_t events>
std::set<State> reached(const StateTable<State, states, Event, events>& table, State first) {
  std::set<State> result{first};
  for (std::size_t before = 0; before != result.size();) {
    before = result.size();
    for (const State state : std::set<State>(result)) {
      for (std::size_t event = 0; event < events; ++event) {
        if (const auto next = table.next(state, static_cast<Event>(event))) result.insert(*next);
      }
    }
  }
  return result;
}

// Checks a table of the library. All states can be reached from the first one. Only final states
// cannot be left. Each event is possible in some state. after() throws where next() is empty.
template <typename State, std::size_t states, typename Event, std::size_t events>
void expect_whole(const StateTable<State, states, Event, events>& table,
                  const std::set<State>& final_states) {
  EXPECT_EQ(reached(table, static_cast<State>(0)).size(), states);
  std::set<Event> possible;
  for (std::size_t row = 0; row < states; ++row) {
    const auto state = static_cast<State>(row);
    bool can_be_left = false;
    for (std::size_t column = 0; column < events; ++column) {
      const auto event = static_cast<Event>(column);
      const auto next = table.next(state, event);
      if (next) {
        possible.insert(event);
        can_be_left = can_be_left || *next != state;
        EXPECT_EQ(table.after(state, event), *next);
      } else {
        EXPECT_THROW(table.after(state, event), std::logic_error) << row << ", " << column;
      }
    }
    EXPECT_NE(can_be_left, final_states.contains(state)) << "state " << row;
  }
  EXPECT_EQ(possible.size(), events);
}

}  // namespace cluster::test
