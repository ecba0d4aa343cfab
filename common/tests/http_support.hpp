#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
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
  ~HttpTest() override { end(); }
  HttpTest(const HttpTest&) = delete;
  HttpTest& operator=(const HttpTest&) = delete;

  HttpServer& make() {
    server = add("one");
    return *server;
  }
  HttpServer& start() {
    (server ? *server : make()).start();
    return *server;
  }
  // A fixture whose hooks or handlers use its members must call it in its destructor.
  void end() {
    gate.open();  // before the server waits for its handlers
    server.reset();
  }
  // A server with all routes, on the same listening socket.
  std::unique_ptr<HttpServer> add(const std::string& name);

  Client connect(int receive_buffer = 0) const {
    return Client(listener.address.port, receive_buffer);
  }
  // A connection that the server has accepted.
  Client connect_accepted() {
    const auto before = opened();
    auto client = connect();
    EXPECT_TRUE(eventually([&] { return opened() > before; }));
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
    return eventually([&] { return closed(reason) >= number; });
  }
  bool await_done(std::size_t number) {
    return eventually([&] { return done().size() >= number; });
  }

  // The calls of the hooks so far.
  int opened() {
    const std::lock_guard lock(told_mutex_);
    return opened_;
  }
  int closed(CloseReason reason) {
    const std::lock_guard lock(told_mutex_);
    return closed_[reason];
  }
  std::vector<Exchange> done() {
    const std::lock_guard lock(told_mutex_);
    return done_;
  }

  Journal journal;
  Listener listener = listen_on({"127.0.0.1", 0});
  HttpServer::Limits limits;
  Gate gate;
  std::string large;  // the answer to GET /large
  std::atomic<bool> admitting{true};

 private:
  std::mutex told_mutex_;  // guards the three below
  int opened_ = 0;
  std::map<CloseReason, int> closed_;
  std::vector<Exchange> done_;

 public:
  std::unique_ptr<HttpServer> server;
};

}  // namespace cluster::test
