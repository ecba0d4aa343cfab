#pragma once

// Example:
//
//   cluster::EventLoop loop;
//   int ticks = 0;
//   bool told_to_end = false;
//   loop.on_signal(SIGTERM, [&](int) { told_to_end = true; });
//   const auto timer = loop.every(std::chrono::seconds(1), [&] { ++ticks; });
//   std::thread helper([&] { loop.post([&] { ++ticks; }); });  // wakes the loop
//   if (!loop.wait_until([&] { return told_to_end || ticks == 5; }, std::chrono::seconds(10))) {
//     std::cout << "ten seconds are over" << std::endl;
//   }
//   loop.cancel(timer);
//   helper.join();

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cluster/log.hpp"
#include "cluster/time_span.hpp"
#include "cluster/unique_fd.hpp"

struct epoll_event;

namespace cluster {

using Clock = std::chrono::steady_clock;

// One thread's loop over epoll: descriptors, timers, signals, and work that other threads post. The
// thread that made the loop owns it and calls all functions; post() may be called from any thread.
// Handlers run inside run_once(). They may add and remove anything, themselves too. They must not
// throw, and they must not run the loop again.
//
// Each watch has a name, as in "channel to worker 2". A handler that does not read what has come is
// called again in the next turn, and so on: the loop keeps a processor busy and gets nothing done.
// After 1,000 turns in a row without progress the log names the watch, once, until progress is made
// or a turn passes without that watch. The loop does not look at a watch before its handler was
// called in 100 turns in a row, so that ordinary watches cost nothing. Progress means that bytes
// were read, or that the descriptor is no longer ready. The loop does not report what it cannot
// see: datagram sockets, listening AF_UNIX sockets, and turns in which the peer has sent something
// too.
//
// Time in which the loop could not act does not count: after a stop of the whole process (SIGSTOP,
// a frozen container) of half a second or more, and after handlers that waited as long, what
// after() has planned and the timeout of wait_until() are put off by its length. Nobody is to be
// judged by time in which nobody could act. Periods go on.
class EventLoop {
 public:
  using Handler = std::function<void()>;
  using SignalHandler = std::function<void(int signal)>;
  using TimerId = std::uint64_t;

  // How many turns a handler may go without progress, and how many before the loop looks.
  static constexpr int fruitless_turns = 1'000;
  static constexpr int trusted_turns = 100;

  explicit EventLoop(Log log = Log("loop"));  // `log` takes the reports
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls `on_readable` in each turn in which fd can be read without blocking (end-of-file counts).
  // The loop does not own fd; call forget() before it is closed.
  void watch_readable(int fd, std::string name, Handler on_readable);
  // The same for writing, beside a read handler if there is one, until unwatch_writable().
  // A handler may forget its own descriptor, or put another handler in its own place.
  void watch_writable(int fd, Handler on_writable);
  void unwatch_writable(int fd);
  void forget(int fd);

  TimerId after(TimeSpan delay, Handler handler);
  // period > 0. Ticks that were missed are left out: each is later than the call before has ended.
  TimerId every(TimeSpan period, Handler handler);
  void cancel(TimerId timer);  // a timer that is over is no error

  // Blocks the signal in this thread for good, and calls the handler in the loop instead. Start
  // other threads afterwards: they inherit the block. A later handler replaces an earlier one. In a
  // turn the handlers of signals come first. So when a signal to the whole group ends a worker, the
  // master learns of the signal before the death.
  void on_signal(int signal, SignalHandler handler);

  // Runs the handler in the loop; the handlers of one thread run in order. Any thread may call it,
  // whatever locks it holds.
  void post(Handler handler);
  void at_end_of_turn(Handler handler);  // runs it once, after the other handlers of this turn

  // One turn: waits for events and handles them. It waits no longer than the timeout; without one,
  // for ever.
  void run_once(std::optional<TimeSpan> timeout = std::nullopt);

  // Runs the loop until the condition holds or the timeout is over; returns whether it holds. The
  // condition is evaluated before the first turn and after each turn. If it holds at once, no turn
  // runs. So a condition that changes by no event of the loop (in another thread, by the clock) is
  // not seen before the next event: post() or after() wakes the loop. A handler must not call this
  // function (std::logic_error).
  bool wait_until(const std::function<bool()>& condition,
                  std::optional<TimeSpan> timeout = std::nullopt);

 private:
  // Turns in a row in which a read handler was called.
  struct Stretch {
    std::uint64_t last_turn = 0;
    int trusted = trusted_turns;  // turns left in which nobody looks for progress
    int fruitless = 0;            // turns without progress
  };
  struct Watch {
    int fd = -1;
    std::string name;
    Handler on_readable;
    Handler on_writable;
    Stretch stretch;
    bool want_write = false;
    bool forgotten = false;
  };
  struct Timer {
    TimerId id;
    std::chrono::nanoseconds period;  // 0: once
    Handler handler;
  };

  // A part of a turn in which handlers run.
  struct Phase {
    Clock::time_point began;
    std::chrono::nanoseconds computed;  // the thread's processor time then
    TimerId next_timer;
  };

  Watch& watch(int fd);
  void update(Watch& watch);
  void run_turn();
  void set_limit(std::optional<TimeSpan> timeout);
  std::optional<std::chrono::milliseconds> time_to_wait() const;
  int wait_for_events(std::span<epoll_event> events);
  Phase begin_phase() const;
  void end_phase(const Phase& phase);
  void leave_out(std::chrono::nanoseconds stop, TimerId newer);
  void run_watches();
  void run_watch(Watch& watch, std::uint32_t events);
  void run_reader(Watch& watch);
  void run_suspect(Watch& watch);
  void run_timers();
  void run_posted();
  void run_end_of_turn();
  void read_signals();
  TimerId add_timer(Clock::time_point when, Timer timer);

  Log log_;
  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd signals_;
  sigset_t signal_set_{};
  std::unordered_map<int, std::unique_ptr<Watch>> watches_;
  // Kept until the turn is over in which they were forgotten.
  std::vector<std::unique_ptr<Watch>> forgotten_;
  std::multimap<Clock::time_point, Timer> timers_;
  std::unordered_map<TimerId, std::multimap<Clock::time_point, Timer>::iterator> timer_index_;
  TimerId next_timer_ = 1;
  TimerId firing_ = 0;             // a repeating timer inside its handler …
  bool firing_cancelled_ = false;  // … and whether that cancelled it
  std::map<int, SignalHandler> signal_handlers_;
  std::vector<Handler> end_of_turn_;
  bool running_ = false;
  std::uint64_t turn_ = 0;
  std::optional<Clock::time_point> limit_;  // of run_once() or wait_until(); none: no limit

  std::mutex posted_mutex_;
  std::vector<Handler> posted_;  // guarded by posted_mutex_
};

}  // namespace cluster
