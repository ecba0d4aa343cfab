#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cluster/http_server.hpp"
#include "cluster/unique_fd.hpp"
#include "http_adaptor.hpp"
#include "http_connection.hpp"
#include "request_threads.hpp"

namespace cluster {

// The inside of HttpServer. Its one reading thread owns the epoll set and the table of connections: it accepts, reads
// and frames requests, and keeps deadlines. Request threads answer. A connection that is `busy` belongs to a request
// thread until that parks it (idle again), gives it back (there is more to read, or it must be closed lingering) or
// closes it.
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
  void accept_connections(bool on);
  void close_after_answer();
  void close_idle(std::chrono::milliseconds older_than);
  Cut cut();
  void begin_drain(std::chrono::milliseconds idle_grace);
  bool drained() const;
  bool wait_drained(Clock::time_point deadline);

  HttpRoutes routes;

 private:
  // The reading thread.
  void run();
  int wait_milliseconds() const;
  void handle_event(std::uint32_t events, Connection& connection);
  void drop_closed();
  void run_orders();
  void take_back();
  void tick();
  void arm_listener(bool on);
  void accept_one();
  void read(Connection& connection, bool hung_up);
  void advance(Connection& connection);
  void dispatch(Connection& connection);
  void stop_reading_request(Connection& connection);
  void refuse_unread(Connection& connection, int status, const std::string& reason);
  void send_continue(Connection& connection);
  void linger(Connection& connection);
  void set_deadline(Connection& connection, std::optional<Clock::time_point> deadline);
  void expire_deadlines();
  void close_idle_now(Clock::time_point idle_since);
  Cut cut_now();
  void order(std::function<void()> order);  // any thread: runs it in the reading thread and waits for it
  void wake();

  // A request thread.
  void answer(HttpAdaptor& adaptor, Connection& connection);
  bool send_all(const Connection& connection, std::string_view text) const;
  void finish(Connection& connection, bool sent, bool close_it);

  // Both.
  void close(Connection& connection, CloseReason reason);
  void watch(Connection& connection);
  void note_quiet();

  HttpServer& server_;
  const int listener_;
  const Journal& journal_;
  const Limits limits_;
  UniqueFd epoll_;
  UniqueFd wake_;
  std::optional<RequestThreads<Connection*>> threads_;

  // The reading thread's.
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::set<std::pair<Clock::time_point, Connection*>> deadlines_;
  std::string scratch_;
  std::uint64_t next_id_ = 1;
  bool accepting_ = false;
  bool armed_ = false;
  Clock::time_point next_tick_;
  std::optional<Clock::time_point> next_growth_;
  std::optional<std::chrono::milliseconds> drain_grace_;

  std::atomic<std::size_t> open_{0};
  std::atomic<std::size_t> half_sent_{0};
  std::atomic<std::size_t> requests_{0};
  std::atomic<std::size_t> refusals_{0};
  std::atomic<bool> close_after_answer_{false};
  std::atomic<bool> ending_{false};

  std::mutex orders_mutex_;
  std::vector<std::function<void()>> orders_;  // guarded by orders_mutex_
  std::vector<Connection*> given_back_;        // guarded by orders_mutex_
  std::mutex closed_mutex_;
  std::vector<Connection*> closed_;  // guarded by closed_mutex_: their memory is the reading thread's to free

  mutable std::mutex pause_mutex_;
  std::condition_variable pause_ended_;
  bool cut_ = false;  // guarded by pause_mutex_
  std::condition_variable drained_changed_;

  std::jthread reader_;
};

}  // namespace cluster
