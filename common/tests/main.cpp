// The tests of processes start this program again. Then it runs no tests: it is a worker or a
// helper.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

#include "cluster/worker.hpp"
#include "support.hpp"

#ifdef __SANITIZE_THREAD__
// Debian's cpp-httplib is built without the sanitizer, which so does not see what it guards: its
// constants, for example, which the first thread that needs them makes.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libcpp-httplib.so\n";
}
#endif

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  if (cluster::Worker::is_one()) return cluster::test::run_worker_role();
  if (const char* role = std::getenv("TEST_HELPER")) return cluster::test::run_helper_role(role);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
