#include "cluster/unix_time.hpp"

#include <chrono>

namespace cluster {

double unix_ms() {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  static const Milliseconds offset = std::chrono::system_clock::now().time_since_epoch() -
                                     std::chrono::steady_clock::now().time_since_epoch();
  return (offset + Milliseconds(std::chrono::steady_clock::now().time_since_epoch())).count();
}

}  // namespace cluster
