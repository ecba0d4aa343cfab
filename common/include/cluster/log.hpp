#pragma once

// Example:
//
//   const cluster::Log log("worker2");
//   log("drained in ", std::chrono::milliseconds(12), ", ", 3, " requests, load ", 0.7);
//   cluster::print_line("a bare line, without time, role and pid");

#include <array>
#include <charconv>
#include <chrono>
#include <concepts>
#include <string>
#include <string_view>

namespace cluster {

// The log of one process on standard output: a line for each event, as in
// `12:34:56.789 worker2[1240] text…`. Each line leaves in one write of at most 4,096 bytes (the
// rest is left out), so that lines of several processes do not mix. What must not stand in a line
// is escaped, as in `\n` and `\x1b`: line ends, control characters, bytes that are not UTF-8.
//
// Nobody waits for the reader. A line that the output does not take at once is dropped; when lines
// are taken again, a line comes first that says how many were dropped. A write that fails is no
// error. Any thread may call it. A copy writes to the same output.
class Log {
 public:
  explicit Log(std::string name) : name_(std::move(name)) {}

  // Writes one line of strings, characters, numbers and durations (as whole milliseconds).
  template <typename... Parts>
  void operator()(const Parts&... parts) const {
    std::string text;
    (append(text, parts), ...);
    write(text);
  }

 private:
  static void append(std::string& text, std::string_view part) { text += part; }
  static void append(std::string& text, char part) { text += part; }
  static void append(std::string& text, std::integral auto part) { text += std::to_string(part); }
  static void append(std::string& text, std::floating_point auto part) {
    std::array<char, 32> digits{};
    text.append(digits.data(), std::to_chars(digits.begin(), digits.end(), double{part}).ptr);
  }
  template <typename Rep, typename Period>
  static void append(std::string& text, std::chrono::duration<Rep, Period> part) {
    text +=
        std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(part).count()) + " ms";
  }
  void write(std::string_view text) const;

  std::string name_;  // "master", "worker2"
};

// Writes one bare line, or several, to the same output in the same way, but without the prefix.
// Lines that fit into one write stay together.
void print_line(std::string_view line);

}  // namespace cluster
