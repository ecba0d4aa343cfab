#pragma once

#include <functional>

namespace cluster {

// The frame of a program's main(): SIGPIPE is ignored, arguments are refused, and what the body
// throws becomes one line on standard error and an exit code: 2 for a setting, 1 for everything
// else. A setting or an address that is refused is told as it is; any other exception with time,
// role and pid, as a line of the log.
int run_program(int argc, char** argv, const std::function<int()>& body);

}  // namespace cluster
