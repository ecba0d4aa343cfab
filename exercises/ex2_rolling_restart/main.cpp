// Exercise 2: rolling restart.
//
// SIGUSR2 replaces the workers one after another. Their successors run the program that is on the
// disk now. No client notices. First look at run_master() and run_worker() at the end of this file:
// each is the main line of its process. The steps are numbered in the order in which to take them.
#include <cluster/cluster.hpp>

#include <array>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string>

namespace {

using cluster::Clock;
using cluster::HttpServer;
using cluster::Master;
using cluster::Worker;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

struct Settings {
  cluster::Address address = cluster::settings::address();
  std::string journal = cluster::settings::journal();
  int workers = cluster::settings::workers(4);
  milliseconds startup = cluster::settings::delay("STARTUP_MS", 500ms);
  milliseconds ready_timeout = cluster::settings::duration("READY_TIMEOUT_MS", 30s);
  milliseconds drain_timeout = cluster::settings::duration("DRAIN_TIMEOUT_MS", 10s);
  milliseconds work = cluster::settings::delay("WORK_MS", 0ms);
  milliseconds shutdown_timeout = cluster::settings::duration("SHUTDOWN_TIMEOUT_MS", 10s);
};

// Environment variable in which the master hands a worker the version to serve.
constexpr const char* version_variable = "CLUSTER_VERSION";

struct Version {
  int minor = 0;

