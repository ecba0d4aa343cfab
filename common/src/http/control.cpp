// The engine's threads, its deadlines, and the functions that the owner of the server calls.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "cluster/system.hpp"
#include "http/engine.hpp"

namespace cluster {

namespace {

using std::chrono::milliseconds;
using State = Connection::State;

constexpr milliseconds linger_time{1'000};
constexpr int events_per_wait = 64;

// Whether unread input lies in the socket. Such a connection is not idle.
bool has_input(const Connection& connection) {
  char byte = 0;
  return ::recv(connection.fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool connection_waits(int listener) {
  pollfd watched{listener, POLLIN, 0};
  return ::poll(&watched, 1, 0) > 0;
}

}  // namespace

void HttpServer::Engine::start() {
  accept_connections(true);
  check("epoll_ctl", armed_ || listener_ < 0 ? 0 : -1);  // errno still comes from arm_listener()
  threads_.start();
}

HttpServer::Engine::~Engine() {
  cut();
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(ending_.get(), &one, sizeof one);
  threads_.stop();
}

void HttpServer::Engine::work(LeaderThreads::Member& self) {
  while (threads_.lead(self)) {
    while (threads_.leads(self)) {
      const auto event = next_event();
      if (!event || event->data.u64 == end_event) {
        continue;
      }
      const auto connection =
          event->data.u64 == listener_event ? accept_one() : find(event->data.u64);
      if (connection) {
        serve(self, *connection, (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
      }
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
  for (const auto& connection : all()) {
    const std::lock_guard lock(connection->mutex);
    expire(*connection, now);
  }
}

void HttpServer::Engine::expire(Connection& connection, Clock::time_point now) {
  const auto age = now - connection.since;
  const bool late = (connection.state == State::half_sent && age >= limits_.request) ||
                    (connection.state == State::idle && age >= idle_limit_.load());
  if (late && has_input(connection)) {
    // The rest was sent in time and was not read yet. (Or it was read up to urgent data, which
    // hides the rest.) watch() makes the kernel report the connection once more.
    connection.more = true;
    watch(connection);
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

void HttpServer::Engine::accept_connections(bool on) {
  const std::lock_guard lock(listener_mutex_);
  accepting_ = on;
  arm_listener(on);
  if (on) {
    idle_limit_ = limits_.idle;
  }
}

void HttpServer::Engine::close_idle(Clock::time_point idle_since) {
  for (const auto& connection : all()) {
    const std::lock_guard lock(connection->mutex);
    if (connection->state == State::idle && connection->since <= idle_since &&
        !has_input(*connection)) {
      close(*connection, CloseReason::idle);
    }
  }
}

void HttpServer::Engine::begin_drain(milliseconds idle_grace) {
  close_after_answer_ = true;
  accept_connections(false);
  idle_limit_ = idle_grace;
  close_idle(Clock::now() - idle_grace);
  note_quiet();
}

bool HttpServer::Engine::wait_drained(Clock::time_point deadline) {
  std::unique_lock lock(changed_mutex_);
  return drained_changed_.wait_until(lock, deadline, [this] { return drained(); });
}

HttpServer::Cut HttpServer::Engine::cut() {
  accept_connections(false);
  Cut result{.half_sent = stalled_.exchange(0)};
  for (const auto& connection : all()) {
    const std::lock_guard lock(connection->mutex);
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
      case State::busy:
        result.requests +=
            connection->admitted && !connection->answered && !connection->cut ? 1U : 0U;
        connection->cut = true;
        ::shutdown(connection->fd.get(), SHUT_RDWR);
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
  return !pause_ended_.wait_for(lock, duration, [this] { return cut_; });
}

}  // namespace cluster
