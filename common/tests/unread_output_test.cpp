// Nobody waits for a reader that does not read: of the log, of the journal.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "cluster/journal.hpp"
#include "cluster/log.hpp"
#include "cluster/system.hpp"
#include "line_output.hpp"
#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;

struct Ends {
  UniqueFd reading;
  UniqueFd writing;
};

Ends make_pipe() {
  std::array<int, 2> ends{};
  check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Ends make_named_pipe(const std::string& path) {
  check("mkfifo", ::mkfifo(path.c_str(), 0600));
  UniqueFd reading(check("open", ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)));
  return {std::move(reading), UniqueFd(check("open", ::open(path.c_str(), O_WRONLY | O_CLOEXEC)))};
}

Ends make_sockets() {
  std::array<int, 2> ends{};
  check("socketpair", ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()));
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Ends make_terminal() {
  UniqueFd master(check("posix_openpt", ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)));
  check("grantpt", ::grantpt(master.get()));
  check("unlockpt", ::unlockpt(master.get()));
  std::array<char, 64> name{};
  ::ptsname_r(master.get(), name.data(), name.size());
  return {std::move(master),
          UniqueFd(check("open", ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC)))};
}

// What has arrived, however it is read.
std::string read_now(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

constexpr int many = 5'000;

std::string numbered(int number) {
  return "line " + std::to_string(number) + ' ' + std::string(60, '.');
}

// Writes many lines that nobody reads; then reads, and writes one more. Returns what was read.
std::pair<std::string, std::string> fill_and_resume(LineOutput& output, int reading) {
  std::atomic<bool> done = false;
  std::string first;
  {
    const std::jthread writer([&] {
      for (int i = 0; i < many; ++i) output.write(numbered(i), "master");
      done = true;
    });
    EXPECT_TRUE(test::eventually([&] { return done.load(); }, 10s)) << "a write has blocked";
    while (!done) first += read_now(reading);  // only to let the test come to its end
  }
  first += read_now(reading);
  output.write("the reader is back");
  return {first, read_now(reading)};
}

// Every line was either read whole or counted by a notice.
void expect_lines_dropped_and_told(Ends ends) {
  LineOutput output(ends.writing.get());
  const auto [first, second] = fill_and_resume(output, ends.reading.get());
  EXPECT_NE(second.find(" lines were dropped"), std::string::npos) << second;
  EXPECT_NE(second.find("the reader is back"), std::string::npos) << second;
  const auto prefix = " master[" + std::to_string(::getpid()) + "] ";
  int whole = 0;
  int dropped = 0;
  for (auto line : test::lines_of(first + second)) {
    if (line.ends_with('\r')) line.pop_back();  // a terminal puts it there
    const auto notice = line.find(prefix);
    if (notice != std::string::npos) dropped += std::stoi(line.substr(notice + prefix.size()));
    whole += line.starts_with("line ") && line.ends_with(std::string(60, '.')) ? 1 : 0;
  }
  EXPECT_GT(whole, 0);
  EXPECT_GT(dropped, 0);
  // A terminal may take a line without its end, which counts as dropped.
  EXPECT_NEAR(whole + dropped, many, 5);
}

TEST(UnreadOutput, APipeLosesLinesAndIsToldHowMany) {
  expect_lines_dropped_and_told(make_pipe());
}

TEST(UnreadOutput, ANamedPipeLosesLinesAndIsToldHowMany) {
  const test::TempDir dir;
  expect_lines_dropped_and_told(make_named_pipe(dir / "pipe"));
}

TEST(UnreadOutput, ASocketLosesLinesAndIsToldHowMany) {
  expect_lines_dropped_and_told(make_sockets());
}

TEST(UnreadOutput, ATerminalLosesLinesAndIsToldHowMany) {
  expect_lines_dropped_and_told(make_terminal());
}

TEST(UnreadOutput, APipeLosesLinesAlsoWhenNoDescriptorIsLeft) {
  const test::TempDir dir;
  auto ends = make_named_pipe(dir / "pipe");
  const test::NoMoreDescriptors none_left;
  expect_lines_dropped_and_told(std::move(ends));
}

TEST(UnreadOutput, TheFlagsOfTheSharedDescriptorStay) {
  const auto ends = make_pipe();
  LineOutput output(ends.writing.get());
  output.write("a line");
  EXPECT_EQ(::fcntl(ends.writing.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(UnreadOutput, LinesGoOutInPiecesThatAPipeTakesWhole) {
  const auto ends = make_pipe();
  LineOutput output(ends.writing.get());
  std::string text;
  for (int i = 0; i < 100; ++i) text += numbered(i) + '\n';
  output.write(text);
  EXPECT_EQ(read_now(ends.reading.get()), text);

  std::string umlauts;
  for (int i = 0; i < 3'000; ++i) umlauts += "ü";
  output.write("a" + umlauts + "\nshort");
  const auto lines = test::lines_of(read_now(ends.reading.get()));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_LT(lines[0].size(), LineOutput::longest_line);
  EXPECT_TRUE(lines[0].ends_with("ü…")) << "cut between two characters";
  EXPECT_EQ(lines[1], "short");
}

TEST(UnreadOutput, AFileTakesAllLines) {
  const test::TempDir dir;
  const UniqueFd file(::open((dir / "log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  LineOutput output(file.get());
  for (int i = 0; i < many; ++i) output.write(numbered(i));
  ::lseek(file.get(), 0, SEEK_SET);
  EXPECT_EQ(test::lines_of(read_now(file.get())).size(), static_cast<std::size_t>(many));
}

TEST(UnreadOutput, AJournalThatIsANamedPipeLosesEventsAndTellsHowMany) {
  const test::TempDir dir;
  const auto path = dir / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const Journal journal(path, 1);
  std::atomic<bool> done = false;
  std::string first;
  {
    const std::jthread writer([&] {
      for (int i = 0; i < many; ++i) journal.write("tick", {{"number", i}});
      done = true;
    });
    EXPECT_TRUE(test::eventually([&] { return done.load(); }, 10s)) << "a write has blocked";
    while (!done) first += read_now(reader.get());
  }
  first += read_now(reader.get());
  journal.write("more");

  const auto taken = test::lines_of(first);
  const auto later = test::lines_of(read_now(reader.get()));
  ASSERT_EQ(later.size(), 2U);
  EXPECT_EQ(Json::parse(later[0])["event"], "dropped");
  EXPECT_EQ(Json::parse(later[0])["lines"], static_cast<std::size_t>(many) - taken.size());
  EXPECT_EQ(Json::parse(later[1])["event"], "more");
  for (const auto& line : taken) EXPECT_TRUE(Json::accept(line)) << line;
}

TEST(UnreadOutput, AJournalWhoseReaderHasGoneIsOpenedAllTheSame) {
  const test::TempDir dir;
  const auto path = dir / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const Journal journal(path, 1);  // as in a worker that is started later
  journal.write("tick");
  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_EQ(test::lines_of(read_now(reader.get())).size(), 1U);
}

}  // namespace
}  // namespace cluster
