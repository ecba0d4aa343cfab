#include "cluster/uuid.hpp"

#include <sys/random.h>

#include <array>

#include "cluster/system.hpp"

namespace cluster {

std::string new_uuid() {
  std::array<unsigned char, 16> bytes{};
  check("getentropy", ::getentropy(bytes.data(), bytes.size()));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0fU) | 0x40U);  // the version
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3fU) | 0x80U);  // the variant
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t index = 0; index < bytes.size(); ++index) {
    if (index == 4 || index == 6 || index == 8 || index == 10) {
      text += '-';
    }
    text += digits[bytes[index] >> 4U];
    text += digits[bytes[index] & 0x0fU];
  }
  return text;
}

}  // namespace cluster
