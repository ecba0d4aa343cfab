#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "cluster/http_server.hpp"
#include "cluster/state_table.hpp"
#include "cluster/unique_fd.hpp"
#include "http/request_framer.hpp"

namespace cluster {

// One client's connection. The engine owns it. The mutex guards all members but fd, id and
// answered. While the state is `busy`, the thread that answers owns input, framer, admitted and
// request.
struct Connection {
  using Clock = std::chrono::steady_clock;

  enum class State : std::uint8_t {
    idle,       // no byte of a request has come
    half_sent,  // a part of a request has come
    busy,       // a whole request has come, and a thread answers it
    lingering,  // our end is shut; input is thrown away for a moment
    closed,
  };

  enum class Event : std::uint8_t {
    first_byte,  // of a request
    whole,       // the last byte of the request has come
    kept,        // the answer was sent, and the connection stays open
    shut,        // the last answer was sent, and our end is shut
    // The connection closes. Each event has the name of its HttpServer::CloseReason.
    peer,
    answer,
    idle,
    stalled,
    cut,
  };

  using Table = StateTable<State, 5, Event, 9>;
  static const Table table;
  static Event closing(HttpServer::CloseReason reason);

  Connection(UniqueFd accepted, std::uint64_t number, std::size_t head_limit,
             std::size_t body_limit)
      : fd(std::move(accepted)), id(number), framer(head_limit, body_limit) {}

  // Enters the state that the table names, and notes the time. An event that is impossible in the
  // present state is a defect: std::logic_error.
  void happen(Event event) {
    state = table.after(state, event);
    since = Clock::now();
  }

  UniqueFd fd;
  const std::uint64_t id;

  std::mutex mutex;
  State state = State::idle;               // changed by happen() only
  Clock::time_point since = Clock::now();  // when this state began
  bool more = false;                       // the socket may hold unread input
  bool hung_up = false;                    // the client sends nothing more
  bool watched = false;                    // in the epoll set
  bool cut = false;                        // cut() has shut it down while it was busy
  bool admitted = false;
  std::atomic<bool> answered{false};  // busy, but the answer was sent
  std::optional<HttpServer::Request> request;
  std::string input;
  RequestFramer framer;
};

// clang-format off
inline constexpr Connection::Table Connection::table = [] {
  using enum State;
  constexpr auto no = impossible;
  return Table{
"connection",
{"first_byte", "whole", "kept", "shut", "peer", "answer", "idle", "stalled", "cut"},
//                       first_byte whole kept  shut       peer    answer  idle    stalled cut
{{idle,      "idle",      half_sent, no,   no,   no,        closed, no,     closed, no,     no},
 {half_sent, "half_sent", no,        busy, no,   lingering, closed, no,     no,     closed, closed},
 {busy,      "busy",      no,        no,   idle, lingering, closed, closed, no,     no,     closed},
 {lingering, "lingering", no,        no,   no,   no,        closed, closed, no,     no,     no},
 {closed,    "closed",    no,        no,   no,   no,        no,     no,     no,     no,     no}}};
}();
// clang-format on

inline Connection::Event Connection::closing(HttpServer::CloseReason reason) {
  using Reason = HttpServer::CloseReason;
  switch (reason) {
    case Reason::peer:
      return Event::peer;
    case Reason::answer:
      return Event::answer;
    case Reason::idle:
      return Event::idle;
    case Reason::stalled:
      return Event::stalled;
    case Reason::cut:
      break;
  }
  return Event::cut;
}

}  // namespace cluster
