#include "cluster/program.hpp"

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "cluster/listener.hpp"
#include "cluster/settings.hpp"
#include "handover.hpp"
#include "log_line.hpp"

namespace cluster {

namespace {

int fail(int code, const std::string& reason) {
  const std::string line = reason + '\n';
  std::fputs(line.c_str(), stderr);
  return code;
}

}  // namespace

int run_program(int argc, char** argv, const std::function<int()>& body) {
  std::signal(SIGPIPE, SIG_IGN);
  if (argc > 1) {
    return fail(2, std::string(argv[0]) +
                       " takes no arguments: settings are environment variables, as in PORT=8080 " +
                       argv[0]);
  }
  std::optional<Handover> handover;
  try {
    handover = Handover::from_environment();  // the worker clears it
    return body();
  } catch (const SettingError& error) {
    return fail(2, error.what());
  } catch (const ListenError& error) {
    return fail(1, error.what());
  } catch (const std::exception& error) {
    const std::string name = handover ? "worker" + std::to_string(handover->number) : "master";
    return fail(1, log_line(name, std::string("ended by an exception: ") + error.what()));
  }
}

}  // namespace cluster
