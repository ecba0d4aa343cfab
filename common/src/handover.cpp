#include "handover.hpp"

#include <sys/socket.h>

#include <cstdlib>
#include <sstream>

namespace cluster {

namespace {

constexpr const char* name = "CLUSTER_WORKER";

bool is_channel(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

}  // namespace

std::string Handover::variable() const {
  std::ostringstream text;
  text << name << '=' << number << ' ' << master << ' ' << channel << ' ' << listener;
  return text.str();
}

std::optional<Handover> Handover::from_environment() {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  Handover result;
  std::istringstream text(value);
  text >> result.number >> result.master >> result.channel >> result.listener;
  const bool complete = text && (text >> std::ws).eof() && result.number > 0;
  if (!complete || !is_channel(result.channel)) {
    throw HandoverError(std::string(name) + "='" + value +
                        "' is not allowed: only a master sets it, for its workers; unset it");
  }
  return result;
}

void Handover::clear_environment() {
  ::unsetenv(name);
}

}  // namespace cluster
