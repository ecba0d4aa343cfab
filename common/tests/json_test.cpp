#include "cluster/json.hpp"

#include <gtest/gtest.h>

#include <string>

namespace cluster {
namespace {

std::string nested(int depth) {
  const auto count = static_cast<std::size_t>(depth);
  return std::string(count, '[') + std::string(count, ']');
}

TEST(Json, ATextFromOutsideIsReadUpToALimitOfDepth) {
  EXPECT_EQ(parse_json(R"({"a":[1,"x",null]})"), (Json{{"a", {1, "x", nullptr}}}));
  EXPECT_TRUE(parse_json(nested(max_json_depth)).is_array());
  EXPECT_TRUE(parse_json(nested(max_json_depth + 1)).is_discarded());
  EXPECT_TRUE(parse_json(nested(100'000)).is_discarded());
  EXPECT_TRUE(parse_json(R"({"a":)" + nested(max_json_depth) + "}").is_discarded());
}

TEST(Json, BracketsInStringsAndBesideOneAnotherAreNoDepth) {
  const std::string brackets(500, '[');
  EXPECT_EQ(parse_json('"' + brackets + '"'), brackets);
  EXPECT_EQ(parse_json(R"("\")" + brackets + R"(\\")"), '"' + brackets + '\\');
  std::string list = "[0";
  for (int i = 0; i < 500; ++i) list += ",[]";
  EXPECT_EQ(parse_json(list + "]").size(), 501U);
}

TEST(Json, WhatIsNoJsonIsDiscarded) {
  for (const auto& text : {std::string(), std::string("no json"), std::string("1 2"),
                           std::string("{\"a\":1"), std::string("\"\xff\""), std::string("{}\0", 3),
                           std::string("{}\0x", 4), std::string("]]]]"), std::string("\"\\")}) {
    EXPECT_TRUE(parse_json(text).is_discarded()) << text;
    EXPECT_FALSE(parse_json(text).is_object()) << text;
  }
}

}  // namespace
}  // namespace cluster
