#pragma once

#include <stdexcept>

#include "cluster/settings.hpp"
#include "cluster/unique_fd.hpp"

namespace cluster {

// An address that cannot be listened on. what() is one line with the address, the reason and, if it
// is taken, the command that finds the holder.
class ListenError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The listening socket that master and workers share. The master makes it, workers inherit it;
// nobody shuts it down (that would end it for all), each closes its own copy.
struct Listener {
  UniqueFd fd;
  Address address;  // with the port that was really bound
};

// Non-blocking, close-on-exec, address reused, TCP_NODELAY (accepted sockets inherit it), a backlog
// of 1024.
Listener listen_on(const Address& address);

}  // namespace cluster
