#pragma once

#include <nlohmann/json.hpp>
#include <string>

// The one instance of the template lies in the library, which is optimised in every build.
extern template class nlohmann::basic_json<>;

namespace cluster {

using Json = nlohmann::json;

// The text of a value on one line; bytes that are not UTF-8 become U+FFFD, so it never throws for input.
std::string to_text(const Json& value);

}  // namespace cluster
