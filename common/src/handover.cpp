#include "handover.hpp"

#include <cstdlib>
#include <sstream>

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
  return result;
}

void Handover::clear_environment() {
  ::unsetenv(name);
}

}  // namespace cluster
