// Requests and answers, one connection at a time.
#include "cluster/http_server.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "http_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::post;

using HttpServerTest = test::HttpTest;

TEST_F(HttpServerTest, AnswersWithJsonAndItsIdentity) {
  start();
  auto client = connect();
  const auto answer = client.ask(get("/?q=gr%C3%BCn+1"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->header("Content-Type"), "application/json");
  EXPECT_EQ(answer->json(), Json::parse(R"({"path":"/","query":"grün 1","worker":"one"})"));
  EXPECT_EQ(client.ask(get("/empty")).value().json(), Json::parse(R"({"worker":"one"})"));
}

TEST_F(HttpServerTest, ABodyIsAnObjectThatMayBeEmpty) {
  const HttpServer named(listener.fd.get(), {{"worker", "one"}}, journal, limits);
  const HttpServer nameless(listener.fd.get(), Json::object(), journal, limits);
  for (const Json& empty : {Json(), Json::object()}) {
    HttpServer::Response response;
    named.reply(response, 200, empty);
    EXPECT_EQ(response.body, R"({"worker":"one"})");
    nameless.reply(response, 200, empty);
    EXPECT_EQ(response.body, "{}");
  }
  for (const Json& wrong : {Json{"status", "ok"}, Json("text"), Json(7), Json::array()}) {
    HttpServer::Response response;
    EXPECT_THROW(named.reply(response, 200, wrong), std::invalid_argument) << wrong;
    EXPECT_THROW(nameless.reply(response, 200, wrong), std::invalid_argument) << wrong;
    EXPECT_EQ(response.status, -1) << "nothing was answered";
  }
}

TEST_F(HttpServerTest, AnErrorIsAnObjectToo) {
  const HttpServer named(listener.fd.get(), {{"worker", "one"}}, journal, limits);
  HttpServer::Response response;
  named.fail(response, 404, "there is no \"x\"");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(Json::parse(response.body), (Json{{"worker", "one"}, {"error", "there is no \"x\""}}));
}

template <typename Handler>
constexpr bool can_be_a_handler = requires(HttpServer& server, Handler handler) {
  server.Get("/", handler);
};
constexpr auto by_reference = [](const HttpServer::Request&, HttpServer::Response&) {};
constexpr auto by_any_reference = [](const auto&, auto& response) { response.status = 200; };
constexpr auto by_value = [](const HttpServer::Request&, HttpServer::Response) {};
static_assert(can_be_a_handler<decltype(by_reference)>);
static_assert(can_be_a_handler<decltype(by_any_reference)>);
static_assert(can_be_a_handler<HttpServer::Handler>);
static_assert(!can_be_a_handler<decltype(by_value)>);

TEST_F(HttpServerTest, KeepsAConnectionForManyRequests) {
  start();
  auto client = connect();
  for (int i = 0; i < 50; ++i) {
    const auto answer = client.ask(get("/"));
    ASSERT_TRUE(answer) << "after " << i;
    EXPECT_EQ(answer->status, 200);
    EXPECT_FALSE(answer->header("Connection")) << "open is what HTTP/1.1 does without a header";
  }
  EXPECT_EQ(opened(), 1);
  EXPECT_EQ(server->activity().connections, 1U);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  auto client = connect();
  std::string requests =
      get("/") + post("/echo", "first") + get("/missing") + get("/", "", "HEAD") +
      post("/echo", "second", "Expect: 100-continue\r\n") + get("/items/9", "", "DELETE");
  for (int i = 0; i < 100; ++i) requests += post("/echo", std::to_string(i));
  ASSERT_TRUE(client.send(requests));
  EXPECT_EQ(client.read().value().json()["path"], "/");
  EXPECT_EQ(client.read().value().json()["body"], "first");
  EXPECT_EQ(client.read().value().status, 404);
  EXPECT_EQ(client.read(true).value().status, 405);
  EXPECT_EQ(client.read().value().json()["body"], "second");
  EXPECT_EQ(client.read().value().json()["path"], "/items/9");
  for (int i = 0; i < 100; ++i) {
    const auto answer = client.read();
    ASSERT_TRUE(answer) << "after " << i;
    EXPECT_EQ(answer->json()["body"], std::to_string(i));
  }
}

TEST_F(HttpServerTest, APipelinedRequestWaitsForTheOneBeforeIt) {
  start();
  auto client = connect_to_gate();
  ASSERT_TRUE(client.send(get("/items/2") + "GET /ite"));
  EXPECT_TRUE(client.quiet_for(100ms));
  gate.open();
  EXPECT_EQ(client.read().value().json()["path"], "/gate");
  EXPECT_EQ(client.read().value().json()["path"], "/items/2");
  EXPECT_TRUE(await([](const auto& activity) { return activity.half_sent == 1; }));
  ASSERT_TRUE(client.send("ms/3 HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(client.read().value().json()["path"], "/items/3");
}

TEST_F(HttpServerTest, TakesARequestByteByByte) {
  start();
  auto client = connect();
  for (const char byte : post("/echo", "slow")) ASSERT_TRUE(client.send(std::string(1, byte)));
  EXPECT_EQ(client.read().value().json()["body"], "slow");
}

// The body, whatever its framing, may be split after every byte.
TEST_F(HttpServerTest, TakesBodiesThatAreSplitAfterEveryByte) {
  start();
  auto client = connect();
  const auto chunked = get("/echo", "Transfer-Encoding: chunked\r\n", "POST") +
                       "4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\nSum: 1\r\n\r\n";
  for (const auto& request : {chunked, post("/echo", "Wikipedia")}) {
    for (std::size_t cut = 1; cut < request.size(); ++cut) {
      ASSERT_TRUE(client.send(request.substr(0, cut)));
      ASSERT_TRUE(await([](const auto& activity) { return activity.half_sent == 1; }));
      ASSERT_TRUE(client.send(request.substr(cut)));
      const auto answer = client.read();
      ASSERT_TRUE(answer && answer->status == 200) << "split after byte " << cut << " of\n"
                                                   << request;
      ASSERT_EQ(answer->json()["body"], "Wikipedia") << "split after byte " << cut << " of\n"
                                                     << request;
    }
  }
  EXPECT_EQ(opened(), 1);
}

TEST_F(HttpServerTest, SaysContinueToAClientThatWaitsForIt) {
  start();
  auto client = connect();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(client.send(get("/echo", "Expect: 100-continue\r\nContent-Length: 4\r\n", "POST")));
    EXPECT_EQ(client.read_bytes(25), "HTTP/1.1 100 Continue\r\n\r\n");
    ASSERT_TRUE(client.send("body"));
    EXPECT_EQ(client.read().value().json()["body"], "body");
  }
}

TEST_F(HttpServerTest, IgnoresEmptyLinesBeforeARequest) {
  start();
  auto client = connect();
  EXPECT_EQ(client.status("\r\n\r\n" + get("/")), 200);
  ASSERT_TRUE(client.send("\r\n"));
  EXPECT_TRUE(client.quiet_for(50ms));
  EXPECT_EQ(server->activity().half_sent, 0U);
  EXPECT_EQ(client.status(get("/")), 200);
}

// Keeping and closing.

TEST_F(HttpServerTest, ClosesWhenTheClientWantsItAndSaysSo) {
  start();
  auto client = connect();
  const auto answer = client.ask(get("/", "Connection: close\r\n"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_TRUE(answer->closes());
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(await_closed(CloseReason::answer));
}

TEST_F(HttpServerTest, ClosesAfterHttp10UnlessItAskedToKeep) {
  start();
  auto keeping = connect();
  for (int i = 0; i < 3; ++i) {
    const auto answer = keeping.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->header("Connection"), "keep-alive");
  }
  EXPECT_TRUE(keeping.ask("GET / HTTP/1.0\r\n\r\n").value().closes());
  EXPECT_TRUE(keeping.ended());
}

TEST_F(HttpServerTest, AClientThatHalfClosesStillGetsItsAnswer) {
  start();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/")));
  client.finish();
  EXPECT_EQ(client.read().value().status, 200);
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(await_closed(CloseReason::peer));
}

TEST_F(HttpServerTest, AClientThatGoesIsForgotten) {
  start();
  connect_accepted().close();
  EXPECT_TRUE(await_closed(CloseReason::peer));
  auto half = connect();
  ASSERT_TRUE(half.send("GET / HT"));
  ASSERT_TRUE(await([](const auto& activity) { return activity.half_sent == 1; }));
  half.close();
  EXPECT_TRUE(await_closed(CloseReason::peer, 2));
  EXPECT_TRUE(await(
      [](const auto& activity) { return activity.connections == 0 && activity.half_sent == 0; }));
}

TEST_F(HttpServerTest, AClientThatGoesDuringItsRequestHarmsNobody) {
  start();
  connect_to_gate().close();
  gate.open();
  EXPECT_TRUE(await(
      [](const auto& activity) { return activity.connections == 0 && activity.requests == 0; }));
  EXPECT_EQ(connect().status(get("/")), 200);
}

}  // namespace
}  // namespace cluster
