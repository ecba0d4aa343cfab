// A pool of 4 workers with one trivial task in flight each, over the library's channels.
// Usage: cluster-bench-pool SECONDS      the last line that it prints is {"tasks":…,"seconds":…}
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string>

#include "cluster/master.hpp"
#include "cluster/worker.hpp"

namespace {

using cluster::Clock;
using cluster::Json;
using cluster::Master;
using cluster::Worker;

constexpr int workers = 4;
constexpr std::int64_t warm_up = 2'000;

void work() {
  Worker worker("");
  worker.on_message("task", [&](const Json& task) {
    Json result;
    result["type"] = "result";
    result["id"] = task["id"];
    result["result"] = task["n"].get<std::int64_t>() + 1;
    worker.send(std::move(result));
  });
  worker.ready();
  worker.wait_until([] { return false; });
}

void run(std::chrono::duration<double> time) {
  Master master(workers, std::nullopt, "");
  std::int64_t tasks = 0;
  Clock::time_point begun;
  bool over = false;
  const auto hand_out = [&](pid_t pid) {
    Json task;
    task["type"] = "task";
    task["id"] = tasks;
    task["kind"] = "increment";
    task["n"] = tasks;
    master.send(pid, task);
  };
  master.on_message("result", [&](const Master::WorkerInfo& from, const Json&) {
    if (++tasks == warm_up) {
      begun = Clock::now();
    }
    // The clock is read seldom, so that reading it is no part of the measurement.
    over = over || (tasks > warm_up && tasks % 16 == 0 && Clock::now() - begun >= time);
    hand_out(from.pid);
  });
  master.start_workers();
  master.wait_until([&] { return master.all_ready(); });
  for (const auto& worker : master.workers()) {
    hand_out(worker.pid);
  }
  master.wait_until([&] { return over; });
  const std::chrono::duration<double> taken = Clock::now() - begun;
  std::printf("{\"tasks\":%lld,\"seconds\":%.6f}\n", static_cast<long long>(tasks - warm_up),
              taken.count());
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  try {
    if (Worker::is_one()) {
      work();
    } else if (arguments.size() == 2) {
      run(std::chrono::duration<double>(std::stod(arguments[1])));
    } else {
      std::fputs("usage: cluster-bench-pool SECONDS\n", stderr);
      return 2;
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cluster-bench-pool: %s\n", error.what());
    return 1;
  }
}
