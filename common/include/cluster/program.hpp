#pragma once

// Example:
//
//   struct Settings {
//     std::string journal = cluster::settings::journal();
//     int workers = cluster::settings::workers(4);
//   };
//   int run_master(const Settings& settings) {
//     cluster::Master master(settings.workers, std::nullopt, settings.journal);
//     return master.end_workers(std::chrono::seconds(1)) ? 0 : 1;
//   }
//   int run_worker(cluster::Worker& worker, const Settings&) { return worker.number(); }
//   int main(int argc, char** argv) {
//     return cluster::run_cluster(argc, argv, run_master, run_worker);
//   }

#include <functional>

#include "cluster/worker.hpp"

namespace cluster {

// The frame of a program's main(). It opens standard descriptors that are closed on /dev/null,
// ignores SIGPIPE, SIGUSR1 and SIGUSR2, refuses arguments, runs the body and returns its exit code.
// An exception of the body becomes one line on standard error and an exit code: 2 for a setting, 1
// for all others. For a setting or an address that is refused the line is just the reason; for any
// other exception it has time, role and pid, like a line of the log. The main thread calls it,
// once.
int run_program(int argc, char** argv, const std::function<int()>& body);

// The same for a cluster: calls `master` or, in a worker, `worker`. Settings is a struct that reads
// the environment when it is made. Its member `journal` is settings::journal().
template <typename Settings>
int run_cluster(int argc, char** argv, int (&master)(const Settings&),
                int (&worker)(Worker&, const Settings&)) {
  return run_program(argc, argv, [&] {
    const Settings settings;
    if (!Worker::is_one()) {
      return master(settings);
    }
    Worker self(settings.journal);
    return worker(self, settings);
  });
}

}  // namespace cluster
