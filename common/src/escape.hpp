#pragma once

#include <string>
#include <string_view>

namespace cluster {

// The text as it may stand within a line of a log: control characters, line ends and bytes that are
// not UTF-8 become \n, \r, \t or \x1b, as in C. All other characters stay as they are. Any thread.
std::string escaped(std::string_view text);

}  // namespace cluster
