#pragma once

namespace cluster {

// Unix milliseconds with fraction. Within a process they never go back, not even when somebody sets
// the clock: the wall clock is read once, and the steady clock goes on from there. Any thread.
double unix_ms();

}  // namespace cluster
