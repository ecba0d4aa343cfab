#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cluster/unique_fd.hpp"

namespace cluster {

// Finds out whether a handler has read from its descriptor. The probe is made before the handler is
// called, and asked after it. It owns a descriptor of its own, not the one that it looks at. One
// thread.
//
// How much lies unread is no proof by itself: a peer may send as much as was read at the same time.
// So the probe also watches, edge-triggered, whether anything has come meanwhile.
class ReadProbe {
 public:
  enum class Found {
    progress,
    nothing,
    unknown,  // the peer has sent meanwhile, or the descriptor does not tell
  };

  explicit ReadProbe(int fd);

  Found look() const;

 private:
  struct Unread {
    std::int64_t count = 0;
    std::string text;
    bool operator==(const Unread&) const = default;
  };
  std::optional<Unread> unread() const;
  bool more_has_come() const;

  int fd_;
  UniqueFd edges_;
  std::optional<Unread> before_;
};

}  // namespace cluster
