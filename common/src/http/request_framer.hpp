#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cluster/state_table.hpp"

namespace cluster {

// Finds the end of an HTTP/1.x request in a growing buffer (RFC 9112, sections 2, 6 and 7): a head
// up to its empty line, then a body of Content-Length bytes or in chunks. parse_request() does the
// rest. A connection owns one for each request. One thread at a time.
class RequestFramer {
 public:
  enum class State { incomplete, complete, refused };  // the result of advance()

  // How far a request has been read.
  enum class Phase : std::uint8_t {
    head,      // up to the empty line
    body,      // of Content-Length bytes, or of none
    chunks,    // of a body whose length the head does not tell, and the trailer behind them
    complete,  // for good
    refused,   // for good
  };
  enum class Event : std::uint8_t { length_known, chunked, end, refusal };
  using Table = StateTable<Phase, 5, Event, 4>;
  static const Table table;

  RequestFramer(std::size_t head_limit, std::size_t body_limit)
      : head_limit_(head_limit), body_limit_(body_limit) {}

  // `buffer` begins with the request's first byte. To be called again when the buffer has grown.
  State advance(std::string_view buffer);

  // After `complete`.
  std::size_t head_size() const { return head_size_; }  // with its empty line
  std::size_t size() const { return size_; }            // head and body as they were sent
  std::string take_body() { return std::move(body_); }  // decoded
  // Connection: close, or HTTP/1.0 without keep-alive.
  bool wants_close() const { return wants_close_; }

  // True once: the head has come, the body has not, and the client waits for "100 Continue".
  bool take_expect_continue();

  // After `refused`: 400, 413, 431 or 501, and a sentence for the client.
  int status() const { return status_; }
  const std::string& reason() const { return reason_; }

 private:
  void happen(Event event) { phase_ = table.after(phase_, event); }
  State refuse(int status, std::string reason);
  State read_body(std::string_view buffer);
  State find_head(std::string_view buffer);
  State read_head(std::string_view head);
  bool read_header(std::string_view name, std::string_view value);
  State read_chunks(std::string_view buffer);
  State read_trailer(std::string_view trailer, std::size_t begin);

  Phase phase_ = Phase::head;  // changed by happen() only
  std::size_t head_limit_;
  std::size_t body_limit_;
  std::size_t searched_ = 0;  // before it there is no end of the head
  std::size_t head_size_ = 0;
  std::size_t size_ = 0;
  std::size_t chunk_ = 0;  // where the next chunk begins
  std::string body_;
  std::size_t length_ = 0;
  bool has_length_ = false;
  bool chunked_ = false;
  int hosts_ = 0;
  bool http_1_0_ = false;
  bool connection_close_ = false;
  bool connection_keep_alive_ = false;
  bool wants_close_ = false;
  bool expect_continue_ = false;
  int status_ = 0;
  std::string reason_;
};

// clang-format off
inline constexpr RequestFramer::Table RequestFramer::table = [] {
  using enum Phase;
  constexpr auto no = impossible;
  return Table{
    "request framer",
    {                       "length_known", "chunked", "end",    "refusal"},
    {{head,     "head",     body,           chunks,    no,       refused},
     {body,     "body",     no,             no,        complete, no},
     {chunks,   "chunks",   no,             no,        complete, refused},
     {complete, "complete", no,             no,        no,       no},
     {refused,  "refused",  no,             no,        no,       no}}};
}();
// clang-format on

}  // namespace cluster
