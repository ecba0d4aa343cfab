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

TEST(Json, AWholeNumberMayBeWrittenInManyWays) {
  for (const auto* text : {"40", "40.0", "4e1", "400e-1"}) {
    EXPECT_EQ(whole_number(parse_json(text)), 40U) << text;
  }
  EXPECT_EQ(whole_number(parse_json("0")), 0U);
  EXPECT_EQ(whole_number(parse_json("-0")), 0U);
  EXPECT_EQ(whole_number(parse_json("9007199254740991.0")), 9'007'199'254'740'991U);
  EXPECT_EQ(whole_number(parse_json("9007199254740993")), 9'007'199'254'740'993U);
  EXPECT_EQ(whole_number(parse_json("18446744073709551615")), 18'446'744'073'709'551'615U);
}

TEST(Json, WhatIsNoWholeNumberFrom0IsNone) {
  for (const auto* text :
       {"40.5", "-1", "-1.0", "\"40\"", "true", "null", "[40]", "{}", "9007199254740993.0",
        "9007199254740992e0", "1e19", "18446744073709551616", "1e400"}) {
    EXPECT_FALSE(whole_number(parse_json(text))) << text;
  }
}

}  // namespace
}  // namespace cluster
