// Round trips between a process and its child, both on the CPU that the caller pins them to.
// Usage: cluster-bench-ipc byte|json|channel IN_FLIGHT SECONDS
//   prints   {"roundTrips":…,"seconds":…}
//   byte     one byte over a bare socketpair, IN_FLIGHT 1: the kernel's price of two switches
//   json     the 100 bytes of JSON over a bare socketpair, never parsed, IN_FLIGHT 1
//   channel  the parent builds and writes a message, the child parses it and sends it back, as in
//            peers/ipc_peer.js

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>
#include <utility>

#include "cluster/channel.hpp"
#include "cluster/event_loop.hpp"
#include "cluster/json.hpp"
#include "cluster/system.hpp"
#include "cluster/unique_fd.hpp"

namespace {

using cluster::check;
using cluster::Clock;
using cluster::Json;
using cluster::UniqueFd;

// A message from worker to worker, 100 bytes of JSON.
Json message(std::int64_t id) {
  Json message;
  message["type"] = "send";
  message["id"] = id;
  message["to"] = 2;
  message["message"] = "how do you do, and what are you working on right now?";
  return message;
}

constexpr std::int64_t first_id = 100'000;

// Counts round trips: first to warm up, then for the time that was asked for.
class Count {
 public:
  Count(std::int64_t in_flight, std::chrono::duration<double> time)
      : warm_up_(20 * in_flight + 2000), time_(time) {}

  // Whether to go on after this round trip.
  bool next() {
    ++round_trips_;
    if (round_trips_ == warm_up_) {
      begun_ = Clock::now();
    }
    // The clock is read seldom, so that reading it is no part of the measurement.
    return round_trips_ <= warm_up_ || round_trips_ % 16 != 0 || Clock::now() - begun_ < time_;
  }

  void print() const {
    const std::chrono::duration<double> taken = Clock::now() - begun_;
    std::printf("{\"roundTrips\":%lld,\"seconds\":%.6f}\n",
                static_cast<long long>(round_trips_ - warm_up_), taken.count());
  }

 private:
  std::int64_t round_trips_ = 0;
  std::int64_t warm_up_;
  std::chrono::duration<double> time_;
  Clock::time_point begun_;
};

void write_all(const UniqueFd& fd, std::span<const char> bytes) {
  while (!bytes.empty()) {
    bytes = bytes.subspan(
        static_cast<std::size_t>(check("write", ::write(fd.get(), bytes.data(), bytes.size()))));
  }
}

// False: the other end has closed before the buffer was full.
bool read_all(const UniqueFd& fd, std::span<char> buffer) {
  while (!buffer.empty()) {
    const ssize_t count = check("read", ::read(fd.get(), buffer.data(), buffer.size()));
    if (count == 0) {
      return false;
    }
    buffer = buffer.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

void echo_bytes(const UniqueFd& fd, std::size_t size) {
  std::string buffer(size, '.');
  while (read_all(fd, buffer)) {
    write_all(fd, buffer);
  }
}

void send_bytes(const UniqueFd& fd, const std::string& bytes, Count count) {
  std::string buffer = bytes;
  do {
    write_all(fd, bytes);
    read_all(fd, buffer);
  } while (count.next());
  count.print();
}

void echo_messages(UniqueFd fd) {
  cluster::EventLoop loop;
  bool open = true;
  cluster::Channel channel(
      loop, std::move(fd), "channel to the parent",
      [&](const Json& request, std::size_t) { channel.send(request); },
      [&](const std::string&) { open = false; });
  while (open) {
    loop.run_once();
  }
}

void send_messages(UniqueFd fd, std::int64_t in_flight, Count count) {
  cluster::EventLoop loop;
  std::int64_t next_id = first_id;
  bool going_on = true;
  cluster::Channel channel(
      loop, std::move(fd), "channel to the child",
      [&](const Json&, std::size_t) {
        going_on = going_on && count.next();
        channel.send(message(next_id++));
      },
      [&](const std::string&) { going_on = false; });
  for (std::int64_t i = 0; i < in_flight; ++i) {
    channel.send(message(next_id++));
  }
  while (going_on) {
    loop.run_once();
  }
  count.print();
}

void run(const std::string& variant, std::int64_t in_flight, std::chrono::duration<double> time) {
  const bool over_channel = variant == "channel";
  const std::string bytes = variant == "byte" ? "." : message(first_id).dump();
  auto [mine, theirs] = [&] {
    if (over_channel) {
      return cluster::Channel::make_pair();
    }
    std::array<int, 2> ends{};
    check("socketpair", ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()));
    return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
  }();
  const pid_t child = check("fork", ::fork());
  if (child == 0) {
    mine.reset();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (over_channel) {
      echo_messages(std::move(theirs));
    } else {
      echo_bytes(theirs, bytes.size());
    }
    return;
  }
  theirs.reset();
  const Count count(in_flight, time);
  if (over_channel) {
    send_messages(std::move(mine), in_flight, count);
  } else {
    send_bytes(mine, bytes, count);
    mine.reset();
  }
  check("waitpid", ::waitpid(child, nullptr, 0));
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  if (arguments.size() != 4) {
    std::fputs("usage: cluster-bench-ipc byte|json|channel IN_FLIGHT SECONDS\n", stderr);
    return 2;
  }
  try {
    run(arguments[1], std::stoll(arguments[2]),
        std::chrono::duration<double>(std::stod(arguments[3])));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cluster-bench-ipc: %s\n", error.what());
    return 1;
  }
}
