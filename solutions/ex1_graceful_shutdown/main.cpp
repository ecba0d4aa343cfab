// Exercise 1: graceful shutdown with timeout.
//
// The master starts the workers and decides when they end. The workers serve. First look at
// run_worker() and run_master() at the end of this file: each is the main line of its process. The
// steps are numbered in the order in which to take them.
#include <cluster/cluster.hpp>

#include <algorithm>
#include <csignal>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace {

using cluster::Clock;
using cluster::HttpServer;
using cluster::Json;
using cluster::Master;
using cluster::Worker;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

struct Settings {
  cluster::Address address = cluster::settings::address();
  std::string journal = cluster::settings::journal();
  int workers = cluster::settings::workers(2);
  milliseconds default_delay = cluster::settings::delay("DEFAULT_MS", 1s);
  milliseconds slow_delay = cluster::settings::delay("SLOW_MS", 5s);
  milliseconds timeout = cluster::settings::duration("SHUTDOWN_TIMEOUT_MS", 10s);
  milliseconds sigint_timeout = cluster::settings::duration("SIGINT_TIMEOUT_MS", timeout);
};

// A worker has this time to leave after `cut`; then it is killed. After `finish` it has the rest of
// the timeout, but at least this time.
constexpr milliseconds kill_grace = 100ms;

// Notes of the master's handlers. The main line acts on them.
struct Noted {
  std::vector<int> stops;   // signals that asked for the end; the second one forces it
  std::set<pid_t> drained;  // workers that have said `drained`
  int finished = 0;         // requests, by the workers' summaries
  int refused = 0;
  int cut = 0;
  int lost = 0;  // workers that were ready, and died during the end without having drained

  bool stopping() const { return !stops.empty(); }
  bool forced() const { return stops.size() > 1; }
};

// Starts the cluster, unless somebody asks for its end meanwhile.
void start_cluster(Master& master, const Noted& noted) {
  // STEP 1: start the workers
  // Start one worker in each slot. Wait until all are ready, or until somebody asks for the end.
  // Announce that the cluster is ready, unless it ends. The library replaces a worker
  // that dies.
  // Brings: nothing yet, but the ready line is there.
  master.start_workers();
  master.wait_until([&] { return master.all_ready() || noted.stopping(); });
  if (!noted.stopping()) master.announce_ready();
  // END STEP 1
}

// ----- the worker

// Counts the requests in flight in one worker. The server's threads and the worker's main line
// share it.
class InFlight {
 public:
  bool admit();
  void done(bool answered);

  void start_draining() {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  bool draining() const {
    const std::lock_guard lock(mutex_);
    return draining_;
  }
  int count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  // The drain so far: how many requests were finished, and how many were turned away.
  Json summary() const {
    const std::lock_guard lock(mutex_);
    return {{"type", "summary"}, {"finished", finished_}, {"refused", refused_}};
  }

 private:
  mutable std::mutex mutex_;
  bool draining_ = false;
  int count_ = 0;
  int finished_ = 0;
  int refused_ = 0;
};

// The answer of /health.
Json health(const std::string& status, int active, const HttpServer& server) {
  return {{"status", status},
          {"activeRequests", active},
          {"connections", server.activity().connections}};
}

// The handler of a path whose work takes so long.
HttpServer::Handler after(HttpServer& server, milliseconds delay) {
  return [&server, delay](const HttpServer::Request&, HttpServer::Response& response) {
    server.pause(delay);  // ends early when the server is cut
    server.reply(response, 200, {{"delayMs", delay.count()}});
  };
}

void add_routes(HttpServer& server, const InFlight& in_flight, const Settings& settings) {
  // STEP 2: answer requests
  // GET / answers 200 after DEFAULT_MS, /fast at once, /slow after SLOW_MS: see after(). /health
  // answers 200 with health("ok", …), where `active` are the requests in flight without this one.
  // (It is -1 as long as nobody counts: that is steps 3 and 4.)
  // Brings: item 1, but for the check of /health.
  server.Get("/", after(server, settings.default_delay));
  server.Get("/fast", after(server, 0ms));
  server.Get("/slow", after(server, settings.slow_delay));
  server.Get("/health", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200, health("ok", in_flight.count() - 1, server));
  });
  // END STEP 2
}

// STEP 3: count the requests in flight
// - admit() is asked about each request as soon as its last byte was read. While the worker serves,
//   the request is admitted and counts as in flight. Once the worker drains, the request is turned
//   away. The decision and the count must be one step that nothing can interrupt. Otherwise a
//   request may be admitted after the main line has seen that none is in flight.
// - done() is told of each admitted request when its answer was sent, or could not be sent. In
//   both cases it is no longer in flight; only the first one counts as finished.
// Brings: nothing yet: step 4 lets the server ask.
inline bool InFlight::admit() {
  const std::lock_guard lock(mutex_);
  ++(draining_ ? refused_ : count_);
  return !draining_;
}

