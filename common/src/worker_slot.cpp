#include "worker_slot.hpp"

#include <algorithm>
#include <utility>

namespace cluster {

void WorkerSlot::fill(pid_t pid, const Master::Variables& its_variables) {
  happen(Event::filled);
  current_ = pid;
  variables = its_variables;
}

void WorkerSlot::vacate() {
  happen(Event::emptied);
  current_ = 0;
}

std::chrono::milliseconds WorkerSlot::next_pause(Clock::duration lived) {
  pause_ = lived >= stable_after ? std::chrono::milliseconds(0)
                                 : std::clamp(pause_ * 2, first_pause, longest_pause);
  return pause_;
}

void WorkerSlot::begin_pause(EventLoop::TimerId timer) {
  happen(Event::pause_begins);
  timer_ = timer;
}

EventLoop::TimerId WorkerSlot::end_pause() {
  happen(Event::pause_ends);
  return std::exchange(timer_, 0);
}

}  // namespace cluster
