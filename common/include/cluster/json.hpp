#pragma once

#include <nlohmann/json.hpp>
#include <string>

// The one instance of the template, and of what reads text, lies in the library, which is optimised
// in every build.
extern template class nlohmann::basic_json<>;
#if NLOHMANN_JSON_VERSION_MAJOR == 3 && \
    NLOHMANN_JSON_VERSION_MINOR <= 11  // later ones have another parameter
extern template nlohmann::json nlohmann::json::parse(const std::string&,
                                                     nlohmann::json::parser_callback_t, bool, bool);
#endif

namespace cluster {

// A key that is missing: operator[] of a const Json aborts (an assertion; undefined with NDEBUG),
// of another one adds it, at() throws, value("key", default) gives the default, but throws if the
// key has a value of another type.
using Json = nlohmann::json;

// The text of a value on one line; bytes that are not UTF-8 become U+FFFD, so it never throws for
// input.
std::string to_text(const Json& value);

}  // namespace cluster
