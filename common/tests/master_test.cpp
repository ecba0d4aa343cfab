#include "cluster/master.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cluster/worker.hpp"
#include "handover.hpp"
#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::patience;

// A master in this process, with workers that obey (roles.cpp), and all that is told to it.
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
    for (int slot = 1; slot <= workers; ++slot) {
      master.set_variable(slot, "TEST_JOURNAL", journal_path);
      master.set_variable(slot, "TEST_ROLE", "obey");
    }
  }

  void start() {
    master.start_workers();
    ASSERT_TRUE(master.wait_until([&] { return master.all_ready(); }, patience));
    received.clear();
  }
  bool await(const std::function<bool()>& condition) { return master.wait_until(condition, patience); }
  bool await_deaths(std::size_t count) {
    return await([&, count] { return deaths.size() >= count; });
  }
  // A worker's answer to a message; null when none comes.
  Json ask(pid_t pid, const Json& message) {
    received.clear();
    master.send(pid, message);
    return await([&] { return !received.empty(); }) ? received[0].second : Json();
  }
  std::vector<Json> journal(const std::string& event) const {
    auto lines = test::journal_lines(journal_path);
    std::erase_if(lines, [&](const Json& line) { return line.at("event") != event; });
    return lines;
  }

  test::SignalMask mask;
  test::CaughtOutput output;
  test::TempDir dir;
  std::string journal_path;
  Master master;
  std::vector<std::pair<Master::WorkerInfo, Json>> received;
  std::vector<Master::Death> deaths;
  std::size_t received_at_death = 0;
};

struct MasterOfEight : MasterTest {
  MasterOfEight() : MasterTest(8) {}
};

struct MasterWithListener : MasterTest {
  MasterWithListener() : MasterTest(1, listen_on({"127.0.0.1", 0})) {}
};

TEST_F(MasterTest, StartsOneWorkerInEachSlotThatKnowsItsNumber) {
  EXPECT_FALSE(master.all_ready());
  start();
  ASSERT_EQ(master.workers().size(), 2U);
  for (const int slot : {1, 2}) {
    const auto pid = master.current(slot);
    const auto answer = ask(pid, {{"type", "who"}});
    EXPECT_EQ(answer["number"], slot);
    EXPECT_EQ(answer["pid"], pid);
    EXPECT_EQ(answer["listener"], -1);
    EXPECT_EQ(answer["handed"], "") << "what a worker starts is no worker";
    EXPECT_EQ(received[0].first.slot, slot);
    EXPECT_EQ(received[0].first.pid, pid);
    const auto known = master.find(pid);
    ASSERT_TRUE(known);
    EXPECT_EQ(known->slot, slot);
    EXPECT_TRUE(known->ready);
    EXPECT_FALSE(known->leaving);
  }
  EXPECT_EQ(master.current(3), 0);
  EXPECT_FALSE(master.find(1));
  EXPECT_THROW(master.start(3), std::out_of_range);
}

TEST_F(MasterTest, BroadcastReachesAllAndSendOnlyOne) {
  start();
  master.broadcast({{"type", "echo"}, {"id", 1}});
  EXPECT_TRUE(await([&] { return received.size() == 2; }));
  const std::set<int> slots{received[0].first.slot, received[1].first.slot};
  EXPECT_EQ(slots, (std::set<int>{1, 2}));
  EXPECT_EQ(ask(master.current(2), {{"type", "echo"}, {"id", "mine"}})["id"], "mine");
  EXPECT_EQ(received[0].first.slot, 2);
  EXPECT_EQ(master.send(1, {{"type", "echo"}}), Channel::Sent::closed);
}

TEST_F(MasterTest, MessagesFromAWorkersOtherThreadsComeInOrder) {
  start();
  master.send(master.current(1), {{"type", "from threads"}, {"count", 100}});
  ASSERT_TRUE(await([&] { return received.size() == 100; }));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(received[static_cast<std::size_t>(i)].second["number"], i);
}

TEST_F(MasterTest, AllThatAWorkerSaidComesBeforeItsDeathIsTold) {
  start();
  master.send(master.current(1), {{"type", "say and die"}, {"count", 300}});
  ASSERT_TRUE(await_deaths(1));
  EXPECT_EQ(received_at_death, 300U);
  EXPECT_EQ(received.back().second["number"], 299);
  EXPECT_EQ(deaths[0].status.signal, SIGKILL);
}

