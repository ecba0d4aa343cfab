#include "http_engine.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <future>

#include "cluster/system.hpp"

namespace cluster {

namespace {

using std::chrono::milliseconds;

constexpr int events_per_turn = 128;
constexpr std::size_t read_size = std::size_t{64} << 10;
constexpr milliseconds linger_time{1'000};
// A process that was woken for a new connection and then stopped or killed before it accepted leaves the connection to
// its siblings, which nobody wakes again: each looks for itself this often.
constexpr milliseconds tick_period{100};

std::string_view reason_phrase(int status) {
  switch (status) {
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    default: return "Bad Request";
  }
}

// Method and path of a framed request's first line, for the journal.
std::pair<std::string, std::string> first_line(std::string_view head) {
  const auto line = head.substr(0, head.find("\r\n"));
  const auto method = line.substr(0, line.find(' '));
  const auto rest = line.substr(std::min(method.size() + 1, line.size()));
  return {std::string(method), std::string(rest.substr(0, rest.find_first_of(" ?")))};
}

}  // namespace

HttpServer::Engine::Engine(HttpServer& server, int listener, const Journal& journal, Limits limits)
    : server_(server),
      listener_(listener),
      journal_(journal),
      limits_(limits),
      epoll_(check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC))),
      wake_(check("eventfd", ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))),
      scratch_(read_size, '\0'),
      next_tick_(Clock::now() + tick_period) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &wake_;
  check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event));
}

HttpServer::Engine::~Engine() {
  cut();
  threads_.reset();  // waits for the handlers that run
  ending_ = true;
  wake();
}

void HttpServer::Engine::start() {
  threads_.emplace(limits_.threads, [this] {
    auto adaptor = std::make_shared<HttpAdaptor>(
        routes, server_.hooks.refuse, std::chrono::duration_cast<std::chrono::seconds>(limits_.idle),
        [this](Response& response, int status, const std::string& error) {
          server_.reply(response, status, {{"error", error}});
        });
    return [this, adaptor](Connection* connection) { answer(*adaptor, *connection); };
  });
  accepting_ = true;
  arm_listener(true);
  reader_ = std::jthread([this] { run(); });
}

void HttpServer::Engine::run() {
  std::array<epoll_event, events_per_turn> events{};
  while (!ending_) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), events_per_turn, wait_milliseconds());
    for (int i = 0; i < count; ++i) {
      const auto& event = events.at(static_cast<std::size_t>(i));
      if (event.data.ptr == &wake_) {
        std::uint64_t ignored = 0;
        [[maybe_unused]] const auto got = ::read(wake_.get(), &ignored, sizeof ignored);
      } else if (event.data.ptr == this) {
        accept_one();
      } else {
        handle_event(event.events, *static_cast<Connection*>(event.data.ptr));
      }
    }
    run_orders();
    take_back();
    expire_deadlines();
    if (Clock::now() >= next_tick_) {
      tick();
    }
    next_growth_ = threads_->grow_if_stalled();
    drop_closed();  // after the events: some may have been theirs
  }
}

int HttpServer::Engine::wait_milliseconds() const {
  auto next = next_tick_;
  if (!deadlines_.empty()) {
    next = std::min(next, deadlines_.begin()->first);
  }
  if (next_growth_) {
    next = std::min(next, *next_growth_);
  }
  const auto left = std::chrono::ceil<milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

void HttpServer::Engine::tick() {
  const auto now = Clock::now();
  next_tick_ = now + tick_period;
  if (accepting_) {
    arm_listener(true);
  }
  close_idle_now(now - drain_grace_.value_or(limits_.idle));
}

// Adding the listener anew also puts this process at the end of the kernel's queue of those that wait for a
// connection; otherwise the first would be woken every time. EPOLLEXCLUSIVE: one of them is woken, not all.
void HttpServer::Engine::arm_listener(bool on) {
  if (armed_) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_, nullptr);
  }
  armed_ = on && listener_ >= 0;
  if (armed_) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLEXCLUSIVE;
    event.data.ptr = this;
    check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_, &event));
  }
}

void HttpServer::Engine::accept_one() {
  if (!accepting_) {
    return;  // told in the turn in which the listener was taken out
  }
  UniqueFd fd(::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  const bool exhausted = !fd && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
  arm_listener(!exhausted);  // when out of descriptors, the next tick tries again
  if (!fd) {
    return;
  }
  auto made = std::make_unique<Connection>(std::move(fd), next_id_++, limits_.head, limits_.body);
  auto& connection = *made;
  connections_.emplace(&connection, std::move(made));
  ++open_;
  if (journal_) {
    journal_.write("open", {{"conn", connection.id}});
  }
  if (server_.hooks.opened) {
    server_.hooks.opened(connection.id);
  }
  const std::lock_guard lock(connection.mutex);
  connection.idle_since = Clock::now();
  read(connection, false);  // the request is often there already
  if (connection.state == Connection::State::idle || connection.state == Connection::State::half_sent) {
    watch(connection);
  }
}

void HttpServer::Engine::watch(Connection& connection) {
  if (!connection.registered) {
    connection.registered = true;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &connection;
    check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.fd.get(), &event));
  }
}

