#include "orphans.hpp"

#include <poll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "cluster/process.hpp"
#include "cluster/system.hpp"
#include "cluster/unique_fd.hpp"
#include "proc_file.hpp"

namespace cluster {

namespace {

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

std::vector<std::string> entries(const char* directory) {
  std::error_code error;
  std::vector<std::string> result;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    result.push_back(entry->path().filename());
  }
  return result;
}

// The parent's pid is the second field after the name, which may have spaces and parentheses.
pid_t parent_of(const std::string& pid) {
  const auto text = proc_file("/proc/" + pid + "/stat");
  std::istringstream rest(text.substr(std::min(text.rfind(')') + 1, text.size())));
  char state = '?';
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

std::vector<pid_t> children() {
  std::vector<pid_t> result;
  const auto own = std::to_string(::getpid());
  if (::access(("/proc/self/task/" + own + "/children").c_str(), F_OK) == 0) {
    for (const auto& thread : entries("/proc/self/task")) {
      std::istringstream list(proc_file("/proc/self/task/" + thread + "/children"));
      for (pid_t pid = 0; list >> pid;) result.push_back(pid);
    }
    return result;
  }
  for (const auto& entry : entries("/proc")) {  // a kernel without CONFIG_PROC_CHILDREN
    if (is_number(entry) && parent_of(entry) == ::getpid()) {
      result.push_back(std::stoi(entry));
    }
  }
  return result;
}

std::vector<pid_t> unowned() {
  auto result = has_children() ? children() : std::vector<pid_t>();
  std::erase_if(result, Process::owns);
  return result;
}

// Children from before: of a shell that has started them, and then became this program.
std::vector<pid_t>& elders() {
  static std::vector<pid_t> pids;
  return pids;
}

bool is_child(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

// Elders that are gone are forgotten, since another process may get the pid. The list of children
// does not tell who is gone: out of descriptors it is empty.
std::vector<pid_t> orphans() {
  std::erase_if(elders(), std::not_fn(is_child));
  auto result = unowned();
  std::erase_if(result,
                [](pid_t pid) { return std::ranges::find(elders(), pid) != elders().end(); });
  return result;
}

// Waits for a moment until the process has ended, and reaps it.
void await(pid_t pid) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd ended{pidfd.get(), POLLIN, 0};
  if (pidfd) {
    ::poll(&ended, 1, 50);
  }
  ::waitpid(pid, nullptr, WNOHANG);
}

}  // namespace

void adopt_orphans(bool adopt) {
  elders() = adopt ? unowned() : std::vector<pid_t>();
  check("prctl", ::prctl(PR_SET_CHILD_SUBREAPER, adopt ? 1 : 0));
}

void reap_orphans() {
  for (const pid_t pid : unowned()) {
    if (::waitpid(pid, nullptr, WNOHANG) == pid) {
      std::erase(elders(), pid);  // the pid may be given to another process now
    }
  }
}

void end_orphans() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  for (auto left = orphans(); !left.empty(); left = orphans()) {
    for (const pid_t pid : left) {
      ::kill(pid, SIGKILL);
    }
    for (const pid_t pid : left) {
      await(pid);
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return;
    }
  }
}

}  // namespace cluster