TEST_F(MasterTest, AKilledWorkerIsReplacedInItsSlotByAnotherProcess) {
  start();
  const auto old = master.current(2);
  const auto other = master.current(1);
  EXPECT_TRUE(master.kill(old, SIGKILL));
  ASSERT_TRUE(await_deaths(1));
  EXPECT_EQ(deaths[0].worker.slot, 2);
  EXPECT_EQ(deaths[0].worker.pid, old);
  EXPECT_TRUE(deaths[0].worker.ready);
  EXPECT_EQ(deaths[0].status.signal, SIGKILL);
  EXPECT_FALSE(master.kill(old, SIGKILL)) << "no signal for a pid that was reaped";
  EXPECT_EQ(master.send(old, {{"type", "echo"}}), Channel::Sent::closed);

  ASSERT_TRUE(await([&] { return master.all_ready(); }));

  EXPECT_NE(master.current(2), old);
  EXPECT_EQ(ask(master.current(2), {{"type", "who"}})["number"], 2);
  EXPECT_EQ(master.current(1), other) << "the other is left alone";
}

TEST_F(MasterTest, ADeathTellsTheExitCode) {
  start();
  master.send(master.current(1), {{"type", "exit"}, {"code", 42}});
  ASSERT_TRUE(await_deaths(1));
  EXPECT_EQ(deaths[0].status.code, 42);
  EXPECT_NE(output.text().find("exit code 42"), std::string::npos);
}

TEST_F(MasterOfEight, AllThatDieAtOnceAreToldAndReplaced) {
  start();
  std::map<int, pid_t> before;
  for (const auto& worker : master.workers()) {
    before[worker.slot] = worker.pid;
    master.kill(worker.pid, SIGSTOP);
  }
  for (const auto& worker : master.workers())
    master.kill(worker.pid, worker.slot % 2 == 0 ? SIGKILL : SIGABRT);
  for (const auto& worker : master.workers()) master.kill(worker.pid, SIGCONT);
  ASSERT_TRUE(await_deaths(8));
  for (const auto& death : deaths) {
    EXPECT_EQ(death.worker.pid, before.at(death.worker.slot));
    EXPECT_EQ(death.status.signal, death.worker.slot % 2 == 0 ? SIGKILL : SIGABRT);
  }
  EXPECT_TRUE(await([&] { return master.all_ready(); }));
  EXPECT_EQ(deaths.size(), 8U);
  EXPECT_EQ(master.workers().size(), 8U);
}

TEST_F(MasterTest, ACrashLoopHasPausesThatDouble) {
  master.set_variable(1, "TEST_ROLE", "crash");
  master.start(1);
  ASSERT_TRUE(await_deaths(4));
  master.stop_replacing();

  const auto spawns = journal("spawn");
  const auto exits = journal("exit");

  ASSERT_EQ(spawns.size(), 4U);
  ASSERT_EQ(exits.size(), 4U);
  const std::vector<double> pauses{0.1, 0.2, 0.4};
  for (std::size_t i = 0; i < pauses.size(); ++i) {
    const double pause = spawns[i + 1]["t"].get<double>() - exits[i]["t"].get<double>();
    EXPECT_GE(pause, pauses[i] - 0.002) << "between death " << i + 1 << " and the next start";
    EXPECT_LE(pause, pauses[i] + 1.0) << "between death " << i + 1 << " and the next start";
  }
  EXPECT_EQ(deaths[0].status.code, 3);
}

