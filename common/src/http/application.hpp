#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cluster/http_server.hpp"
#include "http/call.hpp"
#include "http/routes.hpp"

namespace cluster {

class AnswerStream;

// The way of a request to its handler and of the answer back, and what the owner of the server has
// set for it. It knows nothing of sockets. Filled before the server starts; then any thread may
// call run().
//
// The request comes parsed: cpp-httplib's own parser decodes the values of headers, knows no line
// over 8 KiB and no '?' in a query, and costs more than all the rest. Who is allowed to be served,
// and by which handler, is decided here. An answer that is a string leaves as it is. All else is
// cpp-httplib's: files, forms, bodies that a handler reads itself, content providers, compression,
// loggers. Then process_request() is given a request line that says nothing, and the request itself
// by its setup function; the answer so far, errors and the head come to it by the handlers that
// this class sets in it.
class HttpServer::Application {
 public:
  Application(HttpServer& server, const std::atomic<bool>& close_after_answer);

  // Writes the answer to `stream`; false: it could not be written to its end. Throws what a handler
  // that may not throw has thrown.
  bool run(HttpCall& call, AnswerStream& stream);
  // The bytes that cpp-httplib reads from the stream before it is given the request.
  static constexpr std::string_view request_line = "GET / HTTP/1.1\r\n\r\n";

  void fail(Response& response, int status, std::string_view error) const;

  void add(const std::string& method, const std::string& pattern, HttpRoutes::Handler handler) {
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
  // A body of so many bytes is not copied before it leaves.
  static constexpr std::size_t worth_moving = std::size_t{64} << 10;

  struct Mark;
  static HttpCall& call_of(const Request& request);
  static bool may_compress(const Request& request, const Response& response);
  static void spare_compression(Request& request, const Response& response);

  // Fills the response, or says what is left to cpp-httplib.
  using Step = void (Application::*)(HttpCall& call, Response& response) const;
  void begin(HttpCall& call, Response& response) const;
  void route(HttpCall& call, Response& response) const;

  void install();
  void answer(HttpCall& call, Step step) const;
  bool is_plain(const HttpCall& call) const;
  void write(HttpCall& call, AnswerStream& stream) const;
  bool process(HttpCall& call, AnswerStream& stream);
  static HandlerResponse hand_over(HttpCall& call, Response& response);
  void serve(HttpCall& call, Response& response, const httplib::ContentReader* reader) const;
  void refuse_route(HttpCall& call, Response& response) const;
  void take_exception(const Request& request, Response& response,
                      const std::exception_ptr& exception) const;
  void fill_error(const Request& request, Response& response) const;
  void finish_head(HttpCall& call, Response& response) const;
  std::string finish_plain_head(HttpCall& call) const;
  std::optional<std::size_t> settle_head(HttpCall& call, Response& response) const;

  HttpServer& server_;
  const std::atomic<bool>& close_after_answer_;
  HttpRoutes routes_;
};

}  // namespace cluster
