// The request framer: how the bytes come apart on their way makes no difference. What a connection
// has sent, whole or in pieces, is the same requests and the same refusal.
#include "http/request_framer.hpp"

#include <string>
#include <vector>

#include "oracle.hpp"

namespace cluster::fuzz {
namespace {

// Short inputs shall reach them.
constexpr std::size_t head_limit = 200;
constexpr std::size_t body_limit = 60;

struct Framed {
  std::size_t head_size;
  std::size_t size;
  std::string body;
  bool wants_close;
  bool operator==(const Framed&) const = default;
};

struct Reading {
  std::vector<Framed> requests;
  int refusal = 0;
  std::string reason;
  std::size_t left = 0;  // bytes of a request that is not whole
  bool operator==(const Reading&) const = default;
};

std::string shown(const Reading& reading) {
  return std::to_string(reading.requests.size()) + " requests, refusal " +
         std::to_string(reading.refusal) + " " + reading.reason + ", " +
         std::to_string(reading.left) + " bytes left";
}

Framed take_request(RequestFramer& framer, std::string_view buffer) {
  const auto head = framer.head_size();
  expect(head <= framer.size() && framer.size() <= buffer.size(), "a request past the input");
  expect(head <= head_limit, "a head over the limit");
  expect(buffer.substr(0, head).ends_with("\r\n\r\n"), "a head without its empty line");
  Framed request{head, framer.size(), framer.take_body(), framer.wants_close()};
  expect(request.body.size() <= body_limit, "a body over the limit");
  return request;
}

Reading read(std::string_view bytes, std::size_t longest_piece) {
  Reading result;
  std::string buffer;
  RequestFramer framer(head_limit, body_limit);
  for (Pieces pieces(bytes, longest_piece); !pieces.empty();) {
    buffer += pieces.take();
    while (!buffer.empty()) {
      const auto state = framer.advance(buffer);
      if (state == RequestFramer::State::incomplete) {
        break;
      }
      if (state == RequestFramer::State::refused) {
        result.refusal = framer.status();
        result.reason = framer.reason();
        return result;
      }
      result.requests.push_back(take_request(framer, buffer));
      buffer.erase(0, framer.size());
      expect(longest_piece != 1 || buffer.empty(), "a request is whole before it is known to be");
      framer = RequestFramer(head_limit, body_limit);
    }
  }
  result.left = buffer.size();
  return result;
}

void check(std::string_view bytes) {
  const auto expected = read(bytes, Pieces::whole);
  if (expected.refusal != 0) {
    const int status = expected.refusal;
    expect(status == 400 || status == 413 || status == 431 || status == 501, "an odd refusal");
    expect(!expected.reason.empty(), "a refusal without a sentence");
  }
  for (const std::size_t longest : {1U, 3U, 40U}) {
    const auto seen = read(bytes, longest);
    expect(seen == expected, "whole: " + shown(expected) + "; in pieces of at most " +
                                 std::to_string(longest) + ": " + shown(seen));
  }
}

}  // namespace
}  // namespace cluster::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cluster::fuzz::check(cluster::fuzz::text_of(data, size));
  return 0;
}
