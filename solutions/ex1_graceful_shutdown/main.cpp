// Exercise 1: graceful shutdown with timeout.
//
// The master starts the workers and decides when they end; the workers serve. Read run_master() and run_worker() first:
// each is the main line of its process, from top to bottom.
#include <cluster/cluster.hpp>

#include <csignal>
#include <mutex>
#include <set>

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

// A worker that was told to go has this long before it is killed.
constexpr milliseconds kill_grace{100};

// The requests that are in flight in this worker. The server's threads and the main line share it.
class InFlight {
 public:
  // STEP 3: admit a request, or turn it away
  // admit() is asked for each request as soon as its last byte was read. While the worker serves, the request counts as
  // in flight and is admitted; once it drains, it is not. The answer and the count must be one step that nothing can
  // come between: otherwise a request may be admitted after the main line has seen that none is left.
  bool admit() {
    const std::lock_guard lock(mutex_);
    if (draining_) {
      ++refused_;
      return false;
    }
    ++count_;
    return true;
  }

  void done() {
    const std::lock_guard lock(mutex_);
    --count_;
    if (draining_) {
      ++finished_;
    }
  }
  // END STEP 3

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

  // What the drain has come to: requests that it finished and requests that it turned away.
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
  // STEP 1: answer requests
  // GET / answers 200 after DEFAULT_MS, /fast at once, /slow after SLOW_MS; /health tells how much there is to do.
  // Simulate the work with server.pause(), which ends early when the server is cut; answer with server.reply().
  const auto after = [&server](milliseconds delay) {
    return [&server, delay](const HttpServer::Request&, HttpServer::Response& response) {
      server.pause(delay);
      server.reply(response, 200, {{"status", "ok"}, {"delayMs", delay.count()}});
    };
  };
  server.get("/", after(settings.default_delay));
  server.get("/fast", after(milliseconds(0)));
  server.get("/slow", after(settings.slow_delay));
  server.get("/health", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200,
                 {{"status", "ok"},
                  {"activeRequests", in_flight.count() - 1},  // but for this one
                  {"connections", server.activity().connections}});
  });
  // END STEP 1
}

// What the master and signals have told this worker.
struct Orders {
  bool drain = false;   // the cluster ends: finish what is in flight, turn the rest away
  bool finish = false;  // nothing is in flight in the whole cluster any more
  bool cut = false;     // the time is up
  bool leave = false;   // SIGTERM to this worker alone
};

int run_worker(Worker& worker, const Settings& settings) {
  Orders orders;
  InFlight in_flight;
  std::atomic<int> stalled{0};  // half-sent requests that ran out of time while draining
  HttpServer server(worker);
  add_routes(server, in_flight, settings);
  worker.on_message("drain", [&](const Json&) { orders.drain = true; });
  worker.on_message("finish", [&](const Json&) { orders.finish = true; });
  worker.on_message("cut", [&](const Json&) { orders.cut = true; });
  worker.on_signal({SIGTERM}, [&](int) { orders.leave = true; });

  // STEP 4: use the count
  // Ask admit() for each request, say what a request that is turned away gets (503 at once, with Retry-After; /health
  // says that it is draining), and count each that is done. Log how long those took that end during the drain.
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
    if (exchange.admitted) {
      in_flight.done();
      if (in_flight.draining()) {
        worker.log("finished ", exchange.method, ' ', exchange.path, " in ", exchange.duration);
      }
    }
  };
  server.hooks.closed = [&](std::uint64_t, HttpServer::CloseReason reason) {
    if (reason == HttpServer::CloseReason::stalled && in_flight.draining()) {
      ++stalled;
    }
  };
  // END STEP 4

  server.start();
  worker.ready();
  worker.wait_until([&] { return orders.drain || orders.leave; });

  // STEP 7: SIGTERM to this worker alone
  // It finishes what it has, takes no new connections and ends; the master replaces it. It must not answer 503: the
  // other workers serve. If the master says `drain` meanwhile, the cluster ends, and this worker does what all do.
  if (!orders.drain) {
    worker.log("leaving");
    server.begin_drain(milliseconds(100));
    worker.wait_until([&] { return server.drained() || orders.drain; }, settings.timeout);
    if (!orders.drain) {
      return server.drained() ? 0 : 1;
    }
    server.resume_accepting();
  }
  // END STEP 7

  // STEP 5: drain
  // From now on new requests are turned away, and each answer closes its connection. Wait until nothing is in flight
  // and no request is half-sent, tell the master, and go on turning requests away until it says `finish`; then end.
  // If it says `cut`, close what is left and tell it how much that was.
  in_flight.start_draining();
  server.close_after_answer();
  worker.wait_until([&] { return orders.cut || (in_flight.count() == 0 && server.activity().half_sent == 0); });
  if (!orders.cut) {
    Json drained = in_flight.summary();
    drained["type"] = "drained";
    drained["cut"] = stalled.load();
    worker.send(drained);
    worker.wait_until([&] { return orders.finish || orders.cut; });
  }
  server.stop_accepting();
  worker.close_listener();
  worker.wait_until([&] { return server.activity().refusals == 0; }, kill_grace / 2);
  const auto cut = server.cut();
  if (orders.cut) {
    worker.send({{"type", "cut"}, {"requests", cut.requests}, {"halfSent", cut.half_sent}});
  }
  // END STEP 5
  return 0;
}

