#pragma once

#include <httplib.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "http/call.hpp"

namespace cluster {

// What cpp-httplib takes for the connection: it reads a request that is whole, and writes its
// answer to whoever delivers it. An answer of one piece is delivered at the end, by finish(), so
// that it leaves by one system call; what a content provider writes is delivered at once. It lives
// in the thread that answers, for one request.
class AnswerStream final : public httplib::Stream {
 public:
  enum class Piece : std::uint8_t {
    of_stream,  // of a content provider, which waits while too much has not left yet
    usual,      // of any other answer
    last,       // nothing follows, and then the connection is shut
  };
  // False: the client is gone.
  using Deliver = std::function<bool(std::string_view text, Piece piece)>;

  AnswerStream(const HttpCall& call, Deliver deliver) : call_(call), deliver_(std::move(deliver)) {}

  // What is read from now on: `head`, and the body of the call behind it.
  void rewind(std::string_view head) {
    head_ = head;
    body_read_ = 0;
  }
  // Delivers the rest; false: the client is gone. `whole`: the answer was written to its end.
  bool finish(bool whole);
  bool started() const { return started_ || !pending_.empty(); }

  // Writes an answer that is whole.
  void write_whole(std::string text) { pending_ = std::move(text); }

  ssize_t read(char* buffer, std::size_t size) override;
  ssize_t write(const char* data, std::size_t size) override;
  bool is_readable() const override { return true; }
  // Not in all versions, so it cannot say `override`.
  // NOLINTNEXTLINE(clang-diagnostic-inconsistent-missing-override,modernize-use-override)
  virtual bool is_writable() const { return !gone_; }
  // The request has these already.
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  // No select() shall look at it.
  socket_t socket() const override { return INVALID_SOCKET; }

  // Of later versions of cpp-httplib.
  virtual bool wait_readable() const { return true; }
  virtual bool wait_writable() const { return !gone_; }
  virtual time_t duration() const { return 0; }

 private:
  bool deliver(std::string_view text, Piece piece);

  std::string_view head_;
  const HttpCall& call_;
  std::size_t body_read_ = 0;
  const Deliver deliver_;
  std::string pending_;
  bool started_ = false;
  bool gone_ = false;
};

}  // namespace cluster
