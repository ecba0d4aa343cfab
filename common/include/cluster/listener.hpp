#pragma once

// Example:
//
//   cluster::Listener listener = cluster::listen_on({"127.0.0.1", 0});  // port 0: any free one
//   std::cout << "listening on " << listener.address.text() << std::endl;
//   listener.fd.reset();  // closes this process's copy

#include <stdexcept>

#include "cluster/settings.hpp"
#include "cluster/unique_fd.hpp"

namespace cluster {

// Thrown when a program cannot listen on an address. what() is one line with the address and the
// reason. If the address is taken, it also has the command that finds the holder.
class ListenError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The listening socket that master and workers share. The master makes it, and workers inherit it.
// Each process owns its copy and closes it. No process shuts the socket down: that would end it for
// all of them. One thread at a time.
struct Listener {
  UniqueFd fd;
  Address address;  // with the port that was really bound
};

// The socket is non-blocking and close-on-exec, with SO_REUSEADDR and a backlog of 1024. Accepted
// sockets inherit TCP_NODELAY and TCP_NOTSENT_LOWAT (128 KiB). Throws ListenError.
Listener listen_on(const Address& address);

}  // namespace cluster
