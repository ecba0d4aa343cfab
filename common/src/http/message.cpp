// How a request is read.
#include "http/message.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace cluster {

namespace {

constexpr std::string_view blanks = " \t";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Of ASCII: the C library's functions ask the locale.
bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
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
    return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
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
  return std::ranges::all_of(port, is_digit) && std::ranges::all_of(name, [&](char c) {
           return is_alphanumeric(c) || (address && c == ':') ||
                  in_names.find(c) != std::string_view::npos;
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

}  // namespace cluster
