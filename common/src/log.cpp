#include "cluster/log.hpp"

#include <unistd.h>

#include <array>
#include <ctime>

#include "escape.hpp"
#include "line_output.hpp"
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

// A process has one standard output, and so one count of the lines that it has lost. It is never
// destroyed: threads may log to the very end.
LineOutput& standard_output() {
  static auto& output = *new LineOutput(STDOUT_FILENO);
  return output;
}

}  // namespace

void print_line(std::string_view line) {
  std::string text;
  for (bool more = true; more;) {
    const auto end = line.find('\n');
    more = end != std::string_view::npos;
    text += escaped(line.substr(0, end)) + '\n';
    line.remove_prefix(more ? end + 1 : line.size());
  }
  standard_output().write(text);
}

std::string log_line(std::string_view name, std::string_view text) {
  return time_of_day().append(1, ' ').append(name) + '[' + std::to_string(::getpid()) + "] " +
         escaped(text);
}

void Log::write(std::string_view text) const {
  standard_output().write(log_line(name_, text), name_);
}

}  // namespace cluster
