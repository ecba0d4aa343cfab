// Channel frames. How the bytes come apart on their way makes no difference; the messages are those
// that a simple reading of the whole finds; a peer that sends what is refused is disconnected; and
// each message arrives at another channel as it was.
//
// The first line of an input says how it is meant. "frames": the rest is sent as it is. "messages":
// each further line is sent as the text of one frame.
#include "cluster/channel.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "cluster/event_loop.hpp"
#include "message.hpp"
#include "oracle.hpp"

namespace cluster::fuzz {
namespace {

constexpr std::size_t header_size = 4;

EventLoop& loop() {
  static EventLoop instance;
  return instance;
}

std::string frame(std::string_view text) {
  std::string result;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    result += static_cast<char>((text.size() >> shift) & 0xFFU);
  }
  return result.append(text);
}

struct Reading {
  std::vector<Json> messages;
  enum class End { clean, middle, too_long, no_json } end = End::clean;
  bool operator==(const Reading&) const = default;
};

std::string shown(const Reading& reading) {
  return std::to_string(reading.messages.size()) + " messages, end " +
         std::to_string(static_cast<int>(reading.end));
}

// An input is short, so this does not go deep.
int levels_of(const Json& value) {
  if (!value.is_structured()) {
    return 0;
  }
  int below = 0;
  for (const auto& part : value) {
    below = std::max(below, levels_of(part));
  }
  return below + 1;
}

// What the header of channel.hpp says.
Reading model(std::string_view bytes) {
  Reading result;
  while (!bytes.empty()) {
    std::size_t length = 0;
    for (const char c : bytes.substr(0, header_size)) {
      length = length * 256 + static_cast<unsigned char>(c);
    }
    if (bytes.size() >= header_size && length > Channel::max_frame) {
      result.end = Reading::End::too_long;
      return result;
    }
    if (bytes.size() < header_size || bytes.size() - header_size < length) {
      result.end = Reading::End::middle;
      return result;
    }
    const auto text = bytes.substr(header_size, length);
    auto message = Json::parse(text, nullptr, false);
    const bool has_nul = text.find('\0') != std::string_view::npos;  // there Json::parse() ends
    if (message.is_discarded() || has_nul || levels_of(message) > max_json_depth) {
      result.end = Reading::End::no_json;
      return result;
    }
    result.messages.push_back(std::move(message));
    bytes.remove_prefix(header_size + length);
  }
  return result;
}

Reading::End end_of(const std::string& reason) {
  using End = Reading::End;
  return reason.empty()                                           ? End::clean
         : reason == "ended in the middle of a message"           ? End::middle
         : reason.starts_with("sent a message that is not JSON,") ? End::no_json
         : reason.find("are allowed") != std::string::npos        ? End::too_long
                                                                  : End::clean;
}

bool is_disconnected(const UniqueFd& far) {
  char byte = 0;
  return ::recv(far.get(), &byte, 1, 0) == 0;
}

Reading read(std::string_view bytes, std::size_t longest_piece) {
  Reading result;
  int closed = 0;
  auto [near, far] = Channel::make_pair();
  Channel channel(
      loop(), std::move(near), "channel",
      [&](Json message, std::size_t size) {
        expect(size <= Channel::max_frame, "a frame over the limit");
        result.messages.push_back(std::move(message));
      },
      [&](const std::string& reason) {
        ++closed;
        result.end = end_of(reason);
        expect(reason.empty() == (result.end == Reading::End::clean), "an odd reason: " + reason);
      });
  for (Pieces pieces(bytes, longest_piece); !pieces.empty() && !channel.closed();) {
    const auto piece = pieces.take();
    const auto sent = ::send(far.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    expect(sent == static_cast<ssize_t>(piece.size()), "a channel does not take its input");
    channel.read_all();
  }
  const bool refused = channel.closed();
  expect(!refused || is_disconnected(far), "a refused peer is still connected");
  if (!refused) {
    ::shutdown(far.get(), SHUT_WR);
    channel.read_all();
  }
  expect(closed == 1 && channel.closed(), "the end is told " + std::to_string(closed) + " times");
  return result;
}

void check_round_trip(const std::vector<Json>& messages) {
  std::vector<Json> arrived;
  auto [near, far] = Channel::make_pair();
  const auto ignore = [](const std::string&) {};
  Channel sender(
      loop(), std::move(near), "sender", [](const Json&, std::size_t) {}, ignore);
  Channel receiver(
      loop(), std::move(far), "receiver",
      [&](Json message, std::size_t) { arrived.push_back(std::move(message)); }, ignore);
  for (const auto& message : messages) {
    expect(sender.send(message) == Channel::Sent::queued, "a message was not queued");
    sender.flush();
    receiver.read_all();
  }
  expect(arrived == messages, "messages did not arrive as they were");
  loop().run_once(std::chrono::seconds(0));
}

// What master and worker do with a message.
void check_message_text(const Json& message) {
  if (!type_of(message)) {
    try {
      check_message(message);
      expect(false, "a message without a type is taken");
    } catch (const std::invalid_argument& error) {
      expect(!std::string_view(error.what()).empty(), "a refusal without a sentence");
    }
    return;
  }
  const auto fields = journal_fields(message, "master", to_text(message).size());
  expect(fields.at("type") == message.at("type"), "another type in the journal");
  expect(fields.contains("id") == message.contains("id"), "an id is lost, or invented");
}

void check_stream(const std::string& bytes) {
  const auto expected = model(bytes);
  for (const std::size_t longest : {Pieces::whole, 1 + bytes.size() / 8, 3 + bytes.size() / 50}) {
    const auto seen = read(bytes, longest);
    expect(seen == expected, "expected: " + shown(expected) + "; in pieces of at most " +
                                 std::to_string(longest) + ": " + shown(seen));
  }
  for (const auto& message : expected.messages) {
    check_message_text(message);
  }
  check_round_trip(expected.messages);
}

void check(std::string_view input) {
  const auto take_line = [&input] {
    const auto line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(line.size() + 1, input.size()));
    return line;
  };
  const auto meaning = take_line();
  if (meaning == "frames") {
    check_stream(std::string(input));
  } else if (meaning == "messages") {
    std::string bytes;
    while (!input.empty()) {
      bytes += frame(take_line());
    }
    check_stream(bytes);
  }
}

}  // namespace
}  // namespace cluster::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cluster::fuzz::check(cluster::fuzz::text_of(data, size));
  return 0;
}