void HttpServer::Engine::handle_event(std::uint32_t events, Connection& connection) {
  const std::lock_guard lock(connection.mutex);
  if (connection.state == Connection::State::busy) {
    connection.more_to_read = true;
  } else if (connection.state != Connection::State::closed) {
    read(connection, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
  }
}

// Edge-triggered: a read that fills less than the buffer has emptied the socket, unless the peer has hung up, of which
// no other event may tell.
void HttpServer::Engine::read(Connection& connection, bool hung_up) {
  using State = Connection::State;
  bool more = true;
  while (more && connection.state != State::busy && connection.state != State::closed) {
    const auto got = ::recv(connection.fd.get(), scratch_.data(), scratch_.size(), 0);
    if (got <= 0) {
      if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        close(connection, connection.state == State::lingering ? CloseReason::answer : CloseReason::peer);
      }
      return;
    }
    more = hung_up || static_cast<std::size_t>(got) == scratch_.size();
    if (connection.state != State::lingering) {
      connection.input.append(scratch_.data(), static_cast<std::size_t>(got));
      advance(connection);
    }
  }
  connection.more_to_read = connection.more_to_read || more;
}

// Looks for a whole request in what was read.
void HttpServer::Engine::advance(Connection& connection) {
  using State = Connection::State;
  if (connection.state == State::idle) {
    // RFC 9112, 2.2: empty lines before a request are to be ignored.
    connection.input.erase(0, std::min(connection.input.find_first_not_of("\r\n"), connection.input.size()));
    if (connection.input.empty()) {
      return;
    }
    connection.state = State::half_sent;
    ++half_sent_;
    connection.request_began = Clock::now();
  }
  switch (connection.framer.advance(connection.input)) {
    case RequestFramer::State::incomplete:
      if (connection.framer.take_expect_continue()) {
        send_continue(connection);
      }
      set_deadline(connection, connection.request_began + limits_.request);
      break;
    case RequestFramer::State::complete: dispatch(connection); break;
    case RequestFramer::State::refused:
      refuse_unread(connection, connection.framer.status(), connection.framer.reason());
      break;
  }
}

void HttpServer::Engine::stop_reading_request(Connection& connection) {
  set_deadline(connection, std::nullopt);
  if (connection.state == Connection::State::half_sent) {
    --half_sent_;
  }
}

void HttpServer::Engine::dispatch(Connection& connection) {
  ++requests_;  // before the hook: whoever has changed its answer and sees 0 requests then knows that no more will be admitted
  connection.admitted = !server_.hooks.admit || server_.hooks.admit();
  if (!connection.admitted) {
    ++refusals_;
    --requests_;
  }
  stop_reading_request(connection);
  connection.state = Connection::State::busy;
  if (journal_) {
    auto [method, path] = first_line(connection.input);
    journal_.write("request", {{"conn", connection.id}, {"method", std::move(method)}, {"path", std::move(path)}});
  }
  threads_->push(&connection);
}

