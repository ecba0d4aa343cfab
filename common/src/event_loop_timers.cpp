// The event loop's timers, and the time for which it may wait.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <stdexcept>
#include <utility>

#include "cluster/event_loop.hpp"

namespace cluster {

namespace {

// What takes so much longer than it should have taken: the process was stopped meanwhile.
constexpr std::chrono::milliseconds shortest_stop(500);

// A point in time that no clock reaches at the most; `when` at the least.
Clock::time_point later(Clock::time_point when, std::chrono::nanoseconds span) {
  span = std::max(span, std::chrono::nanoseconds(0));
  return span > Clock::time_point::max() - when ? Clock::time_point::max() : when + span;
}

// The processor time of this thread.
std::chrono::nanoseconds thread_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

EventLoop::TimerId EventLoop::add_timer(Clock::time_point when, Timer timer) {
  const TimerId id = timer.id;
  timer_index_[id] = timers_.emplace(when, std::move(timer));
  return id;
}

EventLoop::TimerId EventLoop::after(TimeSpan delay, Handler handler) {
  return add_timer(later(Clock::now(), delay),
                   {next_timer_++, std::chrono::nanoseconds(0), std::move(handler)});
}

EventLoop::TimerId EventLoop::every(TimeSpan period, Handler handler) {
  const std::chrono::nanoseconds span = period;
  if (span <= std::chrono::nanoseconds(0)) {
    throw std::invalid_argument("EventLoop::every: the period must be positive");
  }
  return add_timer(later(Clock::now(), span), {next_timer_++, span, std::move(handler)});
}

void EventLoop::cancel(TimerId timer) {
  if (timer == firing_) {
    firing_cancelled_ = true;
  }
  const auto found = timer_index_.find(timer);
  if (found != timer_index_.end()) {
    timers_.erase(found->second);
    timer_index_.erase(found);
  }
}

void EventLoop::set_limit(std::optional<TimeSpan> timeout) {
  limit_ = timeout ? std::optional(later(Clock::now(), *timeout)) : std::nullopt;
}

// Until the limit or the next timer; none: for ever.
std::optional<std::chrono::milliseconds> EventLoop::time_to_wait() const {
  auto until = limit_;
  if (!timers_.empty()) {
    until = std::min(until.value_or(Clock::time_point::max()), timers_.begin()->first);
  }
  if (!until) {
    return std::nullopt;
  }
  const auto left = std::max(*until - Clock::now(), Clock::duration(0));
  return std::chrono::ceil<std::chrono::milliseconds>(left);
}

EventLoop::Phase EventLoop::begin_phase() const {
  return {Clock::now(), thread_time(), next_timer_};
}

// A handler that computes is at work. One that neither computes nor ends was stopped, or it waits.
void EventLoop::end_phase(const Phase& phase) {
  const auto passed = Clock::now() - phase.began;
  if (passed >= shortest_stop) {
    leave_out(passed - (thread_time() - phase.computed), phase.next_timer);
  }
}

// Puts off by the length of a stop what has a time limit, but not the timers that were planned
// after it: those from `newer` on. Shorter delays are the machine's.
void EventLoop::leave_out(std::chrono::nanoseconds stop, TimerId newer) {
  if (stop < shortest_stop) {
    return;
  }
  if (limit_) {
    limit_ = later(*limit_, stop);
  }
  std::multimap<Clock::time_point, Timer> timers;
  timers.swap(timers_);
  for (auto& [when, timer] : timers) {
    const bool stays = timer.period > std::chrono::nanoseconds(0) || timer.id >= newer;
    add_timer(stays ? when : later(when, stop), std::move(timer));
  }
}

void EventLoop::run_timers() {
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto due = timers_.begin()->first;
    Timer timer = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    timer_index_.erase(timer.id);
    firing_ = timer.id;
    firing_cancelled_ = false;
    timer.handler();
    firing_ = 0;
    if (timer.period > std::chrono::nanoseconds(0) && !firing_cancelled_) {
      const auto missed = (Clock::now() - due) / timer.period;
      const auto next = later(due + missed * timer.period, timer.period);
      add_timer(next, std::move(timer));
    }
  }
}

}  // namespace cluster
