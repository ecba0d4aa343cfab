// Limits for clients, and clients that stall.
#include <gtest/gtest.h>

#include <csignal>
#include <limits>
#include <string>
#include <thread>
#include <utility>

#include "cluster/event_loop.hpp"
#include "http_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::post;

using HttpLimitsTest = test::HttpTest;

constexpr std::size_t head_limit = std::size_t{16} << 10;
constexpr std::size_t body_limit = std::size_t{64} << 10;

std::string with_head_of(std::size_t size, const std::string& path = "/") {
  const auto bare = get(path, "A: \r\nB: \r\nC: \r\n").size();
  const std::string third((size - bare) / 3, 'x');
  return get(path, "A: " + third + "\r\nB: " + third + "\r\nC: " + third +
                       std::string((size - bare) % 3, 'x') + "\r\n");
}

TEST_F(HttpLimitsTest, AHeadOfJustTheLimitIsServedAndOneByteMoreIs431) {
  start();
  auto client = connect();
  EXPECT_EQ(client.status(with_head_of(head_limit)), 200);
  const auto answer = client.ask(with_head_of(head_limit + 1));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 431);
  EXPECT_TRUE(answer->closes());
  EXPECT_TRUE(answer->json()["error"].is_string()) << answer->body;
  EXPECT_EQ(answer->json()["worker"], "one");
  EXPECT_TRUE(client.ended());
}

TEST_F(HttpLimitsTest, OneLongHeaderUnderTheLimitIsServed) {
  auto& own = make();
  own.Get("/cookie", [&own](const auto& request, auto& response) {
    own.reply(response, 200,
              {{"cookie", request.get_header_value("cookie")}, {"after", request.has_header("X")}});
  });
  start();
  auto client = connect();
  for (const std::size_t size : {8'180, 8'181, 8'182, 8'183, 8'184, 8'185, 8'192, 12'000}) {
    const std::string cookie(size, 'x');
    const auto answer = client.ask(get("/cookie", "Cookie: " + cookie + "\r\nX: 1\r\n"));
    ASSERT_TRUE(answer) << size;
    ASSERT_EQ(answer->status, 200) << size;
    EXPECT_EQ(answer->json()["cookie"], cookie) << size;
    EXPECT_EQ(answer->json()["after"], true) << size;
  }
  EXPECT_EQ(client.ask(get("/cookie")).value().json()["cookie"], "")
      << "nothing is left of the request before";
}

