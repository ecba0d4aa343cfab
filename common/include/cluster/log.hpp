#pragma once

#include <chrono>
#include <concepts>
#include <string>
#include <string_view>

namespace cluster {

// The log of one process on standard output: a line for each event, as in
// `12:34:56.789 worker2[1240] text…`. Each line leaves in one write, so that lines of several
// processes do not mix. A write that fails is no error. Any thread may call it. A copy writes to
// the same output.
class Log {
 public:
  explicit Log(std::string name) : name_(std::move(name)) {}

  // Writes one line of strings, characters, whole numbers and durations (as whole milliseconds).
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
  template <typename Rep, typename Period>
  static void append(std::string& text, std::chrono::duration<Rep, Period> part) {
    text +=
        std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(part).count()) + " ms";
  }
  void write(std::string_view text) const;

  std::string name_;  // "master", "worker2"
};

// Writes one bare line to standard output, in one write.
void print_line(std::string_view line);

}  // namespace cluster
