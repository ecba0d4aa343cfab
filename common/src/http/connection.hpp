#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "cluster/http_server.hpp"
#include "cluster/unique_fd.hpp"
#include "http/request_framer.hpp"

namespace cluster {

// One client's connection. All but fd, id and answered are guarded by the mutex; while it is busy,
// input, framer, admitted and request belong to the thread that answers.
struct Connection {
  enum class State {
    idle,       // nothing of a request has come
    half_sent,  // a part of one
    busy,       // a whole one, which a thread answers
    lingering,  // our end is shut; what still comes is thrown away for a moment
    closed,
  };

  Connection(UniqueFd accepted, std::uint64_t number, std::size_t head_limit,
             std::size_t body_limit)
      : fd(std::move(accepted)), id(number), framer(head_limit, body_limit) {}

  UniqueFd fd;
  const std::uint64_t id;

  std::mutex mutex;
  State state = State::idle;
  std::chrono::steady_clock::time_point since;  // when this state began
  bool more = false;                            // there is, or may be, something to read
  bool hung_up = false;                         // the client sends nothing more
  bool watched = false;                         // in the epoll set
  bool cut = false;                             // shut down while it was busy
  bool admitted = false;
  std::atomic<bool> answered{false};  // busy, but the answer was sent
  std::optional<HttpServer::Request> request;
  std::string input;
  RequestFramer framer;
};

}  // namespace cluster
