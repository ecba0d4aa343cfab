#pragma once

#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "cluster/http_server.hpp"
#include "cluster/state_table.hpp"
#include "cluster/unique_fd.hpp"
#include "http/call.hpp"
#include "http/output.hpp"
#include "http/request_framer.hpp"

namespace cluster {

// One client's connection. The engine owns it. The mutex guards all members but fd, id and peer.
// While the state is `busy`, the thread that answers owns input, framer and call; while it is
// `concluding`, so does the thread that concludes.
struct Connection {
  using Clock = std::chrono::steady_clock;

  enum class State : std::uint8_t {
    idle,        // nothing of a request has come
    half_sent,   // a part of a request has come
    busy,        // a whole request has come, and a thread answers it
    sending,     // the answer is written, and a part of it has not left yet
    concluding,  // the answer has left, or never will: the hooks are told
    refusing,    // the refusal of a request that was not read has not left yet
    lingering,   // our end is shut; input is thrown away for a moment
    closed,
  };

  enum class Event : std::uint8_t {
    first_byte,  // of a request
    whole,       // the request has come to its end
    left_over,   // the kernel has not taken all of the answer, or refusal
    out,         // it has, or will not
    kept,        // the connection stays open after the answer
    shut,        // the last answer was sent, and our end is shut
    // The connection closes, for the reason of this name (see HttpServer::CloseReason).
    peer,
    answer,
    idle,
    stalled,
    cut,
  };

  // An answer, while it has not been told of.
  struct Answer {
    HttpServer::Exchange exchange;
    Clock::time_point began;
    bool close = false;  // after it
  };

  using Table = StateTable<State, 8, Event, 11>;
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

  // Time in which the whole process was stopped does not count. `now`: when it went on.
  void forgive(Clock::duration stopped, Clock::time_point now) {
    if (stopped == Clock::duration(0)) {
      return;
    }
    if (since <= now - stopped) {
      since += stopped;
    }
    output.forgive(stopped, now);
  }

  // A connection is not idle when a request lies in it that was not read yet.
  bool has_input() const {
    char byte = 0;
    return ::recv(fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

  void forget_input() {
    input.clear();
    input.shrink_to_fit();
  }

  // Whether input is read now.
  bool reads() const { return state == State::idle || state == State::half_sent || throws_away(); }

  bool throws_away() const { return state == State::refusing || state == State::lingering; }

  UniqueFd fd;
  const std::uint64_t id;
  HttpPeer peer;

  std::mutex mutex;
  State state = State::idle;               // changed by happen() only
  Clock::time_point since = Clock::now();  // when this state began
  bool more = false;                       // input waits in the socket, or may wait there
  bool hung_up = false;                    // the client sends nothing more
  bool watched = false;                    // in the epoll set
  bool watched_output = false;             // there also for writing
  bool begun = false;                      // of a request, more than empty lines have come
  bool used = false;                       // so it has before
  bool cut = false;                        // shut down before the answer has left
  bool gone = false;                       // the client took no more of the answer
  unsigned empty_lines = 0;                // that came where a request was expected
  std::unique_ptr<HttpCall> call;
  std::string input;
  RequestFramer framer;
  Output output;
  std::condition_variable output_changed;  // there is less of it, or `cut` or `gone` is true
  std::unique_ptr<Answer> answer;          // while `sending`
};

// clang-format off
inline constexpr Connection::Table Connection::table = [] {
  using enum State;
  constexpr auto no = impossible;
  return Table{
"connection",
{"first_byte", "whole", "left_over", "out", "kept", "shut",
 "peer", "answer", "idle", "stalled", "cut"},
{{idle,       "idle",       half_sent, no,   no,      no,         no,   no,
                            closed,    no,     closed, no,     no},
 {half_sent,  "half_sent",  no,        busy, refusing, no,        no,   lingering,
                            closed,    no,     no,     closed, closed},
 {busy,       "busy",       no,        no,   sending, concluding, no,   no,
                            no,        no,     no,     no,     no},
 {sending,    "sending",    no,        no,   no,      concluding, no,   no,
                            no,        no,     no,     no,     no},
 {concluding, "concluding", no,        no,   no,      no,         idle, lingering,
                            closed,    closed, no,     no,     closed},
 {refusing,   "refusing",   no,        no,   no,      no,         no,   lingering,
                            closed,    no,     no,     no,     closed},
 {lingering,  "lingering",  no,        no,   no,      no,         no,   no,
                            closed,    closed, no,     no,     no},
 {closed,     "closed",     no,        no,   no,      no,         no,   no,
                            no,        no,     no,     no,     no}}};
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
