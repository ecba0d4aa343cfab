#include "http/engine.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "cluster/system.hpp"
#include "http/message.hpp"

namespace cluster {

namespace {

using std::chrono::milliseconds;
using Event = Connection::Event;
using State = Connection::State;

constexpr std::size_t input_size = std::size_t{16} << 10;
constexpr int reads_per_event = 8;
constexpr unsigned most_empty_lines = 100;

// The body is whole and decoded, and the client has been told to go on.
void adapt_headers(HttpCall& call, const HttpPeer& peer) {
  auto& request = call.request;
  if (has_header(request.headers, "Transfer-Encoding")) {
    erase_header(request.headers, "Transfer-Encoding");
    request.headers.emplace("Content-Length", std::to_string(call.body.size()));
  }
  erase_header(request.headers, "Expect");
  request.remote_addr = peer.remote_addr;
  request.remote_port = peer.remote_port;
  request.local_addr = peer.local_addr;
  request.local_port = peer.local_port;
}

}  // namespace

// "No limit" is a large one: sums and small multiples of it do not overflow.
HttpServer::Limits HttpServer::Engine::bounded(Limits limits) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 16;
  limits.head = std::min(limits.head, most);
  limits.body = std::min(limits.body, most);
  limits.threads = std::min(limits.threads, most);
  limits.request = bounded(limits.request);
  limits.idle = bounded(limits.idle);
  limits.write = bounded(limits.write);
  return limits;
}

HttpServer::Engine::Engine(HttpServer& server, int listener, const Journal& journal, Limits limits,
                           Log log)
    : server_(server),
      listener_(listener),
      listens_at_(one_address(listener)),
      journal_(journal),
      limits_(bounded(limits)),
      log_(std::move(log)),
      epoll_(check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC))),
      ending_(check("eventfd", ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))),
      idle_limit_(limits_.idle),
      threads_(
          limits_.threads + 1, [this](LeaderThreads::Member& self) { work(self); }, tick_period,
          [this] { tick(); }) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = end_event;
  check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, ending_.get(), &event));
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

// What a connection's event leads to: send what waits, read, and answer as many
// requests as are whole.
void HttpServer::Engine::serve(LeaderThreads::Member& self, Connection& connection,
                               std::uint32_t events) {
  Lock lock(connection.mutex);
  connection.more = true;
  connection.hung_up = connection.hung_up || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  flush(lock, connection);
  if (connection.state == State::busy || connection.state == State::concluding) {
    return;  // the thread that answers will look
  }
  answer_whole(self, lock, connection);
  for (int reads = 0; connection.more && reads < reads_per_event && connection.reads(); ++reads) {
    read(connection);
    answer_whole(self, lock, connection);
  }
  if (connection.reads() && !watch(connection)) {
    close(connection, CloseReason::peer);  // the system has no room for it
  }
}

void HttpServer::Engine::answer_whole(LeaderThreads::Member& self, Lock& lock,
                                      Connection& connection) {
  for (;;) {
    if (connection.state == State::idle && !connection.input.empty()) {
      advance(connection);
    }
    if (connection.state != State::busy) {
      return;
    }
    lock.unlock();
    bool whole = false;
    auto answer = handle(self, connection, whole);
    lock.lock();
    answered(lock, connection, std::move(answer), whole);
  }
}

// Events are edge-triggered: they come once. A read that does not fill the buffer has emptied the
// socket. After a client has hung up no further event may come, so reading goes on to the end.
void HttpServer::Engine::read(Connection& connection) {
  std::array<char, input_size> buffer;  // NOLINT(*-member-init): recv fills it
  const auto got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
  connection.more = got == static_cast<ssize_t>(buffer.size()) || (got > 0 && connection.hung_up);
  const bool failed = got < 0 && errno != EAGAIN && errno != EINTR;
  if (got > 0 && !connection.throws_away()) {
    connection.input.append(buffer.data(), static_cast<std::size_t>(got));
    advance(connection);
  } else if (connection.state == State::lingering && (got == 0 || failed)) {
    close(connection, CloseReason::answer);
  } else if ((got == 0 && connection.state != State::refusing) || failed) {
    close(connection, CloseReason::peer);
  }
}

