#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "cluster/unique_fd.hpp"
#include "request_framer.hpp"

namespace cluster {

// One client's connection.
struct Connection {
  enum class State {
    idle,       // nothing of a request has come
    half_sent,  // a part of one
    busy,       // a whole one: a request thread has it
    lingering,  // our end is shut; what still comes is thrown away for a moment
    closed,
  };
  using Clock = std::chrono::steady_clock;

  Connection(UniqueFd accepted, std::uint64_t number, std::size_t head_limit, std::size_t body_limit)
      : fd(std::move(accepted)), id(number), framer(head_limit, body_limit) {}

  UniqueFd fd;
  const std::uint64_t id;

  std::mutex mutex;              // guards state, more_to_read, cut and the closing of fd
  State state = State::idle;
  bool more_to_read = false;     // an event came while it was busy
  bool cut = false;              // shut down while it was busy
  bool linger_next = false;      // given back to be closed lingering
  bool registered = false;       // in the epoll set
  bool admitted = false;
  Clock::time_point idle_since;  // written while going idle

  // The reading thread's, or the request thread's while busy.
  std::string input;
  RequestFramer framer;
  Clock::time_point request_began;
  std::optional<Clock::time_point> deadline;
};

}  // namespace cluster
