#include "http/application.hpp"

#include <algorithm>
#include <array>
#include <exception>

#include "http/answer_stream.hpp"
#include "http/message.hpp"

namespace cluster {

namespace {

constexpr std::size_t worth_compressing = 1'024;
// cpp-httplib finds a handler by a regular expression, which calls itself for each character of a
// path: so what is left to it goes by these.
constexpr const char* form_path = "/form";
constexpr const char* reading_path = "/reading";

// There is no file at the path.
struct NoFile {};

// The parameters of process_request() depend on the version of cpp-httplib. It is told that the
// connection closes; finish_head() decides.
template <typename Process, typename Setup>
bool call_process_request(const Process& process, const Setup& setup) {
  bool closed = false;
  if constexpr (requires { process(true, closed, setup); }) {
    return process(true, closed, setup);
  } else {
    return process(std::string(), -1, std::string(), -1, true, closed, setup);
  }
}

// A body that is in no string yet. Whether there can be a file depends on the version.
template <typename Response>
bool has_source(const Response& response) {
  if constexpr (requires { response.file_content_path_; }) {
    if (!response.file_content_path_.empty()) {
      return true;
    }
  }
  return static_cast<bool>(response.content_provider_);
}

// In versions that ask the socket, which is not theirs here.
template <typename Request>
void tell_of_hang_up(Request& request, const HttpCall& call) {
  if constexpr (requires { request.is_connection_closed; }) {
    request.is_connection_closed = call.hung_up;
  }
}

// A multipart form, of which cpp-httplib makes files. With other methods it reads no body.
bool is_form(const httplib::Request& request, const std::string& body) {
  constexpr std::array<std::string_view, 4> methods{"POST", "PUT", "PATCH", "DELETE"};
  return !body.empty() && std::ranges::find(methods, request.method) != methods.end() &&
         request.is_multipart_form_data();
}

}  // namespace

// The request carries its call where only cpp-httplib's client has something.
struct HttpServer::Application::Mark {
  HttpCall* call;
  bool operator()(const Response& /*response*/) const { return true; }
};

HttpCall& HttpServer::Application::call_of(const Request& request) {
  return *request.response_handler.target<Mark>()->call;
}

HttpServer::Application::Application(HttpServer& server,
                                     const std::atomic<bool>& close_after_answer)
    : server_(server), close_after_answer_(close_after_answer) {
  install();
}

void HttpServer::Application::install() {
  httplib::Server& base = server_;
  server_.svr_sock_ = 0;  // only a server that has a socket asks content providers
  base.set_pre_routing_handler([](const Request& request, Response& response) {
    return hand_over(call_of(request), response);
  });
  base.set_error_handler(HandlerWithResponse([this](const Request& request, Response& response) {
    auto& call = call_of(request);
    if (call.left == HttpCall::Left::file && response.status == 404 && response.body.empty() &&
        !has_source(response)) {
      throw NoFile();
    }
    call.running->path = call.request.path;
    fill_error(request, response);
    return HandlerResponse::Handled;
  }));
  base.set_exception_handler(
      [this](const Request& request, Response& response, const std::exception_ptr& exception) {
        call_of(request).running->path = call_of(request).request.path;
        take_exception(request, response, exception);
      });
  base.set_post_routing_handler([this](const Request& request, Response& response) {
    finish_head(call_of(request), response);
  });
  const Handler form = [this](const Request& request, Response& response) {
    serve(call_of(request), response, nullptr);
  };
  const HandlerWithContentReader reading = [this](const Request& request, Response& response,
                                                  const httplib::ContentReader& reader) {
    serve(call_of(request), response, &reader);
  };
  base.Post(form_path, form).Post(reading_path, reading);
  base.Put(form_path, form).Put(reading_path, reading);
  base.Patch(form_path, form).Patch(reading_path, reading);
  base.Delete(form_path, form).Delete(reading_path, reading);
}

bool HttpServer::Application::run(HttpCall& call, AnswerStream& stream) {
  Response response;  // ends here, and so does what its content provider holds
  response.version = "HTTP/1.1";
  response.headers = default_headers;
  call.response = &response;
  call.request.response_handler = Mark{&call};
  answer(call, &Application::begin);
  if (call.left == HttpCall::Left::file) {
    try {
      return process(call, stream);
    } catch (const NoFile&) {
      answer(call, &Application::route);
    }
  }
  if (!is_plain(call)) {
    return process(call, stream);
  }
  write(call, stream);
  return true;
}

// As cpp-httplib's process_request() does it.
void HttpServer::Application::answer(HttpCall& call, Step step) const {
  auto& response = *call.response;
  call.running = &call.request;
  call.left = HttpCall::Left::nothing;
  try {
    (this->*step)(call, response);
  } catch (...) {
    take_exception(*call.running, response, std::current_exception());
  }
  if (call.left == HttpCall::Left::nothing && response.status == -1) {
    response.status = 200;
  }
}

// Whether the answer is a string, and no function of the owner looks at it any more.
bool HttpServer::Application::is_plain(const HttpCall& call) const {
  const auto& response = *call.response;
  const bool may_change = post_routing_handler || (error_handler && response.status >= 400);
  return call.left == HttpCall::Left::nothing && !may_change && !has_logger &&
         !has_source(response) && !may_compress(call.request, response);
}

// cpp-httplib would parse a request line of its own, format each header by vsnprintf, and copy what
// the client does not take at once: half of what a short request costs besides system calls.
void HttpServer::Application::write(HttpCall& call, AnswerStream& stream) const {
  auto& response = *call.response;
  if (response.status >= 400) {
    fill_error(call.request, response);
  }
  if (!response.body.empty() && !has_header(response.headers, "Content-Type")) {
    response.headers.emplace("Content-Type", "text/plain");
  }
  auto text = finish_plain_head(call);
  if (call.request.method == "HEAD") {
    response.body.clear();
  } else if (response.body.size() >= worth_moving) {
    call.long_body = std::move(response.body);
  } else {
    text += response.body;
  }
  stream.write_whole(std::move(text));
}

// Only what cpp-httplib writes is compressed. HTTP/1.0 gets nothing compressed: it knows no chunks,
// and cpp-httplib calls a body compressed whose chunks alone would be.
bool HttpServer::Application::may_compress(const Request& request, const Response& response) {
  const bool small = response.body.size() < worth_compressing && !response.content_provider_;
  return !small && request.version != "HTTP/1.0" && has_header(request.headers, "Accept-Encoding");
}

// After the handler, which sees what the client has sent.
void HttpServer::Application::spare_compression(Request& request, const Response& response) {
  if (!may_compress(request, response)) {
    erase_header(request.headers, "Accept-Encoding");
  }
}

bool HttpServer::Application::process(HttpCall& call, AnswerStream& stream) {
  stream.rewind(request_line);
  // A content provider may have kept references into the request. Nobody else has, and so the body
  // is moved.
  const std::function<void(Request&)> setup = [&call](Request& request) {
    std::string body;
    if (!has_source(*call.response)) {
      body.swap(call.request.body);
    }
    request = call.request;
    if (!body.empty()) {
      request.body = std::move(body);
    }
    if (call.left == HttpCall::Left::form || call.left == HttpCall::Left::reading) {
      request.path = call.left == HttpCall::Left::form ? form_path : reading_path;
    }
    call.running = &request;
  };
  return call_process_request(
      [this, &stream]<typename... Rest>(Rest&&... rest) -> decltype(server_.process_request(
                                                            stream, std::forward<Rest>(rest)...)) {
        return server_.process_request(stream, std::forward<Rest>(rest)...);
      },
      setup);
}

httplib::Server::HandlerResponse HttpServer::Application::hand_over(HttpCall& call,
                                                                    Response& response) {
  tell_of_hang_up(*call.running, call);
  if (call.left == HttpCall::Left::file) {
    response.headers = call.response->headers;  // a copy: there may be no file
    return HandlerResponse::Unhandled;
  }
  response = std::move(*call.response);
  if (call.left != HttpCall::Left::nothing) {
    return HandlerResponse::Unhandled;
  }
  spare_compression(*call.running, response);
  return HandlerResponse::Handled;
}

// Who is allowed to be served.
void HttpServer::Application::begin(HttpCall& call, Response& response) const {
  auto& request = *call.running;
  tell_of_hang_up(request, call);
  if (!call.admitted) {
    if (server_.hooks.refuse) {
      server_.hooks.refuse(request, response);
    } else {
      fail(response, 503, "there are too many requests: try again later");
    }
    return;
  }
  if (pre_routing_handler && pre_routing_handler(request, response) == HandlerResponse::Handled) {
    return;
  }
  if (serves_files && (request.method == "GET" || request.method == "HEAD")) {
    // Without ranges: cpp-httplib 0.11 answers them with 206 and the whole file.
    erase_header(request.headers, "Range");
    call.left = HttpCall::Left::file;
    return;
  }
  route(call, response);
}

// By which handler.
void HttpServer::Application::route(HttpCall& call, Response& response) const {
  auto& request = *call.running;
  const auto found = routes_.find(request);
  if (!found.found()) {
    refuse_route(call, response);
    return;
  }
  if (!call.body.empty() && has_header(request.headers, "Content-Encoding")) {
    fail(response, 415, "a body that is encoded is not understood");
    return;
  }
  const auto* handler = std::get_if<HttpRoutes::Plain>(found.handler);
  if (handler == nullptr || is_form(request, call.body)) {
    call.left = handler == nullptr ? HttpCall::Left::reading : HttpCall::Left::form;
    return;
  }
  request.body = std::move(call.body);
  if (!request.body.empty() &&
      request.get_header_value("Content-Type").starts_with("application/x-www-form-urlencoded")) {
    parse_query(request.body, request.params);
  }
  (*handler)(request, response);
}

// When cpp-httplib has read the form, or has a reader.
void HttpServer::Application::serve(HttpCall& call, Response& response,
                                    const httplib::ContentReader* reader) const {
  auto& request = *call.running;
  request.path = call.request.path;
  request.matches = {};
  const auto found = routes_.find(request);  // again: what the pattern has matched is in `request`
  if (reader != nullptr) {
    std::get<HttpRoutes::Reader> (*found.handler)(request, response, *reader);
  } else {
    std::get<HttpRoutes::Plain> (*found.handler)(request, response);
  }
  spare_compression(request, response);
}

}  // namespace cluster
