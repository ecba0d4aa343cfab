#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <iterator>
#include <list>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

namespace cluster {

// Threads that run a server's handlers: a few at first, more when a task has waited too long (so that handlers which
// wait do not hold up others), fewer again after a while without work. The thread that slept last is woken first, so
// that as few as possible are kept warm. Any thread may call any function.
template <typename Task>
class RequestThreads {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t base_threads = 2;
  static constexpr std::chrono::milliseconds longest_wait{2};  // of a task, before a thread is added
  static constexpr std::chrono::seconds keep_idle{5};

  // Each thread makes its own `run` by calling `make_run`.
  RequestThreads(std::size_t most, std::function<std::function<void(Task)>()> make_run)
      : most_(most), make_run_(std::move(make_run)) {}

  // Waits for the handlers that run.
  ~RequestThreads() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      for (Sleeper* sleeper : sleepers_) {
        sleeper->wake.notify_one();
      }
    }
    threads_.clear();
  }

  void push(Task task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back({std::move(task), Clock::now()});
    if (!sleepers_.empty()) {
      wake_one();
    } else if (threads_.size() - ended_.size() < base_threads) {
      add_thread();
    }
  }

  // Adds threads if the oldest task has waited too long; tells when to ask again, if there is a task waiting.
  std::optional<Clock::time_point> grow_if_stalled() {
    const std::lock_guard lock(mutex_);
    if (tasks_.empty()) {
      return std::nullopt;
    }
    const auto due = tasks_.front().since + longest_wait;
    if (Clock::now() < due) {
      return due;
    }
    for (std::size_t wanted = tasks_.size(); wanted > 0 && threads_.size() - ended_.size() < most_; --wanted) {
      if (!add_thread()) {
        break;
      }
    }
    return Clock::now() + longest_wait;
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return threads_.size() - ended_.size();
  }

 private:
  using Handle = std::list<std::jthread>::iterator;

  struct Waiting {
    Task task;
    Clock::time_point since;
  };
  struct Sleeper {
    std::condition_variable wake;
    bool woken = false;
  };

  void wake_one() {
    Sleeper* sleeper = sleepers_.back();
    sleepers_.pop_back();
    sleeper->woken = true;
    sleeper->wake.notify_one();
  }

  // False when the system gives no more threads.
  bool add_thread() {
    for (const auto ended : ended_) {
      threads_.erase(ended);  // joins; it has nothing left to do
    }
    ended_.clear();
    threads_.emplace_back();
    const auto self = std::prev(threads_.end());
    try {
      *self = std::jthread([this, self] { work(self); });
    } catch (const std::system_error&) {
      threads_.erase(self);
      return false;
    }
    return true;
  }

  void work(Handle self) {
    {
      const auto run = make_run_();
      while (auto task = next()) {
        run(std::move(*task));
      }
    }
    const std::lock_guard lock(mutex_);
    if (!ending_) {
      ended_.push_back(self);
    }
  }

  std::optional<Task> next() {
    std::unique_lock lock(mutex_);
    while (tasks_.empty()) {
      if (ending_ || !sleep(lock)) {
        return std::nullopt;
      }
    }
    Task task = std::move(tasks_.front().task);
    tasks_.pop_front();
    return task;
  }

  // False when there was nothing to do for so long that this thread is not needed.
  bool sleep(std::unique_lock<std::mutex>& lock) {
    Sleeper self;
    sleepers_.push_back(&self);
    const bool woken = self.wake.wait_for(lock, keep_idle, [&] { return self.woken || ending_; });
    if (!self.woken) {
      std::erase(sleepers_, &self);
    }
    return woken || threads_.size() - ended_.size() <= base_threads;
  }

  std::size_t most_;
  std::function<std::function<void(Task)>()> make_run_;
  mutable std::mutex mutex_;
  std::deque<Waiting> tasks_;
  std::vector<Sleeper*> sleepers_;
  std::list<std::jthread> threads_;
  std::vector<Handle> ended_;
  bool ending_ = false;
};

}  // namespace cluster
