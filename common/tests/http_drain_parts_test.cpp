// The parts of a drain.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "http_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::post;

using HttpDrainPartsTest = test::HttpTest;

TEST_F(HttpDrainPartsTest, CloseAfterAnswerMarksEachLastAnswer) {
  start();
  auto idle = connect();
  ASSERT_EQ(idle.status(get("/")), 200);
  auto active = connect_to_gate();
  server->close_after_answer();
  gate.open();
  auto fresh = connect();
  ASSERT_TRUE(fresh.send(get("/missing")));
  ASSERT_TRUE(idle.send(get("/")));
  for (auto* client : {&idle, &active, &fresh}) {
    const auto answer = client->read();
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->closes()) << answer->head;
    EXPECT_TRUE(client->ended());
    client->close();
  }
  EXPECT_TRUE(await_closed(CloseReason::answer, 3));
}

TEST_F(HttpDrainPartsTest, AServerThatWasNeverStartedIsDrainedAtOnce) {
  make();
  server->begin_drain();
  EXPECT_TRUE(server->drained());
  const auto cut = server->cut();
  EXPECT_EQ(cut.requests + cut.half_sent, 0U);
  EXPECT_EQ(server->activity().connections, 0U);
}

TEST_F(HttpDrainPartsTest, StopAcceptingLeavesNewConnectionsToWhoAcceptsNext) {
  start();
  auto kept = connect();
  ASSERT_EQ(kept.status(get("/")), 200);
  server->stop_accepting();
  auto waiting = connect();  // the kernel takes it into the backlog
  ASSERT_TRUE(waiting.send(get("/")));
  EXPECT_TRUE(waiting.quiet_for(300ms));
  EXPECT_EQ(kept.status(get("/")), 200);
  EXPECT_EQ(opened(), 1);
  server->resume_accepting();
  EXPECT_EQ(waiting.read().value().status, 200);
}

TEST_F(HttpDrainPartsTest, CloseIdleTakesOnlyThoseThatAreIdleForSoLong) {
  start();
  auto old = connect();
  ASSERT_EQ(old.status(get("/")), 200);
  ASSERT_TRUE(await_done(1));
  auto half = connect();
  ASSERT_TRUE(half.send("GET / HT"));
  auto active = connect_to_gate();
  ASSERT_TRUE(await([](const auto& activity) { return activity.half_sent == 1; }));
  server->close_idle(1h);
  EXPECT_EQ(old.status(get("/")), 200);
  EXPECT_TRUE(test::eventually([&] {
    server->close_idle();
    return closed(CloseReason::idle) == 1;
  }));
  EXPECT_TRUE(old.ended());
  gate.open();
  EXPECT_EQ(active.read().value().status, 200);
  EXPECT_EQ(half.status("TP/1.1\r\nHost: x\r\n\r\n"), 200);
}

TEST_F(HttpDrainPartsTest, AConnectionWithARequestThatWasNotReadYetIsNotIdle) {
  limits.threads = 1;
  auto& own = make();
  own.hooks.refuse = [this, &own](const auto&, auto& response) {
    gate.pass();
    own.reply(response, 503, Json::object());
  };
  start();
  auto client = connect();
  ASSERT_EQ(client.status(get("/")), 200);
  auto one = connect_to_gate();
  auto other = connect_to_gate();  // refused, and no connection is left to read
  ASSERT_TRUE(client.send(get("/")));
  server->close_idle();
  gate.open();
  EXPECT_TRUE(client.read());  // 200 or 503: it depends on which thread is free first
}

TEST_F(HttpDrainPartsTest, UrgentDataDoesNotHideARequestForEver) {
  limits.idle = 300ms;
  start();
  auto client = connect_to_gate();
  ASSERT_TRUE(client.send(get("/items/1")));
  client.send_urgent('!');
  ASSERT_TRUE(client.send(get("/items/2")));
  gate.open();
  EXPECT_EQ(client.read().value().json()["path"], "/gate");
  EXPECT_EQ(client.read().value().json()["path"], "/items/1");
  EXPECT_EQ(client.read().value().json()["path"], "/items/2");
}

TEST_F(HttpDrainPartsTest, ARequestWhoseAnswerWasSentIsNotCut) {
  make().hooks.done = [this](const auto&) { gate.pass(); };
  start();
  auto client = connect();
  EXPECT_EQ(client.status(get("/")), 200);
  ASSERT_TRUE(test::eventually([this] { return gate.inside == 1; }));
  EXPECT_EQ(server->cut().requests, 0U);
}

