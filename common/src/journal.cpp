#include "cluster/journal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>
#include <utility>

#include "cluster/system.hpp"
#include "line_output.hpp"

namespace cluster {

namespace {

// Non-blocking, for a named pipe; a file does not mind.
UniqueFd open_for_appending(const std::string& path) {
  constexpr int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  UniqueFd file(::open(path.c_str(), O_WRONLY | flags, 0666));
  if (!file && errno == ENXIO) {
    // A named pipe whose reader has gone since the master began. Opened for both ways it waits
    // until somebody reads again.
    file.reset(::open(path.c_str(), O_RDWR | flags, 0666));
  }
  check("open", file.get());
  return file;
}

}  // namespace

Journal::Journal(const std::string& path, int worker) : worker_(worker) {
  if (!path.empty()) {
    file_ = open_for_appending(path);
    regular_ = is_regular_file(file_.get());
    lost_ = std::make_unique<Lost>();
  }
}

void Journal::write(std::string_view event, Json fields) const {
  if (!file_) {
    return;
  }
  const auto dropped = lost_->lines.exchange(0);
  const bool room = dropped == 0 || put("dropped", {{"lines", dropped}});
  if (!room || !put(event, std::move(fields))) {
    lost_->lines += (room ? 0 : dropped) + 1;
  }
}

bool Journal::put(std::string_view event, Json fields) const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  fields["t"] = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  fields["role"] = worker_ == 0 ? "master" : "worker";
  fields["worker"] = worker_;
  fields["pid"] = ::getpid();
  fields["event"] = event;
  std::string line = to_text(fields) + '\n';
  if (!regular_ && line.size() > PIPE_BUF) {
    return false;  // a pipe may take a part of it
  }
  const std::lock_guard lock(lost_->mutex);
  if (lost_->torn) {
    line.insert(0, 1, '\n');
  }
  const auto taken = ::write(file_.get(), line.data(), line.size());
  const bool whole = taken == static_cast<ssize_t>(line.size());
  lost_->torn = !whole && (lost_->torn || taken > 0);
  return whole;
}

}  // namespace cluster
