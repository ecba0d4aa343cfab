#include "handover.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "cluster/settings.hpp"

namespace cluster {

namespace {

constexpr const char* name = "CLUSTER_WORKER";

// Takes a number off the front of the text, and the blank behind it.
bool take_number(std::string_view& text, int least, int& number) {
  const auto word = text.substr(0, text.find(' '));
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  const bool is_number = error == std::errc{} && end == word.data() + word.size();
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return is_number && number >= least;
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
  std::string_view rest = value;
  if (!take_number(rest, 1, result.number) || !take_number(rest, 1, result.master) ||
      !take_number(rest, -1, result.channel) || !take_number(rest, -1, result.listener) ||
      !rest.empty()) {
    throw SettingError(name, value, "four numbers that a master has written: do not set it");
  }
  return result;
}

void Handover::clear_environment() {
  ::unsetenv(name);
}

}  // namespace cluster
