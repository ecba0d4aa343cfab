#include "cluster/system.hpp"

#include <sys/resource.h>

namespace cluster {

void raise_open_file_limit() {
  rlimit limit{};
  check("getrlimit", ::getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = limit.rlim_max;
  check("setrlimit", ::setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace cluster
