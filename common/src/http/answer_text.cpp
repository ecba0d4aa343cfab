// How an answer is written.
#include <algorithm>
#include <array>
#include <utility>

#include "http/message.hpp"

namespace cluster {

namespace {

constexpr std::size_t usual_head = 256;

constexpr std::array phrases{
    std::pair{100, "Continue"},
    std::pair{101, "Switching Protocols"},
    std::pair{102, "Processing"},
    std::pair{103, "Early Hints"},
    std::pair{200, "OK"},
    std::pair{201, "Created"},
    std::pair{202, "Accepted"},
    std::pair{203, "Non-Authoritative Information"},
    std::pair{204, "No Content"},
    std::pair{205, "Reset Content"},
    std::pair{206, "Partial Content"},
    std::pair{207, "Multi-Status"},
    std::pair{208, "Already Reported"},
    std::pair{226, "IM Used"},
    std::pair{300, "Multiple Choices"},
    std::pair{301, "Moved Permanently"},
    std::pair{302, "Found"},
    std::pair{303, "See Other"},
    std::pair{304, "Not Modified"},
    std::pair{305, "Use Proxy"},
    std::pair{307, "Temporary Redirect"},
    std::pair{308, "Permanent Redirect"},
    std::pair{400, "Bad Request"},
    std::pair{401, "Unauthorized"},
    std::pair{402, "Payment Required"},
    std::pair{403, "Forbidden"},
    std::pair{404, "Not Found"},
    std::pair{405, "Method Not Allowed"},
    std::pair{406, "Not Acceptable"},
    std::pair{407, "Proxy Authentication Required"},
    std::pair{408, "Request Timeout"},
    std::pair{409, "Conflict"},
    std::pair{410, "Gone"},
    std::pair{411, "Length Required"},
    std::pair{412, "Precondition Failed"},
    std::pair{413, "Content Too Large"},
    std::pair{414, "URI Too Long"},
    std::pair{415, "Unsupported Media Type"},
    std::pair{416, "Range Not Satisfiable"},
    std::pair{417, "Expectation Failed"},
    std::pair{418, "I'm a teapot"},
    std::pair{421, "Misdirected Request"},
    std::pair{422, "Unprocessable Content"},
    std::pair{423, "Locked"},
    std::pair{424, "Failed Dependency"},
    std::pair{425, "Too Early"},
    std::pair{426, "Upgrade Required"},
    std::pair{428, "Precondition Required"},
    std::pair{429, "Too Many Requests"},
    std::pair{431, "Request Header Fields Too Large"},
    std::pair{451, "Unavailable For Legal Reasons"},
    std::pair{500, "Internal Server Error"},
    std::pair{501, "Not Implemented"},
    std::pair{502, "Bad Gateway"},
    std::pair{503, "Service Unavailable"},
    std::pair{504, "Gateway Timeout"},
    std::pair{505, "HTTP Version Not Supported"},
    std::pair{506, "Variant Also Negotiates"},
    std::pair{507, "Insufficient Storage"},
    std::pair{508, "Loop Detected"},
    std::pair{510, "Not Extended"},
    std::pair{511, "Network Authentication Required"},
};

}  // namespace

std::string status_line(int status) {
  std::string line;
  line.reserve(usual_head);
  line.append("HTTP/1.1 ").append(std::to_string(status)).append(1, ' ');
  return line.append(reason_phrase(status)).append(line_end);
}

void append_headers(std::string& head, const httplib::Headers& headers) {
  for (const auto& [name, value] : headers) {
    append_header(head, name, value);
  }
}

void append_header(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ").append(value).append(line_end);
}

std::string format_last_response(const httplib::Response& response, bool body) {
  auto text = status_line(response.status);
  auto headers = response.headers;
  for (const auto* const ours : {"Connection", "Content-Length", "Date"}) {
    erase_header(headers, ours);
  }
  append_headers(text, headers);
  append_header(text, "Connection", "close");
  append_header(text, "Content-Length", std::to_string(response.body.size()));
  append_header(text, "Date", http_date_now());
  text.append(line_end);
  if (body) {
    text.append(response.body);
  }
  return text;
}

std::string http_date(std::chrono::system_clock::time_point time) {
  constexpr std::string_view days = "SunMonTueWedThuFriSat";
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
  std::string text = "xxx, 00 xxx 0000 00:00:00 GMT";
  const auto put = [&text](std::size_t end, auto number) {
    for (auto left = static_cast<unsigned>(number); left != 0; left /= 10) {
      text[--end] = static_cast<char>('0' + left % 10);
    }
  };
  const auto name_of = [](std::string_view names, std::size_t number) {
    return names.substr(3 * number, 3);
  };
  text.replace(0, 3, name_of(days, std::chrono::weekday(day).c_encoding()));
  put(7, unsigned{date.day()});
  text.replace(8, 3, name_of(months, unsigned{date.month()} - 1));
  put(16, int{date.year()});
  put(19, clock.hours().count());
  put(22, clock.minutes().count());
  put(25, clock.seconds().count());
  return text;
}

std::string_view http_date_now() {
  thread_local std::chrono::sys_seconds second;
  thread_local std::string text = http_date(second);
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (now != second) {
    second = now;
    text = http_date(now);
  }
  return text;
}

std::string_view reason_phrase(int status) {
  const auto* const found = std::find_if(
      phrases.begin(), phrases.end(), [&](const auto& phrase) { return phrase.first == status; });
  return found != phrases.end() ? found->second : "Status";
}

}  // namespace cluster
