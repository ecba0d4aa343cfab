#include "cluster/settings.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::Variable;

// The text of the refusal, empty when there is none.
std::string refusal(const std::function<void()>& read) {
  try {
    read();
    return {};
  } catch (const SettingError& error) {
    return error.what();
  }
}

struct WholeNumber {
  const char* title;
  const char* variable;
  std::function<long()> read;
  long fallback;
  long least;
  long most;
};

class WholeNumbers : public testing::TestWithParam<WholeNumber> {};

TEST_P(WholeNumbers, FallBackWhenUnset) {
  const Variable unset(GetParam().variable, nullptr);
  EXPECT_EQ(GetParam().read(), GetParam().fallback);
}

TEST_P(WholeNumbers, AreTakenAtEachLimit) {
  for (const long value : {GetParam().least, GetParam().most}) {
    const Variable set(GetParam().variable, std::to_string(value).c_str());
    EXPECT_EQ(GetParam().read(), value);
  }
}

TEST_P(WholeNumbers, AreRefusedBeyondEachLimitAndWhenTheyAreNone) {
  const auto [title, variable, read, fallback, least, most] = GetParam();
  for (const std::string& value :
       {std::to_string(least - 1), std::to_string(most + 1), std::string(), std::string("5x"),
        std::string(" 5"), std::string("5 "), std::string("-1"), std::string("-0"),
        std::string("+5"), std::string("5.0"), std::string("1e1"), std::string("0x5"),
        std::string("five"), std::string("5\n"), std::string("2147483648"),
        std::string("4294967301"), std::string("99999999999999999999999999")}) {
    const Variable set(variable, value.c_str());
    const auto text = refusal(read);
    EXPECT_NE(text, "") << '\'' << value << "' was taken";
    EXPECT_TRUE(text.starts_with(std::string(variable) + "='")) << text;
    EXPECT_NE(text.find("from " + std::to_string(least) + " to " + std::to_string(most)),
              std::string::npos)
        << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Settings, WholeNumbers,
    testing::Values(
        WholeNumber{"duration", "SOME_MS",
                    [] { return settings::duration("SOME_MS", 700ms).count(); }, 700, 1, 3'600'000},
        WholeNumber{"delay", "SLOW_MS", [] { return settings::delay("SLOW_MS", 0ms).count(); }, 0,
                    0, 3'600'000},
        WholeNumber{"count", "MAX_QUEUE", [] { return settings::count("MAX_QUEUE", 20); }, 20, 1,
                    1'000'000},
        WholeNumber{"percent", "ERROR_RATE", [] { return settings::percent("ERROR_RATE", 20); }, 20,
                    1, 100},
        WholeNumber{"workers", "WORKERS", [] { return settings::workers(4); }, 4, 1, 64},
        WholeNumber{"port", "PORT", [] { return settings::address().port; }, 8000, 0, 65'535}),
    [](const auto& entry) { return entry.param.title; });

TEST(Settings, ARefusalShowsVariableValueAndWhatIsAllowed) {
  const Variable set("WORKERS", "5x");
  EXPECT_EQ(refusal([] { settings::workers(4); }),
            "WORKERS='5x' is not allowed: it must be a whole number from 1 to 64");
}

TEST(Settings, ARefusalIsOneShortLineWhateverTheValue) {
  const auto value = "two\nlines\r\t\x7f" + std::string(5'000, 'x');
  const Variable set("HOST", value.c_str());
  const auto text = refusal([] { settings::address(); });
  ASSERT_NE(text, "");
  EXPECT_LT(text.size(), 500U);
  for (const char c : text) {
    EXPECT_FALSE((c >= 0 && c < 0x20) || c == 0x7f) << static_cast<int>(c);
  }
}

TEST(Settings, TheHostIsAnAddressOrLocalhost) {
  const Variable port("PORT", nullptr);
  {
    const Variable host("HOST", nullptr);
    EXPECT_EQ(settings::address().text(), "127.0.0.1:8000");
  }
  for (const auto* value : {"0.0.0.0", "127.0.0.2", "::1", "::", "fe80::1"}) {
    const Variable host("HOST", value);
    EXPECT_EQ(settings::address().host, value);
  }
  const Variable host("HOST", "localhost");
  EXPECT_EQ(settings::address().host, "127.0.0.1");
}

TEST(Settings, AnyOtherHostIsRefused) {
  for (const auto* value :
       {"", "example.org", "127.0.0.256", "127.0.0", "127.0.0.1:80", " 127.0.0.1", "[::1]", "*"}) {
    const Variable host("HOST", value);
    const auto text = refusal([] { settings::address(); });
    EXPECT_TRUE(text.starts_with("HOST='" + std::string(value) + "'")) << text;
    EXPECT_NE(text.find("IPv4"), std::string::npos) << text;
  }
}

TEST(Settings, AnAddressAsTextPutsIPv6InBrackets) {
  EXPECT_EQ((Address{"::1", 80}.text()), "[::1]:80");
  EXPECT_EQ((Address{"10.0.0.1", 65'535}.text()), "10.0.0.1:65535");
}

TEST(Settings, AJournalThatIsANamedPipeMustHaveAReader) {
  const test::TempDir dir;
  const auto path = dir / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const Variable named("JOURNAL", path.c_str());
  const auto text = refusal([] { settings::journal(); });
  EXPECT_TRUE(text.starts_with("JOURNAL='" + path + "'")) << text;
  EXPECT_NE(text.find("needs a reader"), std::string::npos) << text;

  const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_EQ(settings::journal(), path);
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), -1) << "the reader must see no end before the journal";
}

TEST(Settings, TheJournalMustBeWritable) {
  const test::TempDir dir;
  const auto path = dir / "journal";
  {
    const Variable unset("JOURNAL", nullptr);
    EXPECT_EQ(settings::journal(), "");
  }
  {
    const Variable good("JOURNAL", path.c_str());
    EXPECT_EQ(settings::journal(), path);
  }
  for (const auto& value :
       {std::string(), dir / "", dir / "missing/journal", path + "/below a file"}) {
    const Variable bad("JOURNAL", value.c_str());
    const auto text = refusal([] { settings::journal(); });
    EXPECT_TRUE(text.starts_with("JOURNAL='" + value + "'")) << text;
    EXPECT_NE(text.find("file that can be written"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace cluster
