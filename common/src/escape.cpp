#include "escape.hpp"

#include <array>
#include <cstddef>
#include <optional>

namespace cluster {

namespace {

struct Character {
  char32_t code = 0;
  std::size_t bytes = 1;
};

// The first character of the text; none: it does not begin with well-formed UTF-8.
std::optional<Character> first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto lead = byte(0);
  if (lead < 0x80) {
    return Character{lead, 1};
  }
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) {
    return std::nullopt;
  }
  char32_t code = lead & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return std::nullopt;
    }
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < least[bytes] || code > 0x10FFFF || surrogate) {
    return std::nullopt;
  }
  return Character{code, bytes};
}

// Control characters, and what Unicode calls line ends.
bool harmless(char32_t code) {
  const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0);
  return !control && code != 0x2028 && code != 0x2029;
}

void append_escape(std::string& result, char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  switch (c) {
    case '\n':
      result += "\\n";
      break;
    case '\r':
      result += "\\r";
      break;
    case '\t':
      result += "\\t";
      break;
    default: {
      const auto byte = static_cast<unsigned char>(c);
      result += "\\x";
      result += digits[byte >> 4U];
      result += digits[byte & 0x0FU];
    }
  }
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const auto character = first_character(text);
    const auto part = text.substr(0, character ? character->bytes : 1);
    if (character && harmless(character->code)) {
      result += part;
    } else {
      for (const char c : part) append_escape(result, c);
    }
    text.remove_prefix(part.size());
  }
  return result;
}

}  // namespace cluster
