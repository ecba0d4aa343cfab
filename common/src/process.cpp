#include "cluster/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <set>

#include "cluster/system.hpp"

namespace cluster {

namespace {

// posix_spawn's functions return the error instead of setting errno.
void check_spawn(const char* call, int error) {
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), call);
  }
}

class SpawnAttributes {
 public:
  SpawnAttributes() {
    check_spawn("posix_spawnattr_init", ::posix_spawnattr_init(&attributes_));
    sigset_t none;
    sigset_t pipe;
    ::sigemptyset(&none);
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &pipe);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

// The child's descriptors: 0 to 2 stay as they are, the inherited ones come next, and all others
// are closed, those of standard streams too, which are not close-on-exec.
class SpawnFiles {
 public:
  explicit SpawnFiles(const std::vector<int>& inherited) {
    const int end = Process::first_inherited + static_cast<int>(inherited.size());
    for (const int fd : inherited) {  // copies, out of the way of the numbers to be filled
      copies_.emplace_back(check("fcntl", ::fcntl(fd, F_DUPFD_CLOEXEC, end)));
    }
    check_spawn("posix_spawn_file_actions_init", ::posix_spawn_file_actions_init(&actions_));
    int number = Process::first_inherited;
    for (const auto& copy : copies_) {
      check_spawn("posix_spawn_file_actions_adddup2",
                  ::posix_spawn_file_actions_adddup2(&actions_, copy.get(), number++));
    }
    check_spawn("posix_spawn_file_actions_addclosefrom_np",
                ::posix_spawn_file_actions_addclosefrom_np(&actions_, end));
  }
  ~SpawnFiles() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnFiles(const SpawnFiles&) = delete;
  SpawnFiles& operator=(const SpawnFiles&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  std::vector<UniqueFd> copies_;
  posix_spawn_file_actions_t actions_{};
};

// The children that have a Process. It is never destroyed: threads may live to the very end.
struct Owned {
  std::mutex mutex;
  std::set<pid_t> pids;  // guarded by mutex
};

Owned& owned() {
  static auto& result = *new Owned;
  return result;
}

std::string name_of(const std::string& variable) {
  return variable.substr(0, variable.find('=') + 1);
}

std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
  std::vector<std::string> result = variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string inherited = *entry;
    bool replaced = false;
    for (const auto& variable : variables) {
      replaced = replaced || inherited.starts_with(name_of(variable));
    }
    if (!replaced) {
      result.push_back(inherited);
    }
  }
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (auto& text : strings) {
    result.push_back(text.data());
  }
  result.push_back(nullptr);
  return result;
}

}  // namespace

std::string ExitStatus::text() const {
  if (signal) {
    return "signal " + std::to_string(*signal) + " (" + ::strsignal(*signal) + ")";
  }
  return "exit code " + std::to_string(code.value_or(-1));
}

Process Process::spawn(const std::filesystem::path& program,
                       const std::vector<std::string>& variables,
                       const std::vector<int>& inherited) {
  const SpawnAttributes attributes;
  const SpawnFiles files(inherited);
  std::vector<std::string> arguments{program.string()};
  std::vector<std::string> environment = environment_with(variables);
  const std::lock_guard lock(owned().mutex);  // who asks now waits until the pid is noted
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, program.c_str(), files.get(), attributes.get(),
                                    pointers(arguments).data(), pointers(environment).data());
  check_spawn(("posix_spawn " + program.string()).c_str(), failure);
  UniqueFd pidfd(
      static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // close-on-exec without a flag
  if (!pidfd) {
    const int error = errno;
    ::kill(pid, SIGKILL);  // the child was not reaped, so the pid is still its own
    ::waitpid(pid, nullptr, 0);
    throw std::system_error(error, std::generic_category(), "pidfd_open");
  }
  owned().pids.insert(pid);
  return {pid, std::move(pidfd)};
}

bool Process::owns(pid_t pid) {
  const std::lock_guard lock(owned().mutex);
  return owned().pids.contains(pid);
}

void Process::reaped() {
  pidfd_.reset();
  const std::lock_guard lock(owned().mutex);
  owned().pids.erase(pid_);
}

Process::~Process() {
  if (pidfd_) {
    signal(SIGKILL);
    siginfo_t info{};
    while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) < 0 &&
           errno == EINTR) {
    }
    reaped();
  }
}

bool Process::signal(int number) const {
  return pidfd_ && ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0;
}

std::optional<ExitStatus> Process::try_reap() {
  siginfo_t info{};
  if (!pidfd_ || ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) < 0 ||
      info.si_pid == 0) {
    return std::nullopt;
  }
  reaped();
  ExitStatus status;
  (info.si_code == CLD_EXITED ? status.code : status.signal) = info.si_status;
  return status;
}

}  // namespace cluster
