#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cluster/unique_fd.hpp"

namespace cluster {

using Clock = std::chrono::steady_clock;

// One thread's loop over epoll: descriptors, timers, signals, and work posted by other threads.
// All of it belongs to the thread that made it, but for post(), which any thread may call. Handlers
// run inside run_once(); they may add and remove anything, themselves too; they must not throw and
// must not run the loop again.
class EventLoop {
 public:
  using Handler = std::function<void()>;
  using SignalHandler = std::function<void(int signal)>;
  using TimerId = std::uint64_t;

  EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls `on_readable` whenever fd can be read without blocking (end-of-file counts). The loop
  // does not own fd; call forget() before it is closed.
  void watch_readable(int fd, Handler on_readable);
  // The same for writing, beside a read handler if there is one, until unwatch_writable().
  // A handler may forget its own descriptor, but not put another handler in its place.
  void watch_writable(int fd, Handler on_writable);
  void unwatch_writable(int fd);
  void forget(int fd);

  TimerId after(std::chrono::nanoseconds delay, Handler handler);
  TimerId every(std::chrono::nanoseconds period,
                Handler handler);  // period > 0; missed ticks are not made up for
  void cancel(TimerId timer);      // a timer that is over is no error

  // Blocks the signal in this thread for good (start other threads afterwards, so that they inherit
  // it) and calls the handler in the loop instead. A later handler replaces an earlier one. In a
  // turn, signals are told before anything else that happened, so that a death which a signal to
  // the group has caused is seen after the signal.
  void on_signal(int signal, SignalHandler handler);

  void post(Handler handler);  // any thread, whatever locks it holds: run it in the loop, in order
  void at_end_of_turn(Handler handler);  // once, when the handlers of this turn have run

  // One turn: waits for something to happen, at most until the timeout (none: for ever), and
  // handles it.
  void run_once(std::optional<std::chrono::nanoseconds> timeout = std::nullopt);

  // Runs the loop until the condition holds or the timeout is over; tells whether it holds. The
  // condition is looked at before the first turn, which is left out if it holds, and after each.
  // Never to be called from a handler (std::logic_error).
  bool wait_until(const std::function<bool()>& condition,
                  std::optional<std::chrono::nanoseconds> timeout = std::nullopt);

 private:
  struct Watch {
    int fd;
    Handler on_readable;
    Handler on_writable;
    bool want_write = false;
    bool forgotten = false;
  };
  struct Timer {
    TimerId id;
    std::chrono::nanoseconds period;  // 0: once
    Handler handler;
  };

  Watch& watch(int fd);
  void update(Watch& watch);
  int wait_milliseconds(std::optional<std::chrono::nanoseconds> timeout) const;
  void run_watches(std::optional<std::chrono::nanoseconds> timeout);
  static void run_watch(Watch& watch, std::uint32_t events);
  void run_timers();
  void run_posted();
  void run_end_of_turn();
  void read_signals();
  TimerId add_timer(Clock::time_point when, Timer timer);

  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd signals_;
  sigset_t signal_set_{};
  std::unordered_map<int, std::unique_ptr<Watch>> watches_;
  std::vector<std::unique_ptr<Watch>>
      forgotten_;  // kept until the turn in which they were forgotten is over
  std::multimap<Clock::time_point, Timer> timers_;
  std::unordered_map<TimerId, std::multimap<Clock::time_point, Timer>::iterator> timer_index_;
  TimerId next_timer_ = 1;
  TimerId firing_ = 0;             // a repeating timer inside its handler …
  bool firing_cancelled_ = false;  // … and whether that cancelled it
  std::map<int, SignalHandler> signal_handlers_;
  std::vector<Handler> end_of_turn_;
  bool running_ = false;

  std::mutex posted_mutex_;
  std::vector<Handler> posted_;  // guarded by posted_mutex_
};

}  // namespace cluster
