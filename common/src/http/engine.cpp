#include "http/engine.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "cluster/system.hpp"
#include "http/message.hpp"

namespace cluster {

namespace {

using std::chrono::milliseconds;
using Event = Connection::Event;
using State = Connection::State;

constexpr std::size_t read_size = std::size_t{16} << 10;
constexpr int reads_per_event = 8;
constexpr unsigned accepts_per_turn = 2;
// The kernel wakes one process for a new connection. If that process is stopped or killed before it
// accepts, no other process is woken for the connection. So each process looks by itself, this
// often.
constexpr milliseconds tick_period{100};

}  // namespace

HttpServer::Engine::Engine(HttpServer& server, int listener, const Journal& journal, Limits limits)
    : server_(server),
      listener_(listener),
      journal_(journal),
      limits_(limits),
      epoll_(check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC))),
      ending_(check("eventfd", ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))),
      idle_limit_(limits.idle),
      threads_(
          limits.threads + 1, [this](LeaderThreads::Member& self) { work(self); }, tick_period,
          [this] { tick(); }) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = end_event;
  check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, ending_.get(), &event));
}

// EPOLLEXCLUSIVE: the kernel wakes one of the waiting processes, not all. It always wakes the first
// of its queue; a process that adds the listener anew goes to the end of the queue. The caller
// holds listener_mutex_.
void HttpServer::Engine::arm_listener(bool on) {
  if (armed_) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_, nullptr);
  }
  armed_ = false;
  if (on && listener_ >= 0) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLEXCLUSIVE;
    event.data.u64 = listener_event;
    // After a failure the tick tries again.
    armed_ = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_, &event) == 0;
  }
}

std::shared_ptr<Connection> HttpServer::Engine::accept_one() {
  std::shared_ptr<Connection> connection;
  // Held until the hook `opened` has returned: nothing else happens to the connection before.
  std::unique_lock<std::mutex> connection_lock;
  {
    // Accepted, listed and counted in one step: a thread that stops accepting then finds all
    // connections that were accepted before.
    const std::lock_guard lock(listener_mutex_);
    if (!accepting_) {
      return nullptr;
    }
    UniqueFd fd(::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    const bool exhausted =
        !fd && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
    if (exhausted || ++accepts_ % accepts_per_turn == 0) {
      arm_listener(!exhausted);  // without a free descriptor the next tick tries again
    }
    if (!fd) {
      return nullptr;
    }
    connection =
        std::make_shared<Connection>(std::move(fd), next_id_++, limits_.head, limits_.body);
    connection_lock = std::unique_lock(connection->mutex);
    const std::lock_guard connections_lock(connections_mutex_);
    connections_.emplace(connection->id, connection);
    ++open_;
  }
  if (journal_) {
    journal_.write("open", {{"conn", connection->id}});
  }
  if (server_.hooks.opened) {
    server_.hooks.opened(connection->id);
  }
  return connection;
}

std::shared_ptr<Connection> HttpServer::Engine::find(std::uint64_t id) const {
  const std::lock_guard lock(connections_mutex_);
  const auto found = connections_.find(id);
  return found != connections_.end() ? found->second : nullptr;
}

std::vector<std::shared_ptr<Connection>> HttpServer::Engine::all() const {
  std::vector<std::shared_ptr<Connection>> result;
  const std::lock_guard lock(connections_mutex_);
  result.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) {
    result.push_back(connection);
  }
  return result;
}

// Called for an event of a connection, and when it was accepted: reads, and answers all requests
// that are whole.
void HttpServer::Engine::serve(LeaderThreads::Member& self, Connection& connection, bool hung_up) {
  std::unique_lock lock(connection.mutex);
  connection.more = true;
  connection.hung_up = connection.hung_up || hung_up;
  if (connection.state == State::busy) {
    return;  // the thread that answers will see `more`
  }
  for (int reads = 0;
       connection.more && reads < reads_per_event && connection.state != State::closed; ++reads) {
    read(connection);
    while (connection.state == State::busy) {
      lock.unlock();
      bool sent = false;
      bool close_it = false;
      threads_.begin_handler(self);
      answer(connection, sent, close_it);
      threads_.end_handler(self);
      lock.lock();
      finish(connection, sent, close_it);
      --(connection.admitted ? requests_ : refusals_);
      note_quiet();
      if (connection.state == State::idle && !connection.input.empty()) {
        advance(connection);
      }
    }
  }
  if (connection.state != State::closed) {
    watch(connection);
  }
}

// Events are edge-triggered: they come once. A read that does not fill the buffer has emptied the
// socket. After a client has hung up no further event may come, so reading goes on to the end.
void HttpServer::Engine::read(Connection& connection) {
  std::array<char, read_size> buffer;  // NOLINT(*-member-init): recv fills it
  const auto got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
  connection.more = got == static_cast<ssize_t>(buffer.size()) || (got > 0 && connection.hung_up);
  if (got > 0 && connection.state != State::lingering) {
    connection.input.append(buffer.data(), static_cast<std::size_t>(got));
    advance(connection);
  } else if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
    close(connection,
          connection.state == State::lingering ? CloseReason::answer : CloseReason::peer);
  }
}

