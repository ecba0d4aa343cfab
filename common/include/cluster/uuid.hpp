#pragma once

// Example:
//
//   const std::string id = cluster::new_uuid();  // "0b0d1c2e-…", lower case

#include <string>

namespace cluster {

// A random UUID (version 4 of RFC 9562): 122 bits from the system's random source, in lower-case
// hex digits. Any thread.
std::string new_uuid();

}  // namespace cluster
