#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "cluster/http_server.hpp"
#include "cluster/listener.hpp"
#include "http_client.hpp"
#include "support.hpp"

namespace cluster::test {

// A server in this process. A test sets limits and hooks, and calls start().
struct HttpTest : testing::Test {
  using Exchange = HttpServer::Exchange;
  using CloseReason = HttpServer::CloseReason;

  HttpTest() : HttpTest("") {}
  explicit HttpTest(const std::string& journal_path) : journal(journal_path, 1) {}
  ~HttpTest() override { gate.open(); }  // before the server waits for its handlers
  HttpTest(const HttpTest&) = delete;
  HttpTest& operator=(const HttpTest&) = delete;

  // For what the hooks write and the test reads.
  void note(const std::function<void()>& write) {
    const std::lock_guard lock(noted_mutex);
    write();
  }
  template <typename Read>
  auto count(const Read& read) {
    const std::lock_guard lock(noted_mutex);
    return read();
  }

  HttpServer& make() {
    server = add("one");
    return *server;
  }
  HttpServer& start() {
    (server ? *server : make()).start();
    return *server;
  }
  // A server with all routes, on the same listening socket.
  std::unique_ptr<HttpServer> add(const std::string& name) {
    auto result = std::make_unique<HttpServer>(listener.fd.get(), Json{{"worker", name}}, journal, limits);
    auto& own = *result;
    const auto path = [&own](const HttpServer::Request& request, HttpServer::Response& response) {
      own.reply(response, 200, {{"path", request.path}, {"query", request.get_param_value("q")}});
    };
    own.get("/", path);
    own.get("/items/", path);
    own.del("/items/", path);
    own.post("/echo", [&own](const auto& request, auto& response) {
      own.reply(response, 200, {{"body", request.body}});
    });
    own.get("/echo", path);
    own.get("/empty", [&own](const auto&, auto& response) { own.reply(response, 200, Json::object()); });
    own.get("/gate", [this, path](const auto& request, auto& response) {
      gate.pass();
      path(request, response);
    });
    own.get("/throw", [](const auto&, auto&) { throw std::runtime_error("it broke"); });
    own.get("/throw-int", [](const auto&, auto&) { throw 7; });
    own.get("/large", [this](const auto&, auto& response) { response.set_content(large, "text/plain"); });
    own.hooks.opened = [this](std::uint64_t) { note([&] { ++opened; }); };
    own.hooks.closed = [this](std::uint64_t, CloseReason reason) { note([&] { ++closed[reason]; }); };
    own.hooks.done = [this](const Exchange& exchange) { note([&] { done.push_back(exchange); }); };
    own.hooks.refuse = [&own](const auto&, auto& response) {
      response.set_header("Retry-After", "1");
      own.reply(response, 503, {{"error", "shutting down"}});
    };
    return result;
  }

  Client connect(int receive_buffer = 0) const { return Client(listener.address.port, receive_buffer); }
  // A connection that the server has accepted.
  Client connect_accepted() {
    const auto before = count([&] { return opened; });
    auto client = connect();
    EXPECT_TRUE(eventually([&] { return count([&] { return opened; }) > before; }));
    return client;
  }
  // A client whose request is inside its handler.
  Client connect_to_gate() {
    const int before = gate.inside;
    auto client = connect();
    EXPECT_TRUE(client.send(get("/gate")));
    EXPECT_TRUE(eventually([&] { return gate.inside > before; }));
    return client;
  }
  bool await(const std::function<bool(const HttpServer::Activity&)>& condition) const {
    return eventually([&] { return condition(server->activity()); });
  }
  bool await_closed(CloseReason reason, int number = 1) {
    return eventually([&] { return count([&] { return closed[reason]; }) >= number; });
  }
  bool await_done(std::size_t number) {
    return eventually([&] { return count([&] { return done.size(); }) >= number; });
  }
  Journal journal;
  Listener listener = listen_on({"127.0.0.1", 0});
  HttpServer::Limits limits;
  Gate gate;
  std::string large;  // what GET /large answers

  std::mutex noted_mutex;  // guards the three below
  int opened = 0;
  std::map<CloseReason, int> closed;
  std::vector<Exchange> done;

  std::unique_ptr<HttpServer> server;
};

}  // namespace cluster::test
