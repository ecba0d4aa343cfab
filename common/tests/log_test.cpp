#include "cluster/log.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;

// Standard output as a row of single writes. It is a datagram socket, which keeps the bounds of
// writes.
class Writes {
 public:
  Writes() : before_(::dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) == 0) {
      reading_.reset(ends[0]);
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[1]);
    }
  }
  ~Writes() { put_back(); }
  Writes(const Writes&) = delete;
  Writes& operator=(const Writes&) = delete;

  std::vector<std::string> take() {
    put_back();
    std::vector<std::string> result;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0;
         (got = ::recv(reading_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;) {
      result.emplace_back(buffer.data(), static_cast<std::size_t>(got));
    }
    return result;
  }

 private:
  void put_back() {
    std::fflush(stdout);
    ::dup2(before_.get(), STDOUT_FILENO);
  }
  UniqueFd before_;
  UniqueFd reading_;
};

// Where the pattern has '#', the text has a digit.
bool fits(const std::string& text, const std::string& pattern) {
  return std::equal(
      text.begin(), text.end(), pattern.begin(), pattern.end(),
      [](char c, char wanted) { return wanted == '#' ? c >= '0' && c <= '9' : c == wanted; });
}

TEST(Log, WritesALineAtOnceWithTimeNameAndPid) {
  Writes writes;
  const Log log("worker2");
  log("drain begins");
  log("drained");

  const auto lines = writes.take();

  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(
      fits(lines[0], "##:##:##.### worker2[" + std::to_string(::getpid()) + "] drain begins\n"))
      << lines[0];
  EXPECT_TRUE(lines[1].ends_with("] drained\n")) << lines[1];
}

TEST(Log, JoinsPartsAndShowsDurationsInWholeMilliseconds) {
  Writes writes;
  Log("master")("slot ", 3, ' ', std::string("took "), 1500us, " of ", 2s, ", ", std::size_t{7},
                '/', -1);
  const auto lines = writes.take();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].ends_with("] slot 3 took 1 ms of 2000 ms, 7/-1\n")) << lines[0];
}

TEST(Log, ShowsNumbersWithAFraction) {
  Writes writes;
  Log("master")(0.1, ' ', 2.5F, ' ', 1e300, ' ', -3.0);
  const auto lines = writes.take();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].ends_with("] 0.1 2.5 1e+300 -3\n")) << lines[0];
}

TEST(Log, LinesOfManyThreadsStayWhole) {
  constexpr int threads = 4;
  constexpr int each = 50;
  const test::CaughtOutput output;
  const Log log("master");
  const std::string long_text(300, 'x');
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < threads; ++i) {
      writers.emplace_back([&] {
        for (int line = 0; line < each; ++line) log(long_text);
      });
    }
  }
  const auto lines = test::lines_of(output.text());
  EXPECT_EQ(lines.size(), static_cast<std::size_t>(threads * each));
  for (const auto& line : lines) {
    EXPECT_TRUE(line.ends_with("] " + long_text)) << line;
  }
}

TEST(Log, ABareLineHasNoPrefix) {
  Writes writes;
  print_line("ready url=http://127.0.0.1:8000");
  EXPECT_EQ(writes.take(), std::vector<std::string>{"ready url=http://127.0.0.1:8000\n"});
}

TEST(Log, AnOutputThatNobodyTakesIsNoError) {
  const UniqueFd before(::dup(STDOUT_FILENO));
  std::fflush(stdout);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  ::dup2(ends[1], STDOUT_FILENO);
  ::close(ends[0]);
  ::close(ends[1]);

  Log("master")("into the void");

  ::dup2(before.get(), STDOUT_FILENO);
}

}  // namespace
}  // namespace cluster
