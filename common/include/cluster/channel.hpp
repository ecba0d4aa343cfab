#pragma once

// Example:
//
//   cluster::EventLoop loop;
//   auto [here, there] = cluster::Channel::make_pair();  // `there` goes to the other process
//   cluster::Channel channel(
//       loop, std::move(here), "channel to worker 2",
//       [](const cluster::Json& message, std::size_t) { std::cout << message << std::endl; },
//       [](const std::string& reason) { std::cout << "closed: " << reason << std::endl; });
//   if (channel.send({{"type", "ping"}}) == cluster::Channel::Sent::full) {
//     std::cout << "the other process does not read" << std::endl;
//   }
//   loop.run_once();  // the message leaves, and what has come is handled

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "cluster/event_loop.hpp"
#include "cluster/json.hpp"
#include "cluster/state_table.hpp"
#include "cluster/unique_fd.hpp"

namespace cluster {

// JSON messages between two processes over a stream socketpair. A frame is a length of four bytes,
// most significant first, and that many bytes of JSON. A peer that sends a frame over the limit, or
// bytes that parse_json() refuses (too deep, for example), is disconnected. The socket never
// blocks. Bytes that it does not take wait in a queue, which is bounded in bytes: when the peer has
// stopped reading, the sender gets a refusal and does not wait. Messages sent in one turn of the
// loop leave in one write. The channel owns its end of the socketpair. Only the loop's thread may
// call it.
class Channel {
 public:
  static constexpr std::size_t max_frame = std::size_t{1} << 20;  // bytes of JSON in one message
  // Bytes that may wait for a peer that does not read.
  static constexpr std::size_t max_queued = std::size_t{4} << 20;

  enum class Sent {
    queued,    // it leaves at the end of this turn, or when the peer reads again
    full,      // the peer does not read: not sent
    too_long,  // over max_frame: not sent
    closed,    // the peer is gone: not sent
  };

  // Called in the loop. Neither handler may destroy the channel.
  using OnMessage = std::function<void(Json message, std::size_t bytes)>;
  // Called once, when no more messages will come. The reason is empty at a plain end-of-file. Else
  // it says what the peer did wrong: a frame over the limit, or bytes that parse_json() refuses.
  using OnClose = std::function<void(const std::string& reason)>;

  // Two connected ends, both close-on-exec and non-blocking.
  static std::pair<UniqueFd, UniqueFd> make_pair();

  // `name` is that of its watch in the loop, as in "channel to worker 2".
  Channel(EventLoop& loop, UniqueFd fd, std::string name, OnMessage on_message, OnClose on_close);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  Sent send(const Json& message);
  // The size of the last message sent, in bytes of JSON.
  std::size_t last_sent_bytes() const { return last_sent_bytes_; }

  // Handles all messages that have arrived, up to end-of-file. For a peer that has just died.
  void read_all();
  void flush();  // writes what the socket takes now
  // Writes all that is queued, and waits for the peer to read it. Gives up when the peer has taken
  // nothing for so long. Time in which this process was stopped does not count.
  void flush_all(std::chrono::milliseconds patience);
  std::size_t queued_bytes() const { return output_.size() - written_; }
  bool closed() const { return state_ == Output::closed; }

  // What waits to be sent.
  enum class Output : std::uint8_t {
    empty,
    planned,  // it leaves at the end of this turn
    waiting,  // the socket is full: it leaves when the loop tells that the peer has read
    closed,   // for good
  };
  enum class Event : std::uint8_t {
    queued,   // one more message
    written,  // all of it was handed to the kernel, or the peer is gone
    full,     // the socket takes no more
    close,
  };
  using Table = StateTable<Output, 4, Event, 4>;
  static const Table table;

 private:
  void happen(Event event);
  bool read_some();
  void handle_frames();
  void close(const std::string& reason);

  EventLoop& loop_;
  UniqueFd fd_;
  OnMessage on_message_;
  OnClose on_close_;
  std::string input_;
  std::size_t parsed_ = 0;
  Output state_ = Output::empty;  // changed by happen() only
  std::string output_;
  std::size_t written_ = 0;
  std::size_t last_sent_bytes_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // seen by work planned in the loop
};

// clang-format off
inline constexpr Channel::Table Channel::table = [] {
  using enum Output;
  constexpr auto no = impossible;
  return Table{
    "output of a channel",
    {                     "queued", "written", "full",  "close"},
    {{empty,   "empty",   planned,  no,        no,      closed},
     {planned, "planned", planned,  empty,     waiting, closed},
     {waiting, "waiting", waiting,  empty,     waiting, closed},
     {closed,  "closed",  no,       no,        no,      no}}};
}();
// clang-format on

}  // namespace cluster
