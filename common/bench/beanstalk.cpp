// The client's side of a pool with beanstalkd: one process puts tasks, and 4 processes reserve and
// delete them.
// Usage: cluster-bench-beanstalk PORT SECONDS      prints {"tasks":…,"seconds":…}
//
// Commands are pipelined. The producer keeps 64 tasks under way. A consumer asks for the next task
// in the same write that deletes the last one. (Protocol: doc/protocol.txt of beanstalkd 1.12.)

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/system.hpp"
#include "cluster/unique_fd.hpp"

namespace {

using cluster::check;
using cluster::UniqueFd;
using Clock = std::chrono::steady_clock;

constexpr int consumers = 4;
constexpr std::int64_t under_way = 64;
constexpr std::int64_t warm_up = 2'000;
constexpr std::string_view task = R"({"type":"task","id":100000,"kind":"increment","n":100000})";

// A connection that reads line by line.
class Client {
 public:
  explicit Client(std::uint16_t port)
      : fd_(check("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check("connect",
          ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
    const int on = 1;
    check("setsockopt", ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  }

  void send(std::string_view text) {
    while (!text.empty()) {
      text.remove_prefix(static_cast<std::size_t>(
          check("send", ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL))));
    }
  }

  std::string line() {
    std::size_t end = 0;
    while ((end = input_.find("\r\n")) == std::string::npos) {
      std::array<char, 4096> buffer{};
      const auto got = check("recv", ::recv(fd_.get(), buffer.data(), buffer.size(), 0));
      if (got == 0) {
        throw std::runtime_error("beanstalkd has closed the connection");
      }
      input_.append(buffer.data(), static_cast<std::size_t>(got));
    }
    std::string result = input_.substr(0, end);
    input_.erase(0, end + 2);
    return result;
  }

 private:
  UniqueFd fd_;
  std::string input_;
};

void expect(const std::string& line, std::string_view begin) {
  if (!line.starts_with(begin)) {
    throw std::runtime_error("beanstalkd said: " + line);
  }
}

void consume(std::uint16_t port, std::atomic<std::int64_t>& done) {
  Client client(port);
  client.send("reserve\r\n");
  bool first = true;
  while (true) {
    if (!first) {
      expect(client.line(), "DELETED");
    }
    first = false;
    const std::string reserved = client.line();  // RESERVED <id> <bytes>
    expect(reserved, "RESERVED ");
    client.line();
    const auto id = std::string_view(reserved).substr(9, reserved.rfind(' ') - 9);
    ++done;
    client.send("delete " + std::string(id) + "\r\nreserve\r\n");
  }
}

void produce(std::uint16_t port, std::chrono::duration<double> time,
             const std::atomic<std::int64_t>& done) {
  Client client(port);
  const std::string put =
      "put 0 0 60 " + std::to_string(task.size()) + "\r\n" + std::string(task) + "\r\n";
  std::int64_t sent = 0;
  std::int64_t answered = 0;
  Clock::time_point begun;
  std::int64_t before = -1;
  while (before < 0 || Clock::now() - begun < time) {
    std::string batch;
    for (; sent - done < under_way && sent - answered < under_way; ++sent) {
      batch += put;
    }
    client.send(batch);
    for (; answered < sent; ++answered) {
      expect(client.line(), "INSERTED");
    }
    if (batch.empty()) {
      ::usleep(50);
    }
    if (before < 0 && done >= warm_up) {
      begun = Clock::now();
      before = done;
    }
  }
  const std::chrono::duration<double> taken = Clock::now() - begun;
  std::printf("{\"tasks\":%lld,\"seconds\":%.6f}\n", static_cast<long long>(done - before),
              taken.count());
}

void run(std::uint16_t port, std::chrono::duration<double> time) {
  void* const shared = ::mmap(nullptr, sizeof(std::atomic<std::int64_t>), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    throw std::runtime_error("mmap failed");
  }
  auto& done = *new (shared) std::atomic<std::int64_t>(0);
  std::vector<pid_t> children;
  for (int number = 0; number < consumers; ++number) {
    children.push_back(check("fork", ::fork()));
    if (children.back() == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      consume(port, done);
      return;
    }
  }
  produce(port, time, done);
  for (const pid_t child : children) {
    ::kill(child, SIGKILL);
    check("waitpid", ::waitpid(child, nullptr, 0));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  if (arguments.size() != 3) {
    std::fputs("usage: cluster-bench-beanstalk PORT SECONDS\n", stderr);
    return 2;
  }
  try {
    run(static_cast<std::uint16_t>(std::stoi(arguments[1])),
        std::chrono::duration<double>(std::stod(arguments[2])));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cluster-bench-beanstalk: %s\n", error.what());
    return 1;
  }
}
