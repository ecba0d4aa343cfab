// The request threads' part of the engine, and what both kinds of thread share.
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "http_engine.hpp"

namespace cluster {

void HttpServer::Engine::answer(HttpAdaptor& adaptor, Connection& connection) {
  const auto began = Clock::now();
  const bool admitted = connection.admitted;
  auto result = adaptor.answer({std::string_view(connection.input).substr(0, connection.framer.head_size()),
                                connection.framer.take_body(), !admitted, connection.framer.wants_close(),
                                [this] { return close_after_answer_.load(); }});
  const bool sent = send_all(connection, result.text);
  if (journal_) {
    journal_.write("response", {{"conn", connection.id},
                                {"method", result.method},
                                {"path", result.path},
                                {"status", result.status},
                                {"sent", sent}});
  }
  if (server_.hooks.done) {
    server_.hooks.done({connection.id, std::move(result.method), std::move(result.path), result.status, admitted, sent,
                        Clock::now() - began});
  }
  finish(connection, sent, result.close);  // from here on it is not ours
  --(admitted ? requests_ : refusals_);
  note_quiet();
}

bool HttpServer::Engine::send_all(const Connection& connection, std::string_view text) const {
  const auto deadline = Clock::now() + limits_.write;
  while (!text.empty()) {
    const auto sent = ::send(connection.fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) {
      return false;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd writable{connection.fd.get(), POLLOUT, 0};
    if (left <= 0 || ::poll(&writable, 1, static_cast<int>(left)) == 0) {
      return false;
    }
  }
  return true;
}

void HttpServer::Engine::finish(Connection& connection, bool sent, bool close_it) {
  const std::lock_guard lock(connection.mutex);
  const bool client_closes = connection.framer.wants_close();
  connection.input.erase(0, connection.framer.size());
  connection.framer = RequestFramer(limits_.head, limits_.body);
  const bool more = !connection.input.empty() || connection.more_to_read;
  if (!sent || connection.cut) {
    close(connection, connection.cut ? CloseReason::cut : CloseReason::peer);
  } else if (close_it && client_closes && !more) {
    close(connection, CloseReason::answer);
  } else if (close_it || more) {
    connection.linger_next = close_it;
    {
      const std::lock_guard orders_lock(orders_mutex_);
      given_back_.push_back(&connection);
    }
    wake();
  } else {
    connection.state = Connection::State::idle;
    connection.idle_since = Clock::now();
    watch(connection);
  }
}

// The hook comes before the counts: whoever sees a count fall has been told why.
void HttpServer::Engine::close(Connection& connection, CloseReason reason) {
  const bool was_half_sent = connection.state == Connection::State::half_sent;
  connection.state = Connection::State::closed;
  connection.fd.reset();
  if (journal_) {
    journal_.write("close", {{"conn", connection.id}});
  }
  if (server_.hooks.closed) {
    server_.hooks.closed(connection.id, reason);
  }
  if (was_half_sent) {
    --half_sent_;
  }
  --open_;
  {
    const std::lock_guard lock(closed_mutex_);
    closed_.push_back(&connection);
  }
  note_quiet();
}

void HttpServer::Engine::note_quiet() {
  if (!close_after_answer_ || requests_ > 0 || half_sent_ > 0) {
    return;
  }
  if (server_.hooks.quiet) {
    server_.hooks.quiet();
  }
  if (open_ == 0) {
    const std::lock_guard lock(pause_mutex_);
    drained_changed_.notify_all();
  }
}

bool HttpServer::Engine::pause(std::chrono::milliseconds duration) {
  std::unique_lock lock(pause_mutex_);
  return !pause_ended_.wait_for(lock, duration, [this] { return cut_; });
}

HttpServer::Activity HttpServer::Engine::activity() const { return {open_, half_sent_, requests_, refusals_}; }

void HttpServer::Engine::close_after_answer() { close_after_answer_ = true; }

bool HttpServer::Engine::drained() const { return close_after_answer_ && open_ == 0; }

bool HttpServer::Engine::wait_drained(Clock::time_point deadline) {
  std::unique_lock lock(pause_mutex_);
  return drained_changed_.wait_until(lock, deadline, [this] { return drained(); });
}

}  // namespace cluster
