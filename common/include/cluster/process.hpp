#pragma once

// Example:
//
//   auto child = cluster::Process::spawn("/usr/bin/env", {"COLOUR=green"}, {});
//   child.signal(SIGTERM);
//   while (!child.try_reap()) std::this_thread::yield();
//   std::cout << cluster::resident_bytes(::getpid()) << " bytes of memory" << std::endl;

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
  // `variables` (each "NAME=value") are added to it or replace others of the same name. It has the
  // descriptors 0 to 2 of this process, the `inherited` ones as 3, 4 and so on, and no other. It
  // has an empty signal mask, and ignores the signals that this process ignores (SIGPIPE apart);
  // all others have their default. Throws std::system_error when the program cannot be executed;
  // the text names it.
  static constexpr int first_inherited = 3;
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

  static bool owns(pid_t pid);  // whether it is a child with a Process, and not reaped; any thread

 private:
  Process(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  void reaped();

  pid_t pid_;
  UniqueFd pidfd_;  // empty once reaped
};

// The absolute path by which this program was started, as it was typed or found by PATH: links in
// it, and in the path of a shell's working directory, stay links. If another file is put there
// later (or behind such a link), that file runs next.
std::filesystem::path own_program();

// The resident set of a process in bytes, never 0, from /proc/<pid>/statm. Throws std::system_error
// when there is no such process. For the process itself the file stays open from the first call on
// (a Worker makes it), so that it works without a free descriptor.
std::size_t resident_bytes(pid_t pid);

}  // namespace cluster
