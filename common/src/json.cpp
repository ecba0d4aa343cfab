#include "cluster/json.hpp"

template class nlohmann::basic_json<>;
#if NLOHMANN_JSON_VERSION_MAJOR == 3 && NLOHMANN_JSON_VERSION_MINOR <= 11
template nlohmann::json nlohmann::json::parse(const std::string&, nlohmann::json::parser_callback_t,
                                              bool, bool);
#endif

namespace cluster {

std::string to_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cluster
