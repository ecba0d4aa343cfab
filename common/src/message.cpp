#include "message.hpp"

#include <stdexcept>

namespace cluster {

std::optional<std::string> type_of(const Json& message) {
  if (!message.is_object()) {
    return std::nullopt;
  }
  const auto found = message.find("type");
  return found != message.end() && found->is_string() ? std::optional(found->get<std::string>())
                                                      : std::nullopt;
}

void check_message(const Json& message) {
  if (!type_of(message)) {
    throw std::invalid_argument(
        R"(a message is a JSON object with a "type", as in {{"type", "drained"}} )"
        "with two pairs of braces, not " +
        to_text(message));
  }
}

Json journal_fields(const Json& message, Json peer, std::size_t bytes) {
  Json fields;
  fields["type"] = message.value("type", "");
  fields["peer"] = std::move(peer);
  fields["bytes"] = bytes;
  if (message.contains("id")) {
    fields["id"] = message["id"];
  }
  return fields;
}

}  // namespace cluster
