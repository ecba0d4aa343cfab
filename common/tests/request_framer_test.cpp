#include "http/request_framer.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <vector>

#include "state_table.hpp"

namespace cluster {
namespace {

using State = RequestFramer::State;

constexpr std::size_t head_limit = 1'000;
constexpr std::size_t body_limit = 2'000;

RequestFramer framer() {
  return {head_limit, body_limit};
}

std::string head(const std::string& headers = "", const std::string& line = "POST /task HTTP/1.1") {
  return line + "\r\nHost: here\r\n" + headers + "\r\n";
}

// The facts about a request that is whole or refused.
struct Outcome {
  State state;
  int status;
  std::size_t head_size;
  std::size_t size;
  std::string body;
  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << "state " << static_cast<int>(outcome.state) << " status " << outcome.status
             << " head " << outcome.head_size << " size " << outcome.size << " body "
             << outcome.body.size();
}

Outcome outcome_of(RequestFramer& framer, State state) {
  if (state == State::refused) return {state, framer.status(), 0, 0, ""};
  return {state, 0, framer.head_size(), framer.size(), framer.take_body()};
}

Outcome at_once(const std::string& request) {
  auto all = framer();
  return outcome_of(all, all.advance(request));
}

int status_of(const std::string& request) {
  return at_once(request).status;
}

TEST(RequestFramer, FindsTheEndOfAHeadWithoutABody) {
  const auto request = head("", "GET / HTTP/1.1");
  EXPECT_EQ(at_once(request), (Outcome{State::complete, 0, request.size(), request.size(), ""}));
}

TEST(RequestFramer, TakesNoMoreThanOneRequest) {
  const auto first = head("Content-Length: 4\r\n") + "body";
  const auto outcome = at_once(first + head() + "more");
  EXPECT_EQ(outcome.size, first.size());
  EXPECT_EQ(outcome.body, "body");
}

TEST(RequestFramer, DecodesChunksWithExtensionsAndTrailer) {
  const auto start = head("Transfer-Encoding: chunked\r\n");
  const auto request =
      start + "4\r\nWiki\r\n6;name=\"x\"\r\npedia \r\nA \r\n0123456789\r\n0\r\nSum: 1\r\n\r\n";
  EXPECT_EQ(at_once(request + "next"),
            (Outcome{State::complete, 0, start.size(), request.size(), "Wikipedia 0123456789"}));
}

TEST(RequestFramer, AnEmptyChunkedBodyIsWhole) {
  const auto start = head("Transfer-Encoding: chunked\r\n");
  EXPECT_EQ(at_once(start + "0\r\n\r\n"),
            (Outcome{State::complete, 0, start.size(), start.size() + 5, ""}));
}

// The outcome does not depend on how the bytes are split, and comes with the last byte that it
// needs.
class Splits : public testing::TestWithParam<std::string> {};

TEST_P(Splits, AfterEveryByteLeadToTheSame) {
  const auto& request = GetParam();
  const auto whole = at_once(request);
  ASSERT_NE(whole.state, State::incomplete);
  for (std::size_t cut = 0; cut < request.size(); ++cut) {
    auto split = framer();
    auto state = split.advance(request.substr(0, cut));
    if (whole.state == State::complete) {
      ASSERT_EQ(state, State::incomplete)
          << "after " << cut << " of " << request.size() << " bytes";
    }
    if (state == State::incomplete) state = split.advance(request);
    ASSERT_EQ(outcome_of(split, state), whole) << "split after byte " << cut;
  }
}

TEST_P(Splits, ByteByByteLeadToTheSame) {
  const auto& request = GetParam();
  auto split = framer();
  auto state = State::incomplete;
  for (std::size_t size = 1; size <= request.size() && state == State::incomplete; ++size) {
    state = split.advance(request.substr(0, size));
  }
  EXPECT_EQ(outcome_of(split, state), at_once(request));
}

INSTANTIATE_TEST_SUITE_P(RequestFramer, Splits,
                         testing::Values(head("", "GET / HTTP/1.1"),
                                         head("Content-Length: 12\r\n") + "{\"type\":\"x\"}",
                                         head("Transfer-Encoding: chunked\r\n") +
                                             "4\r\nWiki\r\n5;a=b\r\npedia\r\n0\r\n\r\n",
                                         head("Transfer-Encoding: chunked\r\n") +
                                             "1\r\nx\r\n0\r\nSum: 1\r\nOther: 2\r\n\r\n",
                                         head("Transfer-Encoding: chunked\r\n") +
                                             "4\r\nWikipedia\r\n0\r\n\r\n",
                                         head("Content-Length: x\r\n"), head("Bad header\r\n")));

// Limits.

TEST(RequestFramer, AHeadOfJustTheLimitPassesAndOneByteMoreIs431) {
  const auto bare = head("X: \r\n").size();
  const auto of_size = [bare](std::size_t size) {
    return head("X: " + std::string(size - bare, 'x') + "\r\n");
  };
  EXPECT_EQ(at_once(of_size(head_limit)).state, State::complete);
  EXPECT_EQ(status_of(of_size(head_limit + 1)), 431);
}

TEST(RequestFramer, AHeadWithoutAnEndIs431OnceItIsTooLong) {
  auto endless = framer();
  EXPECT_EQ(endless.advance(std::string(head_limit, 'x')), State::incomplete);
  EXPECT_EQ(endless.advance(std::string(head_limit + 1, 'x')), State::refused);
  EXPECT_EQ(endless.status(), 431);
  EXPECT_NE(endless.reason().find(std::to_string(head_limit)), std::string::npos)
      << endless.reason();
}

TEST(RequestFramer, ABodyOfJustTheLimitPassesAndOneByteMoreIs413BeforeItComes) {
  const std::string longest(body_limit, 'x');
  EXPECT_EQ(at_once(head("Content-Length: 2000\r\n") + longest).body, longest);
  EXPECT_EQ(status_of(head("Content-Length: 2001\r\n")), 413);
  EXPECT_EQ(status_of(head("Content-Length: 18446744073709551615\r\n")), 413);
  EXPECT_EQ(status_of(head("Content-Length: 99999999999999999999999\r\n")), 413);
}

TEST(RequestFramer, ChunksOfJustTheLimitPassAndOneByteMoreIs413) {
  const auto start = head("Transfer-Encoding: chunked\r\n");
  const std::string half(body_limit / 2, 'x');
  const auto two = start + "3e8\r\n" + half + "\r\n3E8\r\n" + half + "\r\n";
  EXPECT_EQ(at_once(two + "0\r\n\r\n").body, half + half);
  EXPECT_EQ(status_of(two + "1\r\n"), 413);
  EXPECT_EQ(status_of(start + "7d1\r\n"), 413);
  EXPECT_EQ(status_of(start + "ffffffffffffffff\r\n"), 413);
  EXPECT_EQ(status_of(start + "ffffffffffffffffffff\r\n"), 413);
}

TEST(RequestFramer, ChunksThatAreMostlyFramingAreRefused) {
  auto request = head("Transfer-Encoding: chunked\r\n");
  const auto chunk = "1;" + std::string(200, 'x') + "\r\nx\r\n";
  for (int i = 0; i < 500; ++i) request += chunk;  // 500 bytes of body in 100 kB
  EXPECT_EQ(status_of(request), 413);
}

TEST(RequestFramer, ATrailerWithoutAnEndIsRefused) {
  EXPECT_EQ(status_of(head("Transfer-Encoding: chunked\r\n") +
                      "0\r\nX: " + std::string(2 * head_limit, 'x')),
            431);
}

// Input that is no request.

TEST(RequestFramer, BadFramingIs400) {
  for (const auto* headers :
       {"Content-Length: \r\n", "Content-Length: -1\r\n", "Content-Length: +1\r\n",
        "Content-Length: 1.0\r\n", "Content-Length: 0x1\r\n", "Content-Length: 1 2\r\n",
        "Content-Length: 1, 1\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length : 5\r\n",
        " Folded: 1\r\n", "X: 1\r\n folded\r\n", ": no name\r\n", "no colon\r\n",
        "Two Words: 1\r\n"}) {
    EXPECT_EQ(status_of(head(headers)), 400) << headers;
  }
}

TEST(RequestFramer, TheSameLengthTwiceIsOneLength) {
  EXPECT_EQ(at_once(head("Content-Length: 4\r\ncontent-length: 4\r\n") + "body").body, "body");
}

TEST(RequestFramer, BadChunksAre400) {
  for (const auto& body :
       {std::string("x\r\n"), std::string("\r\n"), std::string("-1\r\n"),
        std::string("0x4\r\nWiki"), std::string(" 4\r\nWiki\r\n0\r\n"),
        std::string("\t4\r\nWiki\r\n0\r\n"), std::string("4\r\nWikiX"),
        std::string("4;a\nb\r\nWiki\r\n0\r\n"), std::string("0\r\nno trailer\r\n"),
        std::string("4\r\nWikipedia\r\n"), std::string("4 4\r\nWiki\r\n"), std::string(300, '0')}) {
    EXPECT_EQ(status_of(head("Transfer-Encoding: chunked\r\n") + body + "\r\n"), 400) << body;
  }
}

TEST(RequestFramer, OtherTransferEncodingsAre501) {
  EXPECT_EQ(status_of(head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), 501);
  for (const auto* encoding : {"gzip", "gzip, chunked", "identity", ""}) {
    EXPECT_EQ(status_of(head("Transfer-Encoding: " + std::string(encoding) + "\r\n")), 501)
        << encoding;
  }
}

TEST(RequestFramer, WhatHttp10DoesNotKnowIsRefusedOrIgnored) {
  const std::string line = "POST / HTTP/1.0";
  EXPECT_EQ(status_of(head("Transfer-Encoding: chunked\r\n", line) + "0\r\n\r\n"), 400);
  auto waiting = framer();
  EXPECT_EQ(waiting.advance(head("Expect: 100-continue\r\nContent-Length: 4\r\n", line)),
            State::incomplete);
  EXPECT_FALSE(waiting.take_expect_continue());
}

TEST(RequestFramer, Http11NeedsOneHost) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
  EXPECT_EQ(at_once("GET / HTTP/1.0\r\n\r\n").state, State::complete);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
}

// The phases.

TEST(RequestFramer, TheTableIsWholeAndOnlyACompleteOrRefusedRequestStaysAsItIs) {
  using Phase = RequestFramer::Phase;
  test::expect_whole(RequestFramer::table, {Phase::complete, Phase::refused});
}

TEST(RequestFramer, ACompleteRequestStaysComplete) {
  for (const auto& request : {head("Content-Length: 4\r\n") + "body",
                              head("Transfer-Encoding: chunked\r\n") + "4\r\nbody\r\n0\r\n\r\n"}) {
    auto one = framer();
    ASSERT_EQ(one.advance(request), State::complete);
    EXPECT_EQ(one.advance(request + "GET"), State::complete);
    EXPECT_EQ(one.size(), request.size());
    EXPECT_EQ(one.take_body(), "body");
  }
}

TEST(RequestFramer, ARefusedRequestStaysRefused) {
  for (const auto& request :
       {head("no header\r\n"), head("Transfer-Encoding: chunked\r\n") + "x\r\n",
        std::string(head_limit + 1, 'x')}) {
    auto one = framer();
    ASSERT_EQ(one.advance(request), State::refused);
    const int status = one.status();
    EXPECT_EQ(one.advance(head()), State::refused) << "not even a good request is taken after it";
    EXPECT_EQ(one.status(), status);
  }
}

// Connection and Expect.

bool closes(const std::string& line, const std::string& headers) {
  auto one = framer();
  EXPECT_EQ(one.advance(head(headers, line)), State::complete);
  return one.wants_close();
}

TEST(RequestFramer, KnowsWhetherTheClientKeepsTheConnection) {
  EXPECT_FALSE(closes("GET / HTTP/1.1", ""));
  EXPECT_FALSE(closes("GET / HTTP/1.1", "Connection: keep-alive\r\n"));
  EXPECT_TRUE(closes("GET / HTTP/1.1", "Connection: close\r\n"));
  EXPECT_TRUE(closes("GET / HTTP/1.1", "connection:  x ,CLOSE\t\r\n"));
  EXPECT_FALSE(closes("GET / HTTP/1.1", "Connection: closed\r\n"));
  EXPECT_TRUE(closes("GET / HTTP/1.0", ""));
  EXPECT_FALSE(closes("GET / HTTP/1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_TRUE(closes("GET / HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

TEST(RequestFramer, AsksForContinueOnceAndOnlyWhileTheBodyIsAwaited) {
  const auto start = head("Expect: 100-Continue\r\nContent-Length: 4\r\n");
  auto waiting = framer();
  EXPECT_EQ(waiting.advance(start.substr(0, start.size() - 1)), State::incomplete);
  EXPECT_FALSE(waiting.take_expect_continue()) << "the head is not whole yet";
  EXPECT_EQ(waiting.advance(start), State::incomplete);
  EXPECT_TRUE(waiting.take_expect_continue());
  EXPECT_EQ(waiting.advance(start + "bo"), State::incomplete);
  EXPECT_FALSE(waiting.take_expect_continue());
}

}  // namespace
}  // namespace cluster
