#include "handover.hpp"

#include <cstdlib>
#include <sstream>

#include "cluster/settings.hpp"

namespace cluster {

namespace {

constexpr const char* name = "CLUSTER_WORKER";

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
    throw SettingError(name, value, "what a master has written (do not set it by hand)");
  }
  return result;
}

void Handover::clear_environment() {
  ::unsetenv(name);
}

}  // namespace cluster