int run_master(const Settings& settings) {
  Master master(settings.workers, cluster::listen_on(settings.address), settings.journal);
  std::vector<int> stops;  // the signals that asked for the end; the second one forces it
  master.on_signal({SIGTERM, SIGINT}, [&](int signal) { stops.push_back(signal); });

  // STEP 2: start the workers
  // Start one in each slot, wait until all are ready (or somebody asks for the end), and announce it. The library
  // replaces a worker that dies.
  master.start_workers();
  if (master.wait_until([&] { return master.all_ready() || !stops.empty(); }) && stops.empty()) {
    master.announce_ready();
  }
  // END STEP 2

  master.wait_until([&] { return !stops.empty(); });
  const auto began = cluster::Clock::now();
  const auto timeout = stops.front() == SIGINT ? settings.sigint_timeout : settings.timeout;
  master.log("draining, at most ", timeout);

  // STEP 6: end the cluster
  // Replace nobody any more, let all workers drain, and wait until each has said that it is drained; no longer than the
  // timeout, and a second signal ends the wait at once. Then close the listening socket and let them finish, or cut.
  // Who does not go is killed. The exit code is 0 only if nothing was cut, killed or lost.
  int finished = 0;
  int refused = 0;
  int cut = 0;
  std::set<pid_t> drained;
  master.on_message("drained", [&](const Master::WorkerInfo& from, const Json& message) {
    drained.insert(from.pid);
    finished += message.value("finished", 0);
    refused += message.value("refused", 0);
    cut += message.value("cut", 0);
  });
  master.on_message("cut", [&](const Master::WorkerInfo& from, const Json& message) {
    const int requests = message.value("requests", 0);
    const int half_sent = message.value("halfSent", 0);
    cut += requests + half_sent;
    master.log("worker ", from.slot, " cut ", requests, " requests and ", half_sent, " half-sent ones");
  });
  int lost = 0;
  master.on_death([&](const Master::Death& death) {
    lost += drained.contains(death.worker.pid) || death.status.code == 0 ? 0 : 1;
  });
  const auto all_drained = [&] {
    const auto workers = master.workers();
    return std::all_of(workers.begin(), workers.end(), [&](const auto& worker) { return drained.contains(worker.pid); });
  };
  const auto all_gone = [&] { return master.workers().empty(); };

  master.stop_replacing();
  master.broadcast({{"type", "drain"}});
  const bool in_time = master.wait_until([&] { return all_drained() || stops.size() > 1; }, timeout) && all_drained();
  master.close_listener();
  master.broadcast({{"type", in_time ? "finish" : "cut"}});
  const auto left = began + timeout - cluster::Clock::now();
  const bool gone = master.wait_until(all_gone, in_time ? std::max<cluster::Clock::duration>(left, kill_grace) : kill_grace);
  for (const auto& worker : master.workers()) {
    master.log("worker ", worker.slot, " does not go; killing pid ", worker.pid);
    master.kill(worker.pid, SIGKILL);
  }
  master.wait_until(all_gone);
  const bool graceful = in_time && gone && cut == 0 && lost == 0;
  // END STEP 6

  master.log(graceful ? "graceful end" : "forced end", " finished=", finished, " refused=", refused, " cut=", cut,
             " after ", cluster::Clock::now() - began);
  return graceful ? 0 : 1;
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
