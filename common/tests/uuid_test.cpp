#include "cluster/uuid.hpp"

#include <gtest/gtest.h>

#include <regex>
#include <set>

namespace cluster {

TEST(UuidTest, HasTheFormOfVersion4) {
  const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  for (int round = 0; round < 100; ++round) {
    EXPECT_TRUE(std::regex_match(new_uuid(), form));
  }
}

TEST(UuidTest, IsAnotherOneEachTime) {
  std::set<std::string> seen;
  for (int round = 0; round < 10'000; ++round) {
    seen.insert(new_uuid());
  }
  EXPECT_EQ(seen.size(), 10'000U);
}

}  // namespace cluster
