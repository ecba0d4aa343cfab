#include "http/message.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace cluster {

namespace {

constexpr std::string_view blanks = " \t";
constexpr std::size_t usual_head = 256;

bool is_target(std::string_view text) {
  return !text.empty() && is_text(text) && text.find('\t') == std::string_view::npos;
}

// The target may name the server, too (absolute-form: RFC 9112, 3.2.2).
std::string_view without_authority(std::string_view target) {
  constexpr std::string_view scheme = "http://";
  if (!same_name(target.substr(0, scheme.size()), scheme)) {
    return target;
  }
  target.remove_prefix(std::min(target.find_first_of("/?", scheme.size()), target.size()));
  return target.empty() ? "/" : target;
}

// Decodes percent-encoding (RFC 3986, 2.1). A '%' without two hex digits stands for itself. In a
// query '+' is a blank.
std::string decode(std::string_view text, bool in_query) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = 0;
    const auto* const digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      result += static_cast<char>(byte);
      i += 2;
    } else {
      result += in_query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return result;
}

}  // namespace

bool is_token(std::string_view text) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
  });
}

bool is_text(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return (c < ' ' && c != '\t') || c == 0x7F; });
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(blanks);
  return first == std::string_view::npos
             ? ""
             : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// A name, an IPv4 or IPv6 address, and perhaps a port.
bool is_host(std::string_view text) {
  constexpr std::string_view in_names = "-._~!$&'()*+,;=%";
  auto host = text.substr(0, text.rfind(':'));
  if (text.starts_with('[')) {
    host = text.substr(0, std::min(text.find(']'), text.size() - 1) + 1);
  }
  auto port = text.substr(host.size());
  const bool address = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  const auto name = address ? host.substr(1, host.size() - 2) : host;
  if (!port.empty()) {
    if (port.front() != ':') {
      return false;
    }
    port.remove_prefix(1);
  }
  return std::ranges::all_of(port, [](unsigned char c) { return std::isdigit(c) != 0; }) &&
         std::ranges::all_of(name, [&](unsigned char c) {
           return std::isalnum(c) != 0 || (address && c == ':') ||
                  in_names.find(static_cast<char>(c)) != std::string_view::npos;
         });
}

bool has_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    if (same_name(trim(list.substr(0, comma)), token)) {
      return true;
    }
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

bool has_header(const httplib::Headers& headers, std::string_view name) {
  return std::ranges::any_of(headers, [&](const auto& one) { return same_name(one.first, name); });
}

void erase_header(httplib::Headers& headers, std::string_view name) {
  std::erase_if(headers, [&](const auto& one) { return same_name(one.first, name); });
}

std::string_view take_line(std::string_view& head) {
  const auto line = head.substr(0, head.find(line_end));
  head.remove_prefix(std::min(line.size() + line_end.size(), head.size()));
  return line;
}

std::optional<HeaderLine> parse_header(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) ||
      !is_text(line.substr(colon + 1))) {
    return std::nullopt;
  }
  return HeaderLine{line.substr(0, colon), trim(line.substr(colon + 1))};
}

bool parse_request(std::string_view head, httplib::Request& request) {
  const auto line = take_line(head);
  const auto method = line.substr(0, line.find(' '));
  const auto rest = line.substr(std::min(method.size() + 1, line.size()));
  const auto target = rest.substr(0, rest.find(' '));
  const auto version = rest.substr(std::min(target.size() + 1, rest.size()));
  if (!is_token(method) || !is_target(target) || (version != "HTTP/1.1" && version != "HTTP/1.0")) {
    return false;
  }
  request.method = method;
  request.target = target;
  request.version = version;
  const auto resource = without_authority(target.substr(0, target.find('#')));
  const auto path = resource.substr(0, resource.find('?'));
  request.path = path.empty() ? "/" : decode(path, false);
  parse_query(resource.substr(std::min(path.size() + 1, resource.size())), request.params);
  while (!head.empty()) {
    if (const auto header = parse_header(take_line(head))) {
      request.headers.emplace(header->name, header->value);
    }
  }
  return true;
}

void parse_query(std::string_view query, httplib::Params& params) {
  while (!query.empty()) {
    const auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const auto name = pair.substr(0, pair.find('='));
    if (!pair.empty()) {
      params.emplace(decode(name, true),
                     decode(pair.substr(std::min(name.size() + 1, pair.size())), true));
    }
  }
}

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
  append_header(text, "Date", http_date(std::chrono::system_clock::now()));
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

std::string_view reason_phrase(int status) {
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
  const auto* const found = std::find_if(
      phrases.begin(), phrases.end(), [&](const auto& phrase) { return phrase.first == status; });
  return found != phrases.end() ? found->second : "Status";
}

}  // namespace cluster
