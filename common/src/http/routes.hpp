#pragma once

#include <httplib.h>

#include <cstddef>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace cluster {

// The routes of a server, by method and pattern. A pattern is what cpp-httplib takes for one: a
// regular expression that matches the whole path or, where its Request has path_params, a path with
// parameters as in "/users/:id". The first that matches decides. Patterns without a special
// character are looked up, since cpp-httplib 0.11 spends half a microsecond on each expression.
// Filled before the server starts; then any thread may look things up.
class HttpRoutes {
 public:
  using Plain = httplib::Server::Handler;
  using Reader = httplib::Server::HandlerWithContentReader;  // it reads the body itself
  using Handler = std::variant<Plain, Reader>;

  void add(const std::string& method, const std::string& pattern, Handler handler);

  struct Found {
    const Handler* handler = nullptr;
    bool found() const { return handler != nullptr; }
  };
  // The route of the request's method and path. It fills the request's matches or path_params.
  Found find(httplib::Request& request) const;

  // The methods that the path has, in the order of the alphabet; none: it is unknown.
  std::vector<std::string_view> methods(const httplib::Request& request) const;

 private:
  struct Route {
    std::string pattern;
    std::optional<std::regex> expression;  // none: a path with parameters
    Handler handler;
    std::size_t order;
  };
  struct OfMethod {
    std::unordered_map<std::string, Route> exact;
    std::vector<Route> patterns;
  };

  static Found find_in(const OfMethod& routes, httplib::Request& request);

  std::map<std::string, OfMethod, std::less<>> methods_;
  std::size_t count_ = 0;
};

}  // namespace cluster
