// The usual drain: begin_drain() and drain().
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

using HttpDrainTest = test::HttpTest;

TEST_F(HttpDrainTest, WithoutConnectionsADrainIsOverAtOnce) {
  start();
  EXPECT_FALSE(server->drained());
  EXPECT_TRUE(server->drain(Clock::now() + test::patience));
  EXPECT_TRUE(server->drained());
}

TEST_F(HttpDrainTest, IdleConnectionsOlderThanTheGraceAreClosedAtOnce) {
  start();
  auto client = connect();
  ASSERT_EQ(client.status(get("/")), 200);
  EXPECT_TRUE(client.quiet_for(300ms));
  server->begin_drain(200ms);
  EXPECT_EQ(closed(CloseReason::idle), 1);
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(server->drained());
}

TEST_F(HttpDrainTest, ARequestWithinTheGraceIsServedAndClosesTheConnection) {
  start();
  auto client = connect();
  ASSERT_EQ(client.status(get("/")), 200);
  server->begin_drain(test::patience);
  EXPECT_FALSE(server->drained());
  const auto answer = client.ask(get("/"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_TRUE(answer->closes());
  EXPECT_TRUE(client.ended());
  client.close();
  EXPECT_TRUE(test::eventually([&] { return server->drained(); }));
}

TEST_F(HttpDrainTest, AConnectionThatStaysIdleIsClosedAfterTheGraceNotBefore) {
  start();
  auto client = connect_accepted();
  const auto begin = Clock::now();
  EXPECT_TRUE(server->drain(begin + test::patience, 400ms));
  EXPECT_GE(Clock::now() - begin, 200ms);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(closed(CloseReason::idle), 1);
}

TEST_F(HttpDrainTest, WhatIsInFlightOrHalfSentIsFinished) {
  start();
  auto active = connect_to_gate();
  auto half = connect();
  ASSERT_TRUE(half.send("GET / HT"));
  ASSERT_TRUE(await([](const auto& activity) { return activity.half_sent == 1; }));
  std::atomic<bool> drained{false};
  std::jthread draining([&] { drained = server->drain(Clock::now() + test::patience, 0ms); });
  const auto answer = half.ask("TP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_TRUE(active.quiet_for(100ms));
  EXPECT_FALSE(drained);
  gate.open();
  const auto last = active.read();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->status, 200);
  EXPECT_TRUE(last->closes());
  half.close();
  active.close();
  draining.join();
  EXPECT_TRUE(drained);
  EXPECT_EQ(server->activity().connections, 0U);
}

TEST_F(HttpDrainTest, ADrainThatIsNotOverAtTheDeadlineSaysSoAndTheRestIsCut) {
  start();
  auto active = connect_to_gate();
  const auto begin = Clock::now();
  EXPECT_FALSE(server->drain(begin + 100ms));
  EXPECT_GE(Clock::now() - begin, 100ms);
  EXPECT_FALSE(server->drained());
  EXPECT_EQ(server->cut().requests, 1U);
  EXPECT_TRUE(active.ended());
  gate.open();
  EXPECT_TRUE(test::eventually([&] { return server->drained(); }));
}

TEST_F(HttpDrainTest, ADrainUnderLoadLosesNoRequestOfAClientThatHonoursClose) {
  start();
  std::atomic<int> answered{0};
  std::atomic<int> lost{0};
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([&] {
        auto client = connect();
        for (;;) {
          const auto answer = client.ask(get("/"));
          ++(answer && answer->status == 200 ? answered : lost);
          if (!answer || answer->closes()) return;
        }
      });
    }
    EXPECT_TRUE(test::eventually([&] { return answered > 100; }));
    EXPECT_TRUE(server->drain(Clock::now() + test::patience));
  }
  EXPECT_EQ(lost, 0);
}

TEST_F(HttpDrainTest, TheEndOfTheServerWaitsForItsHandlersAndClosesEverything) {
  start();
  auto idle = connect_accepted();
  auto active = connect_to_gate();
  std::atomic<bool> ended{false};
  std::jthread ending([&] {
    server.reset();
    ended = true;
  });
  EXPECT_TRUE(active.ended());
  EXPECT_TRUE(idle.ended());
  EXPECT_FALSE(ended) << "a handler runs";
  gate.open();
  ending.join();
  EXPECT_EQ(closed(CloseReason::cut), 1);
}

}  // namespace
}  // namespace cluster
