#include "cluster/master.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "master_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::MasterTest;
using test::patience;

// The text of the refusal; empty: the message was not refused.
std::string refusal_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

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
  EXPECT_THROW(master.start(3, {}), std::out_of_range);
}

TEST_F(MasterTest, AWorkerMayPreferThroughput) {
  start();
  const int usual = ::sched_getscheduler(0);
  EXPECT_EQ(::sched_getscheduler(master.current(1)), usual) << "it has not asked for it yet";
  const auto answer = ask(master.current(1), {{"type", "prefer throughput"}});
  EXPECT_EQ(answer["policy"], usual == SCHED_OTHER ? SCHED_BATCH : usual);
  EXPECT_EQ(answer["thread"], answer["policy"]);
  EXPECT_EQ(::sched_getscheduler(master.current(2)), usual);
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
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(received[static_cast<std::size_t>(i)].second["number"], i);
}

TEST_F(MasterTest, AllThatAWorkerSaidComesBeforeItsDeathIsTold) {
  start();
  const auto pid = master.current(1);
  const auto pidfd = test::open_pidfd(pid);
  master.send(pid, {{"type", "say and die"}, {"count", 300}});
  master.loop().run_once(0ns);  // it leaves now
  ASSERT_TRUE(
      test::wait_gone(pidfd, patience));  // so its messages and its death come in the same turn
  ASSERT_TRUE(await_deaths(1));
  EXPECT_EQ(received_at_death, 300U);
  EXPECT_EQ(received.back().second["number"], 299);
  EXPECT_EQ(deaths[0].status.signal, SIGKILL);
}

// Misbehaviour.

TEST_F(MasterTest, AWorkerThatSendsGarbageIsDisconnectedAndTheMasterLives) {
  start();
  const auto pid = master.current(1);
  master.send(pid, {{"type", "raw"}, {"text", "this is no JSON"}});
  EXPECT_TRUE(await_deaths(1)) << "a worker whose channel is closed ends";
  EXPECT_NE(output.text().find("levels; its channel is closed"), std::string::npos);
  EXPECT_EQ(deaths[0].worker.pid, pid);
  EXPECT_EQ(deaths[0].status.code, 1);
  EXPECT_EQ(ask(master.current(2), {{"type", "echo"}, {"id", 1}})["id"], 1);
  EXPECT_TRUE(await([&] { return master.all_ready(); }));
}

