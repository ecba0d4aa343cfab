#pragma once

// Example:
//
//   const double began = cluster::unix_ms();
//   std::cout << "took " << cluster::unix_ms() - began << " ms" << std::endl;

namespace cluster {

// Unix time in milliseconds, with fraction. Within a process it never goes back, not even when
// somebody sets the clock: the wall clock is read once, and the steady clock is added to it. Any
// thread.
double unix_ms();

}  // namespace cluster
