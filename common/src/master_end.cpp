// The usual end of a master.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>

#include "cluster/master.hpp"

namespace cluster {

void Master::end_by_signal(Meanwhile meanwhile) {
  on_signal({SIGTERM, SIGINT}, [this, meanwhile](int number) {
    ++end_signals_;
    log("SIG", ::sigabbrev_np(number), forced() ? ": the end is forced" : ": the end begins");
    if (meanwhile == Meanwhile::stop_replacing) {
      stop_replacing();
    }
  });
}

bool Master::end_workers(TimeSpan timeout) {
  const auto began = Clock::now();
  const auto all_gone = [this] { return members_.empty(); };
  log("ending, in at most ", std::max<std::chrono::nanoseconds>(timeout, std::chrono::seconds(0)));
  stop_replacing();
  for (const auto& worker : workers()) {
    kill(worker.pid, SIGTERM);
  }
  close_listener();
  wait_until([&] { return all_gone() || forced(); }, timeout);
  for (const auto& worker : workers()) {
    log("worker ", worker.slot, " does not go; killing pid ", worker.pid);
    kill(worker.pid, SIGKILL);
    ++failed_;
  }
  wait_until(all_gone);
  log(failed_ == 0 ? "graceful end" : "forced end", " after ", Clock::now() - began);
  return failed_ == 0;
}

}  // namespace cluster
