#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace cluster {

// What a connection still has to send, and whether its client takes it. Guarded by the connection's
// mutex; the descriptor is not owned.
class Output {
 public:
  using Clock = std::chrono::steady_clock;

  enum class Result {
    empty,   // all was handed to the kernel
    full,    // the kernel takes no more now
    more,    // it may take more, but others wait
    failed,  // the client is gone
  };

  std::size_t size() const { return bytes_.size() - sent_; }
  bool empty() const { return size() == 0; }

  // Hands `text` to the kernel; what it does not take stays here, behind what was here before.
  // `last`: the caller shuts the connection at once, so that the text and its end leave together.
  Result write(int fd, std::string_view text, bool last = false);
  Result write(int fd, std::string&& text);  // without a copy, if there is nothing before it
  // Forgets what is here. What the kernel has still counts for stuck_for().
  void drop();
  // Hands over what is here, but at most about `at_most` bytes.
  Result flush(int fd, std::size_t at_most);

  // How long the client has taken nothing, although there was something; to be called now and then.
  // Bytes count as taken when the client's system has acknowledged them.
  Clock::duration stuck_for(int fd, Clock::time_point now);
  // So much of that time, until `now`, the whole process was stopped.
  void forgive(Clock::duration stopped, Clock::time_point now) {
    if (since_ <= now - stopped) {
      since_ += stopped;
    }
  }

 private:
  Result send_first(int fd, std::string_view& text, int flags = 0);
  void clear();

  std::string bytes_;
  std::size_t sent_ = 0;       // of bytes_
  std::size_t written_ = 0;    // in all
  std::size_t taken_ = 0;      // of those, when somebody last looked
  Clock::time_point since_{};  // when that was less
};

}  // namespace cluster
