#pragma once

// Helpers for all tests. A test waits for a condition, with a deadline that only a fault reaches;
// no test sleeps for a guessed time.

#include <sys/resource.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/channel.hpp"
#include "cluster/event_loop.hpp"
#include "cluster/process.hpp"
#include "cluster/unique_fd.hpp"

namespace cluster::test {

using namespace std::chrono_literals;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr std::chrono::seconds patience{
    20};  // for all that surely happens soon, on however busy a machine

// Waits until the condition holds or the time is over; returns whether it holds.
bool eventually(const std::function<bool()>& condition,
                std::chrono::nanoseconds timeout = patience);

void burn(std::chrono::nanoseconds duration);  // keeps a processor busy for so long

std::set<int> descriptors();  // of this process
inline std::size_t open_descriptors() {
  return descriptors().size();
}
std::size_t threads();  // of this process
bool is_close_on_exec(int fd);
bool is_stopped(pid_t pid);  // by SIGSTOP
bool is_asleep(pid_t thread);
bool wait_gone(const UniqueFd& pidfd, std::chrono::milliseconds timeout);
UniqueFd open_pidfd(pid_t pid);  // the process need not be a child of this one

std::string read_available(int fd);              // all bytes that have arrived; does not wait
void write_all(int fd, std::string_view bytes);  // waits while the other end is full
std::string frame(std::string_view text);        // as a channel sends it
std::vector<std::string> lines_of(const std::string& text);
std::vector<Json> journal_lines(const std::string& path);  // each line parsed

// A directory. The destructor removes it with its content.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

// An environment variable. The destructor restores its former value.
class Variable {
 public:
  Variable(const char* name, const char* value);  // nullptr: unset
  ~Variable();
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  std::string name_;
  std::optional<std::string> before_;
};

// Standard output of this process and of its workers, caught in memory. If the test has failed, the
// destructor shows it after all.
class CaughtOutput {
 public:
  CaughtOutput();
  ~CaughtOutput();
  CaughtOutput(const CaughtOutput&) = delete;
  CaughtOutput& operator=(const CaughtOutput&) = delete;
  std::string text() const;

 private:
  UniqueFd file_;
  UniqueFd before_;
};

// The signal mask of this thread, and the dispositions that a Master changes. The destructor
// restores them.
class SignalMask {
 public:
  SignalMask();
  ~SignalMask();
  SignalMask(const SignalMask&) = delete;
  SignalMask& operator=(const SignalMask&) = delete;

 private:
  sigset_t before_{};
  std::map<int, struct sigaction> dispositions_;
};

// As long as this object lives, the process gets no further descriptor.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors();
  ~NoMoreDescriptors();
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;

 private:
  rlimit before_{};
  std::vector<UniqueFd> fillers_;
};

// Handlers wait here until the test opens it.
class Gate {
 public:
  ~Gate() { open(); }
  void pass() {
    std::unique_lock lock(mutex_);
    ++inside;
    opened_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  std::atomic<int> inside{0};

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

// A shell script; it is run by path like any program.
class Script {
 public:
  explicit Script(const std::string& text);
  const std::string& path() const { return path_; }
  Process run(const std::vector<std::string>& variables = {},
              const std::vector<int>& inherited = {}) const {
    return Process::spawn(path_, variables, inherited);
  }

 private:
  TempDir dir_;
  std::string path_;
};

// A process of this test program in one of the roles of roles.cpp, and a channel to it. `program`
// may be a script that runs this test program in the end.
class Helper {
 public:
  Helper(EventLoop& loop, const std::string& role, std::vector<std::string> variables = {},
         const std::string& program = own_program());
  Process process;
  std::vector<Json> messages;  // that it has sent
  bool closed = false;         // its channel

 private:
  Helper(EventLoop& loop, const std::string& role, std::vector<std::string> variables,
         const std::string& program, std::pair<UniqueFd, UniqueFd> ends);
  Channel channel_;
};

int run_worker_role();                         // of a process that a Master started
int run_helper_role(const std::string& role);  // of a Helper

}  // namespace cluster::test
