// Requests and answers, one connection at a time. Limits, loads and drains have files of their own.
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

// Routes and errors.

TEST_F(HttpServerTest, AnUnknownPathIs404) {
  start();
  auto client = connect();
  for (const auto* path : {"/missing", "/items", "/itemsx", "/empty/", "/echo/below", "//"}) {
    const auto answer = client.ask(get(path));
    ASSERT_TRUE(answer) << path;
    EXPECT_EQ(answer->status, 404) << path;
    EXPECT_TRUE(answer->json()["error"].is_string()) << answer->body;
    EXPECT_EQ(answer->json()["worker"], "one");
    EXPECT_EQ(answer->header("Content-Type"), "application/json");
  }
}

TEST_F(HttpServerTest, ARouteThatEndsInASlashStandsForAllBelowIt) {
  start();
  auto client = connect();
  for (const auto* path : {"/items/", "/items/1", "/items/a/b", "/items/a/"}) {
    EXPECT_EQ(client.ask(get(std::string(path) + "?q=1")).value().json()["path"], path);
  }
  EXPECT_EQ(client.status(get("/items/1", "", "DELETE")), 200);
}

TEST_F(HttpServerTest, AKnownPathWithAWrongMethodIs405WithAllow) {
  start();
  auto client = connect();
  for (const auto& [request, allow] :
       {std::pair{post("/", "body"), "GET"}, std::pair{get("/echo", "", "DELETE"), "GET, POST"},
        std::pair{post("/items/1", "x"), "DELETE, GET"}, std::pair{get("/", "", "OPTIONS"), "GET"},
        std::pair{get("/", "", "PATCH"), "GET"}}) {
    const auto answer = client.ask(request);
    ASSERT_TRUE(answer) << request;
    EXPECT_EQ(answer->status, 405) << request;
    EXPECT_EQ(answer->header("Allow"), allow) << request;
    EXPECT_TRUE(answer->json()["error"].is_string()) << answer->body;
  }
  EXPECT_EQ(opened(), 1) << "a body that nobody wanted does not spoil the next request";
}

TEST_F(HttpServerTest, HeadIs405WithoutABody) {
  start();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/", "", "HEAD")));
  const auto answer = client.read(true);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 405);
  EXPECT_EQ(answer->header("Allow"), "GET");
  EXPECT_EQ(client.ask(get("/")).value().json()["path"], "/")
      << "no body came that would be taken for an answer";
}

TEST_F(HttpServerTest, AHandlerThatThrowsIs500AndTheConnectionLives) {
  start();
  auto client = connect();
  const auto answer = client.ask(get("/throw"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 500);
  EXPECT_EQ(answer->json()["error"], "it broke");
  EXPECT_EQ(answer->json()["worker"], "one");
  EXPECT_EQ(client.ask(get("/throw-int")).value().status, 500);
  EXPECT_EQ(client.status(get("/")), 200);
  EXPECT_EQ(opened(), 1);
}

TEST_F(HttpServerTest, WhatAHandlerLeavesOpenIsFilledIn) {
  auto& own = make();
  own.get("/nothing", [](const auto&, auto&) {});
  own.get("/conflict", [](const auto&, auto& response) { response.status = 409; });
  own.get("/last", [](const auto&, auto& response) { response.set_header("Connection", "close"); });
  start();
  auto client = connect();
  const auto nothing = client.ask(get("/nothing"));
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->status, 200);
  EXPECT_EQ(nothing->body, "");
  const auto conflict = client.ask(get("/conflict"));
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->status, 409);
  EXPECT_EQ(conflict->json()["error"], "Conflict");
  EXPECT_TRUE(client.ask(get("/last")).value().closes());
  EXPECT_TRUE(client.ended());
}

// Hooks.

TEST_F(HttpServerTest, TellsWhatWasOpenedAnsweredAndClosed) {
  start();
  auto client = connect();
  client.status(get("/items/1?q=2"));
  client.status(get("/missing"));
  ASSERT_TRUE(await_done(2));
  client.close();
  ASSERT_TRUE(await_closed(CloseReason::peer));
  EXPECT_EQ(opened(), 1);
  EXPECT_EQ(done()[0].method, "GET");
  EXPECT_EQ(done()[0].path, "/items/1");
  EXPECT_EQ(done()[0].status, 200);
  EXPECT_TRUE(done()[0].admitted);
  EXPECT_TRUE(done()[0].sent);
  EXPECT_GT(done()[0].duration.count(), 0);
  EXPECT_EQ(done()[1].status, 404);
  EXPECT_EQ(done()[0].connection, done()[1].connection);
}

TEST_F(HttpServerTest, TellsHowLongTheOldestRequestHasBeenAtWork) {
  start();
  EXPECT_EQ(server->longest_in_flight(), 0ms);
  const auto before_the_request = Clock::now();
  auto first = connect_to_gate();
  EXPECT_TRUE(test::eventually([this] { return server->longest_in_flight() >= 50ms; }));
  auto second = connect_to_gate();
  EXPECT_GE(server->longest_in_flight(), 50ms) << "that of the first, not of the last";
  EXPECT_GE(Clock::now() - before_the_request, 50ms);
  gate.open();
  EXPECT_TRUE(test::eventually([this] { return server->longest_in_flight() == 0ms; }));
}

TEST_F(HttpServerTest, AdmitDecidesAboutEachRequestAndARefusalClosesTheConnection) {
  start();
  auto client = connect();
  EXPECT_EQ(client.status(get("/")), 200);
  admitting = false;
  const auto refusal = client.ask(get("/"));
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->status, 503);
  EXPECT_EQ(refusal->header("Retry-After"), "1");
  EXPECT_TRUE(refusal->closes());
  EXPECT_TRUE(client.ended());
  ASSERT_TRUE(await_done(2));
  EXPECT_TRUE(done()[0].admitted);
  EXPECT_FALSE(done()[1].admitted);
  EXPECT_EQ(done()[1].status, 503);
}

struct JournalledHttpTest : HttpServerTest {
  JournalledHttpTest() : JournalledHttpTest(std::make_unique<test::TempDir>()) {}
  explicit JournalledHttpTest(std::unique_ptr<test::TempDir> directory)
      : HttpServerTest(*directory / "journal"), dir(std::move(directory)) {}
  std::unique_ptr<test::TempDir> dir;
};

TEST_F(JournalledHttpTest, TheJournalTellsOfConnectionsRequestsAndResponses) {
  start();
  auto client = connect();
  client.status(post("/echo?q=1", "x"));
  client.close();
  ASSERT_TRUE(await_closed(CloseReason::peer));
  const auto lines = test::journal_lines(*dir / "journal");
  ASSERT_EQ(lines.size(), 4U);
  const std::vector<std::string> events{"open", "request", "response", "close"};
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(lines[i].at("event"), events[i]);
    EXPECT_EQ(lines[i].at("conn"), lines[0].at("conn"));
    EXPECT_EQ(lines[i].at("worker"), 1);
  }
  EXPECT_EQ(lines[1].at("method"), "POST");
  EXPECT_EQ(lines[1].at("path"), "/echo");
  EXPECT_EQ(lines[2].at("status"), 200);
  EXPECT_EQ(lines[2].at("method"), "POST");
  EXPECT_EQ(lines[2].at("path"), "/echo");
}

}  // namespace
}  // namespace cluster
