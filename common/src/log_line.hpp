#pragma once

#include <string>
#include <string_view>

namespace cluster {

// A line of the log, without its end: `12:34:56.789 worker2[1240] text…`. The text is escaped.
std::string log_line(std::string_view name, std::string_view text);

}  // namespace cluster