  Version next() const { return {minor + 1}; }
  std::string text() const { return "1." + std::to_string(minor) + ".0"; }
  Master::Variables variables() const { return {{version_variable, text()}}; }
};

std::string now_as_iso_8601() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  std::array<char, 32> text{};
  return {text.data(),
          std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", ::gmtime_r(&now, &utc))};
}

// Starts the cluster. Returns false if somebody asked for its end meanwhile.
bool start_cluster(Master& master, const Version& version) {
  // STEP 1: start the workers
  // Start a worker of this version in each slot. Wait until all are ready, or until somebody asks
  // for the end. When all are ready, announce that the cluster is ready. From then on the library
  // replaces a worker that dies by one of its slot's version.
  // Brings: nothing yet, but the log says that four workers were started.
  // TODO: start, wait, announce.
  static_cast<void>(version);
  master.log("STEP 1 is still to do: no worker was started");
  return false;
  // END STEP 1
}

void add_routes(HttpServer& server, const Settings& settings) {
  // STEP 2: answer requests
  // GET / answers 200 after WORK_MS. The answer has the `version` that the master has handed down,
  // the worker's `uptime` in seconds, and a `timestamp`. server.reply() adds the worker's number
  // and pid.
  // `uptime` may begin here. What takes WORK_MS is server.pause().
  // Brings: nothing yet: item 1 needs step 3, too.
  // TODO: server.Get() for the one path.
  static_cast<void>(server);
  static_cast<void>(settings);
  static_cast<void>(now_as_iso_8601);
  // END STEP 2
}

// Runs a worker, and returns its exit code. worker.ending() becomes true when SIGTERM comes.
int serve(Worker& worker, HttpServer& server, milliseconds startup) {
  // STEP 3: the life of a worker
  // Initialise for `startup`; SIGTERM ends this early. Then serve, and only then tell the master
  // that this worker is ready. When told to leave, end with the library's end_worker(). It takes no
  // new connection and finishes the requests in flight. It says `Connection: close` with each
  // further answer, and closes only connections that are idle for longer than a second. It returns
  // the exit code.
  // Brings: item 1.
  // TODO: initialise, serve, be ready, wait, drain.
  static_cast<void>(startup);
  worker.log("STEP 3 is still to do: this worker never says that it is ready");
  server.start();
  worker.wait_until([&] { return worker.ending(); });
  return 0;
  // END STEP 3
}

// Starts a successor in the slot and waits until it is ready. Returns its pid, or 0 if it did not
// become ready.
pid_t start_successor(Master& master, int slot, const Version& version, milliseconds timeout) {
  // STEP 4: start the successor
  // Start one more worker in the slot, of the new version. Wait until it says that it is ready.
  // Three other things end this wait, and then the restart is given up:
  // - It dies before that.
  // - The timeout is over: kill it, and wait until it is gone.
  // - Somebody asks for the end: run_master() then ends the successor like all other workers.
  // Brings: nothing yet: step 6 calls it.
  // TODO: start, wait, and give up if it is not ready.
  static_cast<void>(version);
  static_cast<void>(timeout);
  master.log("STEP 4 is still to do: no successor was started in slot ", slot);
  return 0;
  // END STEP 4
}

// Makes the successor the slot's worker, and lets the former worker go.
void hand_over(Master& master, pid_t successor, int slot, milliseconds timeout) {
  // STEP 5: let the old one go
  // First find out which worker the slot has now. The earlier one may have died while the successor
  // was starting, and have been replaced. Then make the successor the slot's worker: from now on it
  // is the one that is replaced when it dies. Tell the former worker to drain (SIGTERM), and wait
  // until it is gone, or until somebody asks for the end. Kill it if it takes longer than the
  // timeout.
  // Brings: nothing yet: step 6 calls it, too.
  // TODO: promote the successor, tell the former, wait, kill.
  master.log("STEP 5 is still to do: the former worker stays");
  static_cast<void>(successor);
  static_cast<void>(slot);
  static_cast<void>(timeout);
  // END STEP 5
}

// Replaces all workers. Returns false if the restart was abandoned.
bool rolling_restart(Master& master, const Version& version, const Settings& settings) {
  // STEP 6: one slot after another
  // For each slot start a successor, and let the old worker go only when the successor is ready.
  // Before each slot wait until all workers are ready: one may have died, and the library is
  // replacing it. Give up when that takes longer than READY_TIMEOUT_MS, when a successor fails, or
  // when somebody asks for the end. Then the remaining slots keep their workers.
  // Brings: nothing yet: step 7 calls it.
  // TODO: for each slot start_successor() and hand_over().
  static_cast<void>(version);
  static_cast<void>(settings);
  static_cast<void>(start_successor);
  static_cast<void>(hand_over);
  master.log("STEP 6 is still to do: no worker was replaced");
  return false;
  // END STEP 6
}

// Serves until somebody asks for the end. Restarts the workers when SIGUSR2 has set
// `restart_wanted`.
void serve_and_restart(Master& master, bool& restart_wanted, Version version,
                       const Settings& settings) {
  // STEP 7: restart when it is wanted
  // Wait until somebody asks for the end or for a restart. A restart brings the next version. If
  // the restart is abandoned, the version stays as it was, and the next restart tries the same next
  // version again. Log how the restart went and how long it took. `restart_wanted` stays set until
  // the restart is over: as long as it is set, run_master() ignores each further SIGUSR2.
  // Brings: items 2 to 5.
  // TODO: wait, restart, judge, again.
  static_cast<void>(version);
  static_cast<void>(settings);
  static_cast<void>(rolling_restart);
  master.wait_until([&] { return restart_wanted || master.ending(); });
  if (restart_wanted) master.log("STEP 7 is still to do: nobody restarts the workers");
  master.wait_until([&] { return master.ending(); });
  // END STEP 7
}

int run_worker(Worker& worker, const Settings& settings) {
  HttpServer server(worker);
  add_routes(server, settings);
  worker.end_by_signal();
  return serve(worker, server, settings.startup);
}

int run_master(const Settings& settings) {
  Master master(settings.workers, cluster::listen_on(settings.address), settings.journal);
  bool serving = false;
  bool restart_wanted = false;
  master.end_by_signal();
  master.on_signal({SIGUSR2}, [&](int) {
    if (serving && !restart_wanted) {
      restart_wanted = true;
    } else {
      master.log("SIGUSR2 ignored: ",
                 serving ? "a restart is under way" : "the cluster is not ready");
    }
  });

  const Version first;
  serving = start_cluster(master, first);
  if (serving) {
    serve_and_restart(master, restart_wanted, first, settings);
  }
  return master.end_workers(settings.shutdown_timeout) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return cluster::run_cluster(argc, argv, run_master, run_worker);
}
