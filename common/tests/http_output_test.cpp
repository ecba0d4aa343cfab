// Answers that their client does not take, or takes slowly.
#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cluster/channel.hpp"
#include "http/output.hpp"
#include "http_support.hpp"

// Of the sanitizers, without which it is not there.
extern "C" std::size_t
__sanitizer_get_current_allocated_bytes()  // NOLINT(bugprone-reserved-identifier)
    __attribute__((weak));

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::get;

struct HttpOutputTest : test::HttpTest {
  HttpOutputTest() { large = std::string(std::size_t{16} << 20, 'x'); }
  ~HttpOutputTest() override { end(); }

  // A client that has asked for a large answer, of which a part waits in the server.
  test::Client connect_stuck() {
    const auto before = server->activity().requests;
    auto client = connect(65'536);
    EXPECT_TRUE(client.send(get("/large")));
    EXPECT_TRUE(await([before](const auto& activity) { return activity.requests > before; }));
    EXPECT_TRUE(test::eventually([this] { return server->longest_in_flight() == 0ms; }))
        << "the handler is done when the answer is written";
    return client;
  }
};

std::size_t threads_of_this_process() {
  std::size_t count = 0;
  auto* const folder = ::opendir("/proc/self/task");
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count - 2;  // "." and ".."
}

TEST_F(HttpOutputTest, ClientsThatDoNotReadHoldNoThread) {
  limits.threads = 2;
  limits.write = 1min;
  start();
  const auto before = threads_of_this_process();
  std::vector<test::Client> stuck;
  for (int i = 0; i < 10; ++i) stuck.push_back(connect_stuck());
  EXPECT_EQ(connect().status(get("/")), 200);
  EXPECT_LE(threads_of_this_process(), before + 2);
  EXPECT_TRUE(await([](const auto& activity) { return activity.requests == 10; }));
  EXPECT_TRUE(test::eventually([this] { return server->longest_in_flight() == 0ms; }))
      << "their handlers are done";
  EXPECT_EQ(server->cut().requests, 10U);
}

TEST(Output, WhatHasLeftKeepsNoMemory) {
  if (__sanitizer_get_current_allocated_bytes == nullptr) GTEST_SKIP() << "nobody counts here";
  constexpr std::size_t size = 4'000'000;
  const auto [mine, theirs] = Channel::make_pair();
  const auto before = __sanitizer_get_current_allocated_bytes();
  Output output;
  ASSERT_EQ(output.write(mine.get(), std::string(size, 'x')), Output::Result::full);
  EXPECT_GT(__sanitizer_get_current_allocated_bytes(), before + size / 2);
  std::array<char, 1 << 16> taken{};
  while (output.flush(mine.get(), size) != Output::Result::empty) {
    ASSERT_GT(::recv(theirs.get(), taken.data(), taken.size(), 0), 0);
  }
  EXPECT_LT(__sanitizer_get_current_allocated_bytes(), before + 10'000);
}

TEST_F(HttpOutputTest, ProgressRenewsTheDeadline) {
  limits.write = 1s;
  start();
  auto client = connect_stuck();
  const auto begin = Clock::now();
  std::size_t taken = 0;
  while (Clock::now() - begin < 3 * limits.write) {
    taken += client.read_bytes(20'000).size();
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(closed(CloseReason::cut), 0);
  EXPECT_GT(client.read_bytes(large.size() - taken).size(), large.size() - taken - 1);
  EXPECT_TRUE(await_done(1));
  EXPECT_TRUE(done()[0].sent);
}

// The end of the answer before waits in the kernel, and is taken first.
TEST_F(HttpOutputTest, ProgressOfTheAnswerBeforeRenewsTheDeadlineToo) {
  limits.write = 1s;
  start();
  auto client = connect(65'536);
  ASSERT_TRUE(client.send(get("/large") + get("/large")));
  ASSERT_FALSE(client.read_bytes(large.size() - (std::size_t{4} << 20)).empty());
  while (done().empty()) {
    ASSERT_FALSE(client.read_bytes(65'536).empty());
  }
  const auto begin = Clock::now();
  while (Clock::now() - begin < 3 * limits.write) {
    ASSERT_FALSE(client.read_bytes(5'000).empty());
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(closed(CloseReason::cut), 0);
}

TEST_F(HttpOutputTest, AnAnswerThatRunsOutOfTimeDuringADrainCountsAsCut) {
  limits.write = 300ms;
  start();
  auto client = connect_stuck();
  server->begin_drain();
  EXPECT_FALSE(server->drained());
  ASSERT_TRUE(await_closed(CloseReason::cut));
  EXPECT_EQ(server->cut().requests, 1U);
  EXPECT_EQ(server->cut().requests, 0U) << "counted once";
  EXPECT_TRUE(test::eventually([&] { return server->drained(); }));
}

TEST_F(HttpOutputTest, AnAnswerThatLeavesDuringADrainIsWhole) {
  start();
  auto client = connect_stuck();
  server->begin_drain();
  const auto answer = client.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body.size(), large.size());
  EXPECT_TRUE(client.ended());
  client.close();
  EXPECT_TRUE(test::eventually([&] { return server->drained(); }));
  EXPECT_EQ(server->cut().requests, 0U);
}

TEST_F(HttpOutputTest, TheNextRequestWaitsUntilTheAnswerHasLeft) {
  start();
  auto client = connect_stuck();
  ASSERT_TRUE(client.send(get("/items/2")));
  const auto answer = client.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body.size(), large.size());
  EXPECT_EQ(client.read().value().json()["path"], "/items/2");
}

TEST_F(HttpOutputTest, AClientThatGoesWhileItsAnswerWaitsIsForgotten) {
  start();
  connect_stuck().close();
  EXPECT_TRUE(await_closed(CloseReason::peer));
  EXPECT_TRUE(await([](const auto& activity) { return activity.connections == 0; }));
  EXPECT_FALSE(done().at(0).sent);
}

// The kernel holds few answers for a client that does not read.
struct FullConnection : HttpOutputTest {
  FullConnection() {
    const int least = 1;  // what the kernel makes of it
    ::setsockopt(listener.fd.get(), SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  }
  ~FullConnection() override { end(); }

  // As many requests are answered, and then comes `last`.
  test::Client connect_with(std::size_t requests, const std::string& last) const {
    std::string text;
    for (std::size_t i = 0; i < requests; ++i) text += get("/");
    auto client = connect(1);
    EXPECT_TRUE(client.send(text + last));
    return client;
  }
  // Until so many more answers have left than `before`, or one waits since the kernel took fewer.
  bool await_full(std::size_t before, std::size_t number) {
    return test::eventually([&] {
      return done().size() >= before + number ||
             (server->activity().requests > 0 && server->longest_in_flight() == 0ms);
    });
  }
  // How many answers the kernel takes. Afterwards the server is a new one, which is not started.
  std::size_t measure() {
    const auto usual = std::exchange(limits.write, 200ms);
    start();
    const auto client = connect_with(1'000, "");
    EXPECT_TRUE(await_closed(CloseReason::cut));
    limits.write = usual;
    make();
    return done().size() - 1;
  }
};

// By how much the answers fill the kernel's buffer, varies a little: so a few numbers are tried.
TEST_F(FullConnection, ARefusalWaitsBehindAnswersToo) {
  const auto fits = measure();
  ASSERT_GT(fits, 5U);
  start();
  for (auto requests = fits - 3; requests < fits + 3; ++requests) {
    const auto before = done().size();
    auto client = connect_with(requests, "nonsense\r\n\r\n");
    client.finish();
    ASSERT_TRUE(await_full(before, fits - 4));
    for (std::size_t i = 0; i < requests; ++i) {
      ASSERT_EQ(client.read().value().status, 200);
    }
    const auto refusal = client.read();
    ASSERT_TRUE(refusal) << "behind " << requests << " answers";
    EXPECT_EQ(refusal->status, 400);
    EXPECT_TRUE(client.ended());
  }
  EXPECT_EQ(server->cut().requests, 0U);
}

TEST_F(FullConnection, ARefusalThatNobodyTakesIsCut) {
  limits.write = 200ms;
  const auto fits = measure();
  std::atomic<bool> was_cut{false};
  server->hooks.closed = [this, &was_cut](std::uint64_t, CloseReason reason) {
    if (reason == CloseReason::cut && server->activity().refusals > 0) was_cut = true;
  };
  start();
  for (int round = 0; round < 20 && !was_cut; ++round) {
    std::vector<test::Client> clients;
    for (auto requests = fits - 3; requests < fits + 3; ++requests) {
      clients.push_back(connect_with(requests, "nonsense\r\n\r\n"));
    }
    const auto all = static_cast<int>(clients.size()) * (round + 1) + 1;  // one is of measure()
    ASSERT_TRUE(test::eventually([&] { return opened() == all; }));
    ASSERT_TRUE(await([](const auto& activity) { return activity.connections == 0; }));
  }
  EXPECT_TRUE(was_cut);
  EXPECT_EQ(server->activity().refusals, 0U);
  end();
}

// The kernel may have room for a part of so short a text.
TEST_F(FullConnection, TheClientIsToldToGoOnBehindAnswers) {
  const auto fits = measure();
  start();
  const auto last = get("/echo", "Expect: 100-continue\r\nContent-Length: 3\r\n", "POST");
  for (std::size_t length = 0; length < 600; length += 8) {
    const auto before = done().size();
    auto client = connect_with(fits - 3, get("/?q=" + std::string(length, 'x')) + last);
    ASSERT_TRUE(await_full(before, fits - 4));
    for (std::size_t i = 0; i < fits - 2; ++i) {
      ASSERT_EQ(client.read().value().status, 200);
    }
    const auto go_on = client.read(true);
    ASSERT_TRUE(go_on) << length;
    ASSERT_EQ(go_on->status, 100);
    ASSERT_TRUE(client.send("abc"));
    ASSERT_EQ(client.read().value().json()["body"], "abc");
  }
}

struct Providing : HttpOutputTest {
  Providing() {
    limits.write = 2s;
    make().Get("/provided", [this](const auto&, auto& response) {
      response.set_content_provider(
          size, "text/plain",
          [this](std::size_t, std::size_t length, httplib::DataSink& sink) {
            const std::string piece(std::min<std::size_t>(length, 64'000), 'x');
            written += piece.size();
            return sink.write(piece.data(), piece.size());
          },
          [this](bool success) { released = success ? 1 : -1; });
    });
    start();
  }
  ~Providing() override { end(); }
  static constexpr std::size_t size = 100'000'000;
  std::atomic<std::size_t> written{0};
  std::atomic<int> released{0};
};

TEST_F(Providing, AContentProviderWaitsForItsClient) {
  auto client = connect(65'536);
  ASSERT_TRUE(client.send(get("/provided")));
  ASSERT_TRUE(test::eventually([this] { return written > 1'000'000; }));
  std::this_thread::sleep_for(100ms);
  EXPECT_LT(written, size / 4) << "what its client does not take is not asked for";
  const auto answer = client.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body.size(), size);
  EXPECT_TRUE(test::eventually([this] { return released == 1; }));
}

TEST_F(Providing, AContentProviderWhoseClientDoesNotReadIsReleased) {
  auto client = connect(65'536);
  ASSERT_TRUE(client.send(get("/provided")));
  EXPECT_TRUE(test::eventually([this] { return released == -1; }));
  EXPECT_TRUE(await_closed(CloseReason::cut));
  EXPECT_LT(written, size / 4);
}

TEST_F(Providing, ACutEndsAContentProvider) {
  auto client = connect(65'536);
  ASSERT_TRUE(client.send(get("/provided")));
  ASSERT_TRUE(test::eventually([this] { return written > 1'000'000; }));
  EXPECT_EQ(server->cut().requests, 1U);
  EXPECT_TRUE(test::eventually([this] { return released == -1; }));
}

}  // namespace
}  // namespace cluster
