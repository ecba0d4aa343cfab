// Exercise 3: health monitoring with heartbeats.
//
// Every worker sends the master heartbeats with its vitals. The master judges the workers. It
// replaces those that are silent, use too much memory, or fail too often. First look at
// run_master() and run_worker() at the end of this file: each is the main line of its process. The
// steps are numbered in the order in which to take them.
#include <cluster/cluster.hpp>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <iomanip>
#include <map>
#include <mutex>
#include <sstream>
#include <string>

namespace {

using cluster::Clock;
using cluster::HttpServer;
using cluster::Json;
using cluster::Master;
using cluster::Worker;
using std::chrono::milliseconds;
using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;

constexpr double mebibyte = 1 << 20;
// The error rate covers this many of the last requests at most, so that an old worker that begins
// to fail is still noticed.
constexpr std::size_t window = 100;

struct Settings {
  cluster::Address address = cluster::settings::address();
  std::string journal = cluster::settings::journal();
  int workers = cluster::settings::workers(3);
  milliseconds interval = cluster::settings::duration("HEARTBEAT_INTERVAL_MS", 3s);
  milliseconds timeout = cluster::settings::duration("HEARTBEAT_TIMEOUT_MS", 10s);
  int memory_limit = cluster::settings::count("MEMORY_LIMIT_MB", 100);
  int error_rate_limit = cluster::settings::percent("ERROR_RATE_LIMIT", 20);
  int error_rate_min = cluster::settings::count("ERROR_RATE_MIN_REQUESTS", 10);
  milliseconds report_interval = cluster::settings::duration("REPORT_INTERVAL_MS", 15s);
  int leak = cluster::settings::count("LEAK_MB", 10);
  milliseconds shutdown_timeout = cluster::settings::duration("SHUTDOWN_TIMEOUT_MS", 10s);

  Settings() {
    if (timeout <= interval) {
      throw cluster::SettingError("HEARTBEAT_TIMEOUT_MS", std::to_string(timeout.count()),
                                  "more than HEARTBEAT_INTERVAL_MS");
    }
  }
};

// Starts the cluster. Returns false if somebody asked for its end meanwhile.
bool start_cluster(Master& master) {
  // STEP 1: start the workers
  // Start one worker in each slot. Wait until all are ready, or until somebody asks for the end.
  // Announce that the cluster is ready, unless it ends. The library replaces a worker
  // that dies.
  // The grade does not move yet: look at `curl http://127.0.0.1:8000/health`.
  master.start_workers();
  master.wait_until([&] { return master.all_ready() || master.ending(); });
  if (!master.ending()) master.announce_ready();
  return !master.ending();
  // END STEP 1
}

// ----- the worker

// Counts a worker's requests and errors. The server's threads and the main line share it.
class Counters {
 public:
  // STEP 2: count requests and errors
  // Every exchange counts, except those for /health. An answer with status 500 or higher
  // also counts as an error. Besides the sums, remember which of the last `window` requests were
  // errors.
  // The grade does not move yet: look at `curl` of /error, then of /health, with one worker
  // (make ex3-run WORKERS=1).
  void count(const HttpServer::Exchange& exchange) {
    if (exchange.path == "/health") return;
    const bool error = exchange.status >= 500;
    const std::lock_guard lock(mutex_);
    ++requests_;
    errors_ += error ? 1 : 0;
    recent_.push_back(error);
    if (recent_.size() > window) recent_.pop_front();
  }
  // END STEP 2

  // The vitals, for /health and for the heartbeat.
  Json vitals() const {
    const std::lock_guard lock(mutex_);
    const auto failed = static_cast<double>(std::count(recent_.begin(), recent_.end(), true));
    const auto recent = static_cast<double>(std::max<std::size_t>(1, recent_.size()));
    return {{"uptime", Seconds(Clock::now() - started_).count()},
            {"memoryBytes", cluster::resident_bytes(::getpid())},
            {"requests", requests_},
            {"errors", errors_},
            {"errorRate", 100 * failed / recent}};  // per cent of the recent requests
  }

