#include "progress.hpp"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstddef>
#include <fstream>
#include <iterator>

namespace cluster {

namespace {

std::optional<int> asked(int fd, unsigned long request) {
  int value = 0;
  return ::ioctl(fd, request, &value) == 0 ? std::optional(value) : std::nullopt;
}

// SOCK_STREAM and so on; none: no socket.
std::optional<int> socket_type(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 ? std::optional(type)
                                                                  : std::nullopt;
}

// The kernel's tcp_info up to the count of acknowledged bytes, which the C library does not know.
struct TcpInfo {
  tcp_info first;
  std::uint64_t pacing_rate;
  std::uint64_t longest_pacing_rate;
  std::uint64_t bytes_acked;
};
static_assert(offsetof(TcpInfo, bytes_acked) == 120);

std::optional<TcpInfo> tcp(int fd) {
  TcpInfo info{};
  socklen_t size = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? std::optional(info)
                                                                    : std::nullopt;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What the kernel tells of a descriptor of another kind: the count of an eventfd, for example.
std::string information(int fd) {
  return text_of("/proc/self/fdinfo/" + std::to_string(fd));
}

// How much this thread has written by write() so far, to whatever descriptor.
std::string written_by_this_thread() {
  const auto text = text_of("/proc/thread-self/io");
  const auto begin = text.find("wchar: ");
  return begin == std::string::npos ? "" : text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

ProgressProbe::ProgressProbe(int fd, std::uint32_t event)
    : fd_(fd), event_(event), edges_(::epoll_create1(EPOLL_CLOEXEC)) {
  epoll_event edge{};
  edge.events = event | EPOLLET;
  if (::epoll_ctl(edges_.get(), EPOLL_CTL_ADD, fd, &edge) < 0) {
    edges_.reset();
    return;
  }
  told();  // the present state is no news
  before_ = content();
}

ProgressProbe::Found ProgressProbe::look() const {
  const auto after = content();
  pollfd ready{fd_, static_cast<short>(event_ == EPOLLIN ? POLLIN : POLLOUT), 0};
  if (::poll(&ready, 1, 0) == 0) {
    return Found::progress;
  }
  if (!before_ || !after || told()) {
    return Found::unknown;
  }
  return *before_ == *after ? Found::nothing : Found::progress;
}

// Whether the descriptor has become ready anew.
bool ProgressProbe::told() const {
  epoll_event edge{};
  return ::epoll_wait(edges_.get(), &edge, 1, 0) > 0;
}

// Something that changes when bytes are read (or written); none: it cannot be told.
std::optional<ProgressProbe::Content> ProgressProbe::content() const {
  return event_ == EPOLLIN ? unread() : unsent();
}

std::optional<ProgressProbe::Content> ProgressProbe::unread() const {
  const auto type = socket_type(fd_);
  if (type == SOCK_DGRAM) {
    return std::nullopt;  // FIONREAD tells the size of the next datagram only
  }
  if (const auto bytes = asked(fd_, FIONREAD)) {
    return Content{*bytes, ""};
  }
  if (type) {
    // A listening socket: connections that wait to be accepted.
    const auto info = tcp(fd_);
    return info ? std::optional(Content{info->first.tcpi_unacked, ""}) : std::nullopt;
  }
  auto text = information(fd_);
  return text.empty() ? std::nullopt : std::optional(Content{0, std::move(text)});
}

std::optional<ProgressProbe::Content> ProgressProbe::unsent() const {
  if (socket_type(fd_)) {
    const auto bytes = asked(fd_, SIOCOUTQ);
    if (!bytes) {
      return std::nullopt;
    }
    // TCP does not tell that the peer has acknowledged; the sum is all that was ever written.
    const auto info = tcp(fd_);
    return Content{*bytes + (info ? static_cast<std::int64_t>(info->bytes_acked) : 0), ""};
  }
  // A pipe does not tell that its reader has read. So only a thread that has written nothing at all
  // has surely made no progress; a log line is enough to make it unknown.
  auto written = written_by_this_thread();
  if (written.empty()) {
    return std::nullopt;
  }
  return Content{asked(fd_, FIONREAD).value_or(0), std::move(written)};
}

}  // namespace cluster
