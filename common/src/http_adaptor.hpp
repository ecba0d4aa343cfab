#pragma once

#include <functional>
#include <map>
#include <string>

#include "cluster/http_server.hpp"

namespace cluster {

// The routes of a server: path → method → handler. A path that ends in '/' (but "/" itself) stands for all below it.
class HttpRoutes {
 public:
  void add(const std::string& method, const std::string& path, HttpServer::Handler handler);
  // The methods of the route that a path leads to; none: unknown.
  const std::map<std::string, HttpServer::Handler>* find(const std::string& path) const;

 private:
  std::map<std::string, std::map<std::string, HttpServer::Handler>> routes_;
};

// cpp-httplib's parser and writer for one request that is wholly in memory, made usable without its sockets and its
// threads. Each request thread has its own.
class HttpAdaptor : private httplib::Server {
 public:
  using Request = httplib::Request;
  using Response = httplib::Response;

  struct Task {
    std::string_view head;
    std::string body;
    bool refused = false;
    bool wants_close = false;          // of the client
    std::function<bool()> must_close;  // asked when the answer is written
  };
  struct Result {
    std::string text;  // the whole answer
    std::string method;
    std::string path;
    int status = 0;
    bool close = false;  // it says `Connection: close`
  };

  // All must outlive the adaptor; `fail` writes an error's JSON body.
  HttpAdaptor(const HttpRoutes& routes, const HttpServer::Handler& refuse,
              std::function<void(Response&, int status, const std::string& error)> fail);

  Result answer(Task task);

 private:
  template <typename Self, typename Setup>
  static void process(Self& self, httplib::Stream& stream, const Setup& setup);
  std::string_view without_long_headers(std::string_view head);
  void prepare(Request& request);
  void route(const Request& request, Response& response);
  void complete(const Request& request, Response& response);

  const HttpRoutes& routes_;
  const HttpServer::Handler& refuse_;
  std::function<void(Response&, int, const std::string&)> fail_;
  Task task_;
  std::string short_head_;
  httplib::Headers long_headers_;
  Result result_;
  bool routed_ = false;
};

}  // namespace cluster
