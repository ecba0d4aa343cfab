#pragma once

#include <string>

namespace cluster {

// The content of a file under /proc; empty if it cannot be read. (A stream of the standard library
// would not be close-on-exec.) Any thread.
std::string proc_file(const std::string& path);

}  // namespace cluster