inline void InFlight::done(bool answered) {
  const std::lock_guard lock(mutex_);
  --count_;
  finished_ += draining_ && answered ? 1 : 0;
}
// END STEP 3

// The 503 with which a draining worker turns a request away.
void turn_away(const HttpServer& server, const InFlight& in_flight,
               const HttpServer::Request& request, HttpServer::Response& response) {
  response.set_header("Retry-After", "5");
  if (request.path == "/health") {
    server.reply(response, 503, health("draining", in_flight.count(), server));
  } else {
    server.fail(response, 503, "shutting down: try again in a few seconds");
  }
}

void set_hooks(HttpServer& server, InFlight& in_flight, const Worker& worker) {
  // STEP 4: turn new requests away
  // The server asks its hooks, each in the thread that serves the request:
  // - hooks.admit, without parameters, is asked about each request: let admit() decide.
  // - hooks.refuse gets the request and the response of one that was not admitted: turn_away().
  // - hooks.done gets the Exchange of each request that has ended, a refused one too. If it was
  //   `admitted`, tell done() whether it was answered (`sent`). While the worker drains, also log
  //   the `path` and `duration` of one that was answered.
  // Brings: item 1.
  server.hooks.admit = [&] { return in_flight.admit(); };
  server.hooks.refuse = [&](const HttpServer::Request& request, HttpServer::Response& response) {
    turn_away(server, in_flight, request, response);
  };
  server.hooks.done = [&](const HttpServer::Exchange& one) {
    if (!one.admitted) return;
    if (in_flight.draining() && one.sent) worker.log("finished ", one.path, " in ", one.duration);
    in_flight.done(one.sent);
  };
  // END STEP 4
}

// Orders to a worker, from the master or by a signal.
struct Orders {
  bool drain = false;   // the cluster ends: finish the requests in flight, turn others away
  bool finish = false;  // no request is in flight in the whole cluster any more
  bool cut = false;     // the time is up: leave at once
};

void drain(Worker& worker, HttpServer& server, InFlight& in_flight, const Orders& orders) {
  // STEP 5: drain a worker
  // 1. Call start_draining() and server.close_after_answer(). From now on each answer closes its
  //    connection, and the waits below are woken when a request has ended.
  // 2. Wait until no request is in flight, and none is half-sent (server.activity()).
  // 3. Send the master `drained`.
  // 4. Go on turning requests away until the master says `finish`.
  // Both waits end when the master says `cut`: then return at once.
  // Brings: nothing yet: the master says `drain` in step 6.
  in_flight.start_draining();
  server.close_after_answer();
  const auto quiet = [&] { return in_flight.count() == 0 && server.activity().half_sent == 0; };
  worker.wait_until([&] { return quiet() || orders.cut; });
  if (orders.cut) return;
  worker.send({{"type", "drained"}});
  worker.wait_until([&] { return orders.finish || orders.cut; });
  // END STEP 5
}

// Accepts nothing more, lets requests that have just come be turned away, and cuts what is left.
void close_down(Worker& worker, HttpServer& server, const InFlight& in_flight,
                const Orders& orders) {
  server.stop_accepting();
  worker.close_listener();
  const auto busy = [&] { return server.activity().refusals + server.activity().half_sent > 0; };
  worker.wait_until([&] { return !busy() || orders.cut; }, kill_grace / 2);
  const auto cut = server.cut();
  Json summary = in_flight.summary();
  summary["cut"] = cut.requests + cut.half_sent;
  worker.send(summary);
  worker.flush();  // now, because handlers that are still at work may delay the end
}

// ----- the master

bool all_gone(const Master& master) {
  return master.workers().empty();
}

// Whether each worker that lives has drained.
bool all_drained(const Master& master, const Noted& noted) {
  const auto workers = master.workers();
  return std::all_of(workers.begin(), workers.end(),
                     [&](const auto& worker) { return noted.drained.contains(worker.pid); });
}

// Drains the cluster. Returns whether all workers have drained in time.
bool drain_all(Master& master, const Noted& noted, milliseconds timeout) {
  // STEP 6: drain the cluster
  // Tell all workers to `drain`, and wait until each that lives has drained. Wait no longer than
  // the timeout; a second signal ends the wait at once. Then close the master's listening socket.
  // (The workers close theirs when they go; from then on clients are refused.) Return whether all
  // have drained now: that the wait is over does not say it, because a signal ends it, too.
  // Brings: item 4, most of items 2 and 3, and some checks of item 5.
  master.broadcast({{"type", "drain"}});
  master.wait_until([&] { return all_drained(master, noted) || noted.forced(); }, timeout);
  master.close_listener();
  return all_drained(master, noted);
  // END STEP 6
}

