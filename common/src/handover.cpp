#include "handover.hpp"

#include <sys/socket.h>

#include <cstdlib>
#include <sstream>
#include <string_view>

#include "cluster/settings.hpp"

namespace cluster {

namespace {

constexpr const char* name = "CLUSTER_WORKER";
constexpr const char* allowed = "what a master has set for its worker: unset it";

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
  const bool in_range =
      result.number >= 1 && result.master >= 1 && result.channel >= -1 && result.listener >= -1;
  if (!in_range || result.variable() != std::string(name) + '=' + value) {
    throw SettingError(name, value, allowed);
  }
  return result;
}

void Handover::check_channel() const {
  if (!is_channel(channel)) {
    throw SettingError(name, variable().substr(std::string_view(name).size() + 1), allowed);
  }
}

void Handover::clear_environment() {
  ::unsetenv(name);
}

}  // namespace cluster