TEST_F(HttpLimitsTest, ALongPathUnderTheLimitIsFound) {
  start();
  const auto path = "/items/" + std::string(15'000, 'x');
  EXPECT_EQ(connect().ask(get(path)).value().json()["path"], path);
}

TEST_F(HttpLimitsTest, NoPatternIsTooMuchForALongPath) {
  auto& own = make();
  own.Get("/letters/(a|b)*", [&own](const auto& request, auto& response) {
    own.reply(response, 200, {{"last", request.matches[1].str()}});
  });
  own.Get("/slow/(a|aa)*", [&own](const auto&, auto& response) { own.reply(response, 200, {}); });
  own.Post("/read/(a|b)*", [&own](const auto& request, auto& response, const auto& /*reader*/) {
    own.reply(response, 200, {{"last", request.matches[1].str()}});
  });
  own.Post("/read/slow/(a|aa)*", [&own](const auto&, auto& response, const auto& /*reader*/) {
    own.reply(response, 200, {});
  });
  start();
  const auto letters = "/letters/" + std::string(15'000, 'a') + 'b';
  EXPECT_EQ(connect().ask(get(letters)).value().json()["last"], "b");
  EXPECT_EQ(connect().status(get("/slow/" + std::string(1'000, 'a') + 'b')), 404);
  EXPECT_EQ(connect().ask(post("/read" + letters.substr(8), "x")).value().json()["last"], "b");
  EXPECT_EQ(connect().status(post("/read/slow/" + std::string(1'000, 'a') + 'b', "x")), 404);
}

TEST_F(HttpLimitsTest, FormsAndFilesMayHaveLongPathsToo) {
  const test::TempDir folder;
  auto& own = make();
  own.set_mount_point("/", folder / "");
  own.Post("/form/.*", [&own](const auto& request, auto& response) {
    own.reply(response, 200, {{"length", request.path.size()}});
  });
  start();
  const auto path = "/form/" + std::string(15'000, 'x');
  const std::string form =
      "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--X--\r\n";
  const auto answer =
      connect().ask(post(path, form, "Content-Type: multipart/form-data; boundary=X\r\n"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->json()["length"], path.size());
  EXPECT_EQ(connect().ask(get("/items" + path)).value().json()["path"], "/items" + path);
}

TEST_F(HttpLimitsTest, NoLimitIsNoOverflow) {
  limits.head = limits.body = limits.threads = std::numeric_limits<std::size_t>::max();
  start();
  auto client = connect();
  EXPECT_EQ(client
                .ask(get("/echo", "Transfer-Encoding: chunked\r\n", "POST") +
                     "4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n")
                .value()
                .json()["body"],
            "Wikipedia");
  const auto answer =
      client.ask(get("/echo", "Content-Length: 18446744073709551614\r\n", "POST") + get("/"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_TRUE(client.ended()) << "the body is no request";
}

TEST_F(HttpLimitsTest, ABodyOfJustTheLimitIsServedAndOneByteMoreIs413) {
  start();
  auto client = connect();
  const std::string longest(body_limit, 'x');
  EXPECT_EQ(client.ask(post("/echo", longest)).value().json()["body"], longest);
  const auto answer = client.ask(post("/echo", longest + 'x'));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_TRUE(answer->closes());
  EXPECT_TRUE(answer->json()["error"].is_string()) << answer->body;
  EXPECT_TRUE(client.ended());
}

TEST_F(HttpLimitsTest, LimitsComeBeforeTheRoutes) {
  start();
  const std::string too_long(body_limit + 1, 'x');
  for (const auto* path : {"/missing", "/"}) {  // would be 404, and 405
    EXPECT_EQ(connect().status(post(path, too_long)), 413) << path;
    EXPECT_EQ(connect().status(with_head_of(head_limit + 1, path)), 431) << path;
  }
}

TEST_F(HttpLimitsTest, AnAnswerToABodyThatIsNotReadArrivesWhole) {
  start();
  const std::string body(std::size_t{1} << 20, 'x');
  for (int i = 0; i < 10; ++i) {
    auto client = connect();
    ASSERT_TRUE(client.send(post("/echo", body)))
        << "the server must go on taking what it does not want";
    const auto answer = client.read();
    ASSERT_TRUE(answer) << "the answer was lost by a reset";
    EXPECT_EQ(answer->status, 413);
    EXPECT_TRUE(client.ended());
  }
}

TEST_F(HttpLimitsTest, ALastAnswerArrivesWholeAlsoWhenMoreRequestsWereSentAfterIt) {
  make().close_after_answer();
  start();
  for (int i = 0; i < 10; ++i) {
    auto client = connect();
    ASSERT_TRUE(client.send(get("/") + post("/echo", std::string(body_limit, 'x'))));
    const auto answer = client.read();
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->closes());
    EXPECT_TRUE(client.ended());
  }
}

TEST_F(HttpLimitsTest, ChunksOverTheLimitAre413) {
  start();
  auto client = connect();
  EXPECT_EQ(client.status(get("/echo", "Transfer-Encoding: chunked\r\n", "POST") + "fffff\r\nxxx"),
            413);
  EXPECT_TRUE(client.ended());
}

TEST_F(HttpLimitsTest, WhatIsNoRequestIs400Or501AndTheConnectionCloses) {
  start();
  for (const auto& [request, status] :
       {std::pair{std::string("nonsense\r\n\r\n"), 400}, std::pair{std::string("GET\r\n\r\n"), 400},
        std::pair{std::string("GET /\r\n\r\n"), 400},
        std::pair{std::string("\x16\x03\x01 tls\r\n\r\n"), 400},
        std::pair{get("/", "no colon\r\n"), 400},
        std::pair{get("/echo", "Content-Length: x\r\n", "POST"), 400},
        std::pair{get("/echo", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "POST"), 400},
        std::pair{get("/missing", "Content-Length: -1\r\n", "POST"), 400},
        std::pair{get("/missing", "Transfer-Encoding: gzip\r\n", "POST"), 501}}) {
    auto client = connect();
    const auto answer = client.ask(request);
    ASSERT_TRUE(answer) << request;
    EXPECT_EQ(answer->status, status) << request;
    EXPECT_TRUE(answer->closes()) << request << answer->head;
    EXPECT_TRUE(answer->json()["error"].is_string()) << request << answer->body;
    EXPECT_EQ(answer->json()["worker"], "one") << request;
    EXPECT_TRUE(client.ended()) << request;
  }
}

// Clients that stall.

struct Stalling : HttpLimitsTest {
  Stalling() { limits.request = 300ms; }

  // Reads the refusal and checks that it came in time, but not early.
  void expect_cut(test::Client& client, Clock::time_point first_byte) {
    const auto answer = client.read();
    EXPECT_GE(Clock::now() - first_byte, limits.request);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 408);
    EXPECT_TRUE(answer->closes());
    EXPECT_TRUE(answer->json()["error"].is_string()) << answer->body;
    EXPECT_TRUE(client.ended_or_reset());  // what it sends too late is not taken
    EXPECT_TRUE(await_closed(CloseReason::stalled, ++cut));
  }
  int cut = 0;
};

TEST_F(Stalling, AHalfRequestIsCutAndOthersAreServedMeanwhile) {
  start();
  auto other = connect();
  auto client = connect();
  const auto first_byte = Clock::now();
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHo"));
  ASSERT_TRUE(await([](const auto& activity) { return activity.half_sent == 1; }));
  EXPECT_EQ(other.status(get("/")), 200);
  EXPECT_EQ(connect().status(get("/")), 200);
  EXPECT_EQ(closed(CloseReason::stalled), 0)
      << "the others were not served because it was cut already";
  expect_cut(client, first_byte);
  EXPECT_EQ(other.status(get("/")), 200);
}

TEST_F(Stalling, WhatRunsOutOfTimeDuringADrainCountsAsCut) {
  start();
  auto before = connect();
  ASSERT_TRUE(before.send("GET / HT"));
  ASSERT_TRUE(await_closed(CloseReason::stalled));
  auto client = connect();
  ASSERT_TRUE(client.send("GET / HT"));
  ASSERT_TRUE(await([](const auto& activity) { return activity.half_sent == 1; }));
  server->close_after_answer();
  ASSERT_TRUE(await_closed(CloseReason::stalled, 2));
  EXPECT_EQ(server->cut().half_sent, 1U);
  EXPECT_EQ(server->cut().half_sent, 0U) << "counted once";
}

TEST_F(Stalling, ASlowBodyIsCut) {
  start();
  for (const auto& part : {post("/echo", "a whole body").substr(0, 60),
                           get("/echo", "Transfer-Encoding: chunked\r\n", "POST") + "4\r\nWi"}) {
    auto client = connect();
    const auto first_byte = Clock::now();
    ASSERT_TRUE(client.send(part));
    expect_cut(client, first_byte);
  }
}

TEST_F(Stalling, TheTimeCountsFromTheFirstByteNotFromTheLast) {
  start();
  auto client = connect();
  const auto first_byte = Clock::now();
  ASSERT_TRUE(client.send("G"));
  const auto deadline = first_byte + test::patience;
  while (client.quiet_for(20ms) && Clock::now() < deadline) {
    client.send("x");  // never more than 20 ms without a byte
  }
  EXPECT_LT(Clock::now(), deadline) << "a client that drips is never cut";
  expect_cut(client, first_byte);
}

TEST_F(Stalling, AConnectionThatIsIdleForLongIsNoStalledOne) {
  start();
  auto never_used = connect();
  auto used = connect();
  EXPECT_EQ(used.status(get("/")), 200);
  EXPECT_TRUE(never_used.quiet_for(3 * limits.request));
  EXPECT_EQ(never_used.status(get("/")), 200);
  EXPECT_EQ(used.status(get("/")), 200);
}

TEST_F(Stalling, AHandlerMayTakeLongerThanTheRequest) {
  start();
  auto client = connect_to_gate();
  EXPECT_TRUE(client.quiet_for(3 * limits.request));
  gate.open();
  EXPECT_EQ(client.read().value().status, 200);
}

TEST_F(HttpLimitsTest, AnIdleConnectionIsClosedSilentlyAfterItsTime) {
  limits.idle = 300ms;
  start();
  auto never_used = connect_accepted();
  auto used = connect();
  const auto begin = Clock::now();
  EXPECT_EQ(used.status(get("/")), 200);
  EXPECT_TRUE(used.ended());
  EXPECT_GE(Clock::now() - begin, limits.idle);
  EXPECT_TRUE(never_used.ended());
  EXPECT_TRUE(await_closed(CloseReason::idle, 2));
}

TEST_F(HttpLimitsTest, AClientThatDoesNotTakeItsAnswerIsCutAndOthersAreServedMeanwhile) {
  limits.write = 300ms;
  large = std::string(std::size_t{32} << 20, 'x');
  start();
  auto client = connect(4'096);
  const auto begin = Clock::now();
  ASSERT_TRUE(client.send(get("/large")));
  EXPECT_TRUE(await([](const auto& activity) { return activity.requests == 1; }));
  EXPECT_EQ(connect().status(get("/")), 200);
  ASSERT_TRUE(await_done(2));
  EXPECT_GE(Clock::now() - begin, limits.write);
  EXPECT_EQ(done()[0].path, "/") << "the other was served first";
  EXPECT_EQ(done()[1].path, "/large");
  EXPECT_FALSE(done()[1].sent);
  EXPECT_TRUE(await_closed(CloseReason::cut));
}

// Nobody is judged by time in which the whole process was stopped.
TEST(HttpDeadlines, TimeInWhichTheServerWasStoppedDoesNotCount) {
  EventLoop loop;
  test::Helper helper(loop, "server");
  ASSERT_TRUE(loop.wait_until([&] { return helper.messages.size() == 1; }, test::patience));
  const auto port = helper.messages[0]["port"].get<std::uint16_t>();
  test::Client idle(port);
  test::Client half_sent(port);
  test::Client slow(port, 4'096);
  EXPECT_EQ(idle.status(get("/")), 200);
  ASSERT_TRUE(slow.send(get("/large")));
  ASSERT_TRUE(half_sent.send("GET / HT"));
  EXPECT_EQ(idle.status(get("/")), 200);
  EXPECT_TRUE(half_sent.quiet_for(300ms));  // by then the server has looked at all of them
  helper.process.signal(SIGSTOP);
  ASSERT_TRUE(test::eventually([&] { return test::is_stopped(helper.process.pid()); }));
  EXPECT_FALSE(loop.wait_until([&] { return helper.closed; }, 2500ms));
  helper.process.signal(SIGCONT);
  EXPECT_TRUE(half_sent.quiet_for(500ms));
  EXPECT_EQ(half_sent.status("TP/1.1\r\nHost: a\r\n\r\n"), 200);
  EXPECT_EQ(idle.status(get("/")), 200);
  const auto answer = slow.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body.size(), std::size_t{16} << 20);
}

TEST_F(HttpLimitsTest, ALargeAnswerArrivesWholeAtASlowReader) {
  large = std::string(std::size_t{4} << 20, 'x');
  start();
  auto client = connect(4'096);
  const auto answer = client.ask(get("/large"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, large);
  EXPECT_EQ(client.status(get("/")), 200);
}

}  // namespace
}  // namespace cluster
