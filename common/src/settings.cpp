#include "cluster/settings.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <utility>

#include "cluster/unique_fd.hpp"
#include "handover.hpp"

namespace cluster {

namespace {

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

// The value in a refusal, which must stay one line: cut to a readable length, and with '?' in place
// of control characters.
std::string shown(std::string_view value) {
  constexpr std::size_t longest = 200;
  std::string text;
  for (const char c : value.substr(0, longest)) {
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return value.size() > longest ? text + "…" : text;
}

int whole_number(const char* name, int fallback, int least, int most, std::string_view unit) {
  const auto text = variable(name);
  if (!text) {
    return fallback;
  }
  int number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc{} || end != text->data() + text->size() || text->starts_with('-') ||
      number < least || number > most) {
    throw SettingError(name, *text,
                       "a whole number" + std::string(unit) + " from " + std::to_string(least) +
                           " to " + std::to_string(most));
  }
  return number;
}

std::chrono::milliseconds time_span(const char* name, std::chrono::milliseconds fallback,
                                    int least) {
  return std::chrono::milliseconds(
      whole_number(name, static_cast<int>(fallback.count()), least, 3'600'000, " of milliseconds"));
}

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

}  // namespace

SettingError::SettingError(std::string_view name, std::string_view value, std::string_view allowed)
    : std::invalid_argument(std::string(name) + "='" + shown(value) +
                            "' is not allowed: it must be " + std::string(allowed)) {}

std::string Address::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

namespace settings {

std::chrono::milliseconds duration(const char* name, std::chrono::milliseconds fallback) {
  return time_span(name, fallback, 1);
}

std::chrono::milliseconds delay(const char* name, std::chrono::milliseconds fallback) {
  return time_span(name, fallback, 0);
}

int count(const char* name, int fallback) {
  return whole_number(name, fallback, 1, 1'000'000, "");
}

int percent(const char* name, int fallback) {
  return whole_number(name, fallback, 1, 100, " of per cent");
}

int workers(int fallback) {
  return whole_number("WORKERS", fallback, 1, 64, "");
}

Address address() {
  auto host = variable("HOST").value_or("127.0.0.1");
  if (host == "localhost") {
    host = "127.0.0.1";
  }
  if (!is_address(host)) {
    throw SettingError("HOST", host, "an IPv4 address, an IPv6 address or localhost");
  }
  return {host, static_cast<std::uint16_t>(whole_number("PORT", 8000, 0, 65'535, ""))};
}

std::string journal() {
  const auto path = variable("JOURNAL");
  if (!path) {
    return {};
  }
  // Non-blocking: without it a named pipe that nobody reads would be waited for.
  constexpr int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  UniqueFd file(::open(path->c_str(), flags, 0666));
  // A worker does not die of a reader that has gone since the master began.
  const bool reader_has_gone = errno == ENXIO && Handover::from_environment();
  if (!file && !reader_has_gone) {
    throw SettingError("JOURNAL", *path,
                       "the path of a file that can be written (a named pipe needs a reader)");
  }
  struct stat kind {};
  if (file && ::fstat(file.get(), &kind) == 0 && S_ISFIFO(kind.st_mode)) {
    // If it were closed before the journal opens it, its reader would take that for the end.
    static UniqueFd kept;
    kept = std::move(file);
  }
  return *path;
}

}  // namespace settings

}  // namespace cluster
