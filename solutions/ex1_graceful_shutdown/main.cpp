// Exercise 1: graceful shutdown with timeout.
//
// The master starts the workers and decides when they end. The workers serve. First look at
// run_master() and run_worker() at the end of this file: each is the main line of its process. The
// steps are numbered in the order in which to take them.
#include <cluster/cluster.hpp>

#include <algorithm>
#include <csignal>
#include <mutex>
#include <set>
#include <vector>

namespace {

using cluster::HttpServer;
using cluster::Json;
using cluster::Master;
using cluster::Worker;
using std::chrono::milliseconds;

struct Settings {
  cluster::Address address = cluster::settings::address();
  std::string journal = cluster::settings::journal();
  int workers = cluster::settings::workers(2);
  milliseconds default_delay = cluster::settings::delay("DEFAULT_MS", milliseconds(1'000));
  milliseconds slow_delay = cluster::settings::delay("SLOW_MS", milliseconds(5'000));
  milliseconds timeout = cluster::settings::duration("SHUTDOWN_TIMEOUT_MS", milliseconds(10'000));
  milliseconds sigint_timeout = cluster::settings::duration("SIGINT_TIMEOUT_MS", timeout);
};

// A worker has this time to leave after `cut`; then it is killed. After `finish` it has the rest of
// the timeout, but at least this time.
[[maybe_unused]] constexpr milliseconds kill_grace{100};

// Notes of the master's handlers. The main line acts on them.
struct Noted {
  std::vector<int> stops;             // signals that asked for the end; the second one forces it
  std::vector<Master::Death> deaths;  // deaths since the first of these signals
};

// Starts the cluster. Returns false if somebody asked for its end meanwhile.
bool start_cluster(Master& master, const Noted& noted) {
  // STEP 1: start the workers
  // Start one worker in each slot. Wait until all are ready, or until somebody asks for the end.
  // When all are ready, announce that the cluster is ready. From then on the library replaces a
  // worker that dies.
  master.start_workers();
  master.wait_until([&] { return master.all_ready() || !noted.stops.empty(); });
  if (!noted.stops.empty()) {
    return false;
  }
  master.announce_ready();
  return true;
  // END STEP 1
}

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
    return {{"finished", finished_}, {"refused", refused_}};
  }

 private:
  mutable std::mutex mutex_;
  bool draining_ = false;
  int count_ = 0;
  int finished_ = 0;
  int refused_ = 0;
};

void add_routes(HttpServer& server, const InFlight& in_flight, const Settings& settings) {
  // STEP 2: answer requests
  // GET / answers 200 after DEFAULT_MS, /fast at once, /slow after SLOW_MS. /health tells `status`,
  // `activeRequests` and `connections`. `activeRequests` is the number of requests in flight,
  // without this one; step 3 counts them. Simulate the work with server.pause(), which ends early
  // when the server is cut. Answer with server.reply(), which adds the worker's number and pid.
  const auto after = [&server](milliseconds delay) {
    const Json body{{"status", "ok"}, {"delayMs", delay.count()}};
    return [&server, delay, body](const HttpServer::Request&, HttpServer::Response& response) {
      server.pause(delay);
      server.reply(response, 200, body);
    };
  };
  server.Get("/", after(settings.default_delay));
  server.Get("/fast", after(milliseconds(0)));
  server.Get("/slow", after(settings.slow_delay));
  server.Get("/health", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200,
                 {{"status", "ok"},
                  {"activeRequests", in_flight.count() - 1},  // without this one
                  {"connections", server.activity().connections}});
  });
  // END STEP 2
}

// STEP 3: count the requests in flight
// - admit() is asked about each request as soon as its last byte was read. While the worker serves,
//   the request is admitted and counts as in flight. Once the worker drains, the request is turned
//   away. The decision and the count must be one step that nothing can interrupt. Otherwise a
//   request may be admitted after the main line has seen that none is in flight.
// - done() is told of each admitted request when its answer was sent, or could not be sent.
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

void set_hooks(HttpServer& server, InFlight& in_flight, const Worker& worker) {
  // STEP 4: turn new requests away
  // Let the server ask admit() about each request. A request that is turned away gets 503 at once,
  // with Retry-After. For /health the 503 also says that the worker is draining. Tell done() of
  // each admitted request that has ended. While the worker drains, log each of them with its
  // duration.
  server.hooks.admit = [&] { return in_flight.admit(); };
  server.hooks.refuse = [&](const HttpServer::Request& request, HttpServer::Response& response) {
    response.set_header("Retry-After", "5");
    if (request.path == "/health") {
      server.reply(response, 503,
                   {{"status", "draining"},
                    {"activeRequests", in_flight.count()},
                    {"connections", server.activity().connections}});
    } else {
      server.reply(response, 503, {{"error", "shutting down: try again in a few seconds"}});
    }
  };
  server.hooks.done = [&](const HttpServer::Exchange& exchange) {
    if (!exchange.admitted) {
      return;
    }
    if (in_flight.draining()) {
      worker.log(exchange.sent ? "finished " : "could not answer ", exchange.method, ' ',
                 exchange.path, " in ", exchange.duration);
    }
    in_flight.done(exchange.sent);
  };
  // END STEP 4
}

// Orders to a worker, from the master or by a signal.
struct Orders {
  bool drain = false;   // the cluster ends: finish the requests in flight, turn others away
  bool finish = false;  // no request is in flight in the whole cluster any more
  bool cut = false;     // the time is up: leave at once
  bool leave = false;   // SIGTERM came to this worker
};

void drain(Worker& worker, HttpServer& server, InFlight& in_flight, const Orders& orders) {
  // STEP 5: drain a worker
  // From now on the worker turns new requests away, and each answer closes its connection. Wait
  // until no request is in flight and none is half-sent. Then send the master `drained`, and go on
  // turning requests away until it says `finish`. If the master says `cut`, wait for nothing any
  // more. Before the worker leaves, it accepts nothing more, lets refusals under way end, and
  // closes everything. It sends the master a `summary`: how many requests were finished, how many
  // refused, and how many cut. The cut ones are those that you cut, and half-sent ones that ran out
  // of time.
  in_flight.start_draining();
  server.close_after_answer();
  worker.wait_until(
      [&] { return orders.cut || (in_flight.count() == 0 && server.activity().half_sent == 0); });
  if (!orders.cut) {
    worker.send({{"type", "drained"}});
    worker.wait_until([&] { return orders.finish || orders.cut; });
  }
  server.stop_accepting();
  worker.close_listener();
  worker.wait_until(
      [&] {
        const auto activity = server.activity();
        return orders.cut || activity.refusals + activity.half_sent == 0;
      },
      kill_grace / 2);
  const auto cut = server.cut();
  Json summary = in_flight.summary();
  summary["type"] = "summary";
  summary["cut"] = cut.requests;
  summary["cutHalfSent"] = cut.half_sent;
  worker.send(summary);
  worker.flush();  // now, because handlers that are still at work may delay the end
  // END STEP 5
}

// Ends the cluster. Returns true if the end was graceful.
bool end_cluster(Master& master, const Noted& noted, milliseconds timeout) {
  // STEP 6: end the cluster
  // No worker is replaced any more. Tell all workers to `drain`, and wait until each living worker
  // has said `drained`. Wait no longer than the timeout; a second signal ends the wait at once.
  // Then close the listening socket. If all have drained, tell the workers to `finish`, otherwise
  // to `cut`. Kill the workers that do not go. The end is graceful only if no connection was cut,
  // no worker was killed, and no worker died that was ready and had not drained. Log how much each
  // worker has cut, and at the end one line with the sums.
  const auto began = cluster::Clock::now();
  master.log("draining, for at most ", timeout);
  std::set<pid_t> drained;
  int finished = 0;
  int refused = 0;
  int cut = 0;
  master.on_message("drained",
                    [&](const Master::WorkerInfo& from, const Json&) { drained.insert(from.pid); });
  master.on_message("summary", [&](const Master::WorkerInfo& from, const Json& message) {
    const int requests = message.value("cut", 0);
    const int half_sent = message.value("cutHalfSent", 0);
    finished += message.value("finished", 0);
    refused += message.value("refused", 0);
    cut += requests + half_sent;
    if (requests + half_sent > 0) {
      master.log("worker ", from.slot, " cut ", requests, " requests and ", half_sent,
                 " half-sent ones");
    }
  });
  const auto all_gone = [&] { return master.workers().empty(); };
  const auto all_drained = [&] {
    const auto workers = master.workers();
    return std::all_of(workers.begin(), workers.end(),
                       [&](const auto& worker) { return drained.contains(worker.pid); });
  };

  master.broadcast({{"type", "drain"}});
  master.wait_until([&] { return all_drained() || noted.stops.size() > 1; }, timeout);
  const bool in_time = all_drained();
  master.close_listener();
  master.broadcast({{"type", in_time ? "finish" : "cut"}});
  const cluster::Clock::duration left =
      in_time ? began + timeout - cluster::Clock::now() : kill_grace;
  master.wait_until([&] { return all_gone() || (in_time && noted.stops.size() > 1); },
                    std::max<cluster::Clock::duration>(left, kill_grace));
  const bool killed = !all_gone();
  for (const auto& worker : master.workers()) {
    master.log("worker ", worker.slot, " does not go; killing pid ", worker.pid);
    master.kill(worker.pid, SIGKILL);
  }
  master.wait_until(all_gone);
  const auto lost =
      std::count_if(noted.deaths.begin(), noted.deaths.end(), [&](const Master::Death& death) {
        return death.worker.ready && death.status.code != 0 && !drained.contains(death.worker.pid);
      });
  const bool graceful = in_time && !killed && cut == 0 && lost == 0;
  master.log(graceful ? "graceful end" : "forced end", " finished=", finished, " refused=", refused,
             " cut=", cut, " after ", cluster::Clock::now() - began);
  return graceful;
  // END STEP 6
}

// Ends a worker that has received SIGTERM. Returns its exit code, or nothing if the master has said
// `drain` meanwhile.
std::optional<int> leave(Worker& worker, HttpServer& server, const Orders& orders,
                         milliseconds timeout) {
  // STEP 7: SIGTERM to one worker alone
  // The worker takes no new connections, finishes its requests and ends. The master replaces it.
  // The worker must not answer 503, because the other workers serve: the library's own drain is
  // right here. Requests that are left after `timeout` are cut, and the exit code is 1. But the
  // signal may have gone to the master too. So wait 50 ms for the master's `drain` before you
  // begin. If `drain` comes later, give way to it as well: then this worker must accept again, to
  // turn requests away like the others.
  if (worker.wait_until([&] { return orders.drain; }, milliseconds(50))) {
    return std::nullopt;
  }
  worker.log("leaving");
  server.begin_drain(milliseconds(100));
  worker.wait_until([&] { return server.drained() || orders.drain; }, timeout);
  if (orders.drain) {
    server.resume_accepting();
    return std::nullopt;
  }
  return server.drained() ? 0 : 1;
  // END STEP 7
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
  worker.on_signal({SIGTERM}, [&](int) { orders.leave = true; });

  server.start();
  worker.ready();
  worker.wait_until([&] { return orders.drain || orders.leave; });
  if (!orders.drain) {
    if (const auto code = leave(worker, server, orders, settings.timeout)) {
      return *code;
    }
  }
  drain(worker, server, in_flight, orders);
  return 0;
}

int run_master(const Settings& settings) {
  Master master(settings.workers, cluster::listen_on(settings.address), settings.journal);
  Noted noted;
  master.on_signal({SIGTERM, SIGINT}, [&](int signal) {
    noted.stops.push_back(signal);
    master.stop_replacing();
  });
  master.on_death([&](const Master::Death& death) {
    if (!noted.stops.empty()) {
      noted.deaths.push_back(death);
    }
  });

  if (start_cluster(master, noted)) {
    master.wait_until([&] { return !noted.stops.empty(); });
  }
  const bool by_sigint = !noted.stops.empty() && noted.stops.front() == SIGINT;
  return end_cluster(master, noted, by_sigint ? settings.sigint_timeout : settings.timeout) ? 0 : 1;
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
