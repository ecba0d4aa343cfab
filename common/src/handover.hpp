#pragma once

#include <sys/types.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace cluster {

// The variable of the handover has a value that no master has written. what() is one line.
class HandoverError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One environment variable from the master to a worker. The master writes it, the worker's main
// thread reads it: CLUSTER_WORKER="<number> <pid of the master> <channel> <listener or -1>".
struct Handover {
  int number = 0;
  pid_t master = 0;
  int channel = -1;
  int listener = -1;

  std::string variable() const;  // "CLUSTER_WORKER=…"
  // None: the variable is unset. Throws HandoverError if it is no handover, or if its channel is
  // not open.
  static std::optional<Handover> from_environment();
  // Programs that a worker starts must not take themselves for workers.
  static void clear_environment();
};

}  // namespace cluster
