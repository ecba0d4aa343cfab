#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <string>
#include <string_view>

#include "oracle.hpp"

namespace cluster::fuzz {

// An HTTP/1.1 answer, read as RFC 9112 says and in no other way. It shares no code with the server.
// Each deviation is a finding.
struct Answer {
  int status = 0;
  std::map<std::string, std::string, std::less<>> headers;  // names in lower case
  std::string body;
  bool closes = false;  // the connection

  bool has(std::string_view name) const { return headers.contains(name); }
  std::string_view value(std::string_view name) const {
    const auto found = headers.find(name);
    return found != headers.end() ? std::string_view(found->second) : "";
  }
};

// Takes bytes of answers off the front of what a connection has sent.
class AnswerReader {
 public:
  explicit AnswerReader(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  bool take(std::string_view text) {
    const bool there = rest_.starts_with(text);
    rest_.remove_prefix(there ? text.size() : 0);
    return there;
  }

  Answer take_answer(bool to_head) {
    Answer answer;
    take_status(answer);
    for (auto line = take_line(); !line.empty(); line = take_line()) {
      take_header(answer, line);
    }
    answer.closes = answer.value("connection") == "close";
    const bool bodiless = answer.status == 204 || answer.status == 304;
    expect(answer.status >= 200, "an interim answer that nobody asked for");
    expect(!bodiless || !(answer.has("content-length") || answer.has("transfer-encoding")),
           "an answer without a body tells its length");
    if (!to_head && !bodiless) {
      take_body(answer);
    }
    return answer;
  }

 private:
  std::string_view take_line() {
    const auto end = rest_.find("\r\n");
    expect(end != std::string_view::npos, "a line of an answer has no end");
    const auto line = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    expect(
        std::none_of(line.begin(), line.end(), [](char c) { return is_control(c) && c != '\t'; }),
        "a control byte in the head of an answer");
    return line;
  }

  std::string_view take_bytes(std::size_t size) {
    expect(rest_.size() >= size, "an answer ends before its length says");
    const auto bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  void take_status(Answer& answer) {
    const auto line = take_line();
    expect(line.starts_with("HTTP/1.1 ") && line.size() > 13 && line[12] == ' ',
           "no status line: " + std::string(line));
    answer.status = static_cast<int>(number(line.substr(9, 3), 10));
  }

  static void take_header(Answer& answer, std::string_view line) {
    const auto colon = std::min(line.find(": "), line.size());
    std::string name(line.substr(0, colon));
    expect(!name.empty() && colon < line.size() &&
               std::all_of(name.begin(), name.end(),
                           [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; }),
           "no header: " + std::string(line));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool is_first = answer.headers.emplace(name, line.substr(colon + 2)).second;
    expect(is_first, "a header that comes twice: " + name);
  }

  void take_body(Answer& answer) {
    const bool chunked = answer.has("transfer-encoding");
    if (chunked) {
      expect(answer.value("transfer-encoding") == "chunked", "an unknown transfer encoding");
      expect(!answer.has("content-length"), "two lengths");
      while (take_chunk(answer)) {
      }
    } else if (answer.has("content-length")) {
      answer.body = take_bytes(number(answer.value("content-length"), 10));
    } else {
      expect(answer.closes, "an answer without an end");
      answer.body = take_bytes(rest_.size());
    }
  }

  bool take_chunk(Answer& answer) {
    const auto size = number(take_line(), 16);
    answer.body += take_bytes(size);
    expect(take_line().empty(), "a chunk does not end where its size says");
    return size > 0;
  }

  static std::size_t number(std::string_view text, int base) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    expect(!text.empty() && error == std::errc{} && end == text.data() + text.size(),
           "no number: " + std::string(text));
    return value;
  }

  std::string_view rest_;
};

}  // namespace cluster::fuzz
