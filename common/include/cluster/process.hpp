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

// A child process: the pid and a descriptor that stands for it (pidfd), by which it is signalled,
// so that no signal ever reaches a stranger that was given the same pid. One thread at a time. A
// child that was not reaped when its Process goes is killed and reaped.
class Process {
 public:
  // Runs `program` with its path as only argument. The environment is this process's own, with
  // `variables`
  // ("NAME=value") added or put in place of others; `inherited` descriptors keep their numbers, all
  // others that are close-on-exec are closed. Signal mask and dispositions are reset in the child.
  // Throws std::system_error when the program cannot be executed.
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

// The path by which this program was started, absolute, so that a file put in its place (or behind
// a link in it) later is what runs next.
std::filesystem::path own_program();

// The resident set of a process in bytes, from /proc/<pid>/statm; 0 when there is no such process.
std::size_t resident_bytes(pid_t pid);

}  // namespace cluster
