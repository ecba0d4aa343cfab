#pragma once

#include <sys/types.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace cluster {

// Threads of which one leads. The leader waits for events and handles them itself, so that an event
// needs no hand-over between threads. When its handler takes long, another thread becomes the
// leader; the former one goes to sleep after its handler. After a handler that took long, or that
// waited for a tenth of a millisecond, each leader passes the lead on before its handler, for the
// time `lately`: then many slow handlers start at once. (The pattern is Leader/Followers: Schmidt
// et al., Pattern-Oriented Software Architecture 2, 2000. There each event promotes a thread; here
// a watch does it.)
//
// The object owns the threads. One thread makes it and calls start() and stop(); the functions for
// the body are called by the threads themselves; any thread may call size().
class LeaderThreads {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds long_handler{5};  // for a handler that waits
  // For a handler that has waited and returned.
  static constexpr std::chrono::microseconds long_wait{100};
  // For a handler that computes: of processor time, after long_handler. So a machine that is busy
  // with others' work makes no handler long.
  static constexpr std::chrono::milliseconds long_computation{15};
  static constexpr std::chrono::milliseconds lately{1'000};
  static constexpr std::chrono::seconds keep_asleep{5};  // a thread that sleeps longer ends

  class Member;
  // The body of each thread. It calls lead() until that returns false.
  using Body = std::function<void(Member&)>;
  // The watch calls it about once in each `tick`.
  using Tick = std::function<void()>;

  LeaderThreads(std::size_t most, Body body, std::chrono::milliseconds tick, Tick on_tick);
  ~LeaderThreads() { stop(); }
  LeaderThreads(const LeaderThreads&) = delete;
  LeaderThreads& operator=(const LeaderThreads&) = delete;

  void start();  // returns when a thread leads; std::system_error: there is none
  // Ends all threads and waits for them. The caller must wake the leader by its own means; leads()
  // is then false.
  void stop();

  // For the body. lead() waits until this thread leads. False: the thread must end.
  bool lead(Member& self);
  bool leads(const Member& self) const { return term_.load() == self.term_; }
  // To be called before and after all work that may take long. `began`: just now.
  void begin_handler(Member& self, Clock::time_point began);
  void end_handler(Member& self);

  std::size_t size() const;

  class Member {
    friend class LeaderThreads;
    std::uint64_t term_ = 0;  // of its lead; 0: it has none
    bool asleep_ = false;
    pid_t tid_ = 0;
    clockid_t processor_time_ = 0;
    Clock::rep began_ = 0;  // when its last handler began
    bool suspect_ = false;  // its last handler took longer than long_wait
    long switches_ = 0;     // at the begin of its last handler, if suspect_
    std::condition_variable wake_;
    std::jthread thread_;
  };

 private:
  using Handle = std::list<Member>::iterator;

  void work(Handle self);
  void pass_on(std::uint64_t term);
  bool start_thread(std::uint64_t term);
  void keep_watch();
  void watch_handler();
  bool has_computed_long();

  const std::size_t most_;
  const Body body_;
  const std::chrono::milliseconds tick_;
  const Tick on_tick_;

  std::atomic<std::uint64_t> term_{0};  // changes with the leader; written under the mutex

  mutable std::mutex mutex_;  // guards all members below
  std::condition_variable watch_wake_;
  Clock::rep handler_began_ = 0;  // the leader's; 0: it runs none
  pid_t leader_tid_ = 0;
  clockid_t leader_time_ = 0;
  std::uint64_t handlers_begun_ = 0;
  std::uint64_t watched_handler_ = 0;  // of handlers_begun_, the one that the watch saw last
  Clock::rep time_before_ = 0;         // its leader's processor time, when the watch first saw it
  Clock::rep last_long_ = 0;           // when a handler was last found to take long; 0: never
  bool watch_asleep_ = false;
  bool stopping_ = false;
  bool led_ = false;  // a thread has led
  std::condition_variable first_lead_;
  std::list<Member> members_;
  std::vector<Member*> asleep_;  // the one that slept last is woken first
  std::vector<Handle> ended_;    // to be joined
  std::jthread watch_;
};

}  // namespace cluster