// Lets the workers go. Returns whether none had to be killed.
bool let_go(Master& master, const Noted& noted, bool drained, Clock::duration left) {
  // STEP 7: let the workers go
  // If all have drained, tell them to `finish`, and wait until all are gone, for the time that is
  // left; a second signal ends this wait, too. Otherwise tell them to `cut`, and wait for
  // `kill_grace`. Kill the workers that are still there, and log whom. A stopped process heeds no
  // signal but SIGKILL. Wait until all are gone.
  // Brings: items 2 and 3, and item 5 but for a worker that leaves by itself (step 8).
  master.broadcast({{"type", drained ? "finish" : "cut"}});
  master.wait_until([&] { return all_gone(master) || (drained && noted.forced()); },
                    drained ? left : kill_grace);
  const bool gone = all_gone(master);
  for (const auto& worker : master.workers()) {
    master.log("worker ", worker.slot, " does not go; killing pid ", worker.pid);
    master.kill(worker.pid, SIGKILL);
  }
  master.wait_until([&] { return all_gone(master); });
  return gone;
  // END STEP 7
}

// Ends the cluster. Returns true if the end was graceful.
bool end_cluster(Master& master, const Noted& noted, milliseconds timeout) {
  const auto began = Clock::now();
  master.log("draining, for at most ", timeout);
  const bool drained = drain_all(master, noted, timeout);
  const auto left = std::max<Clock::duration>(began + timeout - Clock::now(), kill_grace);
  const bool gone = let_go(master, noted, drained, left);
  const bool graceful = drained && gone && noted.cut == 0 && noted.lost == 0;
  master.log(graceful ? "graceful end" : "forced end", " finished=", noted.finished,
             " refused=", noted.refused, " cut=", noted.cut, " lost=", noted.lost, " after ",
             Clock::now() - began);
  return graceful;
}

void set_handlers(Master& master, Noted& noted) {
  master.on_signal({SIGTERM, SIGINT}, [&](int signal) {
    noted.stops.push_back(signal);
    master.stop_replacing();
  });
  master.on_message("drained", [&](const Master::WorkerInfo& from, const Json&) {
    noted.drained.insert(from.pid);
  });
  master.on_message("summary", [&](const Master::WorkerInfo& from, const Json& message) {
    noted.finished += message.value("finished", 0);
    noted.refused += message.value("refused", 0);
    noted.cut += message.value("cut", 0);
    if (message["cut"] > 0) master.log("worker ", from.slot, " cut ", message["cut"].dump());
  });
  master.on_death([&](const Master::Death& death) {
    const bool early = death.worker.ready && !noted.drained.contains(death.worker.pid);
    if (noted.stopping() && early && death.status.code != 0) ++noted.lost;
  });
}

// ----- the main lines

// Lets a worker end that has received SIGTERM itself. Returns false if the master has said `drain`
// meanwhile.
bool leave(Worker& worker, HttpServer& server, const Orders& orders) {
  // STEP 8: SIGTERM to one worker alone
  // The worker finishes its requests and ends; the master replaces it. It must not answer 503,
  // because the other workers serve. So the library's own drain is right here: begin_drain() takes
  // no new connection, finishes what has come, and closes idle connections. Wait until the server
  // has drained. If the master says `drain` before, give way: the worker must accept again, to turn
  // requests away like the others. (The other exercises have this as one call, end_worker().)
  // Brings: item 5.
  server.begin_drain();
  worker.wait_until([&] { return server.drained() || orders.drain; });
  if (orders.drain) server.resume_accepting();
  return !orders.drain;
  // END STEP 8
}

int run_worker(Worker& worker, const Settings& settings) {
  Orders orders;
  InFlight in_flight;
  HttpServer server(worker);
  add_routes(server, in_flight, settings);
  set_hooks(server, in_flight, worker);
  worker.on_message("drain", [&](const Json&) { orders.drain = true; });
  worker.on_message("finish", [&](const Json&) { orders.finish = true; });
  worker.on_message("cut", [&](const Json&) { orders.cut = true; });
  worker.end_by_signal();

  server.start();
  worker.ready();
  worker.wait_until([&] { return orders.drain || worker.ending(); });
  // A signal to this worker may have gone to the master, too. So it gets a moment to say `drain`.
  if (!worker.wait_until([&] { return orders.drain; }, 50ms)) {
    worker.log("leaving");
    if (leave(worker, server, orders)) return server.cut().requests == 0 ? 0 : 1;
  }
  drain(worker, server, in_flight, orders);
  close_down(worker, server, in_flight, orders);
  return 0;
}

int run_master(const Settings& settings) {
  Master master(settings.workers, cluster::listen_on(settings.address), settings.journal);
  Noted noted;
  set_handlers(master, noted);
  start_cluster(master, noted);
  master.wait_until([&] { return noted.stopping(); });
  const bool by_sigint = noted.stops.front() == SIGINT;
  return end_cluster(master, noted, by_sigint ? settings.sigint_timeout : settings.timeout) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return cluster::run_cluster(argc, argv, run_master, run_worker);
}
