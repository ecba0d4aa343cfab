#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "cluster/process.hpp"
#include "cluster/system.hpp"

namespace cluster {

namespace {

UniqueFd open_statm(const std::string& process) {
  const auto path = "/proc/" + process + "/statm";
  return UniqueFd(check("open", ::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
}

// The second number is the resident set, in pages.
std::size_t read_resident(const UniqueFd& statm) {
  std::array<char, 128> text{};
  const auto length = check("pread", ::pread(statm.get(), text.data(), text.size() - 1, 0));
  char* second = text.data();
  std::strtoull(second, &second, 10);
  const std::size_t pages = std::strtoull(second, nullptr, 10);
  if (length == 0 || pages == 0) {  // a process that has just ended
    throw std::system_error(ESRCH, std::generic_category(), "statm");
  }
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::size_t resident_bytes(pid_t pid) {
  if (pid == ::getpid()) {
    static const UniqueFd own = open_statm("self");  // open to the end
    return read_resident(own);
  }
  return read_resident(open_statm(std::to_string(pid)));
}

}  // namespace cluster
