#include "http/leader_threads.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::Gate;

// Threads whose events are jobs in a queue. The leader waits for the next job in the kernel (on a
// semaphore), as it would wait on an epoll set.
class Jobs {
 public:
  explicit Jobs(std::size_t most = 64, std::chrono::milliseconds tick = 10ms)
      : threads_(
            most, [this](LeaderThreads::Member& self) { work(self); }, tick, [this] { ++ticks; }) {
    threads_.start();
  }
  ~Jobs() { stop(); }
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  void add(std::function<void()> job) {
    {
      const std::lock_guard lock(queue_mutex_);
      queue_.push_back(std::move(job));
    }
    wake();
  }
  void stop() {
    ending_ = true;
    wake();
    threads_.stop();
  }
  std::size_t threads() const { return threads_.size(); }

  std::atomic<int> done{0};
  std::atomic<int> ticks{0};
  std::atomic<int> leading{0};
  std::atomic<int> most_leading{0};

 private:
  void wake() const {
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(events_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  }
  void work(LeaderThreads::Member& self) {
    while (threads_.lead(self)) {
      while (threads_.leads(self)) {
        most_leading = std::max<int>(most_leading, ++leading);
        std::uint64_t ignored = 0;
        const bool woken =
            ending_ || ::read(events_.get(), &ignored, sizeof ignored) == sizeof ignored;
        --leading;
        if (!woken || ending_) break;
        threads_.begin_handler(self, LeaderThreads::Clock::now());
        take()();
        threads_.end_handler(self);
        ++done;
      }
      if (ending_) return;
    }
  }
  std::function<void()> take() {
    const std::lock_guard lock(queue_mutex_);
    auto job = std::move(queue_.front());
    queue_.pop_front();
    return job;
  }

  UniqueFd events_{::eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC)};
  std::atomic<bool> ending_{false};
  std::mutex queue_mutex_;
  std::deque<std::function<void()>> queue_;
  LeaderThreads threads_;
};

TEST(LeaderThreads, FastHandlersNeedNoSecondThread) {
  Jobs jobs;
  for (int i = 0; i < 500; ++i) {
    jobs.add([] {});
    ASSERT_TRUE(eventually([&] { return jobs.done == i + 1; }));
  }
  EXPECT_LE(jobs.threads(), 3U) << "one leads; a few more only if the machine stumbled";
}

TEST(LeaderThreads, AnotherLeadsWhileAHandlerWaits) {
  Jobs jobs;
  Gate gate;
  jobs.add([&] { gate.pass(); });
  ASSERT_TRUE(eventually([&] { return gate.inside == 1; }));
  jobs.add([] {});
  EXPECT_TRUE(eventually([&] { return jobs.done == 1; }));
  gate.open();
  EXPECT_TRUE(eventually([&] { return jobs.done == 2; }));
}

TEST(LeaderThreads, AnotherLeadsWhileAHandlerComputes) {
  Jobs jobs;
  std::atomic<bool> stop{false};
  jobs.add([&] {
    while (!stop) {
    }
  });
  jobs.add([] {});
  EXPECT_TRUE(eventually([&] { return jobs.done == 1; }));
  stop = true;
  EXPECT_TRUE(eventually([&] { return jobs.done == 2; }));
}

void run_on_the_first_processor() {
  cpu_set_t processors;
  ASSERT_EQ(::sched_getaffinity(0, sizeof processors, &processors), 0);
  int first = 0;
  while (CPU_ISSET(first, &processors) == 0) ++first;
  CPU_ZERO(&processors);
  CPU_SET(first, &processors);
  ASSERT_EQ(::sched_setaffinity(0, sizeof processors, &processors), 0);
}

// As on a machine that is busy with other work.
TEST(LeaderThreads, AHandlerThatWaitsForAProcessorKeepsTheLead) {
  std::atomic<bool> stop{false};
  const std::jthread other([&] {
    run_on_the_first_processor();
    while (!stop) {
    }
  });
  Jobs jobs;
  jobs.add([&] {
    run_on_the_first_processor();
    const sched_param none{};
    EXPECT_EQ(::sched_setscheduler(0, SCHED_IDLE, &none), 0);
    const auto began = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - began < 200ms) {
    }
    stop = true;
  });
  EXPECT_TRUE(eventually([&] { return jobs.done == 1; }));
  EXPECT_EQ(jobs.threads(), 1U);
}

