// Exercise 3: health monitoring with heartbeats.
//
// Every worker sends the master heartbeats with its vitals. The master judges the workers. It
// replaces those that are silent, use too much memory, or fail too often. First look at
// run_master() and run_worker() at the end of this file: each is the main line of its process. The
// steps are numbered in the order in which to take them.
#include <cluster/cluster.hpp>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <deque>
#include <iomanip>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

namespace {

using cluster::Clock;
using cluster::HttpServer;
using cluster::Json;
using cluster::Master;
using cluster::Worker;
using std::chrono::milliseconds;
using Seconds = std::chrono::duration<double>;

constexpr std::size_t mebibyte = std::size_t{1} << 20;
// The error rate covers this many of the last requests at most, so that an old worker that begins
// to fail is still noticed.
constexpr std::size_t window = 100;

struct Settings {
  cluster::Address address = cluster::settings::address();
  std::string journal = cluster::settings::journal();
  int workers = cluster::settings::workers(3);
  milliseconds interval = cluster::settings::duration("HEARTBEAT_INTERVAL_MS", milliseconds(3'000));
  milliseconds timeout = cluster::settings::duration("HEARTBEAT_TIMEOUT_MS", milliseconds(10'000));
  int memory_limit = cluster::settings::count("MEMORY_LIMIT_MB", 100);
  int error_rate_limit = cluster::settings::percent("ERROR_RATE_LIMIT", 20);
  int error_rate_min = cluster::settings::count("ERROR_RATE_MIN_REQUESTS", 10);
  milliseconds report_interval =
      cluster::settings::duration("REPORT_INTERVAL_MS", milliseconds(15'000));
  int leak = cluster::settings::count("LEAK_MB", 10);
  milliseconds shutdown_timeout =
      cluster::settings::duration("SHUTDOWN_TIMEOUT_MS", milliseconds(10'000));
};

// Counts a worker's requests and errors. The server's threads and the main line share it.
class Counters {
 public:
  void count(const HttpServer::Exchange& exchange);

  // The vitals, for /health and for the heartbeat.
  Json vitals() const {
    const std::lock_guard lock(mutex_);
    return {{"uptime", Seconds(Clock::now() - started_).count()},
            {"memoryBytes", cluster::resident_bytes(::getpid())},
            {"requests", requests_},
            {"errors", errors_},
            {"recentRequests", recent_.size()},
            {"recentErrors", std::count(recent_.begin(), recent_.end(), true)}};
  }

 private:
  const Clock::time_point started_ = Clock::now();
  mutable std::mutex mutex_;
  int requests_ = 0;
  int errors_ = 0;
  std::deque<bool> recent_;  // true for an error; the oldest request first, at most `window`
};

// Starts the cluster. Returns false if somebody asked for its end meanwhile.
bool start_cluster(Master& master) {
  // STEP 1: start the workers
  // Start one worker in each slot. Wait until all are ready, or until somebody asks for the end.
  // When all are ready, announce that the cluster is ready. From then on the library replaces a
  // worker that dies.
  master.start_workers();
  master.wait_until([&] { return master.all_ready() || master.ending(); });
  if (master.ending()) {
    return false;
  }
  master.announce_ready();
  return true;
  // END STEP 1
}

// The memory that GET /leak has allocated.
struct Leaks {
  std::mutex mutex;
  std::vector<std::string> blocks;
};

void add_routes(HttpServer& server, const Counters& counters, Leaks& leaks,
                const Settings& settings) {
  // STEP 2: answer requests
  // GET / answers 200, /health 200 with the vitals, /error 500 with an `error`. /leak answers 200
  // after it has allocated LEAK_MB MiB and written to them: memory that was never written to is not
  // resident. server.reply() adds the worker's number and pid.
  server.Get("/", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200, {{"status", "ok"}});
  });
  server.Get("/health", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200, counters.vitals());
  });
  server.Get("/error", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 500, {{"error", "this path always fails"}});
  });
  server.Get("/leak", [&](const HttpServer::Request&, HttpServer::Response& response) {
    const std::lock_guard lock(leaks.mutex);
    leaks.blocks.emplace_back(static_cast<std::size_t>(settings.leak) * mebibyte, 'x');
    server.reply(response, 200,
                 {{"leakedMb", static_cast<int>(leaks.blocks.size()) * settings.leak}});
  });
  // END STEP 2
}

// STEP 3: count requests and errors
// Every answered request counts, except those for /health. An answer with status 500 or higher also
// counts as an error. Besides the sums, remember which of the last `window` requests were errors.
inline void Counters::count(const HttpServer::Exchange& exchange) {
  if (exchange.path == "/health") {
    return;
  }
  const bool error = exchange.status >= 500;
  const std::lock_guard lock(mutex_);
  ++requests_;
  errors_ += error ? 1 : 0;
  recent_.push_back(error);
  if (recent_.size() > window) {
    recent_.pop_front();
  }
}
// END STEP 3

void send_heartbeats(Worker& worker, const HttpServer& server, const Counters& counters,
                     milliseconds interval) {
  // STEP 4: send heartbeats
  // Send the master a `heartbeat` with the vitals, at once and then every interval. The heartbeat
  // comes from the main line's loop, which goes on even when every request thread is stuck. So also
  // tell how long the longest request in flight has been at work (`longestMs`). Without it the
  // heartbeat would hide the fault that it should show.
  const auto send = [&] {
    Json heartbeat = counters.vitals();
    heartbeat["type"] = "heartbeat";
    heartbeat["longestMs"] = server.longest_in_flight().count();
    worker.send(heartbeat);
  };
  send();
  worker.loop().every(interval, send);
  // END STEP 4
}

// The last heartbeat of a worker process.
struct Heartbeat {
  Clock::time_point at;
  Json vitals = Json::object();

  double number(const char* name) const {
    const auto found = vitals.find(name);
    return found != vitals.end() && found->is_number() ? found->get<double>() : 0;
  }
  std::string count(const char* name) const {
    return std::to_string(static_cast<std::int64_t>(number(name)));
  }
  double memory_mb() const { return number("memoryBytes") / mebibyte; }
  double error_rate() const {  // per cent
    return number("recentRequests") == 0 ? 0
                                         : 100 * number("recentErrors") / number("recentRequests");
  }
};

// The restarts of a slot.
struct History {
  int restarts = 0;
  std::string last = "none";  // the reason for the last restart
};

// Notes of the master's handlers. The main line acts on them.
struct Noted {
  std::map<pid_t, Heartbeat> heartbeats;
  std::map<int, History> slots;
  bool news = false;  // a heartbeat has come that was not judged yet
};

void note_heartbeat(Noted& noted, const Master::WorkerInfo& from, const Json& message) {
  // STEP 5: note heartbeats
  // Note the message, and the time at which it came by the master's own clock. Ignore a heartbeat
  // from a process that was replaced and is on its way out.
  if (from.leaving) {
    return;
  }
  noted.heartbeats[from.pid] = {Clock::now(), message};
  noted.news = true;
  // END STEP 5
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
  // STEP 6: judge a worker
  // - "silent": No heartbeat came for longer than the timeout.
  // - "memory": The worker is over the limit, and older than an interval. If even a fresh worker is
  //   over the limit, replacing it at once would never end.
  // - "errors": The error rate is over the limit, and there were more requests than the minimum:
  //   one error in one request is 100 per cent, and means nothing.
  const auto heartbeat = last_heartbeat(worker, noted);
  if (Clock::now() - heartbeat.at > settings.timeout) {
    return "silent";
  }
  const bool settled = Clock::now() - worker.started > settings.interval;
  if (settled && heartbeat.memory_mb() > settings.memory_limit) {
    return "memory";
  }
  const bool enough = heartbeat.number("requests") > settings.error_rate_min;
  return enough && heartbeat.error_rate() > settings.error_rate_limit ? "errors" : "";
  // END STEP 6
}

struct Patient {
  Master::WorkerInfo worker;
  std::string reason;
  pid_t successor = 0;
};

bool is_ready(const Master& master, pid_t pid) {
  const auto worker = master.find(pid);
  return worker && worker->ready;
}

// Gives the slot to the successor, and ends the former worker.
void hand_over(Master& master, Noted& noted, const Patient& patient, const Settings& settings) {
  // STEP 7: hand the slot over
  // First find out which worker has the slot now: the sick one may have died meanwhile, and have
  // been replaced. Promote the successor, and note the restart and its reason in the slot's
  // history. If the former worker is still silent, it is stuck: send it SIGKILL. Any other former
  // worker is to finish its requests: send it SIGTERM, and SIGKILL if it is not gone within the
  // heartbeat's timeout.
  const auto former = master.find(master.current(patient.worker.slot));
  const bool stuck = former && diagnose(*former, noted, settings) == "silent";
  master.promote(patient.successor);
  auto& history = noted.slots[patient.worker.slot];
  ++history.restarts;
  history.last = patient.reason;
  if (former) {
    master.kill(former->pid, stuck ? SIGKILL : SIGTERM);
    master.loop().after(settings.timeout, [&master, pid = former->pid] {
      if (const auto left = master.find(pid); left && left->leaving) {
        master.kill(pid, SIGKILL);
      }
    });
  }
  // END STEP 7
}

// Replaces the sick workers, all at the same time.
void replace(Master& master, Noted& noted, std::vector<Patient> sick, const Settings& settings) {
  // STEP 8: replace the sick
  // Start a successor for each sick worker. Hand each slot over as soon as its own successor is
  // ready; no slot waits for another. Retire and kill a successor that has died or is not ready
  // within the heartbeat's timeout. The next round tries again.
  for (auto& patient : sick) {
    patient.successor = master.start(patient.worker.slot, {});
  }
  const auto settled = [&](const Patient& patient) {
    return is_ready(master, patient.successor) || !master.find(patient.successor);
  };
  const auto deadline = Clock::now() + settings.timeout;
  while (!sick.empty() && !master.ending()) {
    const bool in_time = master.wait_until(
        [&] { return master.ending() || std::any_of(sick.begin(), sick.end(), settled); },
        deadline - Clock::now());
    std::erase_if(sick, [&](const Patient& patient) {
      if (is_ready(master, patient.successor)) {
        hand_over(master, noted, patient, settings);
      } else if (settled(patient) || !in_time) {
        master.log("the successor of worker ", patient.worker.slot, " did not come up");
        master.retire(patient.successor);
        master.kill(patient.successor, SIGKILL);
      } else {
        return false;
      }
      return true;
    });
  }
  // END STEP 8
}

// Prints the report, with a line for every slot.
void report(const Master& master, const Noted& noted, const Settings& settings) {
  // STEP 9: report
  // Print `health report workers=3 healthy=3`, then a line for each slot:
  // `worker=1 pid=… status=healthy|unhealthy|starting memoryMb=… requests=… errors=… errorRate=…
  // uptime=… heartbeatAge=… restarts=… lastRestart=…`.
  // A worker that has sent no heartbeat yet is starting. The rate is in per cent, the times are in
  // seconds.
  int healthy = 0;
  std::ostringstream lines;
  lines << std::fixed << std::setprecision(1);
  for (int slot = 1; slot <= master.slots(); ++slot) {
    const auto nobody = Master::WorkerInfo{.slot = slot, .started = Clock::now()};
    const auto worker = master.find(master.current(slot)).value_or(nobody);
    const auto last = last_heartbeat(worker, noted);
    const auto history = noted.slots.contains(slot) ? noted.slots.at(slot) : History{};
    const bool sick = !diagnose(worker, noted, settings).empty();
    const std::string status = sick ? "unhealthy" : last.vitals.empty() ? "starting" : "healthy";
    healthy += status == "healthy" ? 1 : 0;
    lines << "\nworker=" << slot << " pid=" << worker.pid << " status=" << status
          << " memoryMb=" << last.memory_mb() << " requests=" << last.count("requests")
          << " errors=" << last.count("errors") << " errorRate=" << last.error_rate()
          << " uptime=" << last.number("uptime")
          << " heartbeatAge=" << Seconds(Clock::now() - last.at).count()
          << " restarts=" << history.restarts << " lastRestart=" << history.last;
  }
  cluster::print_line("health report workers=" + std::to_string(master.slots()) +
                      " healthy=" + std::to_string(healthy) + lines.str());
  // END STEP 9
}

// Judges the workers at every heartbeat, and at least once an interval, until somebody asks for the
// end.
void watch(Master& master, Noted& noted, const Settings& settings) {
  for (;;) {
    master.wait_until([&] { return noted.news || master.ending(); }, settings.interval);
    if (master.ending()) {
      return;
    }
    // If the master itself was held up, heartbeats may lie unread. They are read first, so that
    // they do not count as silence.
    master.loop().run_once(std::chrono::nanoseconds(0));
    noted.news = false;
    std::vector<Patient> sick;
    for (int slot = 1; slot <= master.slots(); ++slot) {
      const auto worker = master.find(master.current(slot));
      const auto reason = worker ? diagnose(*worker, noted, settings) : "";
      if (!reason.empty()) {
        const auto last = last_heartbeat(*worker, noted);
        master.log(
            "worker ", slot, " (pid ", worker->pid, ") is unhealthy: reason=", reason,
            " silentFor=", Clock::now() - last.at, " memoryMb=", std::lround(last.memory_mb()),
            " errorRate=", std::lround(last.error_rate()), " longestMs=", last.count("longestMs"));
        sick.push_back({*worker, reason});
      }
    }
    if (!sick.empty()) {
      replace(master, noted, std::move(sick), settings);
    }
  }
}

int run_worker(Worker& worker, const Settings& settings) {
  Leaks leaks;
  Counters counters;
  HttpServer server(worker);
  add_routes(server, counters, leaks, settings);
  server.hooks.done = [&](const HttpServer::Exchange& exchange) { counters.count(exchange); };
  bool told_to_leave = false;
  worker.on_signal({SIGTERM}, [&](int) { told_to_leave = true; });

  server.start();
  worker.ready();
  send_heartbeats(worker, server, counters, settings.interval);
  worker.wait_until([&] { return told_to_leave; });
  server.begin_drain();
  worker.close_listener();
  worker.wait_until([&] { return server.drained(); });
  const auto cut = server.cut();
  return cut.requests + cut.half_sent == 0 ? 0 : 1;
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
      ++noted.slots[death.worker.slot].restarts;
      noted.slots[death.worker.slot].last = "crash";
    }
  });

  if (start_cluster(master)) {
    master.loop().every(settings.report_interval, [&] { report(master, noted, settings); });
    watch(master, noted, settings);
  }
  return master.end_workers(settings.shutdown_timeout) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return cluster::run_program(argc, argv, [] {
    const Settings settings;
    if (Worker::is_one()) {
      Worker worker(settings.journal);
      return run_worker(worker, settings);
    }
    return run_master(settings);
  });
}
