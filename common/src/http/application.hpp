#pragma once

#include <atomic>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "cluster/http_server.hpp"
#include "http/call.hpp"
#include "http/routes.hpp"

namespace cluster {

// The way of a request through cpp-httplib, and what the owner of the server has set for it. It
// knows nothing of sockets. Filled before the server starts; then any thread may call run().
//
// The request comes parsed: cpp-httplib's own parser decodes the values of headers, knows no line
// over 8 KiB and no '?' in a query, and costs more than all the rest. So process_request() is given
// a request line that says nothing, and then the request itself by its setup function. Who is
// allowed to be served, routes, errors and the head of the answer are decided in the handlers that
// this class sets in it.
class HttpServer::Application {
 public:
  Application(HttpServer& server, const std::atomic<bool>& close_after_answer);

  // Writes the answer to `stream`; false: it could not be written to its end. Throws what a handler
  // that may not throw has thrown.
  bool run(HttpCall& call, httplib::Stream& stream);
  // The bytes that run() reads from the stream before it has set the request.
  static constexpr std::string_view request_line = "GET / HTTP/1.1\r\n\r\n";

  // A handler that reads the body itself, with what is to be done after each handler.
  static HandlerWithContentReader finished(HandlerWithContentReader handler);

  void fail(Response& response, int status, std::string_view error) const;

  void add(const std::string& method, const std::string& pattern, Handler handler) {
    routes_.add(method, pattern, std::move(handler));
  }

  HandlerWithResponse error_handler;
  ExceptionHandler exception_handler;
  HandlerWithResponse pre_routing_handler;
  Handler post_routing_handler;
  httplib::Headers default_headers;
  bool serves_files = false;
  bool has_logger = false;

 private:
  struct Mark;
  static HttpCall& call_of(const Request& request);

  void install();
  void begin(HttpCall& call, Request& request) const;
  HandlerResponse respond(HttpCall& call, Response& response) const;
  HandlerResponse route(HttpCall& call, Response& response) const;
  void serve(HttpCall& call, Response& response) const;
  void refuse_route(HttpCall& call, Response& response) const;
  void take_exception(const Request& request, Response& response,
                      const std::exception_ptr& exception) const;
  void fill_error(const Request& request, Response& response) const;
  void finish_head(HttpCall& call, Response& response) const;
  bool take_over(HttpCall& call, Response& response) const;

  HttpServer& server_;
  const std::atomic<bool>& close_after_answer_;
  HttpRoutes routes_;
};

}  // namespace cluster
