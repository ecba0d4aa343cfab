#include "support.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "cluster/system.hpp"

namespace cluster::test {

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

bool eventually(const std::function<bool()>& condition, std::chrono::nanoseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (!condition()) {
    if (Clock::now() > deadline) return condition();
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

void burn(std::chrono::nanoseconds duration) {
  const auto end = Clock::now() + duration;
  while (Clock::now() < end) {
  }
}

std::set<int> descriptors() {
  std::set<int> result;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    if (::fcntl(fd, F_GETFD) >= 0) result.insert(fd);
  }
  // The descriptor of the iteration itself was among them, and is closed now.
  std::erase_if(result, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; });
  return result;
}

std::size_t threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

bool is_close_on_exec(int fd) {
  return (check("fcntl", ::fcntl(fd, F_GETFD)) & FD_CLOEXEC) != 0;
}

namespace {

char state_of(pid_t thread) {
  const auto text = content_of("/proc/" + std::to_string(thread) + "/stat");
  const auto name_end = text.rfind(") ");
  return name_end != std::string::npos ? text[name_end + 2] : '?';
}

}  // namespace

bool is_stopped(pid_t pid) {
  return state_of(pid) == 'T';
}

bool is_asleep(pid_t thread) {
  return state_of(thread) == 'S';
}

UniqueFd open_pidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(check("pidfd_open", ::syscall(SYS_pidfd_open, pid, 0))));
}

bool wait_gone(const UniqueFd& pidfd, std::chrono::milliseconds timeout) {
  pollfd ended{pidfd.get(), POLLIN, 0};
  return check("poll", ::poll(&ended, 1, static_cast<int>(timeout.count()))) == 1;
}

std::string read_available(int fd) {
  std::string result;
  std::array<char, 1 << 16> buffer{};
  for (ssize_t got = 0; (got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;) {
    result.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return result;
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      pollfd writable{fd, POLLOUT, 0};
      check("poll", ::poll(&writable, 1, 1000));
      if (errno != EAGAIN) check("write", written);
      continue;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string frame(std::string_view text) {
  std::string result;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    result += static_cast<char>((text.size() >> shift) & 0xFFU);
  }
  return result.append(text);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string line; std::getline(stream, line);) result.push_back(line);
  return result;
}

std::vector<Json> journal_lines(const std::string& path) {
  std::vector<Json> result;
  for (const auto& line : lines_of(content_of(path))) result.push_back(Json::parse(line));
  return result;
}

TempDir::TempDir() {
  std::string name = "/tmp/gtest-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) check("mkdtemp", -1);
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Variable::Variable(const char* name, const char* value) : name_(name) {
  if (const char* before = std::getenv(name)) before_ = before;
  value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
}

Variable::~Variable() {
  before_ ? ::setenv(name_.c_str(), before_->c_str(), 1) : ::unsetenv(name_.c_str());
}

CaughtOutput::CaughtOutput()
    : file_(check("memfd_create", ::memfd_create("output", MFD_CLOEXEC))),
      before_(check("fcntl", ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3))) {
  std::fflush(stdout);
  // Opened anew, for appending: several processes write to the file.
  const UniqueFd appending(
      check("open", ::open(("/proc/self/fd/" + std::to_string(file_.get())).c_str(),
                           O_WRONLY | O_APPEND | O_CLOEXEC)));
  check("dup2", ::dup2(appending.get(), STDOUT_FILENO));
}

CaughtOutput::~CaughtOutput() {
  std::fflush(stdout);
  ::dup2(before_.get(), STDOUT_FILENO);
  if (testing::Test::HasFailure()) {
    std::fputs(text().c_str(), stdout);
    std::fflush(stdout);
  }
}

std::string CaughtOutput::text() const {
  std::string result;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::pread(file_.get(), buffer.data(), buffer.size(),
                                       static_cast<off_t>(result.size()))) > 0;) {
    result.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return result;
}

NoMoreDescriptors::NoMoreDescriptors() {
  check("getrlimit", ::getrlimit(RLIMIT_NOFILE, &before_));
  const rlimit low{static_cast<rlim_t>(*descriptors().rbegin()) + 1, before_.rlim_max};
  check("setrlimit", ::setrlimit(RLIMIT_NOFILE, &low));
  for (int fd = 0; (fd = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0;)
    fillers_.emplace_back(fd);
}

NoMoreDescriptors::~NoMoreDescriptors() {
  ::setrlimit(RLIMIT_NOFILE, &before_);
}

SignalMask::SignalMask() {
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before_);
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD}) {
    ::sigaction(signal, nullptr, &dispositions_[signal]);
  }
}

SignalMask::~SignalMask() {
  for (const auto& [signal, disposition] : dispositions_) {
    ::sigaction(signal, &disposition, nullptr);
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

Script::Script(const std::string& text) : path_(dir_ / "script") {
  std::ofstream(path_) << "#!/bin/sh\n" << text << '\n';
  std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
}

Helper::Helper(EventLoop& loop, const std::string& role, std::vector<std::string> variables,
               const std::string& program)
    : Helper(loop, role, std::move(variables), program, Channel::make_pair()) {}

Helper::Helper(EventLoop& loop, const std::string& role, std::vector<std::string> variables,
               const std::string& program, std::pair<UniqueFd, UniqueFd> ends)
    : process([&] {
        variables.push_back("TEST_HELPER=" + role);
        return Process::spawn(program, variables, {ends.second.get()});
      }()),
      channel_(
          loop, std::move(ends.first), "channel to a helper",
          [this](Json message, std::size_t) { messages.push_back(std::move(message)); },
          [this](const std::string&) { closed = true; }) {}

}  // namespace cluster::test
