#pragma once

#include <string>
#include <string_view>

namespace cluster {

// A line of the log, without its end: `12:34:56.789 worker2[1240] text…`.
std::string log_line(const std::string& name, std::string_view text);

}  // namespace cluster
