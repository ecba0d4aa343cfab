#pragma once

// Example:
//
//   struct Settings {
//     cluster::Address address = cluster::settings::address();
//     int workers = cluster::settings::workers(4);
//     std::chrono::milliseconds timeout =
//         cluster::settings::duration("TIMEOUT_MS", std::chrono::seconds(10));
//   };
//   const Settings settings;  // WORKERS=0: throws a SettingError that says what is allowed

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cluster {

// A setting that is refused. what() is one line: the variable, its value and what is allowed.
class SettingError : public std::invalid_argument {
 public:
  SettingError(std::string_view name, std::string_view value, std::string_view allowed);
};

// The address that a program listens on: an IPv4 or IPv6 address as text, and a port. Port 0 is any
// free port. "localhost" was replaced by 127.0.0.1.
struct Address {
  std::string host;
  std::uint16_t port = 0;

  std::string text() const;  // "127.0.0.1:8000", "[::1]:8000"
};

// Reads the environment into typed values. Each function returns the fallback when the variable is
// unset, and throws SettingError when its value is not allowed (the empty string never is). Call
// them before other threads are started: getenv is not safe beside setenv.
namespace settings {

std::chrono::milliseconds duration(const char* name,
                                   std::chrono::milliseconds fallback);  // 1 … 3,600,000 ms
std::chrono::milliseconds delay(const char* name,
                                std::chrono::milliseconds fallback);  // 0 … 3,600,000 ms
int count(const char* name, int fallback);                            // 1 … 1,000,000
int percent(const char* name, int fallback);                          // 1 … 100
int workers(int fallback);                                            // WORKERS, 1 … 64
Address address();      // HOST (127.0.0.1) and PORT (8000; 0 … 65535)
std::string journal();  // JOURNAL, a file that can be written; empty when unset

}  // namespace settings

}  // namespace cluster
