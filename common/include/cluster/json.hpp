#pragma once

// Example:
//
//   const cluster::Json message = cluster::parse_json(R"({"type": "task", "n": 4e1})");
//   if (message.is_object() && message.value("type", "") == "task") {
//     const auto n = cluster::whole_number(message.value("n", cluster::Json()));
//     const cluster::Json answer{{"type", "result"}, {"n", n.value_or(0)}};
//     std::cout << cluster::to_text(answer) << std::endl;
//   }

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

// The library has the only instance of the template and of its parser, since the library is
// optimised in every build.
extern template class nlohmann::basic_json<>;
#if NLOHMANN_JSON_VERSION_MAJOR == 3 && \
    NLOHMANN_JSON_VERSION_MINOR <= 11  // later versions have another parameter
extern template nlohmann::json nlohmann::json::parse(const std::string&,
                                                     nlohmann::json::parser_callback_t, bool, bool);
#endif

namespace cluster {

// JSON values, from nlohmann's library. When a key is missing:
// - operator[] of a const Json aborts (an assertion; undefined with NDEBUG);
// - operator[] of any other Json adds the key;
// - at() throws;
// - value("key", fallback) returns the fallback; it throws if the key has a value of another type.
using Json = nlohmann::json;

// Copies and texts of a value are made by recursion, so a value that comes from outside must not be
// nested arbitrarily deep: an array of an array has two levels.
inline constexpr int max_json_depth = 100;

// The value of a text that comes from outside. Use this function instead of Json::parse(): if the
// text is not JSON, or is nested deeper than max_json_depth, the result is *discarded*
// (is_discarded(), and neither an object nor anything else). Does not throw. Any thread.
Json parse_json(std::string_view text);

// The whole number from 0 that a value is: 40, 40.0 and 4e1 are 40. Nothing if it is none, as 40.5,
// -1, "40" and true. From 2^53 on only digits count, since a fraction or an exponent makes a
// double, which does not tell these numbers apart. Any thread.
std::optional<std::uint64_t> whole_number(const Json& value);

// The text of a value, on one line. Bytes that are not UTF-8 become U+FFFD, so no input makes it
// throw. Any thread.
std::string to_text(const Json& value);

}  // namespace cluster
