#pragma once

#include "cluster/event_loop.hpp"
#include "cluster/journal.hpp"

namespace cluster {

// A handler of signals that writes the signal to the journal and then calls `handler`. The journal
// must live as long as the result.
inline EventLoop::SignalHandler journaled(const Journal& journal,
                                          EventLoop::SignalHandler handler) {
  return [&journal, handler = std::move(handler)](int signal) {
    if (journal) {
      journal.write("signal", {{"signal", signal}});
    }
    handler(signal);
  };
}

}  // namespace cluster
