#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace cluster {

// One environment variable from the master to a worker. The master writes it, the worker's main
// thread reads it: CLUSTER_WORKER="<number> <pid of the master> <channel> <listener or -1>".
struct Handover {
  int number = 0;
  pid_t master = 0;
  int channel = -1;
  int listener = -1;

  std::string variable() const;  // "CLUSTER_WORKER=…"
  // None: the variable is unset. Throws SettingError when it is set to what no master writes.
  static std::optional<Handover> from_environment();
  // Throws SettingError when the channel is not open: then no master has started this process.
  void check_channel() const;
  // Programs that a worker starts must not take themselves for workers.
  static void clear_environment();
};

}  // namespace cluster