TEST_F(MasterTest, AMessageThatIsNestedVeryDeepDisconnectsItsWorkerAndTheMasterLives) {
  start();
  const auto pid = master.current(1);
  const std::string opened(100'000, '[');
  const std::string closed(100'000, ']');
  master.send(pid, {{"type", "raw"}, {"text", R"({"type":"said","id":)" + opened + closed + "}"}});
  EXPECT_TRUE(await_deaths(1));
  EXPECT_EQ(deaths[0].worker.pid, pid);
  EXPECT_NE(output.text().find("nested deeper than 100 levels"), std::string::npos);
  EXPECT_EQ(ask(master.current(2), {{"type", "echo"}, {"id", 1}})["id"], 1);
}

TEST_F(MasterTest, AMessageWithoutATypeIsDropped) {
  start();
  master.send(master.current(1), {{"type", "raw"}, {"text", R"({"no":"type"})"}});
  EXPECT_EQ(ask(master.current(1), {{"type", "echo"}, {"id", 2}})["id"], 2);
  EXPECT_NE(output.text().find("without a type"), std::string::npos);
}

TEST_F(MasterTest, AStoppedWorkerFillsItsOwnQueueOnlyAndGetsAllOnceItGoesOn) {
  start();
  const auto stopped = master.current(1);
  master.kill(stopped, SIGSTOP);
  ASSERT_TRUE(test::eventually([&] { return test::is_stopped(stopped); }));
  const std::string text(200'000, 'x');
  int taken = 0;
  while (master.send(stopped, {{"type", "echo"}, {"id", taken}, {"text", text}}) ==
         Channel::Sent::queued) {
    ++taken;
    master.loop().run_once(0ns);
    ASSERT_LT(taken, 1'000) << "the queue has no bound";
  }
  EXPECT_EQ(master.send(stopped, {{"type", "echo"}, {"id", taken}, {"text", text}}),
            Channel::Sent::full);
  EXPECT_EQ(ask(master.current(2), {{"type", "echo"}, {"id", "other"}})["id"], "other");
  received.clear();

  master.kill(stopped, SIGCONT);

  EXPECT_TRUE(await([&] { return received.size() == static_cast<std::size_t>(taken); }));
  for (std::size_t i = 0; i < received.size(); ++i) EXPECT_EQ(received[i].second["id"], i);
}

TEST_F(MasterTest, NoDescriptorIsLeakedByReplacements) {
  start();
  const auto before = test::open_descriptors();
  const auto before_in_child = ask(master.current(1), {{"type", "who"}})["descriptors"];
  for (std::size_t i = 1; i <= 5; ++i) {
    const auto pid = master.start(1, role("obey"));
    ASSERT_TRUE(await([&] { return master.find(pid)->ready; }));
    master.promote(pid);
    master.kill(master.workers()[0].pid, SIGKILL);
    ASSERT_TRUE(await_deaths(i));
  }
  EXPECT_EQ(test::open_descriptors(), before);
  EXPECT_EQ(ask(master.current(1), {{"type", "who"}})["descriptors"], before_in_child);
}

TEST(MasterWithIgnoredChildren, NoticesTheirDeathsAllTheSame) {
  const auto before = std::signal(SIGCHLD, SIG_IGN);  // as a parent may hand it down
  test::CaughtOutput output;
  Master master(1, std::nullopt, "");
  master.start_workers({{"TEST_ROLE", "obey"}});
  ASSERT_TRUE(master.wait_until([&] { return master.all_ready(); }, patience));
  EXPECT_EQ(output.text().find("no handler"), std::string::npos) << "`ready` is the library's own";
  const auto old = master.current(1);
  master.kill(old, SIGKILL);
  EXPECT_TRUE(master.wait_until([&] { return !master.find(old); }, patience));
  std::signal(SIGCHLD, before);
}

TEST_F(MasterTest, WhatIsNoMessageIsRefusedWithAndWithoutAJournal) {
  start();
  Master bare(1, std::nullopt, "");
  const std::string wanted =
      R"(a message is a JSON object with a "type", as in {{"type", "drained"}})";
  for (const Json& wrong :
       {Json{"type", "drained"}, Json{{"no", "type"}}, Json{{"type", 7}}, Json()}) {
    EXPECT_TRUE(refusal_of([&] { master.send(master.current(1), wrong); }).starts_with(wanted))
        << wrong;
    EXPECT_TRUE(refusal_of([&] { master.broadcast(wrong); }).starts_with(wanted)) << wrong;
    EXPECT_TRUE(refusal_of([&] { bare.send(1, wrong); }).starts_with(wanted)) << wrong;
    EXPECT_TRUE(refusal_of([&] { bare.broadcast(wrong); }).starts_with(wanted)) << wrong;
  }
}

TEST_F(MasterTest, AWorkerIsRefusedWhatIsNoMessageWithAndWithoutAJournal) {
  start();
  const auto bare = master.start(1, {{"TEST_ROLE", "obey"}});
  ASSERT_TRUE(await([&] { return master.find(bare)->ready; }));
  for (const auto pid : {master.current(1), bare}) {
    for (const Json& wrong : {Json{"type", "drained"}, Json{{"no", "type"}}}) {
      const auto answer = ask(pid, {{"type", "try to send"}, {"what", wrong}});
      ASSERT_TRUE(answer.contains("refusal")) << "the worker has died of " << wrong;
      EXPECT_TRUE(answer["refusal"].get<std::string>().ends_with("two pairs of braces, not " +
                                                                 wrong.dump()))
          << answer;
    }
  }
}

// What it says.

TEST_F(MasterTest, ATypeThatNobodyHandlesIsToldOnceOnBothSides) {
  start();
  const auto pid = master.current(1);
  for (int i = 0; i < 2; ++i) {
    master.send(pid, {{"type", "drayn"}});
    master.send(pid, {{"type", "raw"}, {"text", R"({"type":"draind"})"}});
    ask(pid, {{"type", "echo"}, {"id", i}});
  }
  std::vector<std::string> told;
  for (const auto& line : test::lines_of(output.text())) {
    if (line.find("no handler") != std::string::npos)
      told.push_back(line.substr(line.find(' ') + 1));
  }
  const auto number = std::to_string(pid);
  const std::set<std::string> wanted{
      "worker1[" + number + R"(] no handler for a message of type "drayn" (from the master))",
      "master[" + std::to_string(::getpid()) +
          R"(] no handler for a message of type "draind" (from worker 1, pid )" + number + ")"};
  EXPECT_EQ(told.size(), 2U);
  EXPECT_EQ(std::set<std::string>(told.begin(), told.end()), wanted);

  master.on_message("draind", [&](const auto& from, const Json& message) {
    received.push_back({from, message});
  });
  EXPECT_EQ(ask(pid, {{"type", "raw"}, {"text", R"({"type":"draind"})"}})["type"], "draind");
}

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

TEST_F(MasterTest, AnnouncesAnAddressThatItServesItself) {
  master.announce_ready(Address{"::1", 8123});
  EXPECT_EQ(test::lines_of(output.text()).back(),
            "ready url=http://[::1]:8123 workers=2 pid=" + std::to_string(::getpid()));
}

TEST_F(MasterWithListener, HandsTheListenerDownAndAnnouncesIt) {
  start();
  EXPECT_GE(ask(master.current(1), {{"type", "who"}})["listener"].get<int>(), 0);
  master.announce_ready();
  const auto lines = test::lines_of(output.text());
  EXPECT_TRUE(lines.back().starts_with("ready url=http://127.0.0.1:")) << lines.back();
  EXPECT_TRUE(lines.back().ends_with(" workers=1 pid=" + std::to_string(::getpid())))
      << lines.back();
  master.close_listener();
  const auto bare = master.start(1, role("obey"));
  ASSERT_TRUE(await([&] { return master.find(bare)->ready; }));
  EXPECT_EQ(ask(bare, {{"type", "who"}})["listener"], -1);
}

}  // namespace
}  // namespace cluster
