#include "cluster/listener.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "cluster/system.hpp"

namespace cluster {

namespace {

constexpr int backlog = 1024;
// By default the kernel takes some MiB for a client that reads nothing (tcp_wmem), and a thousand
// of them take what there is for all connections of the machine (tcp_mem; see tcp(7)).
constexpr int most_unsent = 128 << 10;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress to_socket_address(const Address& address) {
  SocketAddress result;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    std::memcpy(&result.storage, &v4, sizeof v4);
    result.size = sizeof v4;
  } else if (::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    std::memcpy(&result.storage, &v6, sizeof v6);
    result.size = sizeof v6;
  } else {
    throw ListenError("cannot listen on '" + address.host + "': not an IPv4 or IPv6 address");
  }
  return result;
}

std::uint16_t bound_port(int fd) {
  SocketAddress bound;
  bound.size = sizeof bound.storage;
  check("getsockname", ::getsockname(fd, bound.get(), &bound.size));
  // The port has the same place in both families.
  sockaddr_in v4{};
  std::memcpy(&v4, &bound.storage, sizeof v4);
  return ntohs(v4.sin_port);
}

[[noreturn]] void refuse(const Address& address, int error) {
  std::string text =
      "cannot listen on " + address.text() + ": " + std::generic_category().message(error);
  if (error == EADDRINUSE) {
    text += "; find its holder with: ss -ltnp 'sport = :" + std::to_string(address.port) + "'";
  }
  throw ListenError(text);
}

void set(int fd, int level, int option, int value) {
  check("setsockopt", ::setsockopt(fd, level, option, &value, sizeof value));
}

}  // namespace

Listener listen_on(const Address& address) {
  auto target = to_socket_address(address);
  UniqueFd fd(::socket(target.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    refuse(address, errno);
  }
  set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, most_unsent);
  if (::bind(fd.get(), target.get(), target.size) < 0 || ::listen(fd.get(), backlog) < 0) {
    refuse(address, errno);
  }
  const std::uint16_t port = bound_port(fd.get());
  return {std::move(fd), {address.host, port}};
}

}  // namespace cluster
