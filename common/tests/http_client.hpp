#pragma once

// An HTTP client that sends exactly the bytes of the test.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/json.hpp"
#include "cluster/unique_fd.hpp"

namespace cluster::test {

struct Answer {
  int status = 0;
  std::string head;
  std::string body;

  std::optional<std::string> header(std::string_view name) const;  // names in any case
  bool closes() const { return header("Connection") == "close"; }
  Json json() const { return Json::parse(body, nullptr, false); }
};

std::string get(const std::string& path, const std::string& headers = "",
                const std::string& method = "GET");
std::string post(const std::string& path, const std::string& body, const std::string& headers = "");

class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer = 0);  // bytes; 0: the system's

  bool send(std::string_view text) const;  // false when the server has closed
  // The next answer. None: the connection ended before the answer was whole, or no byte came for
  // long. The answer to HEAD has no body, whatever its length says.
  std::optional<Answer> read(bool head_only = false);
  std::optional<Answer> ask(std::string_view request) {
    return send(request) ? read() : std::nullopt;
  }
  int status(std::string_view request);  // of the answer; 0 without one
  std::string read_bytes(std::size_t count);
  // Waits for the end of the connection. True: no byte came before it. For ended() it must be an
  // orderly end, not a reset.
  bool ended() { return wait_end() == 0; }
  bool ended_or_reset() { return wait_end() <= 0; }
  void send_urgent(char byte) const;                         // out of band
  bool quiet_for(std::chrono::milliseconds duration) const;  // neither bytes nor the end
  void finish() const;                                       // nothing more will be sent
  void close() { fd_.reset(); }

 private:
  bool receive();
  int wait_end();  // 0: end, -1: reset, 1: neither

  UniqueFd fd_;
  std::string input_;
};

}  // namespace cluster::test
