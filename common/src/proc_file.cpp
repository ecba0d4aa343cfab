#include "proc_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "cluster/unique_fd.hpp"

namespace cluster {

std::string proc_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string content;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(file.get(), buffer.data(), buffer.size())) > 0;) {
    content.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return content;
}

}  // namespace cluster
