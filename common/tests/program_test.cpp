#include "cluster/program.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <functional>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>

#include "cluster/channel.hpp"
#include "cluster/listener.hpp"
#include "cluster/process.hpp"
#include "cluster/settings.hpp"
#include "cluster/system.hpp"
#include "handover.hpp"
#include "support.hpp"

namespace cluster {
namespace {

struct Run {
  int code;
  std::string error;  // what it wrote to standard error
};

Run run(const std::function<int()>& body,
        std::array<const char*, 3> arguments = {"./ex1", nullptr, nullptr}) {
  const int count = arguments[1] == nullptr ? 1 : 2;
  testing::internal::CaptureStderr();
  // NOLINTNEXTLINE(*-const-cast): main() has char**, but nobody writes to it
  const int code = run_program(count, const_cast<char**>(arguments.data()), body);
  return {code, testing::internal::GetCapturedStderr()};
}

bool is_log_line(const std::string& line, const std::string& name, const std::string& text) {
  return std::regex_match(line.substr(0, line.find(' ')), std::regex(R"(\d\d:\d\d:\d\d\.\d{3})")) &&
         line.substr(line.find(' ') + 1) ==
             name + '[' + std::to_string(::getpid()) + "] " + text + '\n';
}

TEST(Program, EndsWithTheCodeOfItsBody) {
  EXPECT_EQ(run([] { return 0; }).code, 0);
  EXPECT_EQ(run([] { return 1; }).code, 1);
  EXPECT_EQ(run([] { return 1; }).error, "");
}

TEST(Program, ABadSettingIsOneLineAndCode2) {
  const auto [code, error] = run([]() -> int { throw SettingError("PORT", "x", "a port"); });
  EXPECT_EQ(code, 2);
  EXPECT_EQ(error, "PORT='x' is not allowed: it must be a port\n");
}

TEST(Program, AnAddressThatIsRefusedIsOneLineAndCode1) {
  const auto [code, error] = run([]() -> int { throw ListenError("cannot listen"); });
  EXPECT_EQ(code, 1);
  EXPECT_EQ(error, "cannot listen\n");
}

TEST(Program, AnyOtherFailureIsALineOfTheLogAndCode1) {
  const auto [code, error] = run([]() -> int { throw std::runtime_error("no luck"); });
  EXPECT_EQ(code, 1);
  EXPECT_TRUE(is_log_line(error, "master", "ended by an exception: no luck")) << error;
}

TEST(Program, AWorkerThatFailsSaysWhichItWas) {
  const auto [here, there] = Channel::make_pair();
  const auto value = "2 1 " + std::to_string(there.get()) + " -1";
  const test::Variable handed("CLUSTER_WORKER", value.c_str());
  const auto error = run([]() -> int {
                       Handover::clear_environment();  // as a Worker does
                       throw std::runtime_error("no luck");
                     }).error;
  EXPECT_TRUE(is_log_line(error, "worker2", "ended by an exception: no luck")) << error;
}

TEST(Program, AHandoverThatNoMasterHasWrittenIsRefusedInOneLine) {
  for (const auto* value : {"", "1", "x", "1 2 3", "1 2 -1 -1", "0 1 0 -1", "1 2 1000000 -1",
                            "1 2 -1 -1 more", "two\nlines"}) {
    const test::Variable handed("CLUSTER_WORKER", value);
    bool started = false;
    const auto [code, error] = run([&] {
      started = true;
      return 0;
    });
    EXPECT_EQ(code, 2) << value;
    EXPECT_FALSE(started) << value;
    EXPECT_TRUE(error.starts_with("CLUSTER_WORKER='")) << error;
    EXPECT_NE(error.find("unset it"), std::string::npos) << error;
    EXPECT_EQ(error.find('\n'), error.size() - 1) << error;
  }
}

TEST(Program, StandardDescriptorsThatAreClosedGetNothingOfTheJournal) {
  for (const auto* start :
       {R"(exec "$PROGRAM" >&-)", R"(exec "$PROGRAM" 2>&-)", R"(exec "$PROGRAM" <&- >&- 2>&-)"}) {
    const test::TempDir dir;
    const test::Script script(start);
    auto process = script.run({"TEST_HELPER=program", "PROGRAM=" + own_program().string(),
                               "TEST_JOURNAL=" + dir / "journal"});
    std::optional<ExitStatus> status;
    ASSERT_TRUE(test::eventually([&] { return (status = process.try_reap()).has_value(); }));
    EXPECT_EQ(status->code, 0) << start;
    std::ifstream file(dir / "journal");
    std::string text;
    for (std::string line; std::getline(file, line);) {
      EXPECT_TRUE(Json::accept(line)) << start << " put into the journal: " << line;
      text += line;
    }
    EXPECT_NE(text.find("ended"), std::string::npos) << start;
  }
}

TEST(Program, ArgumentsAreRefusedBeforeAnythingStarts) {
  bool started = false;
  const auto [code, error] = run(
      [&] {
        started = true;
        return 0;
      },
      {"./ex1", "--port=80", nullptr});
  EXPECT_EQ(code, 2);
  EXPECT_FALSE(started);
  EXPECT_TRUE(error.starts_with("./ex1 takes no arguments")) << error;
  EXPECT_EQ(error.find('\n'), error.size() - 1);
}

TEST(Program, AClosedPipeIsNoReasonToDie) {
  const auto before = std::signal(SIGPIPE, SIG_DFL);
  run([] { return 0; });
  EXPECT_EQ(std::signal(SIGPIPE, before), SIG_IGN);
}

}  // namespace
}  // namespace cluster