 private:
  const Clock::time_point started_ = Clock::now();
  mutable std::mutex mutex_;
  int requests_ = 0;
  int errors_ = 0;
  std::deque<bool> recent_;  // true for an error; the oldest request first, at most `window`
};

// The memory that GET /leak has allocated.
struct Leaks {
  std::mutex mutex;
  std::deque<std::string> blocks;
};

void add_routes(HttpServer& server, const Counters& counters, Leaks& leaks, int leak) {
  server.Get("/", [&](const auto&, auto& response) { server.reply(response, 200, {}); });
  server.Get("/health",
             [&](const auto&, auto& response) { server.reply(response, 200, counters.vitals()); });
  server.Get("/error",
             [&](const auto&, auto& response) { server.fail(response, 500, "it always fails"); });
  server.Get("/leak", [&, leak](const auto&, auto& response) {
    const std::lock_guard lock(leaks.mutex);
    // Memory that is never written to would not be resident.
    leaks.blocks.emplace_back(static_cast<std::size_t>(leak * mebibyte), 'x');
    server.reply(response, 200, {{"leaks", leaks.blocks.size()}});
  });
}

void send_heartbeats(Worker& worker, const HttpServer& server, const Counters& counters,
                     milliseconds interval) {
  // STEP 3: send heartbeats
  // Send the master a `heartbeat` with the vitals, at once and then every interval. The heartbeat
  // comes from the main line's loop, which goes on even when every request thread is stuck. So also
  // tell how long the longest request in flight has been at work (`longestMs`), for the log.
  // Without it the heartbeat would hide the fault that it should show.
  // Brings: item 1.
  const auto send = [&] {
    Json heartbeat = counters.vitals();
    heartbeat["type"] = "heartbeat";
    heartbeat["longestMs"] = server.longest_in_flight().count();
    worker.send(heartbeat);
  };
  send();
  worker.loop().every(interval, send);
  // END STEP 3
}

// ----- the master

// The last heartbeat of a worker process.
struct Heartbeat {
  Clock::time_point at;
  Json vitals = Json::object();

  double number(const char* name) const { return vitals.value(name, 0.0); }
};

// The figures of a heartbeat, for the log and for the report.
std::string figures(const Heartbeat& last) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << "memoryMb=" << last.number("memoryBytes") / mebibyte
       << " requests=" << last.vitals.value("requests", 0)
       << " errors=" << last.vitals.value("errors", 0) << " errorRate=" << last.number("errorRate")
       << " uptime=" << last.number("uptime")
       << " heartbeatAge=" << Seconds(Clock::now() - last.at).count();
  return text.str();
}

// A sick worker's treatment: its successor starts in the same slot.
struct Treatment {
  pid_t sick = 0;
  pid_t successor = 0;  // 0: it could not be started
  Clock::time_point since;
  std::string reason;
};

// What the master has noted. Handlers write heartbeats down; the main line judges them.
struct Noted {
  std::map<pid_t, Heartbeat> heartbeats;
  bool news = false;                        // a heartbeat has come that was not judged yet
  Clock::time_point now = Clock::now();     // when the main line began to judge
  std::map<int, Treatment> treatments;      // of each slot whose successor is starting
  std::map<int, int> restarts;              // of each slot
  std::map<int, std::string> last_restart;  // of each slot: the reason
};

void note_heartbeat(Noted& noted, const Master::WorkerInfo& from, const Json& message) {
  // STEP 4: note heartbeats
  // Note the message, and the time at which it came by the master's own clock. Ignore a heartbeat
  // from a process that was replaced and is on its way out (`from.leaving`).
  // The grade does not move yet: look at the report, which has all figures from here on.
  if (from.leaving) return;
  noted.heartbeats[from.pid] = {Clock::now(), message};
  noted.news = true;
  // END STEP 4
}

// The last heartbeat of a worker. Before the first one: an empty heartbeat, as if it had come when
// the worker was started.
Heartbeat last_heartbeat(const Master::WorkerInfo& worker, const Noted& noted) {
  const auto found = noted.heartbeats.find(worker.pid);
  return found != noted.heartbeats.end() ? found->second : Heartbeat{worker.started};
}

