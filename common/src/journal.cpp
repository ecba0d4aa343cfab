#include "cluster/journal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <ctime>

#include "cluster/system.hpp"

namespace cluster {

Journal::Journal(const std::string& path, int worker) : worker_(worker) {
  if (!path.empty()) {
    file_.reset(
        check("open", ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)));
  }
}

void Journal::write(std::string_view event, Json fields) const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  fields["t"] = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  fields["role"] = worker_ == 0 ? "master" : "worker";
  fields["worker"] = worker_;
  fields["pid"] = ::getpid();
  fields["event"] = event;
  const std::string line = to_text(fields) + '\n';
  [[maybe_unused]] const auto written = ::write(file_.get(), line.data(), line.size());
}

}  // namespace cluster
