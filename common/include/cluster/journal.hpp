#pragma once

#include <string>
#include <string_view>

#include "cluster/json.hpp"
#include "cluster/unique_fd.hpp"

namespace cluster {

// The machine-readable record of the events of a process. Each event is one line, a JSON object,
// and is appended to a file in one write. The Journal owns the open file. Any thread may call it.
// While it is off, it costs one branch:
//   if (journal) journal.write("spawn", {{"peer", slot}, {"child", pid}});
class Journal {
 public:
  Journal() = default;  // off
  // Worker 0 is the master. An empty path means off. Throws std::system_error if the file cannot be
  // opened.
  Journal(const std::string& path, int worker);

  explicit operator bool() const { return static_cast<bool>(file_); }

  // Adds `t` (CLOCK_MONOTONIC, seconds), `role`, `worker`, `pid` and `event` to the fields.
  void write(std::string_view event, Json fields = Json::object()) const;

 private:
  UniqueFd file_;
  int worker_ = 0;
};

}  // namespace cluster