// The reason to replace a worker: "silent", "memory" or "errors". Empty if the worker is healthy.
std::string diagnose(const Master::WorkerInfo& worker, const Noted& noted,
                     const Settings& settings) {
  // STEP 5: judge a worker
  // - "silent": At `noted.now` its last heartbeat is older than the timeout.
  // - "memory": The worker is over the limit, and was started more than an interval ago. If even a
  //   fresh worker is over the limit, replacing it at once would never end.
  // - "errors": The error rate is over the limit, and there were more requests than the minimum:
  //   one error in one request is 100 per cent, and means nothing.
  // The grade does not move yet: look at `status=` in the report after `kill -STOP` of a worker
  // (make ex3-run HEARTBEAT_TIMEOUT_MS=4000 REPORT_INTERVAL_MS=3000).
  const auto heartbeat = last_heartbeat(worker, noted);
  if (noted.now - heartbeat.at > settings.timeout) return "silent";
  const bool settled = noted.now - worker.started > settings.interval;
  if (settled && heartbeat.number("memoryBytes") > settings.memory_limit * mebibyte)
    return "memory";
  const bool enough = heartbeat.number("requests") > settings.error_rate_min;
  return enough && heartbeat.number("errorRate") > settings.error_rate_limit ? "errors" : "";
  // END STEP 5
}

// Lets a worker go: it is not replaced when it ends. It gets the signal, and SIGKILL if it is not
// gone after the timeout.
void dismiss(Master& master, pid_t pid, int signal, milliseconds timeout) {
  master.retire(pid);
  master.kill(pid, signal);
  master.loop().after(timeout, [&master, pid] {
    const auto left = master.find(pid);
    if (left && left->leaving) master.kill(pid, SIGKILL);  // and not another process with that pid
  });
}

// Gives the slot to the successor, and lets the sick worker go.
void hand_over(Master& master, Noted& noted, int slot, const Treatment& treatment,
               const Settings& settings) {
  // STEP 6: hand the slot over
  // Promote the successor. The sick worker may have died meanwhile; run_master() has noted that as
  // a crash, and nothing more is to be done. Otherwise note the restart and its reason for the
  // slot, and dismiss the sick worker. If diagnose() still says "silent", it is stuck: SIGKILL. Any
  // other one is to finish its requests: it gets SIGTERM, and `settings.timeout` to leave.
  // The grade does not move yet: step 7 calls this.
  master.promote(treatment.successor);
  const auto sick = master.find(treatment.sick);
  if (!sick) return;
  ++noted.restarts[slot];
  noted.last_restart[slot] = treatment.reason;
  const bool stuck = diagnose(*sick, noted, settings) == "silent";
  dismiss(master, sick->pid, stuck ? SIGKILL : SIGTERM, settings.timeout);
  // END STEP 6
}

// Looks at one slot.
void treat(Master& master, Noted& noted, int slot, const Settings& settings) {
  // STEP 7: treat the sick
  // Never wait here: the other slots want to be looked at, too. What is to be done depends on what
  // is seen now:
  // - The slot has no treatment: judge its worker. If it is sick, log `reason=…` with the figures
  //   and with `longestMs`, start a successor, and note the treatment, `since` noted.now.
  // - The slot has a worker, and it is not the sick one: that has died, and was replaced by the
  //   library. Dismiss the successor: SIGTERM if it is ready, else SIGKILL.
  // - The successor is ready: hand the slot over.
  // - The successor lives, and is not ready within `settings.timeout` (a second at least, which a
  //   start may take): log it, and dismiss the successor by SIGKILL.
  // - The successor is gone, or could not be started: log it, but only an interval after the
  //   start. So the next attempt does not follow at once.
  // The last four end the treatment: erase it. A worker that is still sick is treated anew.
  // Brings: items 2, 3, 4 and 5.
  const auto found = noted.treatments.find(slot);
  const auto current = master.find(master.current(slot));
  if (found == noted.treatments.end()) {
    const auto reason = current ? diagnose(*current, noted, settings) : "";
    if (reason.empty()) return;
    master.log("worker ", slot, " (pid ", current->pid, ") is unhealthy: reason=", reason, ' ',
               figures(last_heartbeat(*current, noted)),
               " longestMs=", last_heartbeat(*current, noted).number("longestMs"));
    noted.treatments[slot] = {current->pid, master.start(slot, {}), noted.now, reason};
    return;
  }
  const Treatment treatment = found->second;
  const auto successor = master.find(treatment.successor);
  const bool ready = successor && successor->ready;
  const bool wanted = !current || current->pid == treatment.sick;
  const auto limit = successor ? std::max<milliseconds>(settings.timeout, 1s) : settings.interval;
  if (wanted && !ready && noted.now - treatment.since < limit) return;
  noted.treatments.erase(found);
  if (wanted && ready) return hand_over(master, noted, slot, treatment, settings);
  master.log("worker ", slot, ": the successor is not ", wanted ? "ready" : "wanted any more");
  dismiss(master, treatment.successor, ready ? SIGTERM : SIGKILL, settings.timeout);
  // END STEP 7
}

