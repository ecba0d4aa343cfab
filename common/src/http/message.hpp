#pragma once

#include <httplib.h>

#include <optional>
#include <string>
#include <string_view>

namespace cluster {

// Reads and writes HTTP/1.x messages (RFC 9112) from and to cpp-httplib's Request and Response.
// cpp-httplib's own parser and writer are private to its Server. They refuse header lines over 8
// KiB and take more than half of the time of a small answer. The functions keep no state; any
// thread may call them.

std::string_view trim(std::string_view text);            // without blanks around it
bool same_name(std::string_view a, std::string_view b);  // upper and lower case are the same

bool is_text(std::string_view text);  // no control character but the tab (RFC 9110, 5.5)

// Takes the first line off a head. The line ends with "\r\n", or with the text.
std::string_view take_line(std::string_view& head);

struct HeaderLine {
  std::string_view name;
  std::string_view value;  // trimmed
};

// None: the line is not of the form `Name: value`.
std::optional<HeaderLine> parse_header(std::string_view line);

// The request of a head, without body. The header lines were checked before. None: the first line
// is no request line.
std::optional<httplib::Request> parse_request(std::string_view head);

struct Closing {
  bool close = false;       // the answer says that the connection will be closed
  bool keep_alive = false;  // the answer says that it stays open; for HTTP/1.0 only
};

// The bytes of an answer. Connection and Content-Length are written by this function; those of
// `response` are left out. `body` false: the answer to HEAD, without the body.
std::string format_response(const httplib::Response& response, Closing closing, bool body = true);

// The name of a status in RFC 9110.
std::string_view reason_phrase(int status);

}  // namespace cluster
