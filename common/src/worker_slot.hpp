#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "cluster/event_loop.hpp"
#include "cluster/master.hpp"
#include "cluster/state_table.hpp"

namespace cluster {

// One of the master's slots: its current process, and the pause before its next one. The master
// owns it, and only the master's thread may call it.
class WorkerSlot {
 public:
  enum class State : std::uint8_t {
    empty,    // no current process, and none is due
    held,     // a current process
    pausing,  // no current process; the next one starts when the pause is over
    bridged,  // a current process that was put in during the pause, which still runs
  };
  enum class Event : std::uint8_t {
    filled,        // a process is the current one from now on
    emptied,       // the current process has died
    pause_begins,  // a timer runs
    pause_ends,    // the timer is over, or cancelled
  };
  using Table = StateTable<State, 4, Event, 4>;
  static const Table table;

  // A process that dies younger than this is replaced after a pause.
  static constexpr std::chrono::milliseconds stable_after{1'000};
  static constexpr std::chrono::milliseconds first_pause{100};
  static constexpr std::chrono::milliseconds longest_pause{5'000};

  State state() const { return state_; }
  bool vacant() const { return state_ == State::empty || state_ == State::pausing; }
  bool in_pause() const { return state_ == State::pausing || state_ == State::bridged; }
  pid_t current() const { return current_; }  // 0: vacant

  void fill(pid_t pid, const Master::Variables& its_variables);  // also in place of another process
  void vacate();

  // The pause before the successor of a process that has lived so long: none for one that was
  // stable, else twice the last pause, from the first to the longest.
  std::chrono::milliseconds next_pause(Clock::duration lived);
  void begin_pause(EventLoop::TimerId timer);
  EventLoop::TimerId end_pause();  // the timer that was given to begin_pause()

  Master::Variables variables;  // of the current process, or of the next one
  std::string trouble;          // why the last start failed; empty: it did not

 private:
  void happen(Event event) { state_ = table.after(state_, event); }

  State state_ = State::empty;
  pid_t current_ = 0;
  EventLoop::TimerId timer_ = 0;
  std::chrono::milliseconds pause_{0};
};

// clang-format off
inline constexpr WorkerSlot::Table WorkerSlot::table = [] {
  using enum State;
  constexpr auto no = impossible;
  return Table{
    "slot",
    {                     "filled", "emptied", "pause_begins", "pause_ends"},
    {{empty,   "empty",   held,     no,        pausing,        no},
     {held,    "held",    held,     empty,     no,             no},
     {pausing, "pausing", bridged,  no,        no,             empty},
     {bridged, "bridged", bridged,  pausing,   no,             held}}};
}();
// clang-format on

}  // namespace cluster
