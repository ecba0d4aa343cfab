// What a worker has sent leaves whole before it ends, however long it is.
#include <gtest/gtest.h>

#include <string>

#include "master_support.hpp"

namespace cluster {
namespace {

using test::MasterTest;

struct LastMessage : MasterTest {
  LastMessage() : MasterTest(1) {}
  // The length of the worker's last text; -1: it has not come.
  int last_word(const Json& fields) {
    start();
    master.stop_replacing();
    Json message = fields;
    message["type"] = "leave";
    master.send(master.current(1), message);
    EXPECT_TRUE(await_deaths(1));
    return received.empty()
               ? -1
               : static_cast<int>(received[0].second["text"].get<std::string>().size());
  }
};

constexpr int longest_text = 1'000'000;  // a socket holds a fifth of it

TEST_F(LastMessage, LeavesWhenTheWorkerReturns) {
  EXPECT_EQ(last_word({{"length", longest_text}, {"by thread", false}, {"flush", false}}),
            longest_text);
}

TEST_F(LastMessage, LeavesWithFlush) {
  EXPECT_EQ(last_word({{"length", longest_text}, {"by thread", false}, {"flush", true}}),
            longest_text);
}

TEST_F(LastMessage, LeavesAlsoWhenAnotherThreadHasSentIt) {
  EXPECT_EQ(last_word({{"length", longest_text}, {"by thread", true}, {"flush", false}}),
            longest_text);
}

TEST_F(LastMessage, OfAnotherThreadLeavesWithFlush) {
  EXPECT_EQ(last_word({{"length", 10}, {"by thread", true}, {"flush", true}}), 10);
}

TEST(LastMessageOfAChannel, IsNotWaitedForForEver) {
  using namespace std::chrono_literals;
  EventLoop loop;
  auto [here, there] = Channel::make_pair();
  Channel channel(
      loop, std::move(here), "a channel", [](const Json&, std::size_t) {},
      [](const std::string&) {});
  channel.send(std::string(longest_text, 'x'));
  const auto began = Clock::now();
  channel.flush_all(100ms);
  EXPECT_GE(Clock::now() - began, 100ms);
  EXPECT_GT(channel.queued_bytes(), 0U);
}

}  // namespace
}  // namespace cluster
