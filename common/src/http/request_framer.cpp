#include "http/request_framer.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "http/message.hpp"

namespace cluster {

namespace {

constexpr std::string_view head_end = "\r\n\r\n";
constexpr std::size_t longest_chunk_line = 256;
// The size lines of chunks may be at most so many times as long as the longest body.
constexpr std::size_t chunk_overhead = 8;

// Blanks behind a chunk's size are tolerated, those before it are not.
std::string_view without_last_blanks(std::string_view text) {
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// The text must be a whole number and nothing else.
std::optional<std::size_t> number(std::string_view text, int base) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return error == std::errc{} ? value
                              : std::numeric_limits<std::size_t>::max();  // too large for any limit
}

}  // namespace

RequestFramer::State RequestFramer::refuse(int status, std::string reason) {
  happen(Event::refusal);
  status_ = status;
  reason_ = std::move(reason);
  return State::refused;
}

bool RequestFramer::take_expect_continue() {
  return std::exchange(expect_continue_, false);
}

RequestFramer::State RequestFramer::advance(std::string_view buffer) {
  if (phase_ == Phase::head) {
    if (const auto state = find_head(buffer); state != State::complete) {
      return state;
    }
    happen(chunked_ ? Event::chunked : Event::length_known);
  }
  switch (phase_) {
    case Phase::body:
      return read_body(buffer);
    case Phase::chunks:
      return read_chunks(buffer);
    case Phase::complete:
      return State::complete;
    case Phase::head:
    case Phase::refused:
      break;
  }
  return State::refused;
}

RequestFramer::State RequestFramer::read_body(std::string_view buffer) {
  size_ = head_size_ + length_;
  if (buffer.size() < size_) {
    return State::incomplete;
  }
  body_ = buffer.substr(head_size_, length_);
  happen(Event::end);
  return State::complete;
}

RequestFramer::State RequestFramer::find_head(std::string_view buffer) {
  const auto end = buffer.find(head_end, searched_ - std::min(searched_, head_end.size() - 1));
  const auto size = end == std::string_view::npos ? buffer.size() : end + head_end.size();
  if (size > head_limit_) {
    return refuse(431, "the request head is too long: at most " + std::to_string(head_limit_) +
                           " bytes are allowed");
  }
  if (end == std::string_view::npos) {
    searched_ = buffer.size();
    return State::incomplete;
  }
  head_size_ = size;
  return read_head(buffer.substr(0, end));
}

RequestFramer::State RequestFramer::read_head(std::string_view head) {
  http_1_0_ = take_line(head).ends_with(" HTTP/1.0");
  while (!head.empty()) {
    const auto header = parse_header(take_line(head));
    if (!header) {
      return refuse(400, "a header line is not of the form `Name: value`");
    }
    if (!read_header(header->name, header->value)) {
      return State::refused;
    }
  }
  if (chunked_ && (has_length_ || http_1_0_)) {
    return refuse(400, "Transfer-Encoding goes neither with Content-Length nor with HTTP/1.0");
  }
  if (hosts_ > 1 || (hosts_ == 0 && !http_1_0_)) {
    return refuse(400, "a request has one Host header");
  }
  if (length_ > body_limit_) {
    return refuse(
        413, "the body is too long: at most " + std::to_string(body_limit_) + " bytes are allowed");
  }
  chunk_ = head_size_;
  expect_continue_ = expect_continue_ && !http_1_0_;
  wants_close_ = connection_close_ || (http_1_0_ && !connection_keep_alive_);
  return State::complete;
}

// False when the header is refused.
bool RequestFramer::read_header(std::string_view name, std::string_view value) {
  if (same_name(name, "Content-Length")) {
    const auto length = number(value, 10);
    if (!length || (has_length_ && *length != length_)) {
      refuse(400, "Content-Length is not one whole number");
      return false;
    }
    length_ = *length;
    has_length_ = true;
  } else if (same_name(name, "Transfer-Encoding")) {
    if (chunked_ || !same_name(value, "chunked")) {
      refuse(501, "this Transfer-Encoding is not known: only chunked is, once");
      return false;
    }
    chunked_ = true;
  } else if (same_name(name, "Host")) {
    ++hosts_;
    if (!is_host(value)) {
      refuse(400, "Host is no host");
      return false;
    }
  } else if (same_name(name, "Connection")) {
    connection_close_ = connection_close_ || has_token(value, "close");
    connection_keep_alive_ = connection_keep_alive_ || has_token(value, "keep-alive");
  } else if (same_name(name, "Expect")) {
    expect_continue_ = same_name(value, "100-continue");
  }
  return true;
}

RequestFramer::State RequestFramer::read_chunks(std::string_view buffer) {
  for (;;) {
    const auto rest = buffer.substr(chunk_);
    const auto end = rest.find(line_end);
    if (std::min(end, rest.size() - (rest.ends_with('\r') ? 1 : 0)) > longest_chunk_line) {
      return refuse(400, "a chunk's size line is too long");
    }
    if (end == std::string_view::npos) {
      return State::incomplete;
    }
    const auto line = rest.substr(0, end);
    const auto size = number(without_last_blanks(line.substr(0, line.find(';'))), 16);
    if (!size || !is_text(line)) {
      return refuse(400, "a chunk does not begin with its size");
    }
    if (*size > body_limit_ || body_.size() + *size > body_limit_ ||
        chunk_ - head_size_ > body_limit_ * chunk_overhead) {
      return refuse(413, "the body is too long: at most " + std::to_string(body_limit_) +
                             " bytes are allowed");
    }
    const auto data = end + line_end.size();
    if (*size == 0) {
      return read_trailer(rest.substr(end), chunk_ + end);
    }
    if (rest.size() < data + *size + line_end.size()) {
      return State::incomplete;
    }
    if (rest.substr(data + *size, line_end.size()) != line_end) {
      return refuse(400, "a chunk does not end where its size says");
    }
    body_ += rest.substr(data, *size);
    chunk_ += data + *size + line_end.size();
  }
}

// Reads header lines (usually there are none) up to an empty line. `trailer` begins with the line
// end of the last chunk's size line.
RequestFramer::State RequestFramer::read_trailer(std::string_view trailer, std::size_t begin) {
  const auto end = trailer.find(head_end);
  const auto size = end == std::string_view::npos ? trailer.size() : end + head_end.size();
  if (size > head_limit_) {
    return refuse(431, "the trailer is too long");
  }
  if (end == std::string_view::npos) {
    return State::incomplete;
  }
  for (auto lines = trailer.substr(0, end + line_end.size()).substr(line_end.size());
       !lines.empty();) {
    if (!parse_header(take_line(lines))) {
      return refuse(400, "a trailer line is not of the form `Name: value`");
    }
  }
  size_ = begin + size;
  happen(Event::end);
  return State::complete;
}

}  // namespace cluster
