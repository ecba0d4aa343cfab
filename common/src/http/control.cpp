// The engine's threads, its deadlines, and the functions that the owner of the server calls.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "cluster/system.hpp"
#include "http/engine.hpp"

namespace cluster {

namespace {

using std::chrono::milliseconds;
using State = Connection::State;

constexpr milliseconds linger_time{1'000};
// A connection that was just accepted is not idle: its first request may be on its way.
constexpr milliseconds first_request_time{100};
constexpr int events_per_wait = 64;
// A tick that is so late tells of a stop.
constexpr milliseconds stop_delay{500};

bool connection_waits(int listener) {
  pollfd watched{listener, POLLIN, 0};
  return ::poll(&watched, 1, 0) > 0;
}

}  // namespace

void HttpServer::Engine::start() {
  last_tick_ = Clock::now();
  accept_connections(true);
  check("epoll_ctl", armed_ || listener_ < 0 ? 0 : -1);  // errno still comes from arm_listener()
  threads_.start();
}

void HttpServer::Engine::end() {
  cut();
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(ending_.get(), &one, sizeof one);
  threads_.stop();
}

void HttpServer::Engine::work(LeaderThreads::Member& self) {
  while (threads_.lead(self)) {
    while (threads_.leads(self)) {
      const auto event = next_event();
      if (event && event->data.u64 == listener_event) {
        begin_connection();
      } else if (event && event->data.u64 != end_event) {
        if (const auto connection = find(event->data.u64)) {
          serve(self, *connection, event->events);
        }
      }
    }
  }
}

// Its first request has seldom come yet: the kernel tells of it.
void HttpServer::Engine::begin_connection() {
  if (const auto connection = accept_one()) {
    const Lock lock(connection->mutex);
    if (connection->reads() && !watch(*connection)) {  // cut() may have closed it meanwhile
      close(*connection, CloseReason::peer);
    }
  }
}

// Events are fetched in batches. When the lead passes on, the next leader handles the rest of a
// batch.
std::optional<epoll_event> HttpServer::Engine::next_event() {
  const std::lock_guard lock(events_mutex_);
  if (next_event_ == events_.size()) {
    events_.resize(events_per_wait);
    const int count = ::epoll_wait(epoll_.get(), events_.data(), events_per_wait, -1);
    events_.resize(static_cast<std::size_t>(std::max(count, 0)));
    next_event_ = 0;
    if (events_.empty()) {
      return std::nullopt;
    }
  }
  return events_[next_event_++];
}

void HttpServer::Engine::tick() {
  {
    const std::lock_guard lock(listener_mutex_);
    // To arm the listener puts this process at the end of the kernel's queue. If all processes did
    // so at every tick, they would stand there in the order of their ticks, and connections that
    // come more seldom than ticks would all reach the same process. So only when a connection
    // waits.
    if (accepting_ && (!armed_ || connection_waits(listener_))) {
      arm_listener(true);
    }
  }
  const auto now = Clock::now();
  const auto stopped = stopped_until(now);
  for (const auto& connection : all()) {
    Lock lock(connection->mutex);
    connection->forgive(stopped, now);
    expire(lock, *connection, now);
  }
}

// For how long the whole process was stopped since the last tick (Ctrl+Z, a frozen container).
HttpServer::Engine::Clock::duration HttpServer::Engine::stopped_until(Clock::time_point now) {
  const auto late = now - std::exchange(last_tick_, now) - tick_period;
  return late < stop_delay ? Clock::duration(0) : late;
}

void HttpServer::Engine::expire(Lock& lock, Connection& connection, Clock::time_point now) {
  const auto age = now - connection.since;
  const bool late = (connection.state == State::half_sent && age >= limits_.request) ||
                    (connection.state == State::idle && age >= idle_limit_.load() &&
                     (connection.used || age >= first_request_time));
  if (connection.state == State::busy || connection.state == State::sending ||
      connection.state == State::refusing) {
    expire_output(lock, connection, now);
  } else if (late && connection.has_input()) {
    // It was sent in time, and not read yet (or only up to urgent data, which hides the rest): the
    // kernel tells anew.
    connection.more = true;
    if (!watch(connection)) {
      close(connection, CloseReason::peer);
    }
  } else if (late && connection.state == State::idle) {
    close(connection, CloseReason::idle);
  } else if (late) {
    stalled_ += close_after_answer_ ? 1 : 0;
    refuse_unread(connection, 408,
                  "the request did not arrive in time: " + std::to_string(limits_.request.count()) +
                      " ms from its first byte are allowed");
  } else if (connection.state == State::lingering && age >= linger_time) {
    close(connection, CloseReason::answer);
  }
}

void HttpServer::Engine::expire_output(Lock& lock, Connection& connection, Clock::time_point now) {
  if (connection.cut || connection.output.stuck_for(connection.fd.get(), now) < limits_.write) {
    return;
  }
  const bool admitted = connection.call && connection.call->admitted;
  stuck_ += close_after_answer_ && admitted ? 1 : 0;
  cut_answer(lock, connection);
}

// A handler that runs on learns of it when it writes.
void HttpServer::Engine::cut_answer(Lock& lock, Connection& connection) {
  connection.cut = true;
  ::shutdown(connection.fd.get(), SHUT_RDWR);
  connection.output_changed.notify_all();
  if (connection.state == State::sending) {
    conclude(lock, connection, std::move(*connection.answer), false);
  } else if (connection.state == State::refusing) {
    close(connection, CloseReason::cut);
  }
}

// They have had their answers. Out of descriptors, they make room for others.
void HttpServer::Engine::close_lingering() {
  for (const auto& connection : all()) {
    const std::lock_guard lock(connection->mutex);
    if (connection->state == State::lingering) {
      close(*connection, CloseReason::answer);
    }
  }
}

void HttpServer::Engine::close_idle(milliseconds older_than) {
  const auto now = Clock::now();
  const auto idle_since = now - bounded(older_than);
  for (const auto& connection : all()) {
    const std::lock_guard lock(connection->mutex);
    const bool idle = connection->state == State::idle && connection->since <= idle_since &&
                      (connection->used || connection->since + first_request_time <= now);
    if (idle && !connection->has_input()) {
      close(*connection, CloseReason::idle);
    }
  }
}

void HttpServer::Engine::begin_drain(milliseconds idle_grace) {
  close_after_answer_ = true;
  stop_accepting();
  idle_limit_ = bounded(idle_grace);
  close_idle(idle_grace);
  note_quiet();
}

bool HttpServer::Engine::wait_drained(Clock::time_point deadline) {
  std::unique_lock lock(changed_mutex_);
  return drained_changed_.wait_until(lock, deadline, [this] { return drained(); });
}

HttpServer::Cut HttpServer::Engine::cut() {
  accept_connections(false);
  Cut result{.requests = stuck_.exchange(0), .half_sent = stalled_.exchange(0)};
  for (const auto& connection : all()) {
    Lock lock(connection->mutex);
    switch (connection->state) {
      case State::idle:
        close(*connection, CloseReason::idle);
        break;
      case State::lingering:
        close(*connection, CloseReason::answer);
        break;
      case State::half_sent:
        ++result.half_sent;
        close(*connection, CloseReason::cut);
        break;
      case State::refusing:
        close(*connection, CloseReason::cut);
        break;
      case State::busy:
      case State::sending:
        if (!connection->cut) {
          result.requests += connection->call->admitted ? 1U : 0U;
          cut_answer(lock, *connection);
        }
        break;
      case State::concluding:
        connection->cut = true;
        break;
      case State::closed:
        break;
    }
  }
  // After the connections are shut: a handler that goes on must no longer reach its client.
  const std::lock_guard lock(changed_mutex_);
  cut_ = true;
  pause_ended_.notify_all();
  return result;
}

bool HttpServer::Engine::pause(milliseconds duration) {
  if (duration <= milliseconds(0)) {
    return true;
  }
  std::unique_lock lock(changed_mutex_);
  return !pause_ended_.wait_for(lock, bounded(duration), [this] { return cut_; });
}

}  // namespace cluster
