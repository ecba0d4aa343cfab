#pragma once

// Example:
//
//   cluster::UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
//   if (file) std::cout << "descriptor " << file.get() << std::endl;
//   const cluster::UniqueFd other = std::move(file);  // closes it at the end

#include <unistd.h>

#include <utility>

namespace cluster {

// Owns a file descriptor: closes it in the destructor, can be moved and cannot be copied. All
// descriptors that this library makes are close-on-exec. One thread at a time.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset(std::exchange(other.fd_, -1));
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }  // -1 when empty
  explicit operator bool() const { return fd_ >= 0; }

  int release() { return std::exchange(fd_, -1); }  // the caller closes it from now on

  void reset(int fd = -1) {
    if (fd_ >= 0) {
      ::close(fd_);
    }
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace cluster
