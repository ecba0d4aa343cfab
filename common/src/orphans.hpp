#pragma once

namespace cluster {

// Processes that workers have left behind. While they are adopted, the kernel makes them children
// of this process (it is a *subreaper*). Every child counts as one that no Process owns, and that
// was not there already when adoption began. Only one thread at a time may call these functions,
// and it must be the one that reaps all children: so no signal reaches a process that has got the
// pid of one that was reaped.
void adopt_orphans(bool adopt);
void reap_orphans();  // those that have ended, and older children that have
// Kills and reaps all, and what they leave behind in turn. Gives up after half a second.
void end_orphans();

}  // namespace cluster
