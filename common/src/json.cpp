#include "cluster/json.hpp"

#include <algorithm>
#include <cmath>

template class nlohmann::basic_json<>;
#if NLOHMANN_JSON_VERSION_MAJOR == 3 && NLOHMANN_JSON_VERSION_MINOR <= 11
template nlohmann::json nlohmann::json::parse(const std::string&, nlohmann::json::parser_callback_t,
                                              bool, bool);
#endif

namespace cluster {

namespace {

bool is_too_deep(std::string_view text) {
  const auto opened = std::ranges::count(text, '[') + std::ranges::count(text, '{');
  if (opened <= max_json_depth) {
    return false;  // however they are nested
  }
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      quoted = !quoted;
    } else if (quoted) {
      i += c == '\\' ? 1 : 0;
    } else if (c == '[' || c == '{') {
      if (++depth > max_json_depth) {
        return true;
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Json parse_json(std::string_view text) {
  // The parser has no limit of its own, and takes NUL for the end of the text.
  const bool refused = text.find('\0') != std::string_view::npos || is_too_deep(text);
  return refused ? Json(Json::value_t::discarded)
                 : Json::parse(text.begin(), text.end(), nullptr, false);
}

std::optional<std::uint64_t> whole_number(const Json& value) {
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    const bool exact = number >= 0 && number < 0x1p53 && number == std::floor(number);
    return exact ? std::optional(static_cast<std::uint64_t>(number)) : std::nullopt;
  }
  const bool negative =
      value.is_number_integer() && !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
  return value.is_number_integer() && !negative ? std::optional(value.get<std::uint64_t>())
                                                : std::nullopt;
}

std::string to_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cluster
