#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cluster/http_server.hpp"
#include "cluster/log.hpp"
#include "cluster/unique_fd.hpp"
#include "http/answer_stream.hpp"
#include "http/application.hpp"
#include "http/connection.hpp"
#include "http/leader_threads.hpp"

namespace cluster {

// The inside of HttpServer. One thread leads (see LeaderThreads): it waits on the epoll set,
// accepts, reads without blocking and, when a request is whole, answers it. A connection that is
// busy belongs to the thread that answers, also when the lead has passed on meanwhile; an event
// only leaves it a note, and takes along what waits to be sent. The watch's tick does what the time
// brings: deadlines, idle connections, a fresh look at the listener.
class HttpServer::Engine {
 public:
  using Clock = std::chrono::steady_clock;

  Engine(HttpServer& server, int listener, const Journal& journal, Limits limits, Log log);
  ~Engine() { end(); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void start();
  void end();  // cuts what is left, and waits for the handlers that run
  bool pause(std::chrono::milliseconds duration);
  Activity activity() const;
  std::chrono::milliseconds longest_in_flight() const;
  void stop_accepting();
  void resume_accepting() { accept_connections(true); }
  void close_after_answer() { close_after_answer_ = true; }
  const std::atomic<bool>& closes_after_answer() const { return close_after_answer_; }
  void close_idle(std::chrono::milliseconds older_than);
  Cut cut();
  void begin_drain(std::chrono::milliseconds idle_grace);
  bool drained() const { return close_after_answer_ && open_ == 0; }
  bool wait_drained(Clock::time_point deadline);

 private:
  using Lock = std::unique_lock<std::mutex>;

  // What epoll tells a thread, beside the ids of connections.
  static constexpr std::uint64_t listener_event = 0;
  static constexpr std::uint64_t end_event = 1;
  static constexpr std::uint64_t first_connection = 2;
  // A process that was woken for a new connection and then stopped or killed before it accepted
  // leaves the connection to its siblings, which nobody wakes again: each looks for itself this
  // often.
  static constexpr std::chrono::milliseconds tick_period{100};

  // Sums of times must not overflow.
  static std::chrono::milliseconds bounded(std::chrono::milliseconds duration) {
    return std::min<std::chrono::milliseconds>(duration, std::chrono::years{10});
  }
  static Limits bounded(Limits limits);

  // Threads.
  void work(LeaderThreads::Member& self);
  std::optional<epoll_event> next_event();
  void tick();
  Clock::duration stopped_until(Clock::time_point now);

  // The listener.
  static std::optional<std::pair<std::string, int>> one_address(int listener);
  void accept_connections(bool on);
  void arm_listener(bool on);
  void begin_connection();
  std::shared_ptr<Connection> accept_one();
  std::shared_ptr<Connection> take(Lock& connection_lock);
  void tell_opened(const Connection& connection);
  void tell_exhausted();
  void accept_the_rest();

  // Connections. The caller holds the mutex of a Connection&, but for handle() and deliver(). Where
  // the lock is a parameter, it is released meanwhile.
  std::shared_ptr<Connection> find(std::uint64_t id) const;
  std::vector<std::shared_ptr<Connection>> all() const;
  void serve(LeaderThreads::Member& self, Connection& connection, std::uint32_t events);
  void answer_whole(LeaderThreads::Member& self, Lock& lock, Connection& connection);
  void read(Connection& connection);
  void advance(Connection& connection);
  bool skip_empty_lines(Connection& connection);
  void begin_request(Connection& connection);
  bool watch(Connection& connection);
  void enter(Connection& connection, Connection::Event event);
  void close(Connection& connection, CloseReason reason);
  void expire(Lock& lock, Connection& connection, Clock::time_point now);
  void expire_output(Lock& lock, Connection& connection, Clock::time_point now);
  void close_lingering();
  void cut_answer(Lock& lock, Connection& connection);
  void note_quiet();

  // Answers.
  Connection::Answer handle(LeaderThreads::Member& self, Connection& connection, bool& whole);
  bool deliver(Connection& connection, std::string_view text, AnswerStream::Piece piece);
  bool deliver(Connection& connection, std::string&& text);
  bool delivered(Lock& lock, Connection& connection, Output::Result result, bool may_wait);
  void answered(Lock& lock, Connection& connection, Connection::Answer answer, bool whole);
  void flush(Lock& lock, Connection& connection);
  void conclude(Lock& lock, Connection& connection, Connection::Answer answer, bool sent);
  void finish(Connection& connection, bool sent, bool close_it);
  void refuse_unread(Connection& connection, int status, const std::string& reason);
  void refused(Connection& connection);
  void linger(Connection& connection);

  HttpServer& server_;
  const int listener_;
  const std::optional<std::pair<std::string, int>> listens_at_;
  const Journal& journal_;
  const Limits limits_;
  const Log log_;
  UniqueFd epoll_;
  UniqueFd ending_;  // an eventfd: readable when the threads are to end

  // Guards the two below. It is held while waiting, so only the leader may take it.
  std::mutex events_mutex_;
  std::vector<epoll_event> events_;
  std::size_t next_event_ = 0;

  std::mutex listener_mutex_;  // guards the five below, and accepting
  bool accepting_ = false;
  bool armed_ = false;
  unsigned accepts_ = 0;
  Clock::time_point told_exhausted_{};
  std::uint64_t next_id_ = first_connection;

  mutable std::mutex connections_mutex_;  // guards the one below
  std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> connections_;

  std::atomic<std::size_t> open_{0};
  std::atomic<std::size_t> half_sent_{0};
  std::atomic<std::size_t> requests_{0};
  std::atomic<std::size_t> refusals_{0};
  std::atomic<std::size_t> handlers_{0};  // that run for admitted requests
  // What ran out of time since close_after_answer(): half-sent requests, and answers.
  std::atomic<std::size_t> stalled_{0};
  std::atomic<std::size_t> stuck_{0};
  std::atomic<bool> close_after_answer_{false};
  std::atomic<std::chrono::milliseconds> idle_limit_;

  std::mutex changed_mutex_;  // guards cut_ and the two conditions
  std::condition_variable pause_ended_;
  std::condition_variable drained_changed_;
  bool cut_ = false;

  Clock::time_point last_tick_{};
  LeaderThreads threads_;  // the last, because its threads use all the others
};

}  // namespace cluster
