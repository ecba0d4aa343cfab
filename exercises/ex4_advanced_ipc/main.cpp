// Exercise 4: advanced IPC.
//
// Workers talk to one another by way of the master. A request that crosses processes has an id of
// its own (a correlation id) and a deadline. Its answer goes back to exactly the caller that waits
// for it. First look at run_master() and run_worker() at the end of this file: each is the main
// line of its process. The steps are numbered in the order in which to take them.
#include <cluster/cluster.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace {

using cluster::Clock;
using cluster::HttpServer;
using cluster::Json;
using cluster::Master;
using cluster::Worker;
using std::chrono::milliseconds;

constexpr std::size_t longest_message = 1'024;  // bytes, after decoding

struct Settings {
  cluster::Address address = cluster::settings::address();
  std::string journal = cluster::settings::journal();
  int workers = cluster::settings::workers(3);
  milliseconds request_timeout =
      cluster::settings::duration("REQUEST_TIMEOUT_MS", milliseconds(5'000));
  int message_limit = cluster::settings::count("MESSAGE_LIMIT", 100);
  milliseconds shutdown_timeout =
      cluster::settings::duration("SHUTDOWN_TIMEOUT_MS", milliseconds(10'000));
  // The master gives up first, so that it can still send the caller the answers that have come. The
  // caller has a deadline of its own, for the case that the master itself is stuck. It, too, lies
  // within the promised time.
  milliseconds master_timeout = request_timeout * 3 / 4;
  milliseconds caller_timeout = request_timeout * 9 / 10;
};

// Starts the cluster. Returns false if somebody asked for its end meanwhile.
bool start_cluster(Master& master) {
  // STEP 1: start the workers
  // Start one worker in each slot. Wait until all are ready, or until somebody asks for the end.
  // When all are ready, announce that the cluster is ready. From then on the library replaces a
  // worker that dies.
  // TODO: start, wait, announce.
  master.log("STEP 1 is still to do: no worker was started");
  return false;
  // END STEP 1
}

// The messages that a worker has received. The main line adds them, the server's threads read them.
class Mailbox {
 public:
  explicit Mailbox(std::size_t limit) : limit_(limit) {}
  void add(Json message);
  Json messages() const {
    const std::lock_guard lock(mutex_);
    Json copy = messages_;
    return copy;
  }
  int received() const {
    const std::lock_guard lock(mutex_);
    return received_;
  }

 private:
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::deque<Json> messages_;  // the last `limit_`, the oldest first
  int received_ = 0;           // all messages that ever came
};

// STEP 2: keep the last messages
// Count every message, and keep the last `limit_` of them.
// TODO: count it, keep it, forget the oldest.
inline void Mailbox::add(Json message) {
  message.clear();
  static_cast<void>(limit_);
}
// END STEP 2

// A worker's calls to the master. The server's threads call and wait, the main line brings the
// answers.
class Calls {
 public:
  explicit Calls(Worker& worker) : worker_(worker) {}

  // Sends the request (an object without `type` and `id`) and waits for its answer. Returns nothing
  // if the answer did not come in time.
  std::optional<Json> call(Json request, milliseconds timeout);
  void answer(const Json& message);
  std::size_t pending() const {
    const std::lock_guard lock(mutex_);
    return pending_.size();
  }

 private:
  struct Pending {
    std::condition_variable answered;
    std::optional<Json> answer;
  };
  std::string next_id();

  Worker& worker_;
  // Unique over the life of this worker and its successors: no two processes of a slot start in the
  // same nanosecond.
  const std::string prefix_ =
      std::to_string(worker_.number()) + '-' +
      std::to_string(std::chrono::system_clock::now().time_since_epoch().count()) + '-';
  std::atomic<std::uint64_t> last_id_{0};
  mutable std::mutex mutex_;
  std::map<std::string, Pending*> pending_;  // by id; each is on its caller's stack
};

inline std::string Calls::next_id() {
  return prefix_ + std::to_string(++last_id_);
}

// STEP 3: call the master
// - call(): Note the call as pending, under an id of its own. Send the request, with `type` "call"
//   and this `id`. Wait for the answer, no longer than the timeout. Afterwards the note is gone,
//   whatever happened: an answer that comes too late finds nothing.
// - answer(): Give each answer to the call that waits for it. Drop it if there is none.
// TODO: note, send, wait, forget; wake the caller when its answer comes.
inline std::optional<Json> Calls::call(Json request, milliseconds timeout) {
  request["type"] = "call";
  static_cast<void>(timeout);
  static_cast<void>(next_id());
  return std::nullopt;
}

inline void Calls::answer(const Json& message) {
  static_cast<void>(message);
}
// END STEP 3

// Everything in a worker that its handlers need.
struct Post {
  Post(Worker& own_worker, const Settings& own_settings)
      : worker(own_worker),
        settings(own_settings),
        mailbox(static_cast<std::size_t>(own_settings.message_limit)),
        calls(own_worker) {}

  Worker& worker;
  const Settings& settings;
  Mailbox mailbox;
  Calls calls;
  std::atomic<int> requests{0};
  const Clock::time_point started = Clock::now();
};

// Returns a worker's answer to a request that the master passes on. The request has `what`
// ("stats", "send" or "broadcast"), `from` (the caller's slot), `message`, and `caller` (the
// caller's pid).
Json serve_request(Post& post, const Json& request) {
  // STEP 4: serve what others ask
  // - For "stats": Answer with worker, pid, requests, received (all messages that ever came),
  //   pending and uptime (seconds). If this worker itself asks, `pending` leaves out the very
  //   /stats that is being answered.
  // - For a message: Put it into the mailbox (from, type "direct" or "broadcast", message,
  //   timestamp in Unix milliseconds). Answer with worker, pid and the message, as a proof that it
  //   was read here.
  // TODO: statistics, or a message for the mailbox.
  static_cast<void>(post);
  static_cast<void>(request);
  return Json::object();
  // END STEP 4
}

// The message of a request, or `hello` if it has none. Returns nothing if the message was refused
// with 400.
std::optional<std::string> message_of(const HttpServer& server, const HttpServer::Request& request,
                                      HttpServer::Response& response) {
  const std::string message =
      request.has_param("message") ? request.get_param_value("message") : "hello";
  if (message.size() > longest_message) {
    server.reply(response, 400, {{"error", "`message` is too long: 1024 bytes are allowed"}});
    return std::nullopt;
  }
  try {
    static_cast<void>(Json(message).dump());  // throws if it is not UTF-8
  } catch (const Json::exception&) {
    server.reply(response, 400, {{"error", "`message` must be UTF-8"}});
    return std::nullopt;
  }
  return message;
}

// The number at the end of /send/…, or nothing if it is no whole number. A number that is too large
// for an int becomes 0, which is no slot.
std::optional<int> slot_of(const std::string& path) {
  const auto text =
      std::string_view(path).substr(std::min(path.size(), std::string_view("/send/").size()));
  const auto digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  int slot = 0;
  const auto error = std::from_chars(text.data(), text.data() + text.size(), slot).ec;
  return error == std::errc{} ? slot : 0;
}

// STEP 5: statistics
// GET /stats calls the master for "stats". The master's answer has `answers` (those of step 4) and
// `missing` (each entry has its `slot`). Reply with `workers` (sorted by number), `total` (the
// number of workers, and the sums of requests, received and pending), and `missing` (the slots). If
// no answer at all comes in time, reply with 504.
// TODO: server.Get() for /stats.
void add_stats(HttpServer& server, Post& post) {
  static_cast<void>(server);
  static_cast<void>(post);
}
// END STEP 5

void add_messages(HttpServer& server, Post& post) {
  // STEP 6: broadcast and send
  // - GET /broadcast?message=… calls the master for "broadcast". Reply with from, message,
  //   delivered and missing (each a sorted list of slots).
  // - GET /send/2?message=… calls the master for "send" with `to`. Reply with from, to, message and
  //   the receiver's `reply`. If no whole number follows /send/, reply with 400; if the number is
  //   no slot, with 404. If the receiver is missing, `why` decides: "late" is 504, "full" is 503
  //   (the receiver does not read), anything else is 502 (the receiver has died, or there is none
  //   now).
  // - For both: If no answer at all comes in time, reply with 504.
  // TODO: server.Get() for /broadcast, for /send and for what is below it (/send/.*).
  static_cast<void>(server);
  static_cast<void>(post);
  static_cast<void>(message_of);
  static_cast<void>(slot_of);
  // END STEP 6
}

// The master's part. It passes requests on, collects the answers, and gives them to the caller.
// Only the master's loop uses it.
class Router {
 public:
  Router(Master& master, const Settings& settings) : master_(master), settings_(settings) {}

  void begin(const Master::WorkerInfo& caller, const Json& call);
  void take_reply(const Master::WorkerInfo& from, const Json& reply);
  void forget(pid_t dead);

 private:
  struct Pending {
    pid_t caller = 0;
    Json id;                       // the caller's id of the call
    std::map<pid_t, int> awaited;  // pid and slot of each worker whose reply has not come yet
    Json answers = Json::array();
    Json missing = Json::array();  // objects with "slot" and "why"
    cluster::EventLoop::TimerId deadline = 0;
  };
  using Entry = std::map<std::uint64_t, Pending>::iterator;

  void pass_on(Pending& pending, const Json& request, int slot);
  void expire(std::uint64_t id);
  void finish_if_complete(Entry entry);

  Master& master_;
  const Settings& settings_;
  std::map<std::uint64_t, Pending> pending_;  // by the master's own id
  std::uint64_t last_id_ = 0;
};

// STEP 7: the router, as long as all goes well
// - begin(): Note the call under an id of the master's own. Pass it on as a `request` with this id,
//   what, message, from (the caller's slot) and caller (the caller's pid): "send" to one slot,
//   everything else to every slot.
// - pass_on(): A slot that cannot be reached is missing at once, with `why`: "none" if it has no
//   process, "full" if its process does not read.
// - take_reply(): Note the reply, unless it is not awaited any more.
// - finish_if_complete(): When no reply is awaited any more, send the caller the `answer`, and
//   forget the call.
// TODO: note, pass on, collect, answer.
inline void Router::begin(const Master::WorkerInfo& caller, const Json& call) {
  static_cast<void>(caller);
  static_cast<void>(call);
  static_cast<void>(settings_);
  ++last_id_;
}

inline void Router::pass_on(Pending& pending, const Json& request, int slot) {
  static_cast<void>(pending);
  static_cast<void>(request);
  static_cast<void>(slot);
}

inline void Router::take_reply(const Master::WorkerInfo& from, const Json& reply) {
  static_cast<void>(from);
  static_cast<void>(reply);
}

inline void Router::finish_if_complete(Entry entry) {
  static_cast<void>(entry);
  static_cast<void>(master_);
}
// END STEP 7

// STEP 8: deadlines and deaths
// - begin() also starts a timer for the call (`settings_.master_timeout`). finish_if_complete()
//   cancels it.
// - expire(): The time of a call is over. The workers that are still awaited are missing ("late").
//   The caller gets the answers that have come.
// - forget(): A worker has died. Everything that it had sent was read before. Its own calls are of
//   no use to anybody any more: forget them. Where its reply is awaited, it is missing ("dead").
// TODO: late and dead workers are missing.
inline void Router::expire(std::uint64_t id) {
  static_cast<void>(id);
}

inline void Router::forget(pid_t dead) {
  static_cast<void>(dead);
}
// END STEP 8

int run_worker(Worker& worker, const Settings& settings) {
  Post post(worker, settings);
  HttpServer server(worker);
  server.Get("/", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200, {{"requests", post.requests.load()}});
  });
  server.Get("/messages", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200, {{"messages", post.mailbox.messages()}});
  });
  add_stats(server, post);
  add_messages(server, post);
  server.hooks.admit = [&] {
    ++post.requests;
    return true;
  };
  worker.on_message("request", [&](const Json& request) {
    worker.send(
        {{"type", "reply"}, {"id", request["id"]}, {"answer", serve_request(post, request)}});
  });
  worker.on_message("answer", [&](const Json& message) { post.calls.answer(message); });
  bool told_to_leave = false;
  worker.on_signal({SIGTERM}, [&](int) { told_to_leave = true; });

  server.start();
  worker.ready();
  worker.wait_until([&] { return told_to_leave; });
  server.begin_drain();
  worker.close_listener();
  worker.wait_until([&] { return server.drained(); });
  const auto cut = server.cut();
  return cut.requests + cut.half_sent == 0 ? 0 : 1;
}

int run_master(const Settings& settings) {
  Master master(settings.workers, cluster::listen_on(settings.address), settings.journal);
  Router router(master, settings);
  master.end_by_signal();
  master.on_message(
      "call", [&](const Master::WorkerInfo& from, const Json& call) { router.begin(from, call); });
  master.on_message("reply", [&](const Master::WorkerInfo& from, const Json& reply) {
    router.take_reply(from, reply);
  });
  master.on_death([&](const Master::Death& death) { router.forget(death.worker.pid); });

  if (start_cluster(master)) {
    master.wait_until([&] { return master.ending(); });
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
