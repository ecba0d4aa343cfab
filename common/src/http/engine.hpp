#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cluster/http_server.hpp"
#include "cluster/unique_fd.hpp"
#include "http/connection.hpp"
#include "http/leader_threads.hpp"
#include "http/routes.hpp"

namespace cluster {

// The inside of HttpServer. One thread leads (see LeaderThreads): it waits on the epoll set,
// accepts, reads without blocking and, when a request is whole, answers it. A busy connection
// belongs to the thread that answers, also when another thread leads meanwhile: an event then only
// sets Connection::more. The tick closes connections whose time is over, and looks at the listener.
// The engine owns the connections and the threads. Any thread may call the public functions.
class HttpServer::Engine {
 public:
  using Clock = std::chrono::steady_clock;

  Engine(HttpServer& server, int listener, const Journal& journal, Limits limits);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void start();
  bool pause(std::chrono::milliseconds duration);
  Activity activity() const;
  std::chrono::milliseconds longest_in_flight() const;
  void accept_connections(bool on);
  void close_after_answer() { close_after_answer_ = true; }
  void close_idle(Clock::time_point idle_since);
  Cut cut();
  void begin_drain(std::chrono::milliseconds idle_grace);
  bool drained() const { return close_after_answer_ && open_ == 0; }
  bool wait_drained(Clock::time_point deadline);

  HttpRoutes routes;

 private:
  // The data of an epoll event: one of these, or the id of a connection.
  static constexpr std::uint64_t listener_event = 0;
  static constexpr std::uint64_t end_event = 1;
  static constexpr std::uint64_t first_connection = 2;

  // Threads.
  void work(LeaderThreads::Member& self);
  std::optional<epoll_event> next_event();
  void tick();

  // Connections. The caller holds the mutex of a Connection&; for answer() it must not hold it.
  void arm_listener(bool on);
  std::shared_ptr<Connection> accept_one();
  std::shared_ptr<Connection> find(std::uint64_t id) const;
  std::vector<std::shared_ptr<Connection>> all() const;
  void serve(LeaderThreads::Member& self, Connection& connection, bool hung_up);
  void read(Connection& connection);
  void advance(Connection& connection);
  void begin_request(Connection& connection);
  void finish(Connection& connection, bool sent, bool close_it);
  void watch(Connection& connection);
  void enter(Connection& connection, Connection::Event event);
  void close(Connection& connection, CloseReason reason);
  void expire(Connection& connection, Clock::time_point now);
  void note_quiet();

  // Answers.
  void fail(Response& response, int status, std::string_view error) const;
  void respond(const Request& request, bool admitted, Response& response) const;
  void route(const Request& request, Response& response) const;
  void answer(Connection& connection, bool& sent, bool& close_it);
  bool send_all(const Connection& connection, std::string_view text) const;
  void refuse_unread(Connection& connection, int status, const std::string& reason);
  void linger(Connection& connection);

  HttpServer& server_;
  const int listener_;
  const Journal& journal_;
  const Limits limits_;
  UniqueFd epoll_;
  UniqueFd ending_;  // an eventfd: readable when the threads are to end

  // Guards the two below. The leader holds it while it waits, so no other thread may take it.
  std::mutex events_mutex_;
  std::vector<epoll_event> events_;
  std::size_t next_event_ = 0;

  std::mutex listener_mutex_;  // guards the four below, and held while accepting
  bool accepting_ = false;
  bool armed_ = false;
  unsigned accepts_ = 0;
  std::uint64_t next_id_ = first_connection;

  mutable std::mutex connections_mutex_;  // guards the one below
  std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> connections_;

  std::atomic<std::size_t> open_{0};
  std::atomic<std::size_t> half_sent_{0};
  std::atomic<std::size_t> requests_{0};
  std::atomic<std::size_t> refusals_{0};
  // Half-sent requests that ran out of time since close_after_answer().
  std::atomic<std::size_t> stalled_{0};
  std::atomic<bool> close_after_answer_{false};
  std::atomic<std::chrono::milliseconds> idle_limit_;

  std::mutex changed_mutex_;  // guards cut_ and the two conditions
  std::condition_variable pause_ended_;
  std::condition_variable drained_changed_;
  bool cut_ = false;

  LeaderThreads threads_;
};

}  // namespace cluster
