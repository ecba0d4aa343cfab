#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "cluster/json.hpp"

namespace cluster {

// The "type" of a message, if it has one.
std::optional<std::string> type_of(const Json& message);

// Throws std::invalid_argument, with the usual slip in its text, unless it is a JSON object with a
// "type".
void check_message(const Json& message);

// What the journal says of a message sent to or received from `peer` (a slot's number or "master").
Json journal_fields(const Json& message, Json peer, std::size_t bytes);

}  // namespace cluster
