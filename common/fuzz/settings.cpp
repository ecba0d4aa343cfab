// Settings and the hand-over to a worker: whatever the text, each reader gives a value in its
// range, or refuses it with a sentence on one line. A hand-over that was written is read as it was.
// JOURNAL is left out: to look at it opens files.
#include "cluster/settings.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

#include "handover.hpp"
#include "oracle.hpp"

namespace cluster::fuzz {
namespace {

using std::chrono::milliseconds;

void expect_range(long value, long least, long most) {
  expect(least <= value && value <= most, "a value out of its range: " + std::to_string(value));
}

void expect_refusal(const std::string& name, std::string_view refusal) {
  expect(refusal.starts_with(name + "='"), "a refusal does not name its variable");
  expect(refusal.find("' is not allowed: it must be ") != std::string_view::npos,
         "a refusal does not say what is allowed");
  expect(std::none_of(refusal.begin(), refusal.end(), is_control), "a refusal is not one line");
  expect(refusal.size() < 500, "a refusal is too long to read");
}

// Whether `read` has taken the text.
bool try_setting(const char* name, const std::string& text, const std::function<void()>& read) {
  auto entry = std::string(name) + '=' + text;
  ::putenv(entry.data());  // setenv() would keep a copy for ever
  bool taken = true;
  try {
    read();
  } catch (const SettingError& error) {
    expect_refusal(name, error.what());
    taken = false;
  }
  ::unsetenv(name);
  return taken;
}

void check_numbers(const std::string& text) {
  try_setting("SOME_MS", text, [] {
    expect_range(settings::duration("SOME_MS", milliseconds(7)).count(), 1, 3'600'000);
  });
  try_setting("SLOW_MS", text, [] {
    expect_range(settings::delay("SLOW_MS", milliseconds(7)).count(), 0, 3'600'000);
  });
  try_setting("COUNT", text, [] { expect_range(settings::count("COUNT", 7), 1, 1'000'000); });
  try_setting("PERCENT", text, [] { expect_range(settings::percent("PERCENT", 7), 1, 100); });
  try_setting("WORKERS", text, [] { expect_range(settings::workers(7), 1, 64); });
  // What is taken is the number that is written there, and only digits are a number.
  const bool taken = try_setting("PORT", text, [&] {
    const auto port = settings::address().port;
    expect(std::stol(text) == port, "another port than is written there");
  });
  expect(
      !taken || std::all_of(text.begin(), text.end(), [](char c) { return '0' <= c && c <= '9'; }),
      "a port that is no number");
}

void check_host(const std::string& text) {
  try_setting("HOST", text, [&] {
    const auto host = settings::address().host;
    std::array<char, 16> bytes{};
    expect(::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
               ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1,
           "a host that is no address");
    expect(host == text || text == "localhost", "another host than is written there");
  });
}

void check_handover_text(const std::string& text) {
  try_setting("CLUSTER_WORKER", text, [&] {
    const auto handover = Handover::from_environment();
    expect(handover.has_value(), "a hand-over that is there is not seen");
    expect(handover->number >= 1 && handover->master >= 1, "a hand-over of nobody to nobody");
    expect(handover->channel >= -1 && handover->listener >= -1, "a hand-over of no descriptor");
    expect(handover->variable() == "CLUSTER_WORKER=" + text, "a hand-over is read as another");
  });
}

// A hand-over whose numbers are made of the text's bytes.
void check_handover_round_trip(const std::string& text) {
  std::array<int, 4> numbers{};
  std::memcpy(numbers.data(), text.data(), std::min(sizeof numbers, text.size()));
  const auto not_below = [](int least, int number) { return std::max(least, number); };
  const Handover written{not_below(1, numbers[0]), not_below(1, numbers[1]),
                         not_below(-1, numbers[2]), not_below(-1, numbers[3])};
  const auto variable = written.variable();
  const auto name = variable.substr(0, variable.find('='));
  const bool taken = try_setting(name.c_str(), variable.substr(name.size() + 1), [&] {
    const auto read = Handover::from_environment().value();
    expect(read.number == written.number && read.master == written.master &&
               read.channel == written.channel && read.listener == written.listener,
           "a hand-over is read otherwise than it was written");
  });
  expect(taken, "a hand-over of a master is refused");
}

}  // namespace
}  // namespace cluster::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(cluster::fuzz::text_of(data, size));
  text.resize(std::min(text.find('\0'), text.size()));  // as the environment ends it
  cluster::fuzz::check_numbers(text);
  cluster::fuzz::check_host(text);
  cluster::fuzz::check_handover_text(text);
  cluster::fuzz::check_handover_round_trip(text);
  return 0;
}
