#include "http/routes.hpp"

#include <utility>

namespace cluster {

void HttpRoutes::add(const std::string& method, const std::string& path,
                     HttpServer::Handler handler) {
  routes_[path][method] = std::move(handler);
}

const std::map<std::string, HttpServer::Handler>* HttpRoutes::find(const std::string& path) const {
  if (const auto exact = routes_.find(path); exact != routes_.end()) {
    return &exact->second;
  }
  for (auto slash = path.rfind('/'); slash != std::string::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    if (const auto below = routes_.find(path.substr(0, slash + 1)); below != routes_.end()) {
      return &below->second;
    }
  }
  return nullptr;
}

}  // namespace cluster
