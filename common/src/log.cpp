#include "cluster/log.hpp"

#include <unistd.h>

#include <array>
#include <ctime>

#include "log_line.hpp"

namespace cluster {

namespace {

std::string time_of_day() {
  using std::chrono::system_clock;
  const auto now = system_clock::now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  const std::time_t seconds = system_clock::to_time_t(now);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 16> text{};
  const auto length = std::strftime(text.data(), text.size(), "%H:%M:%S.", &local);
  std::string result(text.data(), length);
  const auto digits = std::to_string(ms);
  return result.append(3 - digits.size(), '0') + digits;
}

}  // namespace

void print_line(std::string_view line) {
  const std::string text = std::string(line) + '\n';
  [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

std::string log_line(const std::string& name, std::string_view text) {
  return time_of_day() + ' ' + name + '[' + std::to_string(::getpid()) + "] " + std::string(text);
}

void Log::write(std::string_view text) const {
  print_line(log_line(name_, text));
}

}  // namespace cluster
