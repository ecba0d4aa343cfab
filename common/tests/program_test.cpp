#include "cluster/program.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <regex>
#include <stdexcept>
#include <string>

#include "cluster/listener.hpp"
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
  const test::Variable handed("CLUSTER_WORKER", "2 1 -1 -1");
  const auto error = run([]() -> int {
                       Handover::clear_environment();  // as a Worker does
                       throw std::runtime_error("no luck");
                     }).error;
  EXPECT_TRUE(is_log_line(error, "worker2", "ended by an exception: no luck")) << error;
}

TEST(Program, AHandOverThatNoMasterHasWrittenIsABadSetting) {
  const test::Variable handed("CLUSTER_WORKER", "yes");
  const auto [code, error] = run([] { return 0; });
  EXPECT_EQ(code, 2);
  EXPECT_TRUE(error.starts_with("CLUSTER_WORKER='yes' is not allowed")) << error;
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
