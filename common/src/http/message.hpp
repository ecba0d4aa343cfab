#pragma once

#include <httplib.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace cluster {

// How an HTTP/1.x message is written (RFC 9112), from and to cpp-httplib's Request and Response.
// Each thread keeps the date of its last answer; nothing else is kept between calls.

std::string_view trim(std::string_view text);            // without blanks around it
bool same_name(std::string_view a, std::string_view b);  // upper and lower case are the same

// As httplib::Headers find and erase; those compare by tolower() of the C library, which costs more
// than to look at all of the few names.
bool has_header(const httplib::Headers& headers, std::string_view name);
void erase_header(httplib::Headers& headers, std::string_view name);

bool is_token(std::string_view text);  // RFC 9110, 5.6.2
bool is_text(std::string_view text);   // no control character but the tab (RFC 9110, 5.5)
bool is_host(std::string_view text);   // the value of a Host header (RFC 9110, 7.2)
// Whether a list as in "keep-alive, close" has the token, in upper or lower case.
bool has_token(std::string_view list, std::string_view token);

inline constexpr std::string_view line_end = "\r\n";

// Takes the first line off a head. The line ends with "\r\n", or with the text.
std::string_view take_line(std::string_view& head);

struct HeaderLine {
  std::string_view name;
  std::string_view value;  // trimmed
};

// None: the line is not of the form `Name: value`.
std::optional<HeaderLine> parse_header(std::string_view line);

// Fills a new request from its head. The header lines were checked before. False: the first line is
// no request line.
bool parse_request(std::string_view head, httplib::Request& request);

// The parameters of a query, or of a form that was sent as one, are added to `params`.
void parse_query(std::string_view query, httplib::Params& params);

// The lines of an answer's head, each with its line end.
std::string status_line(int status);
void append_headers(std::string& head, const httplib::Headers& headers);
void append_header(std::string& head, std::string_view name, std::string_view value);

// The bytes of an answer that closes its connection. Of the headers of `response`, Connection,
// Content-Length and Date are ours to write. `body` false: an answer to HEAD, all but the body.
std::string format_last_response(const httplib::Response& response, bool body = true);

// As in "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7).
std::string http_date(std::chrono::system_clock::time_point time);
// That of the present second, to be used at once: the thread's next answer may change it.
std::string_view http_date_now();

// The name of a status in IANA's registry; of any other "Status".
std::string_view reason_phrase(int status);

}  // namespace cluster
