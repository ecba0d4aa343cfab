#pragma once

#include <map>
#include <string>

#include "cluster/http_server.hpp"

namespace cluster {

// The routes of a server: path → method → handler. A path that ends in '/' (but "/" itself) stands
// for all below it. Filled before the server starts; then any thread may look things up.
class HttpRoutes {
 public:
  void add(const std::string& method, const std::string& path, HttpServer::Handler handler);

  // The methods of the route that a path leads to; none: unknown.
  const std::map<std::string, HttpServer::Handler>* find(const std::string& path) const;

 private:
  std::map<std::string, std::map<std::string, HttpServer::Handler>> routes_;
};

}  // namespace cluster
