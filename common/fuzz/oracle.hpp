#pragma once

// What all fuzz targets use. A target is one function, which libFuzzer calls with ever new bytes. A
// crash, a sanitizer's report or an oracle that does not hold ends the process; libFuzzer then
// saves the bytes.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace cluster::fuzz {

// An oracle: what must hold for each input.
inline void expect(bool holds, const std::string& otherwise) {
  if (!holds) {
    std::fprintf(stderr, "ORACLE: %s\n", otherwise.c_str());
    std::abort();
  }
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// Cuts bytes into pieces of sizes from 1 to `longest`. The same bytes are always cut alike.
class Pieces {
 public:
  static constexpr std::size_t whole = 0;  // as `longest`: all bytes are one piece

  Pieces(std::string_view bytes, std::size_t longest) : rest_(bytes), longest_(longest) {
    for (const char c : bytes) {
      state_ = (state_ ^ static_cast<unsigned char>(c)) * prime;
    }
  }
  bool empty() const { return rest_.empty(); }
  std::string_view take() {
    state_ = (state_ ^ (state_ >> 29U)) * prime;
    const auto size = longest_ == whole ? rest_.size() : 1 + (state_ >> 33U) % longest_;
    const auto piece = rest_.substr(0, size);
    rest_.remove_prefix(piece.size());
    return piece;
  }

 private:
  static constexpr std::uint64_t prime = 0x100000001b3;  // of the FNV hash
  std::string_view rest_;
  std::size_t longest_;
  std::uint64_t state_ = 0xcbf29ce484222325;
};

}  // namespace cluster::fuzz
