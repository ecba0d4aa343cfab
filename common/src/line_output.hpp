#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace cluster {

// Others have a reader, who may be slow or gone. Any thread.
bool is_regular_file(int fd);

// Writes the bytes that are taken at once; returns how many. A pipe takes up to PIPE_BUF bytes
// whole or not at all. The flags of the descriptor stay as they are, because other programs may
// share it, as they do a terminal. Any thread.
std::size_t write_without_waiting(int fd, std::string_view bytes);

// Lines on a descriptor that somebody else reads, perhaps slowly or not at all. A line that its
// reader does not take at once is dropped and counted. When the reader reads again, a notice comes
// before the next line. Any thread may call it. It does not own the descriptor.
class LineOutput {
 public:
  // Of a longer line the rest is left out, so that lines of several processes never mix in a pipe.
  static constexpr std::size_t longest_line = 4096;

  explicit LineOutput(int fd) : fd_(fd) {}

  // Writes one line or more; the end of the last one is added. `name` stands in the notice from now
  // on.
  void write(std::string_view text, std::string_view name = {});

 private:
  bool put(const std::string& piece);

  int fd_;
  std::mutex mutex_;  // guards all that follows
  std::string name_ = "master";
  std::uint64_t dropped_ = 0;
  bool torn_ = false;  // the last line went out in part
};

}  // namespace cluster
