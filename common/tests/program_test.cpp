#include "cluster/program.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>

#include "cluster/settings.hpp"
#include "cluster/system.hpp"

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

TEST(Program, AnyOtherFailureIsOneLineAndCode1) {
  const auto [code, error] = run([]() -> int { throw std::runtime_error("no luck"); });
  EXPECT_EQ(code, 1);
  EXPECT_EQ(error, "no luck\n");
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
