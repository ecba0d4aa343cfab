// What RFC 9110 and 9112 ask for, and what clients try.
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "http_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::post;

using HttpStrictTest = test::HttpTest;

TEST_F(HttpStrictTest, EveryAnswerHasADate) {
  start();
  auto client = connect();
  for (const auto& request : {get("/"), get("/missing"), post("/", "x"), get("/throw"),
                              std::string("nonsense\r\n\r\n")}) {
    const auto answer = client.ask(request);
    ASSERT_TRUE(answer) << request;
    EXPECT_TRUE(answer->header("Date").value_or("").ends_with(" GMT")) << answer->head;
    EXPECT_FALSE(answer->header("Keep-Alive")) << answer->head;
  }
}

TEST_F(HttpStrictTest, AHostThatIsNoneIs400) {
  start();
  for (const auto* host : {"a b", "a/b", "http://here", "a:b", "user@here", "[::1"}) {
    EXPECT_EQ(connect().status("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n"), 400)
        << host;
  }
  EXPECT_EQ(connect().status("GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n"), 200);
}

TEST_F(HttpStrictTest, ATargetThatNamesTheServerMayHaveNoPath) {
  start();
  const auto answer = connect().ask("GET http://here?q=1 HTTP/1.1\r\nHost: here\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->json()["path"], "/");
  EXPECT_EQ(answer->json()["query"], "1");
}

TEST_F(HttpStrictTest, ARefusedHeadHasNoBody) {
  start();
  for (const auto& request :
       {std::string("HEAD / HTTP/1.1\r\n\r\n"), std::string("HEAD / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        get("/", "X: " + std::string(20'000, 'x') + "\r\n", "HEAD")}) {
    auto client = connect();
    ASSERT_TRUE(client.send(request));
    EXPECT_GE(client.read(true).value().status, 400);
    EXPECT_TRUE(client.ended()) << "a body came";
  }
}

TEST_F(HttpStrictTest, AnAnswerWithoutContentHasNoBodyAndNoLength) {
  make().Delete("/thing", [](const auto&, auto& response) {
    response.status = 204;
    response.set_content("ignored", "text/plain");
  });
  start();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/thing", "", "DELETE")));
  const auto answer = client.read(true);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 204);
  EXPECT_FALSE(answer->header("Content-Length"));
  EXPECT_EQ(client.ask(get("/")).value().json()["path"], "/");
}

TEST_F(HttpStrictTest, AHeaderValueThatIsNoTextSplitsNoAnswer) {
  make().Get(R"(/old[\s\S]*)", [](const auto& request, auto& response) {
    response.status = 302;
    response.set_header("Location", "/new" + request.path);
    response.headers.emplace("X-Path", request.path);
  });
  start();
  auto client = connect();
  EXPECT_EQ(client.ask(get("/old/1")).value().header("Location"), "/new/old/1");
  for (const auto* path : {"/old%00%0d%0aSet-Cookie:%20a=b", "/old%0d%0aSet-Cookie:%20a=b",
                           "/old%0aSet-Cookie:%20a=b", "/old%00"}) {
    const auto answer = client.ask(get(path));
    ASSERT_TRUE(answer) << path;
    EXPECT_EQ(answer->status, 500) << path;
    EXPECT_EQ(answer->head.find("Set-Cookie"), std::string::npos) << answer->head;
    EXPECT_TRUE(answer->json()["error"].is_string()) << answer->body;
  }
}

TEST_F(HttpStrictTest, EmptyLinesAreNoRequestAndAfterAHundredTheConnectionIsCut) {
  limits.request = 300ms;
  start();
  auto client = connect();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.send("\r\n"));
  EXPECT_TRUE(client.quiet_for(2 * limits.request)) << "it is idle, not half-sent";
  EXPECT_EQ(server->activity().half_sent, 0U);
  EXPECT_EQ(client.status(get("/")), 200);
  std::string lines;
  for (int i = 0; i < 101; ++i) lines += "\r\n";
  EXPECT_EQ(client.status(lines), 400);
  EXPECT_TRUE(client.ended_or_reset());
}

TEST_F(HttpStrictTest, OnlyWholeLineEndsAreEmptyLines) {
  start();
  EXPECT_EQ(connect().status("\n" + get("/")), 400);
  EXPECT_EQ(connect().status("\r\r\n" + get("/")), 400);
  auto client = connect();
  ASSERT_TRUE(client.send("\r"));
  EXPECT_TRUE(client.quiet_for(50ms));
  EXPECT_EQ(client.status("\n" + get("/")), 200);
}

TEST_F(HttpStrictTest, ALateByteAfterTheLastAnswerIsNoReset) {
  start();
  auto client = connect();
  ASSERT_EQ(client.status(post("/echo", "x", "Connection: close\r\n")), 200);
  ASSERT_TRUE(client.send("\r\n"));
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(client.send("\r\n")) << "the first one led to a reset";
  EXPECT_TRUE(client.ended());
}

TEST_F(HttpStrictTest, TheLongestTimesAreNoShortOnes) {
  limits.request = limits.idle = limits.write = std::chrono::milliseconds::max();
  auto& own = make();
  own.Get("/pause", [&own](const auto&, auto& response) {
    own.reply(response, 200, {{"whole", own.pause(std::chrono::milliseconds::max())}});
  });
  start();
  auto idle = connect_accepted();
  auto half = connect();
  ASSERT_TRUE(half.send("GET / HT"));
  auto pausing = connect();
  ASSERT_TRUE(pausing.send(get("/pause")));
  EXPECT_TRUE(half.quiet_for(300ms));
  server->close_idle(std::chrono::milliseconds::max());
  EXPECT_TRUE(idle.quiet_for(50ms));
  EXPECT_TRUE(pausing.quiet_for(50ms));
  EXPECT_EQ(half.status("TP/1.1\r\nHost: x\r\n\r\n"), 200);
  server->begin_drain(std::chrono::milliseconds::max());
  EXPECT_TRUE(idle.quiet_for(50ms));
  EXPECT_EQ(idle.status(get("/")), 200);
}

// Whoever had connected before the listening socket is closed.

TEST_F(HttpStrictTest, WhoConnectedBeforeTheEndIsAnswered) {
  limits.threads = 1;
  auto& own = make();
  own.hooks.refuse = [this, &own](const auto&, auto& response) {
    gate.pass();
    own.reply(response, 503, Json::object());
  };
  start();
  auto one = connect_to_gate();
  auto other = connect_to_gate();  // refused, and nobody is left to accept
  std::vector<test::Client> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(clients.back().send(get("/")));
  }
  clients.push_back(connect());
  server->begin_drain(0ms);
  listener.fd.reset();
  gate.open();
  ASSERT_TRUE(clients.back().send(get("/")));
  for (auto& client : clients) {
    const auto answer = client.read();
    ASSERT_TRUE(answer) << "its connection was reset";
    EXPECT_TRUE(answer->closes());
    client.close();
  }
  EXPECT_EQ(one.read().value().status, 200);
}

TEST_F(HttpStrictTest, ThatThereAreNoDescriptorsIsToldOnce) {
  make();
  auto client = connect();
  testing::internal::CaptureStdout();
  {
    const test::NoMoreDescriptors exhausted;
    start();
    EXPECT_TRUE(client.quiet_for(350ms));
  }
  const auto output = testing::internal::GetCapturedStdout();
  const auto told = output.find("out of file descriptors");
  EXPECT_NE(told, std::string::npos);
  EXPECT_EQ(output.find("out of file descriptors", told + 1), std::string::npos) << output;
  EXPECT_EQ(client.status(get("/")), 200);
}

}  // namespace
}  // namespace cluster
