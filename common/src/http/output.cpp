#include "http/output.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <utility>

namespace cluster {

namespace {

// Hands over what the kernel takes; false: the client is gone.
bool send_some(int fd, std::string_view& text, bool& full, int flags = 0) {
  while (!text.empty() && !full) {
    const auto sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT | flags);
    if (sent >= 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      full = true;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

Output::Result Output::write(int fd, std::string_view text, bool last) {
  const auto result = send_first(fd, text, last ? MSG_MORE : 0);
  if (result == Result::full) {
    bytes_ += text;
  }
  return result;
}

Output::Result Output::write(int fd, std::string&& text) {
  if (!empty()) {
    return write(fd, std::string_view(text));
  }
  std::string_view left = text;
  const auto result = send_first(fd, left);
  if (result == Result::full) {
    sent_ = text.size() - left.size();
    bytes_ = std::move(text);
  }
  return result;
}

// Leaves in `text` what the kernel does not take, or what must not overtake what waits.
Output::Result Output::send_first(int fd, std::string_view& text, int flags) {
  written_ += text.size();
  if (!empty()) {
    return Result::full;
  }
  bool full = false;
  if (!send_some(fd, text, full, flags)) {
    return Result::failed;
  }
  if (!full) {
    return Result::empty;
  }
  since_ = Clock::now();
  return Result::full;
}

void Output::drop() {
  written_ -= size();
  clear();
}

// With its memory.
void Output::clear() {
  bytes_.clear();
  bytes_.shrink_to_fit();
  sent_ = 0;
}

Output::Result Output::flush(int fd, std::size_t at_most) {
  bool full = false;
  auto part = std::string_view(bytes_).substr(sent_, at_most);
  const auto before = part.size();
  if (!send_some(fd, part, full)) {
    return Result::failed;
  }
  sent_ += before - part.size();
  if (empty()) {
    clear();
    return Result::empty;
  }
  if (sent_ >= bytes_.size() / 2) {
    bytes_ = bytes_.substr(sent_);
    sent_ = 0;
  }
  return full ? Result::full : Result::more;
}

Output::Clock::duration Output::stuck_for(int fd, Clock::time_point now) {
  if (empty()) {
    return {};
  }
  int in_kernel = 0;  // not acknowledged
  ::ioctl(fd, SIOCOUTQ, &in_kernel);
  const auto waiting = size() + static_cast<std::size_t>(std::max(in_kernel, 0));
  const auto taken = written_ - std::min(written_, waiting);
  if (taken > taken_) {
    taken_ = taken;
    since_ = now;
  }
  return now - since_;
}

}  // namespace cluster
