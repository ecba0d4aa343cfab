// How a worker that serves ends.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <system_error>
#include <utility>

#include "cluster/listener.hpp"
#include "http_client.hpp"
#include "master_support.hpp"

namespace cluster {
namespace {

using test::Client;
using test::get;

struct Listening {
  Listener listener = listen_on({"127.0.0.1", 0});
  std::uint16_t port = listener.address.port;
};

struct WorkerEndTest : Listening, test::MasterTest {
  WorkerEndTest() : MasterTest(1, std::move(listener)) {
    master.stop_replacing();
    master.start_workers(role("serve"));
    await([this] { return master.all_ready(); });
  }
  ExitStatus end() {
    master.kill(master.current(1), SIGTERM);
    return await_deaths(1) ? deaths[0].status : ExitStatus{};
  }
};

TEST_F(WorkerEndTest, TheExitCodeIs0WhenNothingWasCut) {
  Client idle(port);
  EXPECT_EQ(idle.status(get("/")), 200);
  EXPECT_EQ(end().code, 0);
  EXPECT_TRUE(idle.ended());
}

TEST_F(WorkerEndTest, TheExitCodeIs1WhenAHalfSentRequestWasCut) {
  Client half(port);
  ASSERT_EQ(half.status(get("/")), 200);
  ASSERT_TRUE(half.send("GET / HT"));
  EXPECT_EQ(end().code, 1);
}

TEST_F(WorkerEndTest, AWorkerThatDrainsAcceptsNothingMore) {
  Client waits(port);
  ASSERT_EQ(waits.status(get("/")), 200);
  ASSERT_TRUE(waits.send(get("/wait")));
  const pid_t worker = master.current(1);
  const auto pidfd = test::open_pidfd(worker);
  master.close_listener();
  master.kill(worker, SIGTERM);
  EXPECT_TRUE(test::eventually([&] {
    try {
      const Client another(port);
      return false;
    } catch (const std::system_error& error) {
      return error.code() == std::errc::connection_refused;
    }
  }));
  EXPECT_FALSE(test::wait_gone(pidfd, std::chrono::milliseconds(0)));
}

}  // namespace
}  // namespace cluster
