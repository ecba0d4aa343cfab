// Many connections, many handlers, and several servers on one listening socket.
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "cluster/system.hpp"
#include "http_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::post;

using HttpLoadTest = test::HttpTest;

// On a noisy machine too there are far fewer threads than connections.
constexpr std::size_t few_threads = 20;

TEST_F(HttpLoadTest, AThousandIdleConnectionsCostNoThreadAndNobodyATurn) {
  raise_open_file_limit();
  const auto before = test::threads();
  start();
  std::vector<test::Client> clients;
  for (int i = 0; i < 1'000; ++i) clients.push_back(connect());
  ASSERT_TRUE(await([](const auto& activity) { return activity.connections == 1'000; }));
  auto busy = connect();
  for (int i = 0; i < 200; ++i) ASSERT_EQ(busy.status(get("/")), 200);
  for (auto& client : clients) ASSERT_EQ(client.status(get("/")), 200);
  for (auto& client : clients) ASSERT_TRUE(client.send(get("/")));  // all at once
  for (auto& client : clients) ASSERT_EQ(client.read().value().status, 200);
  EXPECT_LE(test::threads(), before + few_threads);
  EXPECT_EQ(opened(), 1'001);
  EXPECT_EQ(server->activity().connections, 1'001U);
}

TEST_F(HttpLoadTest, ManyHalfRequestsCostNoThreadAndNobodyATurn) {
  const auto before = test::threads();
  start();
  std::vector<test::Client> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(clients.back().send(i % 2 == 0 ? "GET / HT" : post("/echo", "body").substr(0, 50)));
  }
  ASSERT_TRUE(await([](const auto& activity) { return activity.half_sent == 200; }));
  auto busy = connect();
  for (int i = 0; i < 200; ++i) ASSERT_EQ(busy.status(get("/")), 200);
  EXPECT_LE(test::threads(), before + few_threads);
}

TEST_F(HttpLoadTest, ManyHandlersThatWaitRunAtTheSameTime) {
  constexpr int many = 64;
  start();
  std::vector<test::Client> clients;
  for (int i = 0; i < many; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(clients.back().send(get("/gate")));
  }
  EXPECT_TRUE(test::eventually([&] { return gate.inside == many; }));
  EXPECT_EQ(server->activity().requests, static_cast<std::size_t>(many));
  EXPECT_TRUE(done().empty());
  gate.open();
  for (auto& client : clients) EXPECT_EQ(client.read().value().status, 200);
}

TEST_F(HttpLoadTest, FastRequestsAreAnsweredWhileManyHandlersWait) {
  start();
  std::vector<test::Client> blocked;
  for (int i = 0; i < 20; ++i) blocked.push_back(connect_to_gate());
  for (int i = 0; i < 50; ++i) ASSERT_EQ(connect().status(get("/")), 200);
  for (const auto& exchange : done()) EXPECT_EQ(exchange.path, "/") << "none that waited is done";
}

TEST_F(HttpLoadTest, RefusalsGoOutAtOnceWhileEveryHandlerWaits) {
  start();
  auto kept = connect();
  ASSERT_EQ(kept.status(get("/")), 200);
  std::vector<test::Client> blocked;
  for (int i = 0; i < 64; ++i) blocked.push_back(connect_to_gate());
  ASSERT_TRUE(await_done(1));
  admitting = false;

  const auto begin = Clock::now();
  EXPECT_EQ(kept.status(get("/")), 503);
  EXPECT_EQ(connect().status(get("/gate")), 503);
  EXPECT_LT(Clock::now() - begin, 1s);  // the contract says 100 ms each, of an idle machine

  ASSERT_TRUE(await_done(3));
  for (const auto& exchange : done()) {
    EXPECT_TRUE(exchange.path != "/gate" || !exchange.admitted)
        << "one that waited was done before";
  }
  EXPECT_EQ(server->activity().requests, 64U);
  gate.open();
  for (auto& client : blocked) EXPECT_EQ(client.read().value().status, 200);
}

TEST_F(HttpLoadTest, MoreRequestsThanThreadsAreRefusedAtOnce) {
  limits.threads = 3;
  start();
  std::vector<test::Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect_to_gate());
  for (int i = 0; i < 9; ++i) {
    auto client = connect();
    const auto refusal = client.ask(get("/gate"));
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->status, 503);
    EXPECT_TRUE(refusal->closes());
  }
  EXPECT_EQ(gate.inside, 3);
  gate.open();
  for (auto& client : clients) EXPECT_EQ(client.read().value().status, 200);
  EXPECT_TRUE(await([](const auto& activity) { return activity.requests == 0; }));
  EXPECT_EQ(connect().status(get("/")), 200);
}

TEST_F(HttpLoadTest, AServerWithoutDescriptorsAcceptsLater) {
  make();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/")));
  {
    const test::NoMoreDescriptors exhausted;
    start();
    EXPECT_TRUE(client.quiet_for(250ms));
  }
  const auto answer = client.read();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST_F(HttpLoadTest, AConnectionIsTakenThoughItsWakeUpWentToOneThatDoesNotAccept) {
  const UniqueFd before(check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC)));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLEXCLUSIVE;
  check("epoll_ctl", ::epoll_ctl(before.get(), EPOLL_CTL_ADD, listener.fd.get(), &event));
  std::atomic<pid_t> thread{0};
  const std::jthread first_in_the_queue([&] {
    thread = ::gettid();
    epoll_event found{};
    ::epoll_wait(before.get(), &found, 1, 1'000);
  });
  ASSERT_TRUE(test::eventually([&] { return thread != 0 && test::is_asleep(thread); }));
  start();
  EXPECT_EQ(connect().status(get("/")), 200);
}

TEST_F(HttpLoadTest, ManyClientsAtOnceEachGetTheirOwnAnswers) {
  start();
  std::atomic<int> right{0};
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 8; ++thread) {
      threads.emplace_back([&, thread] {
        auto client = connect();
        for (int i = 0; i < 100; ++i) {
          if (i % 10 == 9) client = connect();
          const auto text = std::to_string(thread) + ' ' + std::to_string(i);
          const auto answer = client.ask(post("/echo", text));
          right += answer && answer->json()["body"] == text ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(right, 800);
}

// Servers that share a socket, like the workers of a cluster.

struct Siblings : HttpLoadTest {
  Siblings() : other(add("two")) {
    start();
    other->start();
  }
  ~Siblings() override { gate.open(); }
  // Who answers fresh connections, made one after another, each after the servers had time to wait
  // for the next.
  std::vector<std::string> answering(int connections, std::chrono::milliseconds pause = 2ms) {
    std::vector<std::string> result;
    for (int i = 0; i < connections; ++i) {
      auto client = connect();
      const auto answer = client.ask(get("/"));
      result.push_back(answer ? answer->json()["worker"].get<std::string>() : "nobody");
      client.close();
      std::this_thread::sleep_for(pause);
    }
    return result;
  }
  std::map<std::string, int> spread(int connections) {
    std::map<std::string, int> result;
    for (const auto& name : answering(connections)) ++result[name];
    return result;
  }
  std::unique_ptr<HttpServer> other;
};

int longest_row(const std::vector<std::string>& names) {
  int longest = 0;
  int row = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    row = i > 0 && names[i] == names[i - 1] ? row + 1 : 1;
    longest = std::max(longest, row);
  }
  return longest;
}

TEST_F(Siblings, ConnectionsMadeOneAfterAnotherReachBothInTurn) {
  const auto names = answering(40);
  EXPECT_GE(std::ranges::count(names, "one"), 5);
  EXPECT_GE(std::ranges::count(names, "two"), 5);
  EXPECT_EQ(std::ranges::count(names, "nobody"), 0);
  EXPECT_LE(longest_row(names), 12) << "the same one is woken again and again";
}

TEST_F(Siblings, ConnectionsThatComeSeldomReachBothInTurn) {
  const auto names = answering(16, 110ms);  // at least one tick between any two
  EXPECT_EQ(std::ranges::count(names, "nobody"), 0);
  EXPECT_LE(longest_row(names), 6) << "the one whose tick comes first is woken again and again";
}

TEST_F(Siblings, TheOtherServesAllWhenOneStopsAcceptingAndBothWhenItResumes) {
  server->stop_accepting();
  EXPECT_EQ(spread(20), (std::map<std::string, int>{{"two", 20}}));
  server->resume_accepting();
  EXPECT_GE(spread(40)["one"], 5);
}

TEST_F(Siblings, TheOtherServesAllWhenOneEnds) {
  server.reset();
  EXPECT_EQ(spread(20), (std::map<std::string, int>{{"two", 20}}));
}

TEST_F(Siblings, TheOtherServesAllWhileOneDrains) {
  auto blocked = connect();
  while (!blocked.send(get("/gate")) || !test::eventually([&] { return gate.inside == 1; })) {
  }
  auto& busy = server->activity().requests == 1 ? *server : *other;
  const std::string free = &busy == server.get() ? "two" : "one";
  busy.begin_drain();
  EXPECT_EQ(spread(20), (std::map<std::string, int>{{free, 20}}));
  gate.open();
  EXPECT_TRUE(blocked.read().value().closes());
}

}  // namespace
}  // namespace cluster
