#pragma once

// Example:
//
//   const cluster::Journal journal("/tmp/journal", 2);  // of worker 2
//   if (journal) journal.write("promoted", {{"peer", 3}});

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "cluster/json.hpp"
#include "cluster/unique_fd.hpp"

namespace cluster {

// The machine-readable record of the events of a process. Each event is one line, a JSON object,
// and is appended to a file in one write. The Journal owns the open file. Any thread may call it.
// The file may be a named pipe. Nobody waits for its reader: what it does not take at once is
// dropped, as is a line over 4,096 bytes; when lines are taken again, an event `dropped` comes
// first, with the number of `lines`.
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
  bool put(std::string_view event, Json fields) const;

  UniqueFd file_;
  bool regular_ = true;  // a file that keeps what is written; else a pipe or a device
  int worker_ = 0;
  struct Lost {
    std::atomic<std::uint64_t> lines = 0;  // dropped since the last one that was written
    std::mutex mutex;                      // held while a line is written; guards `torn`
    bool torn = false;                     // the last line was written in part: the disk was full
  };
  std::unique_ptr<Lost> lost_;
};

}  // namespace cluster
