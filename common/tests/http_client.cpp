#include "http_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "cluster/system.hpp"
#include "support.hpp"

namespace cluster::test {

std::optional<std::string> Answer::header(std::string_view name) const {
  for (auto line : lines_of(head)) {
    if (line.size() > name.size() && line[name.size()] == ':' &&
        ::strncasecmp(line.data(), name.data(), name.size()) == 0) {
      line.erase(0, line.find_first_not_of(": ", name.size()));
      return line.substr(0, line.find('\r'));
    }
  }
  return std::nullopt;
}

std::string get(const std::string& path, const std::string& headers, const std::string& method) {
  return method + ' ' + path + " HTTP/1.1\r\nHost: here\r\n" + headers + "\r\n";
}

std::string post(const std::string& path, const std::string& body, const std::string& headers) {
  return get(path, "Content-Length: " + std::to_string(body.size()) + "\r\n" + headers, "POST") +
         body;
}

Client::Client(std::uint16_t port, int receive_buffer)
    : fd_(check("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))) {
  const timeval longest{patience.count(), 0};
  const int on = 1;
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (receive_buffer > 0) {
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  }
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(port);
  target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // NOLINTNEXTLINE(*-reinterpret-cast): the sockets API
  check("connect", ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&target), sizeof target));
}

bool Client::send(std::string_view text) const {
  while (!text.empty()) {
    const auto sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Client::receive() {
  std::array<char, 1 << 16> buffer{};
  const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (got <= 0) return false;
  input_.append(buffer.data(), static_cast<std::size_t>(got));
  return true;
}

std::optional<Answer> Client::read(bool head_only) {
  std::size_t end = 0;
  while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
    if (!receive()) return std::nullopt;
  }
  Answer answer;
  answer.head = input_.substr(0, end + 2);
  input_.erase(0, end + 4);
  if (!answer.head.starts_with("HTTP/1.1 ")) return std::nullopt;
  answer.status = std::stoi(answer.head.substr(9, 3));
  const auto length = answer.header("Content-Length");
  const std::size_t size = length && !head_only ? std::stoul(*length) : 0;
  answer.body = read_bytes(size);
  return answer.body.size() == size ? std::optional(answer) : std::nullopt;
}

int Client::status(std::string_view request) {
  const auto answer = ask(request);
  return answer ? answer->status : 0;
}

std::string Client::read_bytes(std::size_t count) {
  while (input_.size() < count && receive()) {
  }
  auto result = input_.substr(0, count);
  input_.erase(0, count);
  return result;
}

int Client::wait_end() {
  char byte = 0;
  const auto got = input_.empty() ? ::recv(fd_.get(), &byte, 1, 0) : 1;
  return got == 0 || (got < 0 && errno == ECONNRESET) ? static_cast<int>(got) : 1;
}

void Client::send_urgent(char byte) const {
  check("send", ::send(fd_.get(), &byte, 1, MSG_OOB | MSG_NOSIGNAL));
}

bool Client::quiet_for(std::chrono::milliseconds duration) const {
  pollfd readable{fd_.get(), POLLIN, 0};
  return input_.empty() && ::poll(&readable, 1, static_cast<int>(duration.count())) == 0;
}

void Client::finish() const {
  ::shutdown(fd_.get(), SHUT_WR);
}

}  // namespace cluster::test
