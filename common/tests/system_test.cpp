#include "cluster/system.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "cluster/json.hpp"

namespace cluster {
namespace {

TEST(System, CheckGivesBackWhatIsNoFailure) {
  EXPECT_EQ(check("zero", 0), 0);
  EXPECT_EQ(check("count", 7L), 7L);
}

TEST(System, CheckThrowsWithTheCallsNameAndTheReason) {
  try {
    check("close", ::close(-1));
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EBADF);
    EXPECT_TRUE(std::string(error.what()).starts_with("close: ")) << error.what();
  }
}

TEST(System, TheLimitOfOpenFilesIsRaisedAsFarAsItMay) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{256, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  raise_open_file_limit();
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  EXPECT_EQ(after.rlim_max, before.rlim_max);
}

TEST(Json, TextIsOneLineAndNeverFailsForItsInput) {
  EXPECT_EQ(to_text({{"a", "two\nlines"}, {"b", {1, 2.5, nullptr, true}}}),
            R"({"a":"two\nlines","b":[1,2.5,null,true]})");
  EXPECT_EQ(to_text("\xff grün"), "\"\xEF\xBF\xBD grün\"");
}

}  // namespace
}  // namespace cluster
