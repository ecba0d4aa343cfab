// The head of an answer: what cpp-httplib and the handlers have made of it is set right.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "http/application.hpp"
#include "http/message.hpp"

namespace cluster {

namespace {

bool says_close(const std::pair<const std::string, std::string>& header) {
  return same_name(header.first, "Connection") && has_token(header.second, "close");
}

bool is_header(const std::pair<const std::string, std::string>& header) {
  return is_token(header.first) && is_text(header.second);
}

// None: the length is not known before the end. What a handler has set itself is not ours to
// believe.
std::optional<std::size_t> take_length(httplib::Response& response, bool has_body,
                                       bool chunks_allowed) {
  if (!response.body.empty() || !has_body) {
    response.content_provider_ = nullptr;  // one of them is enough
  }
  if (!has_body) {
    response.body.clear();
  }
  auto& headers = response.headers;
  erase_header(headers, "Content-Length");
  const bool by_provider = static_cast<bool>(response.content_provider_);
  if (by_provider && response.content_length_ == 0) {
    response.is_chunked_content_provider_ = response.is_chunked_content_provider_ && chunks_allowed;
    if (!response.is_chunked_content_provider_) {
      erase_header(headers, "Transfer-Encoding");
    }
    return std::nullopt;
  }
  erase_header(headers, "Transfer-Encoding");
  return by_provider ? response.content_length_ : response.body.size();
}

// What is said besides the headers that are there; `add` gets names and values.
template <typename Add>
void end_head(const HttpCall& call, const httplib::Headers& headers,
              std::optional<std::size_t> length, const Add& add) {
  if (length) {
    add("Content-Length", std::to_string(*length));
  }
  if (!has_header(headers, "Date")) {
    add("Date", http_date_now());
  }
  if (call.close) {
    add("Connection", "close");
  } else if (call.running->version == "HTTP/1.0") {
    add("Connection", "keep-alive");
  }
}

}  // namespace

// cpp-httplib believes that each connection is closed, and has just said so.
void HttpServer::Application::finish_head(HttpCall& call, Response& response) const {
  auto& headers = response.headers;
  if (const auto said = std::ranges::find_if(headers, says_close); said != headers.end()) {
    headers.erase(said);
  }
  if (post_routing_handler) {
    post_routing_handler(*call.running, response);
  }
  const auto length = settle_head(call, response);
  end_head(call, headers, length,
           [&headers](const char* name, std::string_view value) { headers.emplace(name, value); });
  if (!has_logger && response.body.size() >= worth_moving && call.running->method != "HEAD") {
    call.long_body = std::move(response.body);
    response.body.clear();
  }
}

std::string HttpServer::Application::finish_plain_head(HttpCall& call) const {
  auto& response = *call.response;
  const auto length = settle_head(call, response);
  auto text = status_line(response.status);
  append_headers(text, response.headers);
  end_head(call, response.headers, length, [&text](std::string_view name, std::string_view value) {
    append_header(text, name, value);
  });
  return text.append(line_end);
}

// Returns the length that the head is to say, if it is to say one.
std::optional<std::size_t> HttpServer::Application::settle_head(HttpCall& call,
                                                                Response& response) const {
  auto& headers = response.headers;
  call.close = call.close || !call.admitted || close_after_answer_ ||
               std::ranges::any_of(headers, says_close);
  erase_header(headers, "Connection");
  erase_header(headers, "Keep-Alive");
  if (!std::ranges::all_of(headers, is_header)) {
    headers = default_headers;
    response.content_provider_ = nullptr;
    fail(response, 500, "the answer had a header that is no text");
  }
  const auto status = response.status;
  const bool http_1_0 = call.running->version == "HTTP/1.0";
  const bool has_body = status >= 200 && status != 204 && status != 304;
  const auto length = take_length(response, has_body, !http_1_0);
  // A client learns of the end of the body by its length, by chunks, or by the connection's end.
  call.close = call.close || (!length && !response.is_chunked_content_provider_);
  call.status = status;
  call.streams = static_cast<bool>(response.content_provider_);
  return has_body ? length : std::nullopt;
}

}  // namespace cluster
