#include "http/message.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace cluster {

namespace {

constexpr std::string_view line_end = "\r\n";
constexpr std::string_view blanks = " \t";

// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return std::isalnum(c) != 0 || others.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool is_target(std::string_view text) {
  return !text.empty() && is_text(text) && text.find('\t') == std::string_view::npos;
}

// The target may name the server, too (absolute-form: RFC 9112, 3.2.2).
std::string_view without_authority(std::string_view target) {
  constexpr std::string_view scheme = "http://";
  if (!same_name(target.substr(0, scheme.size()), scheme)) {
    return target;
  }
  const auto path = target.find_first_of("/?", scheme.size());
  return path == std::string_view::npos ? "/" : target.substr(path);
}

// Decodes percent-encoding (RFC 3986, 2.1). A '%' without two hex digits stands for itself.
// In a query a '+' is a blank.
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

}  // namespace

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

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
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

std::optional<httplib::Request> parse_request(std::string_view head) {
  const auto line = take_line(head);
  const auto method = line.substr(0, line.find(' '));
  const auto rest = line.substr(std::min(method.size() + 1, line.size()));
  const auto target = rest.substr(0, rest.find(' '));
  const auto version = rest.substr(std::min(target.size() + 1, rest.size()));
  if (!is_token(method) || !is_target(target) || (version != "HTTP/1.1" && version != "HTTP/1.0")) {
    return std::nullopt;
  }
  std::optional<httplib::Request> request(std::in_place);
  request->method = method;
  request->target = target;
  request->version = version;
  const auto resource = without_authority(target.substr(0, target.find('#')));
  const auto path = resource.substr(0, resource.find('?'));
  request->path = decode(path, false);
  parse_query(resource.substr(std::min(path.size() + 1, resource.size())), request->params);
  while (!head.empty()) {
    if (const auto header = parse_header(take_line(head))) {
      request->headers.emplace(header->name, header->value);
    }
  }
  return request;
}

std::string format_response(const httplib::Response& response, Closing closing, bool body) {
  std::string text;
  text.reserve(256 + response.body.size());
  text.append("HTTP/1.1 ").append(std::to_string(response.status)).append(1, ' ');
  text.append(reason_phrase(response.status)).append(line_end);
  for (const auto& [name, value] : response.headers) {
    if (!same_name(name, "Connection") && !same_name(name, "Content-Length")) {
      text.append(name).append(": ").append(value).append(line_end);
    }
  }
  if (closing.close) {
    text.append("Connection: close\r\n");
  } else if (closing.keep_alive) {
    text.append("Connection: keep-alive\r\n");
  }
  text.append("Content-Length: ")
      .append(std::to_string(response.body.size()))
      .append(line_end)
      .append(line_end);
  if (body) {
    text.append(response.body);
  }
  return text;
}

std::string_view reason_phrase(int status) {
  constexpr std::array phrases{
      std::pair{200, "OK"},
      std::pair{201, "Created"},
      std::pair{202, "Accepted"},
      std::pair{400, "Bad Request"},
      std::pair{404, "Not Found"},
      std::pair{405, "Method Not Allowed"},
      std::pair{408, "Request Timeout"},
      std::pair{409, "Conflict"},
      std::pair{413, "Content Too Large"},
      std::pair{429, "Too Many Requests"},
      std::pair{431, "Request Header Fields Too Large"},
      std::pair{500, "Internal Server Error"},
      std::pair{501, "Not Implemented"},
      std::pair{502, "Bad Gateway"},
      std::pair{503, "Service Unavailable"},
      std::pair{504, "Gateway Timeout"},
  };
  const auto* const found = std::find_if(
      phrases.begin(), phrases.end(), [&](const auto& phrase) { return phrase.first == status; });
  return found != phrases.end() ? found->second : "Status";
}

}  // namespace cluster
