#include "cluster/program.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <string>

#include "cluster/listener.hpp"
#include "cluster/settings.hpp"
#include "escape.hpp"
#include "handover.hpp"
#include "line_output.hpp"
#include "log_line.hpp"

namespace cluster {

namespace {

// Else the next file or socket that is opened would take the place of a standard descriptor that
// was closed, and lines of the log would end up in it.
void open_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0) {
      ::open("/dev/null", O_RDWR);  // gets the lowest free number; workers inherit it
    }
  }
}

int fail(int code, const std::string& reason) {
  write_without_waiting(STDERR_FILENO, escaped(reason) + '\n');
  return code;
}

}  // namespace

int run_program(int argc, char** argv, const std::function<int()>& body) {
  open_standard_descriptors();
  // Workers inherit what is ignored, and have it from their first instant.
  for (const int signal : {SIGPIPE, SIGUSR1, SIGUSR2}) {
    std::signal(signal, SIG_IGN);
  }
  if (argc > 1) {
    return fail(2, std::string(argv[0]) +
                       " takes no arguments: settings are environment variables, as in PORT=8080 " +
                       argv[0]);
  }
  std::string name = "master";
  try {
    if (const auto handover = Handover::from_environment()) {  // the worker clears it
      handover->check_channel();
      name = "worker" + std::to_string(handover->number);
    }
    return body();
  } catch (const SettingError& error) {
    return fail(2, error.what());
  } catch (const ListenError& error) {
    return fail(1, error.what());
  } catch (const std::exception& error) {
    return fail(1, log_line(name, std::string("ended by an exception: ") + error.what()));
  }
}

}  // namespace cluster
