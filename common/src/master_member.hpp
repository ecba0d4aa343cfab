#pragma once

#include <optional>
#include <string>
#include <utility>

#include "cluster/channel.hpp"
#include "cluster/master.hpp"
#include "cluster/process.hpp"

namespace cluster {

// A worker that lives, as its master knows it.
struct Master::Member {
  Member(Process started, int slot, Variables own_variables)
      : process(std::move(started)),
        info{slot, process.pid(), false, false, Clock::now()},
        variables(std::move(own_variables)) {}

  std::string name_of_end() const { return "end of worker " + std::to_string(info.slot); }

  Process process;
  WorkerInfo info;
  Variables variables;
  std::optional<Channel> channel;
};

}  // namespace cluster
