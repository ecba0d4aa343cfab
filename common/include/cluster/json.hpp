#pragma once

#include <nlohmann/json.hpp>
#include <string>

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

// The text of a value, on one line. Bytes that are not UTF-8 become U+FFFD, so no input makes it
// throw. Any thread.
std::string to_text(const Json& value);

}  // namespace cluster
