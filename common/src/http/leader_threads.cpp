#include "http/leader_threads.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "proc_file.hpp"

namespace cluster {

namespace {

// While handlers run, the watch looks at them this often. After so many looks without a handler it
// sleeps until it is woken.
constexpr std::chrono::milliseconds look_every{5};
constexpr int looks_before_sleep = 4;

// Whether a thread of this process sleeps in the kernel: it neither runs nor waits for a processor.
// Out of descriptors that cannot be seen; then it may.
bool is_waiting(pid_t tid) {
  const auto text = proc_file("/proc/self/task/" + std::to_string(tid) + "/stat");
  const auto name_end = text.rfind(") ");  // "tid (name) state …"
  return name_end == std::string::npos || text.compare(name_end + 2, 1, "R") != 0;
}

// How often the calling thread has given up its processor to wait for something.
long voluntary_switches() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

constexpr LeaderThreads::Clock::rep count(std::chrono::nanoseconds duration) {
  return std::chrono::duration_cast<LeaderThreads::Clock::duration>(duration).count();
}

LeaderThreads::Clock::rep time_of(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return count(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

}  // namespace

LeaderThreads::LeaderThreads(std::size_t most, Body body, std::chrono::milliseconds tick,
                             Tick on_tick)
    : most_(most), body_(std::move(body)), tick_(tick), on_tick_(std::move(on_tick)) {}

void LeaderThreads::start() {
  {
    std::unique_lock lock(mutex_);
    if (!start_thread(1)) {
      throw std::system_error(EAGAIN, std::generic_category(), "the first thread of a server");
    }
    term_ = 1;
    first_lead_.wait(lock, [this] { return led_; });
  }
  watch_ = std::jthread([this] { keep_watch(); });
}

void LeaderThreads::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ++term_;
    watch_wake_.notify_one();
    for (Member* member : asleep_) {
      member->wake_.notify_one();
    }
  }
  watch_ = {};
  members_.clear();  // joins
}

bool LeaderThreads::lead(Member& self) {
  std::unique_lock lock(mutex_);
  if (stopping_) {
    return false;
  }
  if (term_ == self.term_) {
    if (!std::exchange(led_, true)) {
      first_lead_.notify_one();
    }
    return true;
  }
  self.asleep_ = true;
  asleep_.push_back(&self);
  const bool called =
      self.wake_.wait_for(lock, keep_asleep, [&] { return !self.asleep_ || stopping_; });
  if (self.asleep_) {
    std::erase(asleep_, &self);
  }
  return called && !stopping_;
}

// Gives the lead to another thread, unless that was done already. The caller holds the mutex.
void LeaderThreads::pass_on(std::uint64_t term) {
  if (stopping_ || term_ != term) {
    return;
  }
  if (!asleep_.empty()) {
    Member* next = asleep_.back();
    asleep_.pop_back();
    next->asleep_ = false;
    next->term_ = term + 1;
    next->wake_.notify_one();
  } else if (!start_thread(term + 1)) {
    return;
  }
  handler_began_ = 0;
  term_ = term + 1;
}

// False: the limit is reached, or the system gives no more threads.
bool LeaderThreads::start_thread(std::uint64_t term) {
  for (const auto ended : ended_) {
    members_.erase(ended);  // joins; the thread has ended
  }
  ended_.clear();
  if (members_.size() >= most_) {
    return false;
  }
  const auto self = members_.emplace(members_.end());
  self->term_ = term;
  try {
    self->thread_ = std::jthread([this, self] { work(self); });
  } catch (const std::system_error&) {
    members_.erase(self);
    return false;
  }
  return true;
}

void LeaderThreads::work(Handle self) {
  self->tid_ = ::gettid();
  ::pthread_getcpuclockid(::pthread_self(), &self->processor_time_);
  body_(*self);
  const std::lock_guard lock(mutex_);
  if (!stopping_) {
    ended_.push_back(self);
  }
}

std::size_t LeaderThreads::size() const {
  const std::lock_guard lock(mutex_);
  return members_.size() - ended_.size();
}

void LeaderThreads::begin_handler(Member& self, Clock::time_point began) {
  const auto now = count(began.time_since_epoch());
  self.began_ = now;
  if (self.suspect_) {
    self.switches_ = voluntary_switches();
  }
  const std::lock_guard lock(mutex_);
  if (last_long_ != 0 && now - last_long_ < count(lately)) {
    pass_on(self.term_);
  }
  if (!leads(self)) {
    return;
  }
  leader_tid_ = self.tid_;
  leader_time_ = self.processor_time_;
  handler_began_ = now;
  ++handlers_begun_;
  if (watch_asleep_) {
    watch_asleep_ = false;
    watch_wake_.notify_one();
  }
}

// The watch looks too seldom to see short handlers that wait, and one after another they would hold
// up all other events. So the thread itself counts how often it has waited. That costs a system
// call; only a thread whose last handler was slow makes it.
void LeaderThreads::end_handler(Member& self) {
  const auto now = count(Clock::now().time_since_epoch());
  const bool slow = now - self.began_ >= count(long_wait);
  const bool waited = slow && self.suspect_ && voluntary_switches() != self.switches_;
  self.suspect_ = slow;
  const std::lock_guard lock(mutex_);
  if (waited) {
    last_long_ = now;
  }
  if (leads(self)) {
    handler_began_ = 0;
  }
}

// A handler that waits loses the lead soon, and one that computes loses it later. One that waits
// for a processor keeps it: another thread would not get one sooner.
void LeaderThreads::watch_handler() {
  const auto now = count(Clock::now().time_since_epoch());
  if (handler_began_ == 0 || now - handler_began_ < count(long_handler)) {
    return;
  }
  if (is_waiting(leader_tid_) || has_computed_long()) {
    last_long_ = now;
    pass_on(term_);
  }
}

bool LeaderThreads::has_computed_long() {
  const auto time = time_of(leader_time_);
  if (watched_handler_ != handlers_begun_) {
    watched_handler_ = handlers_begun_;
    time_before_ = time;
  }
  return time - time_before_ >= count(long_computation);
}

void LeaderThreads::keep_watch() {
  auto next_tick = Clock::now() + tick_;
  std::uint64_t seen = 0;
  int idle_looks = 0;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    watch_asleep_ = idle_looks >= looks_before_sleep;
    const bool asleep = watch_asleep_;
    const auto until =
        asleep ? next_tick : std::min<Clock::time_point>(next_tick, Clock::now() + look_every);
    watch_wake_.wait_until(lock, until, [&] { return stopping_ || (asleep && !watch_asleep_); });
    watch_asleep_ = false;
    watch_handler();
    idle_looks = handlers_begun_ == seen && handler_began_ == 0 ? idle_looks + 1 : 0;
    seen = handlers_begun_;
    if (Clock::now() >= next_tick) {
      lock.unlock();
      on_tick_();
      next_tick = Clock::now() + tick_;
      lock.lock();
    }
  }
}

}  // namespace cluster
