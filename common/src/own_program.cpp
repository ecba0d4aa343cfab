#include <sys/auxv.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "cluster/process.hpp"

namespace cluster {

namespace {

using std::filesystem::path;

bool same_file(const path& a, const path& b) {
  struct stat first {};
  struct stat second {};
  return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

// A shell's PWD tells by which links it came to the working directory. The kernel has forgotten
// them.
path absolute_with_links(const path& name) {
  const char* const pwd = std::getenv("PWD");
  const bool valid = pwd != nullptr && path(pwd).is_absolute() && same_file(pwd, ".");
  return name.is_relative() && valid ? pwd / name : std::filesystem::absolute(name);
}

// The path that was given to exec: for a program that a shell has found by PATH, too.
path executed_name() {
  const auto address = ::getauxval(AT_EXECFN);
  return address != 0 ? reinterpret_cast<const char*>(address) : "";  // NOLINT(*-int-to-ptr)
}

}  // namespace

path own_program() {
  const path self = "/proc/self/exe";
  const path typed = program_invocation_name;
  for (const auto& name : {typed.has_parent_path() ? typed : path(), executed_name()}) {
    if (!name.empty() && same_file(absolute_with_links(name), self)) {
      return absolute_with_links(name);
    }
  }
  return std::filesystem::read_symlink(self);
}

}  // namespace cluster