TEST(LeaderThreads, ManyHandlersThatWaitRunAtTheSameTime) {
  constexpr int many = 40;
  Jobs jobs;
  Gate gate;
  for (int i = 0; i < many; ++i) jobs.add([&] { gate.pass(); });
  EXPECT_TRUE(eventually([&] { return gate.inside == many; }));
  EXPECT_EQ(jobs.done, 0);
  gate.open();
  EXPECT_TRUE(eventually([&] { return jobs.done == many; }));
}

TEST(LeaderThreads, ShortHandlersThatWaitDoNotWaitForOneAnother) {
  constexpr int many = 300;
  Jobs jobs;
  std::atomic<int> inside{0};
  std::atomic<int> most_inside{0};
  for (int i = 0; i < many; ++i) {
    jobs.add([&] {
      most_inside = std::max<int>(most_inside, ++inside);
      std::this_thread::sleep_for(500us);  // the handler's own wait, far too short for the watch
      --inside;
    });
  }
  ASSERT_TRUE(eventually([&] { return jobs.done == many; }));
  EXPECT_GE(most_inside, 4);
}

TEST(LeaderThreads, NeverAreThereMoreThanAllowedAndAllIsDoneAfterAll) {
  constexpr int most = 4;
  Jobs jobs(most);
  Gate gate;
  for (int i = 0; i < 3 * most; ++i) jobs.add([&] { gate.pass(); });
  EXPECT_TRUE(eventually([&] { return gate.inside == most; }));
  const auto ticks = jobs.ticks.load();
  EXPECT_TRUE(eventually(
      [&] { return jobs.ticks > ticks + 5; }));  // the watch had its chance to start more
  EXPECT_EQ(jobs.threads(), static_cast<std::size_t>(most));
  EXPECT_EQ(gate.inside, most);
  gate.open();
  EXPECT_TRUE(eventually([&] { return jobs.done == 3 * most; }));
}

TEST(LeaderThreads, OnlyOneLeadsAtATime) {
  Jobs jobs;
  for (int i = 0; i < 200; ++i) {
    jobs.add([] { std::this_thread::sleep_for(1ms); });
  }
  EXPECT_TRUE(eventually([&] { return jobs.done == 200; }));
  EXPECT_EQ(jobs.most_leading, 1);
}

TEST(LeaderThreads, ThreadsAreUsedAgain) {
  Jobs jobs;
  for (int round = 1; round <= 5; ++round) {
    Gate gate;
    for (int i = 0; i < 10; ++i) jobs.add([&] { gate.pass(); });
    ASSERT_TRUE(eventually([&] { return gate.inside == 10; }));
    gate.open();
    ASSERT_TRUE(eventually([&] { return jobs.done == 10 * round; }));
  }
  EXPECT_LE(jobs.threads(), 15U);
}

TEST(LeaderThreads, TheTickComesAgainAndAgainAlsoWhileAllHandlersWait) {
  Jobs jobs(1, 5ms);
  Gate gate;
  jobs.add([&] { gate.pass(); });
  ASSERT_TRUE(eventually([&] { return gate.inside == 1; }));
  const auto before = jobs.ticks.load();
  EXPECT_TRUE(eventually([&] { return jobs.ticks >= before + 3; }));
}

TEST(LeaderThreads, StopWaitsForTheHandlersAndEndsAllThreads) {
  const auto before = test::threads();
  std::atomic<bool> ended{false};
  {
    Jobs jobs;
    Gate gate;
    for (int i = 0; i < 5; ++i) jobs.add([&] { gate.pass(); });
    std::atomic<bool> slow_began{false};
    jobs.add([&] {
      slow_began = true;
      test::burn(50ms);
      ended = true;
    });
    ASSERT_TRUE(eventually([&] { return gate.inside == 5 && slow_began; }));
    gate.open();
    jobs.stop();
    EXPECT_TRUE(ended);
  }
  EXPECT_TRUE(eventually([&] { return test::threads() == before; }));
}

}  // namespace
}  // namespace cluster
