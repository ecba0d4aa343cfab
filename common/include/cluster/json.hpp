#pragma once

#include <nlohmann/json.hpp>
#include <string>

// The one instance of the template, and of what reads text, lies in the library, which is optimised in every build.
extern template class nlohmann::basic_json<>;
#if NLOHMANN_JSON_VERSION_MAJOR == 3 && \
    NLOHMANN_JSON_VERSION_MINOR <= 11  // later ones have another parameter
extern template nlohmann::json nlohmann::json::parse(const std::string&, nlohmann::json::parser_callback_t,
                                                     bool, bool);
#endif

namespace cluster {

// Of a key that is not there operator[] of a const value ends the process (SIGABRT, an assertion of nlohmann/json), that of
// another adds it; at() throws, value("key", default) and contains("key") do not.
using Json = nlohmann::json;

// The text of a value on one line; bytes that are not UTF-8 become U+FFFD, so it never throws for input.
std::string to_text(const Json& value);

}  // namespace cluster
