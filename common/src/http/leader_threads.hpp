#pragma once

#include <sys/types.h>

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

// Threads of which one leads: it waits for events and handles them itself, so that an event costs
// no hand-over between threads. When the leader's handler takes long, another thread leads in its
// stead, and it becomes an ordinary one: it goes back to sleep after its handler. As long as
// handlers have taken long lately, or have waited for something for a tenth of a millisecond, the
// lead is passed on before each handler, so that many slow ones start at once. (The pattern is
// Leader/Followers: Schmidt et al., Pattern-Oriented Software Architecture 2, 2000; here with a
// watch instead of a promotion for every event.)
class LeaderThreads {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds long_handler{5};  // of one that waits
  static constexpr std::chrono::microseconds long_wait{100};   // of one that has waited and is back
  static constexpr std::chrono::milliseconds long_computation{20};  // of one that computes
  static constexpr std::chrono::milliseconds lately{1'000};
  static constexpr std::chrono::seconds keep_asleep{5};  // then a thread that was not needed ends

  class Member;
  // The body of each thread: it calls lead() until that is false.
  using Body = std::function<void(Member&)>;
  // Called by the watch about every `tick`.
  using Tick = std::function<void()>;

  LeaderThreads(std::size_t most, Body body, std::chrono::milliseconds tick, Tick on_tick);
  ~LeaderThreads() { stop(); }
  LeaderThreads(const LeaderThreads&) = delete;
  LeaderThreads& operator=(const LeaderThreads&) = delete;

  void start();  // returns when a thread leads; throws std::system_error when none can be had
  // Ends all threads and waits for them. Whoever leads must be woken by other means, and find that
  // leads() is false.
  void stop();

  // For the body. lead() waits for this thread's turn; false: the thread is to end.
  bool lead(Member& self);
  bool leads(const Member& self) const { return term_.load() == self.term_; }
  // Around everything that may take long.
  void begin_handler(Member& self);
  void end_handler(Member& self);

  std::size_t size() const;

  class Member {
    friend class LeaderThreads;
    std::uint64_t term_ = 0;  // of its lead; 0 in none
    bool asleep_ = false;
    pid_t tid_ = 0;
    Clock::rep began_ = 0;  // its last handler
    bool suspect_ = false;  // that one took longer than long_wait
    long switches_ = 0;  // how often it had given up its processor when that one began, if suspect_
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

  const std::size_t most_;
  const Body body_;
  const std::chrono::milliseconds tick_;
  const Tick on_tick_;

  std::atomic<std::uint64_t> term_{0};  // changes with the leader, under the mutex

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable watch_wake_;
  Clock::rep handler_began_ = 0;  // of the leader; 0: it runs none
  pid_t leader_tid_ = 0;
  std::uint64_t handlers_begun_ = 0;
  Clock::rep last_long_ = 0;  // when a handler was last found to take long; 0: never
  bool watch_asleep_ = false;
  bool stopping_ = false;
  bool led_ = false;  // somebody has come to lead
  std::condition_variable first_lead_;
  std::list<Member> members_;
  std::vector<Member*> asleep_;  // the one that slept last is woken first
  std::vector<Handle> ended_;    // to be joined
  std::jthread watch_;
};

}  // namespace cluster
