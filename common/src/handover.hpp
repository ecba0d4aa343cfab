#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace cluster {

// What a master hands down to a worker that it starts, in one environment variable:
// CLUSTER_WORKER="<number> <pid of the master> <channel> <listener or -1>".
struct Handover {
  int number = 0;
  pid_t master = 0;
  int channel = -1;
  int listener = -1;

  std::string variable() const;  // "CLUSTER_WORKER=…"
  static std::optional<Handover> from_environment();
  static void clear_environment();  // so that what a worker starts is no worker
};

}  // namespace cluster
