#include "read_probe.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "proc_file.hpp"

namespace cluster {

namespace {

// SOCK_STREAM and so on; none: no socket.
std::optional<int> socket_type(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 ? std::optional(type)
                                                                  : std::nullopt;
}

// How many connections wait at a listening TCP socket; none: it is none.
std::optional<int> waiting_connections(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0
             ? std::optional(static_cast<int>(info.tcpi_unacked))
             : std::nullopt;
}

// What the kernel tells of a descriptor that is neither a socket nor a pipe: the count of an
// eventfd, for example.
std::string information(int fd) {
  return proc_file("/proc/self/fdinfo/" + std::to_string(fd));
}

}  // namespace

ReadProbe::ReadProbe(int fd) : fd_(fd), edges_(::epoll_create1(EPOLL_CLOEXEC)) {
  epoll_event edge{};
  edge.events = EPOLLIN | EPOLLET;
  if (::epoll_ctl(edges_.get(), EPOLL_CTL_ADD, fd, &edge) < 0) {
    edges_.reset();
    return;
  }
  more_has_come();  // the present state is no news
  before_ = unread();
}

ReadProbe::Found ReadProbe::look() const {
  const auto after = unread();
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, 0) == 0) {
    return Found::progress;
  }
  if (!before_ || !after || more_has_come()) {
    return Found::unknown;
  }
  return *before_ == *after ? Found::nothing : Found::progress;
}

bool ReadProbe::more_has_come() const {
  epoll_event edge{};
  return ::epoll_wait(edges_.get(), &edge, 1, 0) > 0;
}

// Something that changes when bytes are read; none: it cannot be told.
std::optional<ReadProbe::Unread> ReadProbe::unread() const {
  const auto type = socket_type(fd_);
  if (type == SOCK_DGRAM) {
    return std::nullopt;  // FIONREAD tells the size of the next datagram only
  }
  int bytes = 0;
  if (::ioctl(fd_, FIONREAD, &bytes) == 0) {
    return Unread{bytes, ""};
  }
  if (type) {
    const auto connections = waiting_connections(fd_);
    return connections ? std::optional(Unread{*connections, ""}) : std::nullopt;
  }
  auto text = information(fd_);
  return text.empty() ? std::nullopt : std::optional(Unread{0, std::move(text)});
}

}  // namespace cluster
