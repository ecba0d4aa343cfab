// Hooks, and the journal of the server.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::post;

using HttpHooksTest = test::HttpTest;

TEST_F(HttpHooksTest, TellsWhatWasOpenedAnsweredAndClosed) {
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

TEST_F(HttpHooksTest, TellsHowLongTheOldestRequestHasBeenAtWork) {
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

TEST_F(HttpHooksTest, TheClientNeedNotWaitForTheHookOfItsLastAnswer) {
  auto& own = make();
  const auto usual = own.hooks.done;
  test::Gate gate_of_the_hook;
  own.hooks.done = [&](const Exchange& exchange) {
    gate_of_the_hook.pass();
    usual(exchange);
  };
  start();
  auto client = connect();
  EXPECT_EQ(client.status(get("/", "Connection: close\r\n")), 200);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(done().size(), 0U);
  gate_of_the_hook.open();
  ASSERT_TRUE(await_done(1));
  EXPECT_TRUE(done()[0].sent);
}

TEST_F(HttpHooksTest, AdmitDecidesAboutEachRequestAndARefusalClosesTheConnection) {
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

struct JournalledHttpTest : HttpHooksTest {
  JournalledHttpTest() : JournalledHttpTest(std::make_unique<test::TempDir>()) {}
  explicit JournalledHttpTest(std::unique_ptr<test::TempDir> directory)
      : HttpHooksTest(*directory / "journal"), dir(std::move(directory)) {}
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
