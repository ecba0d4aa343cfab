#include "cluster/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>

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
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

class SpawnFiles {
 public:
  explicit SpawnFiles(const std::vector<int>& inherited) {
    check_spawn("posix_spawn_file_actions_init", ::posix_spawn_file_actions_init(&actions_));
    for (const int fd : inherited) {
      // A descriptor that is duplicated onto itself loses close-on-exec in the child (glibc 2.29).
      check_spawn("posix_spawn_file_actions_adddup2",
                  ::posix_spawn_file_actions_adddup2(&actions_, fd, fd));
    }
  }
  ~SpawnFiles() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnFiles(const SpawnFiles&) = delete;
  SpawnFiles& operator=(const SpawnFiles&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

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

bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  struct stat first {};
  struct stat second {};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
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
  pid_t pid = 0;
  check_spawn("posix_spawn",
              ::posix_spawn(&pid, program.c_str(), files.get(), attributes.get(),
                            pointers(arguments).data(), pointers(environment).data()));
  UniqueFd pidfd(
      static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // close-on-exec without a flag
  if (!pidfd) {
    const int error = errno;
    ::kill(pid, SIGKILL);  // the child was not reaped, so the pid is still its own
    ::waitpid(pid, nullptr, 0);
    throw std::system_error(error, std::generic_category(), "pidfd_open");
  }
  return {pid, std::move(pidfd)};
}

Process::~Process() {
  if (pidfd_) {
    signal(SIGKILL);
    siginfo_t info{};
    while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) < 0 &&
           errno == EINTR) {
    }
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
  pidfd_.reset();
  ExitStatus status;
  (info.si_code == CLD_EXITED ? status.code : status.signal) = info.si_status;
  return status;
}

std::filesystem::path own_program() {
  const std::filesystem::path self = "/proc/self/exe";
  const std::filesystem::path called = program_invocation_name;
  if (called.has_parent_path() && same_file(called, self)) {
    return std::filesystem::absolute(called);
  }
  return std::filesystem::read_symlink(self);
}

std::size_t resident_bytes(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace cluster
