#include "cluster/journal.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <system_error>
#include <thread>
#include <vector>

#include "support.hpp"

namespace cluster {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

TEST(Journal, OffWritesNothing) {
  const test::TempDir dir;
  const auto before = test::open_descriptors();
  const Journal unnamed("", 1);
  EXPECT_FALSE(unnamed);
  EXPECT_FALSE(Journal());
  EXPECT_EQ(test::open_descriptors(), before);
  unnamed.write("spawn");  // must write to no descriptor, and must not fail
  EXPECT_TRUE(std::filesystem::is_empty(dir / ""));
}

TEST(Journal, EachLineHasAllMandatoryFields) {
  const test::TempDir dir;
  const auto path = dir / "journal";
  const double earliest = now();
  {
    const Journal master(path, 0);
    ASSERT_TRUE(master);
    master.write("spawn", {{"peer", 2}, {"child", 1240}});
    const Journal worker(path, 2);
    worker.write("ready");
  }
  const double latest = now();

  const auto lines = test::journal_lines(path);

  ASSERT_EQ(lines.size(), 2U);
  for (const auto& line : lines) {
    EXPECT_GE(line.at("t").get<double>(), earliest);
    EXPECT_LE(line.at("t").get<double>(), latest);
    EXPECT_EQ(line.at("pid"), ::getpid());
  }
  EXPECT_EQ(lines[0].at("role"), "master");
  EXPECT_EQ(lines[0].at("worker"), 0);
  EXPECT_EQ(lines[0].at("event"), "spawn");
  EXPECT_EQ(lines[0].at("peer"), 2);
  EXPECT_EQ(lines[0].at("child"), 1240);
  EXPECT_EQ(lines[1].at("role"), "worker");
  EXPECT_EQ(lines[1].at("worker"), 2);
  EXPECT_EQ(lines[1].at("event"), "ready");
  EXPECT_LE(lines[0].at("t"), lines[1].at("t"));
}

TEST(Journal, AppendsToWhatIsThere) {
  const test::TempDir dir;
  const auto path = dir / "journal";
  std::ofstream(path) << R"({"event":"older"})" << '\n';
  Journal(path, 0).write("newer");
  const auto lines = test::journal_lines(path);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].at("event"), "older");
  EXPECT_EQ(lines[1].at("event"), "newer");
}

TEST(Journal, StaysOneLineOfJsonWhateverTheText) {
  const test::TempDir dir;
  const auto path = dir / "journal";
  Journal(path, 0).write("request", {{"path", "/two\nlines \"quoted\" \xff\xfe"}});
  const auto lines = test::journal_lines(path);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].at("path"), "/two\nlines \"quoted\" \xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Journal, ALineThatDidNotFitIsNotContinued) {
  const test::TempDir dir;
  const auto path = dir / "journal";
  const Journal journal(path, 0);
  journal.write("first");
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{std::filesystem::file_size(path) + 10, usual.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &full);
  journal.write("torn");
  journal.write("lost");
  ::setrlimit(RLIMIT_FSIZE, &usual);
  std::signal(SIGXFSZ, before);
  journal.write("last");

  std::vector<Json> whole;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (auto json = Json::parse(line, nullptr, false); !json.is_discarded()) whole.push_back(json);
  }
  ASSERT_EQ(whole.size(), 3U);
  EXPECT_EQ(whole[0].at("event"), "first");
  EXPECT_EQ(whole[1].at("event"), "dropped");
  EXPECT_EQ(whole[1].at("lines"), 2);
  EXPECT_EQ(whole[2].at("event"), "last");
}

TEST(Journal, LinesOfManyThreadsAndOpeningsStayWhole) {
  constexpr int writers = 4;
  constexpr int each = 200;
  const test::TempDir dir;
  const auto path = dir / "journal";
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i <= writers; ++i) {
      threads.emplace_back([&path, i] {
        const Journal journal(path, i);  // opened by each, as each process does
        for (int line = 0; line < each; ++line) journal.write("tick", {{"line", line}});
      });
    }
  }
  std::map<int, int> next;
  for (const auto& line : test::journal_lines(path)) {
    EXPECT_EQ(line.at("line"), next[line.at("worker")]++);
  }
  for (int i = 1; i <= writers; ++i) {
    EXPECT_EQ(next[i], each);
  }
}

TEST(Journal, IsCloseOnExec) {
  const test::TempDir dir;
  const auto before = test::descriptors();
  const Journal journal(dir / "journal", 0);
  auto own = test::descriptors();
  std::erase_if(own, [&](int fd) { return before.contains(fd); });
  ASSERT_EQ(own.size(), 1U);
  EXPECT_TRUE(test::is_close_on_exec(*own.begin()));
}

TEST(Journal, ThrowsWhenTheFileCannotBeOpened) {
  const test::TempDir dir;
  EXPECT_THROW(Journal(dir / "missing/journal", 0), std::system_error);
}

}  // namespace
}  // namespace cluster
