#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cluster/unique_fd.hpp"

namespace cluster {

// How a process ended: by returning a code, or by a signal.
struct ExitStatus {
  std::optional<int> code;
  std::optional<int> signal;

  std::string text() const;  // "exit code 1", "signal 9 (Killed)"
};

// A child process: its pid, and a descriptor that stands for it (pidfd). Signals go by way of the
// pidfd, so that no signal reaches another process that was given the same pid. The Process owns
// the child: its destructor kills and reaps a child that was not reaped. One thread at a time.
class Process {
 public:
  // Runs `program` with its path as only argument. The child has the environment of this process;
  // `variables` (each "NAME=value") are added to it or replace others of the same name. `inherited`
  // descriptors keep their numbers; other descriptors are closed if they are close-on-exec. The
  // child has an empty signal mask and default dispositions. Throws std::system_error when the
  // program cannot be executed.
  static Process spawn(const std::filesystem::path& program,
                       const std::vector<std::string>& variables,
                       const std::vector<int>& inherited);

  Process(Process&&) = default;
  Process& operator=(Process&&) = delete;
  ~Process();

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable once the process has ended
  bool signal(int number) const;              // false when it has ended
  std::optional<ExitStatus> try_reap();       // the status once it has ended; does not wait

 private:
  Process(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_;
  UniqueFd pidfd_;  // empty once reaped
};

// The absolute path by which this program was started. If another file is put there later (or
// behind a link in the path), that file runs next.
std::filesystem::path own_program();

// The resident set of a process in bytes, from /proc/<pid>/statm; 0 when there is no such process.
std::size_t resident_bytes(pid_t pid);

}  // namespace cluster