// Looks for a whole request in the input.
void HttpServer::Engine::advance(Connection& connection) {
  if (!connection.begun) {
    if (!skip_empty_lines(connection) || connection.input.empty() || connection.input == "\r") {
      return;
    }
    connection.begun = true;
    connection.used = true;
    if (connection.state == State::idle) {
      enter(connection, Event::first_byte);
    }
  }
  switch (connection.framer.advance(connection.input)) {
    case RequestFramer::State::incomplete:
      if (connection.framer.take_expect_continue()) {
        constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
        connection.output.write(connection.fd.get(), text);
        if (!connection.output.empty()) {
          watch(connection);  // now, because the handler may take its time
        }
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

// RFC 9112, 2.2: empty lines before a request are to be ignored. False: there were too many.
bool HttpServer::Engine::skip_empty_lines(Connection& connection) {
  std::size_t skipped = 0;
  while (connection.input.compare(skipped, 2, "\r\n") == 0) {
    skipped += 2;
    ++connection.empty_lines;
  }
  connection.input.erase(0, skipped);
  if (connection.empty_lines <= most_empty_lines) {
    return true;
  }
  if (connection.state == State::idle) {
    enter(connection, Event::first_byte);
  }
  refuse_unread(connection, 400, "too many empty lines came instead of a request");
  return false;
}

void HttpServer::Engine::begin_request(Connection& connection) {
  auto fresh = std::make_unique<HttpCall>();
  const auto head = std::string_view(connection.input).substr(0, connection.framer.head_size());
  if (!parse_request(head, fresh->request)) {
    refuse_unread(connection, 400, "this is no request that the server understands");
    return;
  }
  auto& call = *(connection.call = std::move(fresh));
  call.body = connection.framer.take_body();
  call.close = connection.framer.wants_close();
  adapt_headers(call, connection.peer);
  // Counted before the hook: who has changed its answer, and then sees 0 requests, knows that none
  // will be admitted.
  ++requests_;
  const bool room = handlers_++ < limits_.threads;
  call.admitted = room && (!server_.hooks.admit || server_.hooks.admit());
  if (!call.admitted) {
    ++refusals_;
    --requests_;
    --handlers_;
  }
  enter(connection, Event::whole);
  call.began = connection.since;
  if (journal_) {
    journal_.write(
        "request",
        {{"conn", connection.id}, {"method", call.request.method}, {"path", call.request.path}});
  }
}

// Also once more if there is more to read than one event is worth: the kernel then tells of it
// again, behind what others have sent. False: the system has no room for it.
bool HttpServer::Engine::watch(Connection& connection) {
  const bool output = !connection.output.empty();
  if (connection.watched && !connection.more && (!output || connection.watched_output)) {
    return true;
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (output ? EPOLLOUT : 0U);
  event.data.u64 = connection.id;
  const int operation = connection.watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  connection.watched = true;
  connection.watched_output = output;
  return ::epoll_ctl(epoll_.get(), operation, connection.fd.get(), &event) == 0;
}

void HttpServer::Engine::enter(Connection& connection, Event event) {
  const auto before = connection.state;
  connection.happen(event);
  const auto count = [&](State state, std::atomic<std::size_t>& number) {
    if (connection.state == state) {
      ++number;
    }
    if (before == state) {
      --number;
    }
  };
  count(State::half_sent, half_sent_);
  count(State::refusing, refusals_);
}

// The hook comes before the counts: when the owner sees a count fall, the hook was called.
void HttpServer::Engine::close(Connection& connection, CloseReason reason) {
  connection.fd.reset();
  connection.output.drop();
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
    if (connection->state == State::busy && connection->call->admitted) {
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
