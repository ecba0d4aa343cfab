#pragma once

#include <string>

namespace cluster {

// A random UUID (version 4 of RFC 9562): 122 bits from the system's random source, in lower-case
// hex digits. Any thread.
std::string new_uuid();

}  // namespace cluster
