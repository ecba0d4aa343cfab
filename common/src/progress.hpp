#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cluster/unique_fd.hpp"

namespace cluster {

// Finds out whether a handler has read from its descriptor, or written to it. The probe is made
// before the handler is called, and asked after it. It owns a descriptor of its own, not the one
// that it looks at. One thread.
//
// How much lies unread (or unsent) is no proof by itself: a peer may send as much as was read at
// the same time. So the probe also watches, edge-triggered, whether anything has come meanwhile.
class ProgressProbe {
 public:
  enum class Found {
    progress,
    nothing,
    unknown,  // the peer has sent (or read) meanwhile, or the descriptor does not tell
  };

  // `event` is EPOLLIN or EPOLLOUT.
  ProgressProbe(int fd, std::uint32_t event);

  Found look() const;

 private:
  struct Content {
    std::int64_t count = 0;
    std::string text;
    bool operator==(const Content&) const = default;
  };
  std::optional<Content> content() const;
  std::optional<Content> unread() const;
  std::optional<Content> unsent() const;
  bool told() const;

  int fd_;
  std::uint32_t event_;
  UniqueFd edges_;
  std::optional<Content> before_;
};

}  // namespace cluster
