#include "message.hpp"

namespace cluster {

std::optional<std::string> type_of(const Json& message) {
  if (!message.is_object()) {
    return std::nullopt;
  }
  const auto found = message.find("type");
  return found != message.end() && found->is_string() ? std::optional(found->get<std::string>())
                                                      : std::nullopt;
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
