// The engine and its listening socket.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <tuple>
#include <utility>

#include "cluster/system.hpp"
#include "http/engine.hpp"

namespace cluster {

namespace {

constexpr unsigned accepts_per_turn = 2;
constexpr int most_in_queue = 1'024;
constexpr std::chrono::minutes tell_exhausted_every{1};

std::pair<std::string, int> readable(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &in6.sin6_addr, text.data(), text.size());
    return {text.data(), ntohs(in6.sin6_port)};
  }
  const auto& in = reinterpret_cast<const sockaddr_in&>(address);
  ::inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size());
  return {text.data(), ntohs(in.sin_port)};
}

std::pair<std::string, int> name_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return readable(address);
}

bool is_exhausted(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

// None: it listens at all addresses of the machine, and each connection has its own.
std::optional<std::pair<std::string, int>> HttpServer::Engine::one_address(int listener) {
  auto name = name_of(listener);
  const bool all = name.first == "0.0.0.0" || name.first == "::";
  return listener < 0 || all ? std::nullopt : std::optional(std::move(name));
}

// Adding the listener anew also puts this process at the end of the kernel's queue of those that
// wait for a connection; otherwise the first would be woken every time. EPOLLEXCLUSIVE: one of them
// is woken, not all. The caller holds listener_mutex_.
void HttpServer::Engine::arm_listener(bool on) {
  if (armed_) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_, nullptr);
  }
  armed_ = false;
  if (on && listener_ >= 0) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLEXCLUSIVE;
    event.data.u64 = listener_event;
    // If it fails, the tick tries again.
    armed_ = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_, &event) == 0;
  }
}

// Accepted, listed and counted as one step: who stops accepting sees all that was accepted before.
// The caller holds listener_mutex_; the connection comes locked, since its opening is told before
// anything else happens to it. None: errno says why.
std::shared_ptr<Connection> HttpServer::Engine::take(Lock& connection_lock) {
  sockaddr_storage remote{};
  socklen_t size = sizeof remote;
  UniqueFd fd(::accept4(listener_, reinterpret_cast<sockaddr*>(&remote), &size,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    return nullptr;
  }
  auto connection =
      std::make_shared<Connection>(std::move(fd), next_id_++, limits_.head, limits_.body);
  std::tie(connection->peer.remote_addr, connection->peer.remote_port) = readable(remote);
  std::tie(connection->peer.local_addr, connection->peer.local_port) =
      listens_at_ ? *listens_at_ : name_of(connection->fd.get());
  connection_lock = Lock(connection->mutex);
  const std::lock_guard lock(connections_mutex_);
  connections_.emplace(connection->id, connection);
  ++open_;
  return connection;
}

std::shared_ptr<Connection> HttpServer::Engine::accept_one() {
  std::shared_ptr<Connection> connection;
  Lock connection_lock;
  bool exhausted = false;
  {
    const std::lock_guard lock(listener_mutex_);
    if (!accepting_) {
      return nullptr;
    }
    connection = take(connection_lock);
    exhausted = !connection && is_exhausted(errno);
    if (exhausted) {
      tell_exhausted();
    }
    if (exhausted || ++accepts_ % accepts_per_turn == 0) {
      arm_listener(!exhausted);  // when out of descriptors, the next tick tries again
    }
  }
  if (connection) {
    tell_opened(*connection);
  } else if (exhausted) {
    close_lingering();
  }
  return connection;
}

void HttpServer::Engine::tell_opened(const Connection& connection) {
  if (journal_) {
    journal_.write("open", {{"conn", connection.id}});
  }
  if (server_.hooks.opened) {
    server_.hooks.opened(connection.id);
  }
}

// The caller holds listener_mutex_.
void HttpServer::Engine::tell_exhausted() {
  const auto now = Clock::now();
  if (told_exhausted_ == Clock::time_point{} || now - told_exhausted_ >= tell_exhausted_every) {
    told_exhausted_ = now;
    log_("out of file descriptors or memory: new connections wait until some are closed");
  }
}

// Who connected before the end is answered: closing the socket would reset what waits in its queue.
void HttpServer::Engine::accept_the_rest() {
  for (int taken = 0; taken < most_in_queue; ++taken) {
    std::shared_ptr<Connection> connection;  // outlives the lock, which is its own
    Lock connection_lock;
    {
      const std::lock_guard lock(listener_mutex_);
      connection = accepting_ && listener_ >= 0 ? take(connection_lock) : nullptr;
    }
    if (!connection) {
      return;
    }
    tell_opened(*connection);
    if (connection->has_input()) {
      enter(*connection, Connection::Event::first_byte);  // so that whoever waits sees it coming
    }
    if (!watch(*connection)) {
      close(*connection, CloseReason::peer);
    }
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

void HttpServer::Engine::stop_accepting() {
  accept_the_rest();
  accept_connections(false);
}

}  // namespace cluster
