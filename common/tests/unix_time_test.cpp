#include "cluster/unix_time.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace cluster {

TEST(UnixTimeTest, IsTheWallClockInMilliseconds) {
  const std::chrono::duration<double, std::milli> now =
      std::chrono::system_clock::now().time_since_epoch();
  EXPECT_NEAR(unix_ms(), now.count(), 5'000);
}

TEST(UnixTimeTest, NeverGoesBackAndHasFractions) {
  double last = unix_ms();
  bool fraction = false;
  for (int round = 0; round < 10'000; ++round) {
    const double now = unix_ms();
    ASSERT_GE(now, last);
    fraction = fraction || now != static_cast<double>(static_cast<long long>(now));
    last = now;
  }
  EXPECT_TRUE(fraction);
}

}  // namespace cluster
