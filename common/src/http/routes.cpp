#include "http/routes.hpp"

#include <algorithm>
#include <utility>

namespace cluster {

namespace {

// Which path parameters are there depends on the version of cpp-httplib.
template <typename Request>
constexpr bool has_path_params = requires(Request request) {
  request.path_params;
};

bool has_parameters(std::string_view pattern) {
  return has_path_params<httplib::Request> && pattern.find("/:") != std::string_view::npos;
}

[[maybe_unused]] std::string_view take_segment(std::string_view& path) {
  const auto segment = path.substr(0, path.find('/'));
  path.remove_prefix(std::min(segment.size() + 1, path.size()));
  return segment;
}

// As in "/users/:id/posts": what stands in the place of a parameter is not empty.
template <typename Request>
bool match_parameters(std::string_view pattern, Request& request) {
  if constexpr (has_path_params<Request>) {
    decltype(request.path_params) found;
    std::string_view path = request.path;
    if (std::ranges::count(path, '/') != std::ranges::count(pattern, '/')) {
      return false;
    }
    while (!pattern.empty() || !path.empty()) {
      const auto expected = take_segment(pattern);
      const auto segment = take_segment(path);
      const bool parameter = expected.starts_with(':');
      if (parameter ? segment.empty() : segment != expected) {
        return false;
      }
      if (parameter) {
        found.insert_or_assign(std::string(expected.substr(1)), std::string(segment));
      }
    }
    request.path_params = std::move(found);
    return true;
  }
  return false;
}

// The usual way of libstdc++ to match calls itself for each character: 16,000 of a path overflow
// the stack, and some patterns take exponential time. Its other way does neither, and knows all but
// back-references.
std::regex to_expression(const std::string& pattern) {
  try {
    return std::regex(pattern, std::regex::ECMAScript | std::regex_constants::__polynomial);
  } catch (const std::regex_error&) {
    return std::regex(pattern);
  }
}

}  // namespace

void HttpRoutes::add(const std::string& method, const std::string& pattern, Handler handler) {
  auto& routes = methods_[method];
  Route route{pattern, std::nullopt, std::move(handler), count_++};
  if (has_parameters(pattern)) {
    routes.patterns.push_back(std::move(route));
  } else if (pattern.find_first_of(R"(^$\.*+?()[]{}|)") == std::string::npos) {
    routes.exact.try_emplace(pattern, std::move(route));  // the first one stays
  } else {
    route.expression = to_expression(pattern);
    routes.patterns.push_back(std::move(route));
  }
}

HttpRoutes::Found HttpRoutes::find_in(const OfMethod& routes, httplib::Request& request) {
  const auto exact = routes.exact.find(request.path);
  const Route* found = exact != routes.exact.end() ? &exact->second : nullptr;
  for (const auto& route : routes.patterns) {
    if (found != nullptr && found->order < route.order) {
      break;
    }
    if (route.expression ? std::regex_match(request.path, request.matches, *route.expression)
                         : match_parameters(route.pattern, request)) {
      return {&route.handler};
    }
  }
  return {found != nullptr ? &found->handler : nullptr};
}

HttpRoutes::Found HttpRoutes::find(httplib::Request& request) const {
  const auto routes = methods_.find(request.method);
  return routes != methods_.end() ? find_in(routes->second, request) : Found{};
}

std::vector<std::string_view> HttpRoutes::methods(const httplib::Request& request) const {
  std::vector<std::string_view> result;
  httplib::Request probe;
  probe.path = request.path;
  for (const auto& [method, routes] : methods_) {
    if (find_in(routes, probe).found()) {
      result.push_back(method);
    }
  }
  return result;
}

}  // namespace cluster
