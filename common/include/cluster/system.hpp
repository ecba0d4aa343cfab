#pragma once

// Example:
//
//   cluster::raise_open_file_limit();
//   const int copy = cluster::check("dup", ::dup(STDOUT_FILENO));  // throws if the call fails

#include <cerrno>
#include <string>
#include <system_error>

namespace cluster {

// For each system call that is not expected to fail: a negative result becomes a std::system_error
// that names the call. Any thread.
template <typename Result>
Result check(const char* call, Result result) {
  if (result < 0) {
    throw std::system_error(errno, std::generic_category(), call);
  }
  return result;
}

// Raises this process's limit of open files to the hard limit. Children inherit it.
void raise_open_file_limit();

}  // namespace cluster
