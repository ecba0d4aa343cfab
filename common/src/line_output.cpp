#include "line_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "cluster/unique_fd.hpp"
#include "log_line.hpp"

namespace cluster {

namespace {

static_assert(LineOutput::longest_line <= PIPE_BUF);

// For terminals, named pipes, and the pipes of kernels before 6.5.
ssize_t write_by_own_opening(int fd, std::string_view bytes) {
  const auto path = "/proc/self/fd/" + std::to_string(fd);
  const UniqueFd own(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (own) {
    return ::write(own.get(), bytes.data(), bytes.size());
  }
  // Another user's pipe, or no descriptor is left. A process that fills the pipe between these two
  // calls makes this one wait; there is no better way.
  pollfd writable{fd, POLLOUT, 0};
  if (::poll(&writable, 1, 0) != 1) {
    errno = EAGAIN;
    return -1;
  }
  return ::write(fd, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
}

ssize_t write_some(int fd, std::string_view bytes) {
  if (is_regular_file(fd)) {
    return ::write(fd, bytes.data(), bytes.size());  // it has no reader to wait for
  }
  // NOLINTNEXTLINE(*-const-cast): iovec serves reading, too
  const iovec all{const_cast<char*>(bytes.data()), bytes.size()};
  const auto written = ::pwritev2(fd, &all, 1, -1, RWF_NOWAIT);
  const bool supported = written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS);
  return supported ? written : write_by_own_opening(fd, bytes);
}

constexpr const char* lost = " lines were dropped here: nobody read this output";

// The line as it goes out, with its end.
std::string shortened(std::string_view line) {
  if (line.size() < LineOutput::longest_line) {
    return std::string(line) + '\n';
  }
  constexpr std::string_view end = "…\n";
  std::size_t length = LineOutput::longest_line - end.size();
  while (length > 0 && (static_cast<unsigned char>(line[length]) & 0xC0U) == 0x80U) {
    --length;  // not within a character
  }
  return std::string(line.substr(0, length)).append(end);
}

}  // namespace

bool is_regular_file(int fd) {
  struct stat file {};
  return ::fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
}

std::size_t write_without_waiting(int fd, std::string_view bytes) {
  ssize_t written = 0;
  do {
    written = write_some(fd, bytes);
  } while (written < 0 && errno == EINTR);
  return static_cast<std::size_t>(std::max<ssize_t>(written, 0));
}

void LineOutput::write(std::string_view text, std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (!name.empty()) {
    name_ = name;
  }
  while (!text.empty()) {
    // As many lines as leave in one write.
    std::string piece;
    std::uint64_t lines = 0;
    while (!text.empty()) {
      const auto line = shortened(text.substr(0, text.find('\n')));
      if (piece.size() + line.size() > longest_line) {
        break;
      }
      piece += line;
      ++lines;
      text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    }
    if (dropped_ > 0 && put(log_line(name_, std::to_string(dropped_) + lost) + '\n')) {
      dropped_ = 0;
    }
    dropped_ += dropped_ == 0 && put(piece) ? 0 : lines;
  }
}

bool LineOutput::put(const std::string& piece) {
  const std::string whole = (torn_ ? "\n" : "") + piece;
  const auto taken = write_without_waiting(fd_, whole);
  if (taken > 0) {
    torn_ = taken < whole.size();
  }
  const bool failed = taken == 0 && errno != EAGAIN;  // a reader that has gone loses nothing
  return taken == whole.size() || failed;
}

}  // namespace cluster