// Answers a request that cannot or need not be read to its end, and closes the connection.
void HttpServer::Engine::refuse_unread(Connection& connection, int status, const std::string& reason) {
  Response response;
  server_.reply(response, status, {{"error", reason}});
  const std::string text = "HTTP/1.1 " + std::to_string(status) + ' ' + std::string(reason_phrase(status)) +
                           "\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " +
                           std::to_string(response.body.size()) + "\r\n\r\n" + response.body;
  ::send(connection.fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
  if (journal_) {
    journal_.write("response", {{"conn", connection.id}, {"status", status}});
  }
  if (status == 408) {
    close(connection, CloseReason::stalled);
  } else {
    stop_reading_request(connection);
    linger(connection);
    note_quiet();
  }
}

void HttpServer::Engine::send_continue(Connection& connection) {
  constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
  ::send(connection.fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

// Closing with unread input would reset the connection, and the client might lose the answer: so only our end is shut,
// and what the client still sends is thrown away until it closes, for a moment.
void HttpServer::Engine::linger(Connection& connection) {
  ::shutdown(connection.fd.get(), SHUT_WR);
  connection.state = Connection::State::lingering;
  connection.input.clear();
  set_deadline(connection, Clock::now() + linger_time);
  watch(connection);
  read(connection, true);
}

void HttpServer::Engine::take_back() {
  std::vector<Connection*> given_back;
  {
    const std::lock_guard lock(orders_mutex_);
    given_back.swap(given_back_);
  }
  for (Connection* connection : given_back) {
    const std::lock_guard lock(connection->mutex);
    if (connection->linger_next || connection->cut) {
      linger(*connection);
      continue;
    }
    connection->state = Connection::State::idle;
    connection->idle_since = Clock::now();
    const bool more = std::exchange(connection->more_to_read, false);
    if (!connection->input.empty()) {
      advance(*connection);
    }
    if (connection->state == Connection::State::busy) {
      connection->more_to_read = connection->more_to_read || more;
    } else if (more && connection->state != Connection::State::closed) {
      read(*connection, true);
    }
    if (connection->state == Connection::State::idle || connection->state == Connection::State::half_sent) {
      watch(*connection);
    }
  }
}

void HttpServer::Engine::set_deadline(Connection& connection, std::optional<Clock::time_point> deadline) {
  if (connection.deadline == deadline) {
    return;
  }
  if (connection.deadline) {
    deadlines_.erase({*connection.deadline, &connection});
  }
  connection.deadline = deadline;
  if (deadline) {
    deadlines_.emplace(*deadline, &connection);
  }
}

void HttpServer::Engine::expire_deadlines() {
  const auto now = Clock::now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    auto& connection = *deadlines_.begin()->second;
    const std::lock_guard lock(connection.mutex);
    set_deadline(connection, std::nullopt);
    if (connection.state == Connection::State::half_sent) {
      refuse_unread(connection, 408, "the request did not arrive in time: " + std::to_string(limits_.request.count()) +
                                         " ms from its first byte are allowed");
    } else {
      close(connection, CloseReason::answer);
    }
  }
}

void HttpServer::Engine::close_idle_now(Clock::time_point idle_since) {
  for (const auto& [key, connection] : connections_) {
    const std::lock_guard lock(connection->mutex);
    if (connection->state == Connection::State::idle && connection->idle_since <= idle_since) {
      close(*connection, CloseReason::idle);
    }
  }
}

HttpServer::Cut HttpServer::Engine::cut_now() {
  Cut result;
  accepting_ = false;
  arm_listener(false);
  for (const auto& [key, connection] : connections_) {
    const std::lock_guard lock(connection->mutex);
    switch (connection->state) {
      case Connection::State::idle: close(*connection, CloseReason::idle); break;
      case Connection::State::lingering: close(*connection, CloseReason::answer); break;
      case Connection::State::half_sent:
        ++result.half_sent;
        close(*connection, CloseReason::cut);
        break;
      case Connection::State::busy:
        result.requests += connection->admitted && !connection->cut ? 1U : 0U;
        connection->cut = true;
        ::shutdown(connection->fd.get(), SHUT_RDWR);
        break;
      case Connection::State::closed: break;
    }
  }
  return result;
}

void HttpServer::Engine::drop_closed() {
  std::vector<Connection*> closed;
  {
    const std::lock_guard lock(closed_mutex_);
    closed.swap(closed_);
  }
  for (Connection* connection : closed) {
    set_deadline(*connection, std::nullopt);
    { const std::lock_guard lock(connection->mutex); }  // whoever closed it has let go of it
    connections_.erase(connection);
  }
}

void HttpServer::Engine::run_orders() {
  std::vector<std::function<void()>> orders;
  {
    const std::lock_guard lock(orders_mutex_);
    orders.swap(orders_);
  }
  for (const auto& run_order : orders) {
    run_order();
  }
}

void HttpServer::Engine::order(std::function<void()> order) {
  if (!reader_.joinable()) {
    order();
    return;
  }
  std::promise<void> done;
  {
    const std::lock_guard lock(orders_mutex_);
    orders_.emplace_back([&] {
      order();
      done.set_value();
    });
  }
  wake();
  done.get_future().wait();
}

void HttpServer::Engine::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void HttpServer::Engine::accept_connections(bool on) {
  order([this, on] {
    accepting_ = on;
    arm_listener(on);
  });
}

void HttpServer::Engine::close_idle(milliseconds older_than) {
  order([this, older_than] { close_idle_now(Clock::now() - older_than); });
}

void HttpServer::Engine::begin_drain(milliseconds idle_grace) {
  order([this, idle_grace] {
    close_after_answer_ = true;
    accepting_ = false;
    arm_listener(false);
    drain_grace_ = idle_grace;
    close_idle_now(Clock::now() - idle_grace);
  });
  note_quiet();
}

HttpServer::Cut HttpServer::Engine::cut() {
  {
    const std::lock_guard lock(pause_mutex_);
    cut_ = true;
    pause_ended_.notify_all();
  }
  Cut result;
  order([this, &result] { result = cut_now(); });
  return result;
}

}  // namespace cluster
