#pragma once

#include <map>
#include <string>

#include "cluster/http_server.hpp"

namespace cluster {

// The routes of a server: path → method → handler. A path that ends in '/' stands for all paths
// below it; "/" alone stands only for itself. The engine owns it. Routes are added before the
// server starts; then any thread may call find().
class HttpRoutes {
 public:
  void add(const std::string& method, const std::string& path, HttpServer::Handler handler);

  // The methods of the route for a path; nullptr: there is none.
  const std::map<std::string, HttpServer::Handler>* find(const std::string& path) const;

 private:
  std::map<std::string, std::map<std::string, HttpServer::Handler>> routes_;
};

}  // namespace cluster
