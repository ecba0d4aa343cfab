#pragma once

#include <httplib.h>

#include <optional>
#include <string>
#include <string_view>

namespace cluster {

// How an HTTP/1.x message is written (RFC 9112), from and to cpp-httplib's Request and Response.
// Its own parser and writer lie inside its Server, know no header line over 8 KiB, and cost more
// than half of a small answer's time. No function here keeps anything between calls.

std::string_view trim(std::string_view text);            // without the blanks around it
bool same_name(std::string_view a, std::string_view b);  // in upper or lower case

bool is_text(std::string_view text);  // no control character but the tab (RFC 9110, 5.5)

// Takes a line off the front of a head; its end is "\r\n" or that of the text.
std::string_view take_line(std::string_view& head);

struct HeaderLine {
  std::string_view name;
  std::string_view value;  // trimmed
};

// None: not of the form `Name: value`.
std::optional<HeaderLine> parse_header(std::string_view line);

// The request of a head whose header lines are in order; no body. None: its first line is no
// request line.
std::optional<httplib::Request> parse_request(std::string_view head);

struct Closing {
  bool close = false;       // say that the connection is closed after the answer
  bool keep_alive = false;  // say that it is kept: only HTTP/1.0 needs to be told
};

// The bytes of an answer. Of the headers of `response`, Connection and Content-Length are ours to
// write. `body` false: an answer to HEAD, all but the body.
std::string format_response(const httplib::Response& response, Closing closing, bool body = true);

// What RFC 9110 calls a status.
std::string_view reason_phrase(int status);

}  // namespace cluster
