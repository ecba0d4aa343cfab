#include "cluster/channel.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "state_table.hpp"
#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::frame;
using test::patience;

// A channel. The test holds its other end, a bare socket.
struct ChannelTest : testing::Test {
  ChannelTest() : ChannelTest(Channel::make_pair()) {}
  explicit ChannelTest(std::pair<UniqueFd, UniqueFd> ends)
      : peer(std::move(ends.second)),
        channel(
            std::in_place, loop, std::move(ends.first), "channel to the test",
            [this](Json message, std::size_t bytes) {
              messages.push_back(std::move(message));
              sizes.push_back(bytes);
            },
            [this](const std::string& reason) { reasons.push_back(reason); }) {}

  bool receive(std::size_t count) {
    return loop.wait_until([&] { return messages.size() >= count; }, patience);
  }
  // For a condition that reads the peer: the loop must not wait meanwhile.
  bool turn_until(const std::function<bool()>& condition) {
    return test::eventually([&] {
      loop.run_once(0ns);
      return condition();
    });
  }
  bool await_close() {
    return loop.wait_until([&] { return !reasons.empty(); }, patience);
  }
  // Sends frames of frame_size with growing ids until the queue is full; returns how many it took.
  static constexpr std::size_t frame_size = 200'000;
  int fill() {
    const Json empty{{"id", 1'000}, {"text", ""}};
    const std::string text(frame_size - 4 - empty.dump().size(), 'x');
    int sent = 0;
    while (channel->send({{"id", 1'000 + sent}, {"text", text}}) == Channel::Sent::queued) {
      ++sent;
      loop.run_once(0ns);
    }
    return sent;
  }

  EventLoop loop;
  UniqueFd peer;
  std::vector<Json> messages;
  std::vector<std::size_t> sizes;
  std::vector<std::string> reasons;
  std::optional<Channel> channel;
};

TEST_F(ChannelTest, BothEndsAreCloseOnExec) {
  const auto [a, b] = Channel::make_pair();
  EXPECT_TRUE(test::is_close_on_exec(a.get()));
  EXPECT_TRUE(test::is_close_on_exec(b.get()));
}

TEST_F(ChannelTest, AFrameIsALengthOfFourBytesAndThatMuchJson) {
  EXPECT_EQ(channel->send({{"type", "hi"}}), Channel::Sent::queued);
  EXPECT_EQ(channel->last_sent_bytes(), 13U);
  loop.run_once(0ns);
  EXPECT_EQ(test::read_available(peer.get()), std::string("\0\0\0\x0d", 4) + R"({"type":"hi"})");
}

TEST_F(ChannelTest, AMessageArrivesWithItsSize) {
  const Json message{{"type", "echo"}, {"id", 7}, {"text", "grün \" \n"}};
  test::write_all(peer.get(), frame(message.dump()));
  ASSERT_TRUE(receive(1));
  EXPECT_EQ(messages[0], message);
  EXPECT_EQ(sizes[0], message.dump().size());
}

TEST_F(ChannelTest, FramesMayBeSplitAfterEveryByte) {
  const std::string stream = frame(R"({"id":1})") + frame("[]") + frame(R"({"id":2})") + frame("3");
  for (std::size_t cut = 1; cut < stream.size(); ++cut) {
    messages.clear();
    test::write_all(peer.get(), stream.substr(0, cut));
    loop.run_once(patience);
    test::write_all(peer.get(), stream.substr(cut));
    ASSERT_TRUE(receive(4)) << "split after byte " << cut;
    EXPECT_EQ(Json(messages), Json::parse(R"([{"id":1},[],{"id":2},3])"))
        << "split after byte " << cut;
  }
}

TEST_F(ChannelTest, FramesMayComeByteByByte) {
  const std::string stream = frame(R"({"id":1})") + frame(R"({"id":2})");
  std::size_t written = 0;
  for (const char byte : stream) {
    test::write_all(peer.get(), std::string(1, byte));
    loop.run_once(patience);
    ++written;
    EXPECT_EQ(messages.size(), written / (stream.size() / 2)) << "after byte " << written;
  }
  EXPECT_EQ(Json(messages), Json::parse(R"([{"id":1},{"id":2}])"));
}

TEST_F(ChannelTest, ManyFramesInOneWriteComeInOrder) {
  std::string stream;
  for (int i = 0; i < 1'000; ++i) stream += frame(Json{{"id", i}}.dump());
  test::write_all(peer.get(), stream);
  ASSERT_TRUE(receive(1'000));
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(messages[static_cast<std::size_t>(i)]["id"], i);
}

TEST_F(ChannelTest, MessagesOfOneTurnLeaveInOneWrite) {
  std::string expected;
  loop.post([&] {
    for (int i = 0; i < 3; ++i) {
      channel->send({{"id", i}});
      expected += frame(Json{{"id", i}}.dump());
    }
    EXPECT_EQ(test::read_available(peer.get()), "") << "it left before the turn was over";
  });
  loop.after(0ns, [&] {
    EXPECT_EQ(test::read_available(peer.get()), "") << "it left before the turn was over";
    channel->send({{"id", 3}});
    expected += frame(Json{{"id", 3}}.dump());
  });
  loop.run_once(patience);
  EXPECT_EQ(test::read_available(peer.get()), expected);
}

TEST_F(ChannelTest, WhatTheMainLineSendsLeavesWithTheNextTurn) {
  channel->send({{"id", 1}});
  channel->send({{"id", 2}});
  EXPECT_EQ(test::read_available(peer.get()), "");
  loop.run_once(0ns);
  EXPECT_EQ(test::read_available(peer.get()), frame(R"({"id":1})") + frame(R"({"id":2})"));
}

// A socket that keeps the bounds of writes shows how many there were.
TEST(Channel, OneTurnIsOneSystemCall) {
  EventLoop loop;
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()),
            0);
  const UniqueFd peer(ends[1]);
  Channel channel(
      loop, UniqueFd(ends[0]), "a channel of packets", [](const Json&, std::size_t) {},
      [](const std::string&) {});
  std::string expected;
  for (int i = 0; i < 10; ++i) {
    channel.send({{"id", i}});
    expected += frame(Json{{"id", i}}.dump());
  }
  loop.run_once(0ns);
  std::array<char, 4096> packet{};
  const auto got = ::recv(peer.get(), packet.data(), packet.size(), 0);
  EXPECT_EQ(std::string(packet.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))),
            expected);
}

// Limits.

TEST_F(ChannelTest, AMessageOfJustTheLimitPassesAndOneByteMoreIsNotSent) {
  const std::string longest(Channel::max_frame - 2, 'x');  // two quotes around it
  EXPECT_EQ(channel->send(longest), Channel::Sent::queued);
  EXPECT_EQ(channel->send(longest + 'x'), Channel::Sent::too_long);
  std::string arrived;
  EXPECT_TRUE(turn_until([&] {
    arrived += test::read_available(peer.get());
    return arrived.size() >= Channel::max_frame + 4;
  }));
  EXPECT_EQ(arrived, frame('"' + longest + '"')) << "and nothing else";
  EXPECT_FALSE(channel->closed());
  EXPECT_EQ(channel->send("next"), Channel::Sent::queued);
}

TEST_F(ChannelTest, AFrameOfJustTheLimitIsReceived) {
  const std::string longest = '"' + std::string(Channel::max_frame - 2, 'x') + '"';
  const std::jthread writer([&] { test::write_all(peer.get(), frame(longest)); });
  ASSERT_TRUE(receive(1));
  EXPECT_EQ(sizes[0], Channel::max_frame);
}

TEST_F(ChannelTest, AFrameOverTheLimitDisconnectsThePeerWithAReasonBeforeItsBodyComes) {
  const std::size_t length = Channel::max_frame + 1;
  test::write_all(peer.get(), frame("1"));
  test::write_all(peer.get(), std::string{'\0', static_cast<char>(length >> 16U),
                                          static_cast<char>(length >> 8U & 0xFFU),
                                          static_cast<char>(length & 0xFFU)});
  ASSERT_TRUE(await_close());
  EXPECT_EQ(messages.size(), 1U) << "what came before it counts";
  EXPECT_NE(reasons[0].find(std::to_string(length)), std::string::npos) << reasons[0];
  EXPECT_NE(reasons[0].find(std::to_string(Channel::max_frame)), std::string::npos) << reasons[0];
  EXPECT_TRUE(channel->closed());
  EXPECT_EQ(channel->send("more"), Channel::Sent::closed);
  char byte = 0;
  EXPECT_EQ(::recv(peer.get(), &byte, 1, MSG_DONTWAIT), 0) << "the peer sees the end";
}

TEST_F(ChannelTest, ALengthWithTheHighestBitIsNoSmallNumber) {
  test::write_all(peer.get(), std::string("\x80\0\0\0", 4));
  ASSERT_TRUE(await_close());
  EXPECT_NE(reasons[0].find("2147483648"), std::string::npos) << reasons[0];
}

TEST_F(ChannelTest, BytesThatAreNoJsonDisconnectThePeerWithAReason) {
  for (const auto& text : {std::string("no json"), std::string(), std::string("{\"a\":1"),
                           std::string("1 2"), std::string("\"\xff\""), std::string("\0", 1)}) {
    auto [here, there] = Channel::make_pair();
    std::string reason;
    const Channel other(
        loop, std::move(here), "another channel", [](const Json&, std::size_t) {},
        [&](const std::string& why) { reason = why; });
    test::write_all(there.get(), frame(text));
    EXPECT_TRUE(loop.wait_until([&] { return other.closed(); }, patience)) << text;
    EXPECT_NE(reason.find("not JSON"), std::string::npos) << text;
  }
  test::write_all(peer.get(), frame("1"));
  EXPECT_TRUE(receive(1)) << "other channels of the loop live on";
}

TEST_F(ChannelTest, TextThatIsNoUtf8IsMendedWhenItIsSent) {
  EXPECT_EQ(channel->send({{"text", "\xff"}}), Channel::Sent::queued);
  loop.run_once(0ns);
  EXPECT_EQ(test::read_available(peer.get()), frame("{\"text\":\"\xEF\xBF\xBD\"}"));
}

// Ends.

TEST_F(ChannelTest, APlainEndHasNoReasonAndIsToldOnce) {
  peer.reset();
  ASSERT_TRUE(await_close());
  loop.run_once(0ns);
  EXPECT_EQ(reasons, std::vector<std::string>{""});
  EXPECT_EQ(channel->send("late"), Channel::Sent::closed);
}

TEST_F(ChannelTest, AnEndInTheMiddleOfAMessageHasAReason) {
  test::write_all(peer.get(), frame(R"({"id":1})").substr(0, 7));
  peer.reset();
  ASSERT_TRUE(await_close());
  EXPECT_NE(reasons[0].find("middle"), std::string::npos) << reasons[0];
}

TEST_F(ChannelTest, AllThatAPeerSentBeforeItsEndIsDeliveredFirst) {
  std::string stream;
  for (int i = 0; i < 500; ++i)
    stream += frame(Json{{"id", i}, {"text", std::string(200, 'x')}}.dump());
  test::write_all(peer.get(), stream);  // more than one read takes
  peer.reset();
  ASSERT_TRUE(await_close());
  ASSERT_EQ(messages.size(), 500U);
  EXPECT_EQ(messages.back()["id"], 499);
}

TEST_F(ChannelTest, AllIsDeliveredAlsoWhenSendingToTheDeadPeerFailsFirst) {
  test::write_all(peer.get(), frame("1") + frame("2"));
  peer.reset();
  EXPECT_EQ(channel->send("late"), Channel::Sent::queued);
  channel->flush();
  ASSERT_TRUE(await_close());
  EXPECT_EQ(messages.size(), 2U);
  EXPECT_EQ(reasons, std::vector<std::string>{""});
}

TEST_F(ChannelTest, ReadAllTakesEverythingWithoutTheLoop) {
  std::string stream;
  for (int i = 0; i < 1'000; ++i) stream += frame(std::to_string(i) + std::string(100, ' '));
  test::write_all(peer.get(), stream);
  peer.reset();
  channel->read_all();
  EXPECT_EQ(messages.size(), 1'000U);
  EXPECT_EQ(reasons.size(), 1U);
}

TEST_F(ChannelTest, WhatWasQueuedLeavesWhenTheChannelGoes) {
  channel->send({{"id", 1}});
  channel.reset();
  EXPECT_EQ(test::read_available(peer.get()), frame(R"({"id":1})"));
  loop.run_once(0ns);  // the loop must have forgotten it
}

// The states of the output.

TEST_F(ChannelTest, TheTableOfItsOutputIsWholeAndOnlyAClosedOneStaysAsItIs) {
  test::expect_whole(Channel::table, {Channel::Output::closed});
}

TEST_F(ChannelTest, AFlushAfterThePeerClosedAFullChannelLeavesTheLoopInPeace) {
  EXPECT_GT(fill(), 0);
  test::write_all(peer.get(), frame("no json"));
  ASSERT_TRUE(await_close());
  channel->flush();
  EXPECT_EQ(channel->send({{"id", 1}}), Channel::Sent::closed);
  loop.run_once(0ns);
}

TEST_F(ChannelTest, WhatIsSentAfterAFlushByHandLeavesAtTheEndOfTheTurn) {
  channel->send({{"id", 1}});
  channel->flush();
  channel->send({{"id", 2}});
  loop.run_once(0ns);
  EXPECT_EQ(test::read_available(peer.get()), frame(R"({"id":1})") + frame(R"({"id":2})"));
}

// A peer that does not read.

TEST_F(ChannelTest, AFullQueueIsToldAndOtherChannelsGoOn) {
  auto [here, there] = Channel::make_pair();
  Channel other(
      loop, std::move(here), "another channel", [](const Json&, std::size_t) {},
      [](const std::string&) {});

  EXPECT_GT(fill(), 10);

  EXPECT_GT(channel->queued_bytes(), Channel::max_queued - 200'000);
  EXPECT_LE(channel->queued_bytes(), Channel::max_queued);
  EXPECT_FALSE(channel->closed());
  EXPECT_EQ(other.send({{"id", 1}}), Channel::Sent::queued);
  loop.run_once(0ns);
  EXPECT_EQ(test::read_available(there.get()), frame(R"({"id":1})"));
  test::write_all(peer.get(), frame("1"));
  EXPECT_TRUE(receive(1)) << "the full one still receives";
}

TEST_F(ChannelTest, TheQueueLeavesInOrderWhenThePeerReadsAgain) {
  const int taken = fill();
  std::string arrived;
  EXPECT_TRUE(turn_until([&] {
    arrived += test::read_available(peer.get());
    return channel->queued_bytes() == 0 &&
           arrived.size() >= static_cast<std::size_t>(taken) * frame_size;
  }));
  ASSERT_EQ(arrived.size(), static_cast<std::size_t>(taken) * frame_size);
  for (int i = 0; i < taken; ++i) {
    const auto begin = frame(std::string(frame_size - 4, ' ')).substr(0, 4) + R"({"id":)" +
                       std::to_string(1'000 + i);
    EXPECT_EQ(arrived.substr(static_cast<std::size_t>(i) * frame_size, begin.size()), begin);
  }

  EXPECT_EQ(channel->send({{"id", -1}}), Channel::Sent::queued) << "there is room again";
  EXPECT_TRUE(
      turn_until([&] { return test::read_available(peer.get()) == frame(R"({"id":-1})"); }));
  const auto before = Clock::now();
  loop.run_once(30ms);  // would come back at once if it still watched for writing
  EXPECT_GE(Clock::now() - before, 30ms);
}

}  // namespace
}  // namespace cluster
