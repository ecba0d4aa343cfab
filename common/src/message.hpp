#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "cluster/json.hpp"

namespace cluster {

// The "type" of a message, if it has one.
std::optional<std::string> type_of(const Json& message);

// Throws std::invalid_argument unless the message is a JSON object with a "type". The text of the
// exception shows the usual mistake.
void check_message(const Json& message);

// The journal's fields for a message that was sent to `peer` or received from it. A peer is the
// number of a slot, or "master".
Json journal_fields(const Json& message, Json peer, std::size_t bytes);

}  // namespace cluster
