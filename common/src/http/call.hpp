#pragma once

#include <httplib.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace cluster {

// The two ends of a connection.
struct HttpPeer {
  std::string remote_addr;
  int remote_port = -1;
  std::string local_addr;
  int local_port = -1;
};

// One request, and what becomes of it. It belongs to the thread that answers.
struct HttpCall {
  httplib::Request request;
  std::string body;  // until the handler is found, which may read it itself
  std::chrono::steady_clock::time_point began;
  bool admitted = true;
  bool close = false;  // the client wants the connection closed; then: the server closes it
  std::function<bool()> hung_up;  // whether the client sends nothing more, or is gone

  // While it runs.
  httplib::Request* running = nullptr;  // the request above, or cpp-httplib's copy of it
  httplib::Response* response = nullptr;
  // What cpp-httplib has to do before the handler: to look for a file; to read a form; to give a
  // reader to a handler that reads the body itself.
  enum class Left : std::uint8_t { nothing, file, form, reading };
  Left left = Left::nothing;
  std::string error;  // what a body that nobody wrote says

  // What has become of it.
  int status = 0;
  bool streams = false;   // the body comes from a content provider, piece by piece
  std::string long_body;  // to be sent after what was written
};

}  // namespace cluster
