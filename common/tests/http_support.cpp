#include "http_support.hpp"

#include <stdexcept>

namespace cluster::test {

std::unique_ptr<HttpServer> HttpTest::add(const std::string& name) {
  auto result =
      std::make_unique<HttpServer>(listener.fd.get(), Json{{"worker", name}}, journal, limits);
  auto& own = *result;
  const auto path = [&own](const HttpServer::Request& request, HttpServer::Response& response) {
    own.reply(response, 200, {{"path", request.path}, {"query", request.get_param_value("q")}});
  };
  own.Get("/", path);
  own.Get("/items/.*", path);
  own.Delete("/items/.*", path);
  own.Post("/echo", [&own](const auto& request, auto& response) {
    own.reply(response, 200, {{"body", request.body}});
  });
  own.Get("/echo", path);
  own.Get("/empty",
          [&own](const auto&, auto& response) { own.reply(response, 200, Json::object()); });
  own.Get("/gate", [this, path](const auto& request, auto& response) {
    gate.pass();
    path(request, response);
  });
  own.Get("/throw", [](const auto&, auto&) { throw std::runtime_error("it broke"); });
  own.Get("/throw-int", [](const auto&, auto&) { throw 7; });
  own.Get("/large",
          [this](const auto&, auto& response) { response.set_content(large, "text/plain"); });
  own.hooks.admit = [this] { return admitting.load(); };
  own.hooks.opened = [this](std::uint64_t) {
    const std::lock_guard lock(told_mutex_);
    ++opened_;
  };
  own.hooks.closed = [this](std::uint64_t, CloseReason reason) {
    const std::lock_guard lock(told_mutex_);
    ++closed_[reason];
  };
  own.hooks.done = [this](const Exchange& exchange) {
    const std::lock_guard lock(told_mutex_);
    done_.push_back(exchange);
  };
  own.hooks.refuse = [&own](const auto&, auto& response) {
    response.set_header("Retry-After", "1");
    own.reply(response, 503, {{"error", "shutting down"}});
  };
  return result;
}

}  // namespace cluster::test
