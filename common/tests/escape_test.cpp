#include "escape.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "cluster/log.hpp"
#include "support.hpp"

namespace cluster {
namespace {

TEST(Escape, ControlCharactersAndLineEndsAreShownAsInC) {
  EXPECT_EQ(escaped("a\nb\r\tc"), R"(a\nb\r\tc)");
  EXPECT_EQ(escaped(std::string("\0\x1b[31m\x7f", 7)), R"(\x00\x1b[31m\x7f)");
  EXPECT_EQ(escaped("\xC2\x9B"), R"(\xc2\x9b)") << "U+009B is ESC [ in one character";
  EXPECT_EQ(escaped("\xE2\x80\xA8 \xE2\x80\xA9"), R"(\xe2\x80\xa8 \xe2\x80\xa9)")
      << "Unicode's own line ends";
}

TEST(Escape, OtherCharactersStayAsTheyAre) {
  for (const std::string text :
       {"", "plain \\ \"text\"", "Grüße, 世界 🙂", "\xC2\xA0", "…"}) {
    EXPECT_EQ(escaped(text), text);
  }
}

TEST(Escape, BytesThatAreNotUtf8AreShownOneByOne) {
  for (const auto& [text, shown] : {
           std::pair<std::string, std::string>{"\xff", R"(\xff)"},
           {"\x80x", R"(\x80x)"},
           {"\xC0\xAF", R"(\xc0\xaf)"},                  // '/', but too long
           {"\xE0\x80\xAF", R"(\xe0\x80\xaf)"},          // the same
           {"\xED\xA0\x80", R"(\xed\xa0\x80)"},          // half of a UTF-16 pair
           {"\xF4\x90\x80\x80", R"(\xf4\x90\x80\x80)"},  // beyond U+10FFFF
           {"\xF0\x9F\x99", R"(\xf0\x9f\x99)"},          // cut off
           {"\xC3\n", R"(\xc3\n)"},
       }) {
    EXPECT_EQ(escaped(text), shown);
  }
}

TEST(Escape, ALogLineStaysOneLineWhateverAClientSends) {
  const test::CaughtOutput output;
  Log("worker1")("finished GET /x\n12:00:00.000 master[1] a false line\x1b[2J\x7f\xff");
  print_line("bare\rline\x1b[2J");
  const auto lines = test::lines_of(output.text());
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[0].ends_with(R"(/x\n12:00:00.000 master[1] a false line\x1b[2J\x7f\xff)"))
      << lines[0];
  EXPECT_EQ(lines[1], R"(bare\rline\x1b[2J)");
}

}  // namespace
}  // namespace cluster
