#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/listener.hpp"
#include "cluster/master.hpp"
#include "support.hpp"

namespace cluster::test {

// A master in this process, its workers in the role `obey` (roles.cpp), and the calls of its
// handlers.
struct MasterTest : testing::Test {
  explicit MasterTest(int workers = 2, std::optional<Listener> listener = std::nullopt)
      : journal_path(dir / "journal"), master(workers, std::move(listener), journal_path) {
    for (const auto* type : {"ready", "echo", "who", "said", "threaded"}) {
      master.on_message(type, [this](const Master::WorkerInfo& from, const Json& message) {
        received.push_back({from, message});
      });
    }
    master.on_death([this](const Master::Death& death) {
      deaths.push_back(death);
      received_at_death = received.size();
    });
  }

  // The variables for a worker in this role. TEST_VERSION is its answer to "who".
  Master::Variables role(const std::string& name, const std::string& version = "") const {
    return {{"TEST_JOURNAL", journal_path}, {"TEST_ROLE", name}, {"TEST_VERSION", version}};
  }
  void start() {
    master.start_workers(role("obey"));
    ASSERT_TRUE(master.wait_until([&] { return master.all_ready(); }, patience));
    received.clear();
  }
  bool await(const std::function<bool()>& condition) {
    return master.wait_until(condition, patience);
  }
  bool await_deaths(std::size_t count) {
    return await([&, count] { return deaths.size() >= count; });
  }
  // A worker's answer to a message; null: none has come.
  Json ask(pid_t pid, const Json& message) {
    received.clear();
    master.send(pid, message);
    return await([&] { return !received.empty(); }) ? received[0].second : Json();
  }
  std::vector<Json> journal(const std::string& event) const {
    auto lines = journal_lines(journal_path);
    std::erase_if(lines, [&](const Json& line) { return line.at("event") != event; });
    return lines;
  }

  SignalMask mask;
  CaughtOutput output;
  TempDir dir;
  std::string journal_path;
  Master master;
  std::vector<std::pair<Master::WorkerInfo, Json>> received;
  std::vector<Master::Death> deaths;
  std::size_t received_at_death = 0;
};

}  // namespace cluster::test
