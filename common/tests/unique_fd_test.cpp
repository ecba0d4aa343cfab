#include "cluster/unique_fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <type_traits>
#include <utility>

namespace cluster {
namespace {

int open_one() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(UniqueFd, ClosesWhenItGoes) {
  int number = -1;
  {
    const UniqueFd fd(open_one());
    number = fd.get();
    ASSERT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, IsEmptyAtFirst) {
  const UniqueFd fd;
  EXPECT_FALSE(fd);
  EXPECT_EQ(fd.get(), -1);
}

TEST(UniqueFd, CountsDescriptorZeroAsOne) {
  UniqueFd fd(0);
  EXPECT_TRUE(fd);
  EXPECT_EQ(fd.release(), 0);
}

TEST(UniqueFd, IsMovedButNeverCopied) {
  static_assert(!std::is_copy_constructible_v<UniqueFd> && !std::is_copy_assignable_v<UniqueFd>);
  static_assert(std::is_nothrow_move_constructible_v<UniqueFd>);
  UniqueFd first(open_one());
  const int number = first.get();

  const UniqueFd second(std::move(first));

  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): a moved-from descriptor is empty
  EXPECT_EQ(second.get(), number);
  EXPECT_TRUE(is_open(number));
}

TEST(UniqueFd, ClosesWhatItHadWhenAnotherIsMovedIn) {
  UniqueFd target(open_one());
  UniqueFd source(open_one());
  const int old = target.get();
  const int kept = source.get();

  target = std::move(source);

  EXPECT_FALSE(is_open(old));
  EXPECT_EQ(target.get(), kept);
  EXPECT_TRUE(is_open(kept));
}

TEST(UniqueFd, SurvivesBeingMovedToItself) {
  UniqueFd fd(open_one());
  auto& same = fd;
  fd = std::move(same);
  EXPECT_TRUE(is_open(fd.get()));
}

TEST(UniqueFd, ReleaseLeavesItOpen) {
  UniqueFd fd(open_one());
  const int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(UniqueFd, ResetClosesAndTakesTheNewOne) {
  UniqueFd fd(open_one());
  const int old = fd.get();
  const int next = open_one();
  fd.reset(next);
  EXPECT_FALSE(is_open(old));
  EXPECT_EQ(fd.get(), next);
  fd.reset();
  EXPECT_FALSE(fd);
  EXPECT_FALSE(is_open(next));
}

}  // namespace
}  // namespace cluster