// Looks for a whole request in the input.
void HttpServer::Engine::advance(Connection& connection) {
  if (connection.state == State::idle) {
    // RFC 9112, 2.2: a server ignores empty lines before a request.
    connection.input.erase(
        0, std::min(connection.input.find_first_not_of("\r\n"), connection.input.size()));
    if (connection.input.empty()) {
      return;
    }
    enter(connection, Event::first_byte);
  }
  switch (connection.framer.advance(connection.input)) {
    case RequestFramer::State::incomplete:
      if (connection.framer.take_expect_continue()) {
        constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
        ::send(connection.fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
      }
      break;
    case RequestFramer::State::complete:
      begin_request(connection);
      break;
    case RequestFramer::State::refused:
      refuse_unread(connection, connection.framer.status(), connection.framer.reason());
      break;
  }
}

void HttpServer::Engine::begin_request(Connection& connection) {
  connection.request =
      parse_request(std::string_view(connection.input).substr(0, connection.framer.head_size()));
  if (!connection.request) {
    refuse_unread(connection, 400, "this is no request that the server understands");
    return;
  }
  connection.request->body = connection.framer.take_body();
  // Counted before the hook: when the owner changes the hook's answer and then sees 0 requests, no
  // request will be admitted any more.
  const bool room = requests_++ < limits_.threads;
  connection.admitted = room && (!server_.hooks.admit || server_.hooks.admit());
  if (!connection.admitted) {
    ++refusals_;
    --requests_;
  }
  enter(connection, Event::whole);
  if (journal_) {
    journal_.write("request", {{"conn", connection.id},
                               {"method", connection.request->method},
                               {"path", connection.request->path}});
  }
}

void HttpServer::Engine::finish(Connection& connection, bool sent, bool close_it) {
  const bool client_closes = connection.framer.wants_close();
  connection.input.erase(0, connection.framer.size());
  connection.framer = RequestFramer(limits_.head, limits_.body);
  connection.request.reset();
  connection.answered = false;
  if (!sent || connection.cut) {
    close(connection, connection.cut ? CloseReason::cut : CloseReason::peer);
  } else if (close_it && client_closes && connection.input.empty()) {
    close(connection, CloseReason::answer);
  } else if (close_it) {
    linger(connection);
  } else {
    enter(connection, Event::kept);
  }
}

// Adds the connection to the epoll set. If input is left in the socket, the connection is set anew:
// the kernel then reports it again, after the events of other connections.
void HttpServer::Engine::watch(Connection& connection) {
  if (!connection.watched || connection.more) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    event.data.u64 = connection.id;
    const int operation = connection.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    connection.watched = true;
    if (::epoll_ctl(epoll_.get(), operation, connection.fd.get(), &event) < 0) {
      close(connection, CloseReason::peer);  // the system has no room for it
    }
  }
}

void HttpServer::Engine::enter(Connection& connection, Event event) {
  const bool was_half_sent = connection.state == State::half_sent;
  connection.happen(event);
  if (connection.state == State::half_sent) {
    ++half_sent_;
  } else if (was_half_sent) {
    --half_sent_;
  }
}

// The hook comes before the counts: when the owner sees a count fall, the hook was called.
void HttpServer::Engine::close(Connection& connection, CloseReason reason) {
  connection.fd.reset();
  if (journal_) {
    journal_.write("close", {{"conn", connection.id}});
  }
  if (server_.hooks.closed) {
    server_.hooks.closed(connection.id, reason);
  }
  enter(connection, Connection::closing(reason));
  {
    const std::lock_guard lock(connections_mutex_);
    connections_.erase(connection.id);
  }
  --open_;
  note_quiet();
}

HttpServer::Activity HttpServer::Engine::activity() const {
  return {open_, half_sent_, requests_, refusals_};
}

milliseconds HttpServer::Engine::longest_in_flight() const {
  auto oldest = Clock::now();
  const auto now = oldest;
  for (const auto& connection : all()) {
    const std::lock_guard lock(connection->mutex);
    if (connection->state == State::busy && connection->admitted) {
      oldest = std::min(oldest, connection->since);
    }
  }
  return std::chrono::duration_cast<milliseconds>(now - oldest);
}

void HttpServer::Engine::note_quiet() {
  if (!close_after_answer_ || requests_ > 0 || half_sent_ > 0) {
    return;
  }
  if (server_.hooks.quiet) {
    server_.hooks.quiet();
  }
  if (open_ == 0) {
    const std::lock_guard lock(changed_mutex_);
    drained_changed_.notify_all();
  }
}

}  // namespace cluster
