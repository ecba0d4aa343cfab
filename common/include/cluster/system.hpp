#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace cluster {

// Every system call whose failure is no part of the plan goes through here: a negative result
// becomes a std::system_error that names the call.
template <typename Result>
Result check(const char* call, Result result) {
  if (result < 0) {
    throw std::system_error(errno, std::generic_category(), call);
  }
  return result;
}

// Raises this process's limit of open files as far as it may go (children inherit it).
void raise_open_file_limit();

}  // namespace cluster
