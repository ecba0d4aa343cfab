#pragma once

// Example:
//
//   enum class Door : std::uint8_t { open, closed };
//   enum class Act : std::uint8_t { shut, pull };
//   constexpr cluster::StateTable<Door, 2, Act, 2> doors{
//       "door", {"shut", "pull"},
//       {{Door::open, "open", Door::closed, cluster::impossible},
//        {Door::closed, "closed", cluster::impossible, Door::open}}};
//   const Door next = doors.after(Door::open, Act::shut);  // `pull` would throw

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cluster {

// A state machine as a table: a row for each state, a column for each event, and in each place the
// next state or `impossible`. The table stands beside the enum of the states, and the code changes
// its state only by after(). A table is a constant: it has no owner, and any thread may read it.
// A table that lacks a row or an entry does not compile.
inline constexpr std::nullopt_t impossible = std::nullopt;

template <typename State, std::size_t states, typename Event, std::size_t events>
class StateTable {
 public:
  struct Row {
    template <std::convertible_to<std::optional<State>>... Next>
    requires(sizeof...(Next) == events) consteval Row(State state, std::string_view text,
                                                      Next... entries)
        : from(state), name(text), next{entries...} {}

    State from;
    std::string_view name;
    std::array<std::optional<State>, events> next;
  };

  // `what` names the machine in errors. The rows stand in the order of the enum.
  consteval StateTable(std::string_view what, const std::string_view (&event_names)[events],
                       const Row (&rows)[states])
      : what_(what), event_names_(std::to_array(event_names)), rows_(std::to_array(rows)) {
    for (std::size_t i = 0; i < states; ++i) {
      if (rows_[i].from != static_cast<State>(i)) {
        throw std::logic_error("the rows do not stand in the order of the enum");
      }
    }
  }

  // The next state; none: the event is impossible in this state.
  constexpr std::optional<State> next(State state, Event event) const {
    return rows_[static_cast<std::size_t>(state)].next[static_cast<std::size_t>(event)];
  }

  // The next state. An impossible event is a defect of the caller: std::logic_error names the
  // machine, the state and the event.
  State after(State state, Event event) const {
    const auto found = next(state, event);
    if (!found) [[unlikely]] {
      refuse(state, event);
    }
    return *found;
  }

 private:
  [[noreturn]] void refuse(State state, Event event) const {
    throw std::logic_error(std::string(what_) + ": \"" +
                           std::string(event_names_[static_cast<std::size_t>(event)]) +
                           "\" is impossible while \"" +
                           std::string(rows_[static_cast<std::size_t>(state)].name) + '"');
  }

  std::string_view what_;
  std::array<std::string_view, events> event_names_;
  std::array<Row, states> rows_;
};

}  // namespace cluster