TEST_F(MasterTest, AWorkerThatHasLivedForASecondIsReplacedWithoutAPause) {
  start();
  const auto started = master.find(master.current(1))->started;
  master.wait_until([&] { return Clock::now() - started > 1'000ms; }, 1'100ms);
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  ASSERT_TRUE(await([&] { return master.current(1) != 0; }));
  EXPECT_EQ(output.text().find("died young"), std::string::npos);

  master.kill(master.current(1), SIGKILL);  // this one dies young
  ASSERT_TRUE(await_deaths(2));
  EXPECT_NE(output.text().find("the next one starts in 100 ms"), std::string::npos);
}

TEST_F(MasterTest, AWorkerThatCannotBeStartedIsTriedAgain) {
  auto program = dir / "program";
  std::filesystem::create_symlink(own_program(), program);
  char* const before = std::exchange(program_invocation_name, program.data());
  Master other(1, std::nullopt, "");
  program_invocation_name = before;
  std::filesystem::remove(program);

  EXPECT_EQ(other.start(1), 0);

  EXPECT_EQ(other.current(1), 0);
  EXPECT_NE(output.text().find("worker 1 could not be started: posix_spawn"), std::string::npos);
  const auto tries = [&] {
    const auto lines = test::lines_of(output.text());
    return std::count_if(lines.begin(), lines.end(), [](const auto& line) {
      return line.find("could not be started") != std::string::npos;
    });
  };
  EXPECT_TRUE(other.wait_until([&] { return tries() == 2; }, patience));
  EXPECT_NE(output.text().find("starts in 200 ms"), std::string::npos);
  std::filesystem::create_symlink(own_program(), program);
  EXPECT_TRUE(other.wait_until([&] { return other.all_ready(); }, patience));
}

// What a rolling restart is made of.

TEST_F(MasterTest, ASuccessorIsPromotedAndTheRetiredOneNotReplaced) {
  start();
  const auto old = master.current(1);
  master.set_variable(1, "TEST_VERSION", "2");
  const auto successor = master.start(1);
  ASSERT_NE(successor, 0);
  EXPECT_EQ(master.current(1), old) << "until it is promoted";
  ASSERT_TRUE(await([&] { return master.find(successor)->ready; }));
  EXPECT_EQ(master.workers().size(), 3U);
  EXPECT_EQ(master.workers()[1].pid, successor) << "by slot and age";
  EXPECT_EQ(ask(old, {{"type", "who"}})["version"], "");
  EXPECT_EQ(ask(successor, {{"type", "who"}})["version"], "2");

  master.promote(successor);

  EXPECT_EQ(master.current(1), successor);
  EXPECT_TRUE(master.find(old)->leaving);
  EXPECT_TRUE(master.all_ready());
  master.kill(old, SIGTERM);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_TRUE(deaths[0].worker.leaving);
  EXPECT_EQ(deaths[0].status.code, 0) << "SIGTERM ends a worker without a handler for it";
  EXPECT_FALSE(master.wait_until([&] { return journal("spawn").size() > 3; }, 300ms));
  EXPECT_EQ(master.current(1), successor);
}

TEST_F(MasterTest, ASuccessorThatDiesDisturbsNothing) {
  start();
  const auto old = master.current(1);
  master.kill(master.start(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_FALSE(master.wait_until([&] { return journal("spawn").size() > 3; }, 300ms));
  EXPECT_EQ(master.current(1), old);
}

TEST_F(MasterTest, ARetiredWorkerIsNotReplaced) {
  start();
  const auto pid = master.current(1);
  master.retire(pid);
  master.kill(pid, SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  EXPECT_EQ(master.current(1), 0);
  EXPECT_FALSE(master.wait_until([&] { return master.current(1) != 0; }, 300ms));
  EXPECT_FALSE(master.all_ready());
}

TEST_F(MasterTest, NobodyIsReplacedAfterStopReplacingNorInAPauseThatRan) {
  start();
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));  // its replacement is planned now
  master.stop_replacing();
  master.kill(master.current(2), SIGKILL);
  ASSERT_TRUE(await_deaths(2));
  EXPECT_FALSE(master.wait_until([&] { return !master.workers().empty(); }, 300ms));
}

TEST_F(MasterTest, AReplacementInTheDeathHandlerIsNotDoubled) {
  start();
  master.on_death([&](const Master::Death& death) {
    deaths.push_back(death);
    master.start(death.worker.slot);
  });
  master.kill(master.current(1), SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  ASSERT_TRUE(await([&] { return master.all_ready(); }));
  EXPECT_FALSE(master.wait_until([&] { return master.workers().size() != 2; }, 300ms));
}

// Misbehaviour.

TEST_F(MasterTest, AWorkerThatSendsGarbageIsDisconnectedAndTheMasterLives) {
  start();
  const auto pid = master.current(1);
  master.send(pid, {{"type", "garbage"}});
  EXPECT_TRUE(await_deaths(1)) << "a worker whose channel is closed ends";
  EXPECT_NE(output.text().find("sent a message that is not JSON; its channel is closed"), std::string::npos);
  EXPECT_EQ(deaths[0].worker.pid, pid);
  EXPECT_EQ(deaths[0].status.code, 1);
  EXPECT_EQ(ask(master.current(2), {{"type", "echo"}, {"id", 1}})["id"], 1);
  EXPECT_TRUE(await([&] { return master.all_ready(); }));
}

TEST_F(MasterTest, AMessageWithoutATypeIsDropped) {
  start();
  master.send(master.current(1), {{"type", "untyped"}});
  EXPECT_EQ(ask(master.current(1), {{"type", "echo"}, {"id", 2}})["id"], 2);
  EXPECT_NE(output.text().find("without a type"), std::string::npos);
}

TEST_F(MasterTest, AStoppedWorkerCostsTheOthersNothing) {
  start();
  const auto stopped = master.current(1);
  master.kill(stopped, SIGSTOP);
  const std::string text(100'000, 'x');
  auto sent = Channel::Sent::queued;
  for (int i = 0; i < 1'000 && sent == Channel::Sent::queued; ++i) {
    sent = master.send(stopped, {{"type", "none"}, {"text", text}});
    master.loop().run_once(0ns);
  }
  EXPECT_EQ(sent, Channel::Sent::full);
  EXPECT_EQ(ask(master.current(2), {{"type", "echo"}, {"id", 3}})["id"], 3);
  master.kill(stopped, SIGCONT);
  EXPECT_TRUE(await([&] {
    return master.send(stopped, {{"type", "echo"}, {"id", 4}}) == Channel::Sent::queued;
  }));
  EXPECT_TRUE(await([&] { return received.size() == 2; }));
}

TEST_F(MasterTest, NoDescriptorIsLeakedByReplacements) {
  start();
  const auto before = test::open_descriptors();
  const auto before_in_child = ask(master.current(1), {{"type", "who"}})["descriptors"];
  for (std::size_t i = 1; i <= 5; ++i) {
    const auto pid = master.start(1);
    ASSERT_TRUE(await([&] { return master.find(pid)->ready; }));
    master.promote(pid);
    master.kill(master.workers()[0].pid, SIGKILL);
    ASSERT_TRUE(await_deaths(i));
  }
  EXPECT_EQ(test::open_descriptors(), before);
  EXPECT_EQ(ask(master.current(1), {{"type", "who"}})["descriptors"], before_in_child);
}

// What it says.

TEST_F(MasterTest, TheJournalTellsSpawnReadySendRecvAndExit) {
  start();
  const auto pid = master.current(1);
  ask(pid, {{"type", "echo"}, {"id", "x1"}});
  master.kill(pid, SIGKILL);
  ASSERT_TRUE(await_deaths(1));
  master.stop_replacing();
  std::map<std::string, Json> seen;
  for (const auto& line : test::journal_lines(journal_path)) {
    for (const auto* field : {"t", "role", "worker", "pid", "event"})
      EXPECT_TRUE(line.contains(field)) << line;
    if (line.value("id", "") == "x1")
      seen[line["role"].get<std::string>() + ' ' + line["event"].get<std::string>()] = line;
  }
  const auto bytes = Json{{"type", "echo"}, {"id", "x1"}}.dump().size();
  for (const auto* who : {"master send", "master recv", "worker send", "worker recv"}) {
    ASSERT_TRUE(seen.contains(who)) << who;
    EXPECT_EQ(seen[who]["type"], "echo");
    EXPECT_EQ(seen[who]["bytes"], bytes);
    EXPECT_EQ(seen[who]["peer"], seen[who]["role"] == "master" ? Json(1) : Json("master"));
  }
  EXPECT_EQ(seen["worker recv"]["worker"], 1);
  EXPECT_EQ(seen["worker recv"]["pid"], pid);
  EXPECT_EQ(journal("ready").size(), 2U);
  EXPECT_EQ(journal("spawn")[0]["peer"], 1);
  EXPECT_EQ(journal("spawn")[0]["child"], pid);
  ASSERT_EQ(journal("exit").size(), 1U);
  EXPECT_EQ(journal("exit")[0]["child"], pid);
  EXPECT_EQ(journal("exit")[0]["signal"], SIGKILL);
}

TEST_F(MasterTest, SignalsAreToldAndJournalled) {
  std::vector<int> told;
  master.on_signal({SIGTERM, SIGINT}, [&](int signal) { told.push_back(signal); });
  ::kill(::getpid(), SIGTERM);
  ::kill(::getpid(), SIGINT);
  EXPECT_TRUE(await([&] { return told.size() == 2; }));
  EXPECT_EQ(journal("signal").size(), 2U);
}

TEST_F(MasterWithListener, HandsTheListenerDownAndAnnouncesIt) {
  start();
  EXPECT_GE(ask(master.current(1), {{"type", "who"}})["listener"].get<int>(), 0);
  master.announce_ready();
  const auto lines = test::lines_of(output.text());
  EXPECT_TRUE(lines.back().starts_with("ready url=http://127.0.0.1:")) << lines.back();
  EXPECT_TRUE(lines.back().ends_with(" workers=1 pid=" + std::to_string(::getpid()))) << lines.back();
  master.close_listener();
  const auto bare = master.start(1);
  ASSERT_TRUE(await([&] { return master.find(bare)->ready; }));
  EXPECT_EQ(ask(bare, {{"type", "who"}})["listener"], -1);
}

}  // namespace
}  // namespace cluster
