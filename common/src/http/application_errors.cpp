// What is answered when no handler has answered.
#include <algorithm>
#include <array>
#include <exception>
#include <string>

#include "http/application.hpp"
#include "http/message.hpp"

namespace cluster {

namespace {

// A header that describes the body that a handler wanted to send, not the error. With some statuses
// it says why (RFC 9110, 14.4 and 15.5.13).
struct OfTheBody {
  const char* name;
  std::array<int, 2> said_by;
};
constexpr std::array of_the_body{
    OfTheBody{"Content-Disposition", {}},   OfTheBody{"Content-Encoding", {}},
    OfTheBody{"Content-Language", {}},      OfTheBody{"Content-Location", {}},
    OfTheBody{"Content-Range", {416}},      OfTheBody{"ETag", {412, 416}},
    OfTheBody{"Last-Modified", {412, 416}},
};

// Whether there can be a file depends on the version of cpp-httplib.
template <typename Response>
void drop_source(Response& response) {
  response.content_provider_ = nullptr;
  if constexpr (requires { response.file_content_path_; }) {
    response.file_content_path_.clear();
  }
}

}  // namespace

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
  drop_source(response);
}

void HttpServer::Application::fill_error(const Request& request, Response& response) const {
  if (error_handler) {
    error_handler(request, response);
  }
  if (response.body.empty() && !response.content_provider_) {
    for (const auto& [name, said_by] : of_the_body) {
      if (std::ranges::find(said_by, response.status) == said_by.end()) {
        erase_header(response.headers, name);
      }
    }
    const auto& error = call_of(request).error;
    fail(response, response.status, error.empty() ? reason_phrase(response.status) : error);
  }
  spare_compression(*call_of(request).running, response);
}

void HttpServer::Application::fail(Response& response, int status, std::string_view error) const {
  server_.reply(response, status, {{"error", error}});
}

}  // namespace cluster