TEST_F(HttpDrainPartsTest, CutEndsEverythingAndCountsWhatItCost) {
  start();
  auto idle = connect_accepted();
  auto half = connect();
  ASSERT_TRUE(half.send("GET / HT"));
  std::vector<test::Client> active;
  for (int i = 0; i < 3; ++i) active.push_back(connect_to_gate());
  ASSERT_TRUE(await([](const auto& activity) { return activity.half_sent == 1; }));

  const auto cut = server->cut();

  EXPECT_EQ(cut.requests, 3U);
  EXPECT_EQ(cut.half_sent, 1U);
  EXPECT_TRUE(idle.ended());
  EXPECT_TRUE(half.ended());
  for (auto& client : active) EXPECT_TRUE(client.ended()) << "also while its handler runs";
  EXPECT_EQ(gate.inside, 3);
  EXPECT_EQ(server->activity().requests, 3U) << "their handlers run on";
  const auto again = server->cut();
  EXPECT_EQ(again.requests + again.half_sent, 0U) << "counted once";
  gate.open();
  EXPECT_TRUE(await(
      [](const auto& activity) { return activity.connections == 0 && activity.requests == 0; }));
  ASSERT_TRUE(await_done(3));
  for (const auto& exchange : done()) EXPECT_FALSE(exchange.sent);
  EXPECT_TRUE(await_closed(CloseReason::cut, 4));
  EXPECT_EQ(closed(CloseReason::idle), 1);
}

struct Pausing : HttpDrainPartsTest {
  ~Pausing() override { end(); }

  HttpServer::Handler pause(std::chrono::milliseconds duration) {
    return [this, &own = *server, duration](const auto&, auto& response) {
      ++paused;
      uninterrupted += own.pause(duration) ? 1 : 0;
      own.reply(response, 200, Json::object());
    };
  }
  std::atomic<int> paused{0};
  std::atomic<int> uninterrupted{0};
};

TEST_F(Pausing, PauseLastsAsLongAsItIsSaidAndIsEndedByACut) {
  make();
  server->Get("/short", pause(50ms));
  server->Get("/long", pause(1h));
  start();
  auto client = connect();
  const auto begin = Clock::now();
  EXPECT_EQ(client.status(get("/short")), 200);
  EXPECT_GE(Clock::now() - begin, 50ms);
  EXPECT_EQ(uninterrupted, 1);
  ASSERT_TRUE(client.send(get("/long")));
  ASSERT_TRUE(test::eventually([&] { return paused == 2; }));
  server->cut();
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(await([](const auto& activity) { return activity.requests == 0; }));
  EXPECT_EQ(uninterrupted, 1);
}

struct Quiet : HttpDrainPartsTest {
  Quiet() {
    auto& own = make();
    own.hooks.quiet = [this, &own] {
      const auto activity = own.activity();
      disturbed = disturbed || activity.requests > 0 || activity.half_sent > 0;
      ++quiet;
    };
  }
  ~Quiet() override { end(); }
  std::atomic<int> quiet{0};
  std::atomic<bool> disturbed{false};
};

TEST_F(Quiet, QuietIsToldOnlyDuringADrainAndWhenNothingIsInFlightOrHalfSent) {
  start();
  EXPECT_EQ(connect().status(get("/")), 200);
  ASSERT_TRUE(await_closed(CloseReason::peer));
  EXPECT_EQ(quiet, 0);
  auto half = connect();
  ASSERT_TRUE(half.send("GET / HT"));
  ASSERT_TRUE(await([](const auto& activity) { return activity.half_sent == 1; }));
  auto active = connect_to_gate();
  server->close_after_answer();
  gate.open();
  EXPECT_EQ(active.read().value().status, 200);
  active.close();
  ASSERT_TRUE(await(
      [](const auto& activity) { return activity.requests == 0 && activity.connections == 1; }));
  EXPECT_EQ(quiet, 0);
  EXPECT_EQ(half.status("TP/1.1\r\nHost: x\r\n\r\n"), 200);
  EXPECT_TRUE(test::eventually([&] { return quiet > 0; }));
  EXPECT_FALSE(disturbed);
}

TEST_F(HttpDrainPartsTest, ActivityCountsWhatIsOpenHalfSentAndInFlight) {
  auto& own = make();
  own.hooks.refuse = [this, &own](const auto&, auto& response) {
    gate.pass();
    own.reply(response, 503, Json::object());
  };
  start();
  auto idle = connect_accepted();
  auto half = connect();
  ASSERT_TRUE(half.send("GET"));
  auto active = connect_to_gate();
  admitting = false;
  auto refused = connect();
  ASSERT_TRUE(refused.send(get("/")));
  EXPECT_TRUE(await([](const auto& activity) {
    return activity.connections == 4 && activity.half_sent == 1 && activity.requests == 1 &&
           activity.refusals == 1;
  }));
  gate.open();
  EXPECT_EQ(active.read().value().status, 200);
  EXPECT_EQ(refused.read().value().status, 503);
  EXPECT_TRUE(
      await([](const auto& activity) { return activity.requests == 0 && activity.refusals == 0; }));
}

}  // namespace
}  // namespace cluster