// Prints the report, with a line for every slot. A worker without a heartbeat is starting.
void report(const Master& master, Noted& noted, const Settings& settings) {
  int healthy = 0;
  std::ostringstream lines;
  for (int slot = 1; slot <= master.slots(); ++slot) {
    const auto nobody = Master::WorkerInfo{.slot = slot, .started = Clock::now()};
    const auto worker = master.find(master.current(slot)).value_or(nobody);
    const auto last = last_heartbeat(worker, noted);
    const bool sick = !diagnose(worker, noted, settings).empty();
    const std::string status = sick ? "unhealthy" : last.vitals.empty() ? "starting" : "healthy";
    healthy += status == "healthy" ? 1 : 0;
    lines << "\nworker=" << slot << " pid=" << worker.pid << " status=" << status << ' '
          << figures(last) << " restarts=" << noted.restarts[slot]
          << " lastRestart=" << noted.last_restart.try_emplace(slot, "none").first->second;
  }
  cluster::print_line("health report workers=" + std::to_string(master.slots()) +
                      " healthy=" + std::to_string(healthy) + lines.str());
}

// Leaves out a time in which this process was stopped. The workers may have been stopped, too.
void leave_out(Clock::duration stop, const Master& master, Noted& noted) {
  for (const auto& worker : master.workers()) {
    auto& last = noted.heartbeats.try_emplace(worker.pid, Heartbeat{worker.started}).first->second;
    last.at = std::min(last.at + stop, noted.now);
  }
  for (auto& [slot, treatment] : noted.treatments) treatment.since += stop;
}

// Judges the workers at every heartbeat, and at least once an interval, until somebody asks for the
// end. A round waits nowhere but here, so a round that has taken much longer was interrupted.
void watch(Master& master, Noted& noted, const Settings& settings) {
  const auto pause = std::min(settings.interval, 100ms);
  noted.now = Clock::now();
  while (!master.ending()) {
    master.wait_until([&] { return noted.news || master.ending(); }, pause);
    noted.news = false;
    const auto round = Clock::now() - noted.now;
    noted.now += round;
    if (round > pause + 100ms) leave_out(round - pause, master, noted);
    for (int slot = 1; slot <= master.slots(); ++slot) treat(master, noted, slot, settings);
  }
}

int run_worker(Worker& worker, const Settings& settings) {
  Leaks leaks;
  Counters counters;
  HttpServer server(worker);
  add_routes(server, counters, leaks, settings.leak);
  server.hooks.done = [&](const HttpServer::Exchange& exchange) { counters.count(exchange); };
  worker.end_by_signal();

  server.start();
  worker.ready();
  send_heartbeats(worker, server, counters, settings.interval);
  worker.wait_until([&] { return worker.ending(); });
  return cluster::end_worker(worker, server);
}

int run_master(const Settings& settings) {
  Master master(settings.workers, cluster::listen_on(settings.address), settings.journal);
  Noted noted;
  master.end_by_signal();
  master.on_message("heartbeat", [&](const Master::WorkerInfo& from, const Json& message) {
    note_heartbeat(noted, from, message);
  });
  master.on_death([&](const Master::Death& death) {
    noted.heartbeats.erase(death.worker.pid);
    if (!death.worker.leaving && master.current(death.worker.slot) == 0) {
      ++noted.restarts[death.worker.slot];
      noted.last_restart[death.worker.slot] = "crash";
    }
  });

  master.loop().every(settings.report_interval, [&] { report(master, noted, settings); });
  if (start_cluster(master)) watch(master, noted, settings);
  return master.end_workers(settings.shutdown_timeout) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return cluster::run_cluster(argc, argv, run_master, run_worker);
}
