#include "http/application.hpp"

#include <algorithm>
#include <array>
#include <exception>

#include "http/answer_stream.hpp"
#include "http/message.hpp"

namespace cluster {

namespace {

constexpr std::size_t worth_compressing = 1'024;
constexpr const char* any_path = "[\\s\\S]*";

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

// Only what cpp-httplib writes is compressed. HTTP/1.0 gets nothing compressed: it knows no chunks,
// and cpp-httplib calls a body compressed whose chunks alone would be.
bool may_compress(const httplib::Request& request, const httplib::Response& response) {
  const bool small = response.body.size() < worth_compressing && !response.content_provider_;
  return !small && request.version != "HTTP/1.0" && has_header(request.headers, "Accept-Encoding");
}

// After the handler, which sees what the client has sent.
void spare_compression(httplib::Request& request, const httplib::Response& response) {
  if (!may_compress(request, response)) {
    erase_header(request.headers, "Accept-Encoding");
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
    fill_error(request, response);
    return HandlerResponse::Handled;
  }));
  base.set_exception_handler(
      [this](const Request& request, Response& response, const std::exception_ptr& exception) {
        take_exception(request, response, exception);
      });
  base.set_post_routing_handler([this](const Request& request, Response& response) {
    finish_head(call_of(request), response);
  });
  // What answer() has left to cpp-httplib: it looks for files and reads forms, and then comes here.
  const Handler rest = [this](const Request& request, Response& response) {
    serve(call_of(request), response);
  };
  base.Get(any_path, rest);
  base.Post(any_path, rest);
  base.Put(any_path, rest);
  base.Patch(any_path, rest);
  base.Delete(any_path, rest);
  base.Options(any_path, rest);
}

bool HttpServer::Application::run(HttpCall& call, AnswerStream& stream) {
  Response response;  // ends here, and so does what its content provider holds
  response.version = "HTTP/1.1";
  response.headers = default_headers;
  call.running = &call.request;
  call.response = &response;
  call.request.response_handler = Mark{&call};
  answer(call);
  if (!is_plain(call)) {
    return process(call, stream);
  }
  write(call, stream);
  return true;
}

// As cpp-httplib's process_request() does it.
void HttpServer::Application::answer(HttpCall& call) const {
  auto& response = *call.response;
  try {
    call.answered = route(call, response) == HandlerResponse::Handled;
  } catch (...) {
    take_exception(*call.running, response, std::current_exception());
    call.answered = true;
  }
  if (call.answered && response.status == -1) {
    response.status = 200;
  }
}

// Whether the answer is a string, and no function of the owner looks at it any more.
bool HttpServer::Application::is_plain(const HttpCall& call) const {
  const auto& response = *call.response;
  const bool may_change = post_routing_handler || (error_handler && response.status >= 400);
  return call.answered && !may_change && !has_logger && !has_source(response) &&
         !may_compress(call.request, response);
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

bool HttpServer::Application::process(HttpCall& call, httplib::Stream& stream) {
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
  response = std::move(*call.response);
  if (!call.answered) {
    return HandlerResponse::Unhandled;
  }
  spare_compression(*call.running, response);
  return HandlerResponse::Handled;
}

httplib::Server::HandlerResponse HttpServer::Application::route(HttpCall& call,
                                                                Response& response) const {
  auto& request = *call.running;
  tell_of_hang_up(request, call);
  if (!call.admitted) {
    if (server_.hooks.refuse) {
      server_.hooks.refuse(request, response);
    } else {
      fail(response, 503, "there are too many requests: try again later");
    }
    return HandlerResponse::Handled;
  }
  if (pre_routing_handler && pre_routing_handler(request, response) == HandlerResponse::Handled) {
    return HandlerResponse::Handled;
  }
  const bool may_be_file = serves_files && (request.method == "GET" || request.method == "HEAD");
  const auto found = routes_.find(request);
  const bool reads_itself = found.found() && !*found.handler;
  const bool form = found.found() && is_form(request, call.body);
  if (reads_itself || form) {
    if (request.has_header("Content-Encoding")) {
      fail(response, 415, "a body that is encoded is not understood");
      return HandlerResponse::Handled;
    }
    return HandlerResponse::Unhandled;
  }
  if (may_be_file) {
    // Without ranges: cpp-httplib 0.11 answers them with 206 and the whole file.
    erase_header(request.headers, "Range");
    return HandlerResponse::Unhandled;
  }
  if (!found.found()) {
    refuse_route(call, response);
    return HandlerResponse::Handled;
  }
  request.body = std::move(call.body);
  if (!request.body.empty() &&
      request.get_header_value("Content-Type").starts_with("application/x-www-form-urlencoded")) {
    parse_query(request.body, request.params);
  }
  (*found.handler)(request, response);
  return HandlerResponse::Handled;
}

// Behind cpp-httplib's own reading of the body.
void HttpServer::Application::serve(HttpCall& call, Response& response) const {
  const auto found = routes_.find(*call.running);
  if (found.found() && *found.handler) {
    (*found.handler)(*call.running, response);
  } else {
    refuse_route(call, response);
  }
  spare_compression(*call.running, response);
}

HttpServer::HandlerWithContentReader HttpServer::Application::finished(
    HandlerWithContentReader handler) {
  return [handler = std::move(handler)](const Request& request, Response& response,
                                        const httplib::ContentReader& reader) {
    handler(request, response, reader);
    spare_compression(*call_of(request).running, response);
  };
}

void HttpServer::Application::refuse_route(HttpCall& call, Response& response) const {
  const auto methods = routes_.methods(*call.running);
  if (methods.empty()) {
    response.status = 404;
    call.error = "there is nothing at " + call.running->path;
    return;
  }
  std::string allowed;
  for (const auto method : methods) {
    allowed.append(allowed.empty() ? "" : ", ").append(method);
  }
  response.status = 405;
  response.set_header("Allow", allowed);
  call.error = call.running->method + " is not allowed here: " + allowed;
}

void HttpServer::Application::take_exception(const Request& request, Response& response,
                                             const std::exception_ptr& exception) const {
  if (exception_handler) {
    exception_handler(request, response, exception);
    spare_compression(*call_of(request).running, response);
    return;
  }
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    call_of(request).error = error.what();
  } catch (...) {
    call_of(request).error = "the handler failed";
  }
  response.status = 500;
  response.body.clear();
  response.content_provider_ = nullptr;
}

void HttpServer::Application::fill_error(const Request& request, Response& response) const {
  if (error_handler) {
    error_handler(request, response);
  }
  if (response.body.empty() && !response.content_provider_) {
    const auto& error = call_of(request).error;
    fail(response, response.status, error.empty() ? reason_phrase(response.status) : error);
  }
  spare_compression(*call_of(request).running, response);
}

void HttpServer::Application::fail(Response& response, int status, std::string_view error) const {
  server_.reply(response, status, {{"error", error}});
}

}  // namespace cluster
