// Exercise 5: worker pool with backpressure.
//
// The master takes tasks over HTTP and keeps them in a queue. Each worker computes one task at a
// time. An accepted task is never lost, whichever worker dies. When the queue is full, the master
// says so (backpressure). First look at run_master() and run_worker() at the end of this file: each
// is the main line of its process. The steps are numbered in the order in which to take them.
#include <cluster/cluster.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace {

using cluster::Clock;
using cluster::HttpServer;
using cluster::Json;
using cluster::Master;
using cluster::Worker;
using std::chrono::milliseconds;

struct Settings {
  cluster::Address address = cluster::settings::address();
  std::string journal = cluster::settings::journal();
  int workers = cluster::settings::workers(4);
  int max_queue = cluster::settings::count("MAX_QUEUE", 20);
  int max_attempts = cluster::settings::count("MAX_ATTEMPTS", 3);
  int result_limit = cluster::settings::count("RESULT_LIMIT", 10'000);
  milliseconds shutdown_timeout =
      cluster::settings::duration("SHUTDOWN_TIMEOUT_MS", milliseconds(10'000));
};

// The SHA-256 of a text in lower-case hex digits.
std::string sha256(std::string_view text) {
  static const std::unique_ptr<EVP_MD, decltype(&::EVP_MD_free)> algorithm(
      ::EVP_MD_fetch(nullptr, "SHA256", nullptr), &::EVP_MD_free);
  std::array<unsigned char, 32> digest{};
  if (::EVP_Digest(text.data(), text.size(), digest.data(), nullptr, algorithm.get(), nullptr) !=
      1) {
    throw std::runtime_error("OpenSSL cannot hash");
  }
  std::string hex;
  for (const unsigned byte : digest) {
    hex += "0123456789abcdef"[byte >> 4U];
    hex += "0123456789abcdef"[byte & 0x0fU];
  }
  return hex;
}

// ----- computations

// STEP 1: the three computations
// - fibonacci(): By plain recursion, with fibonacci(0) = 0 and fibonacci(1) = 1. Results exceed 32
//   bits.
// - is_prime(): By trial division, for every n up to 2^63-1. d * d must fit its type: a signed type
//   of 64 bits does not hold it for the largest n.
// - hash_chain(): n hashes in all. The first is that of "start", each further one is that of the
//   previous one's hex digits.
std::uint64_t fibonacci(std::uint64_t n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

bool is_prime(std::uint64_t n) {
  if (n < 4 || n % 2 == 0 || n % 3 == 0) {
    return n == 2 || n == 3;
  }
  // After 2 and 3, only divisors of the form 6k - 1 and 6k + 1 are left to try.
  for (std::uint64_t d = 5; d <= n / d; d += 6) {
    if (n % d == 0 || n % (d + 2) == 0) {
      return false;
    }
  }
  return true;
}

std::string hash_chain(std::uint64_t n) {
  std::string text = "start";
  for (std::uint64_t i = 0; i < n; ++i) {
    text = sha256(text);
  }
  return text;
}
// END STEP 1

Json compute(const std::string& type, std::uint64_t n) {
  if (type == "fibonacci") {
    return fibonacci(n);
  }
  if (type == "prime") {
    return is_prime(n);
  }
  return hash_chain(n);
}

// ----- orders

// A task as a client orders it.
struct Order {
  std::string type;
  std::uint64_t n = 0;
};

// Reads the body of POST /task. Throws std::invalid_argument with a text that names the mistake and
// the allowed values.
Order read_order(const std::string& body) {
  // STEP 2: read an order
  // The body must be a JSON object with `type` and `n`. `type` is one of the three computations.
  // `n` is a whole number in the type's range: fibonacci 0…50, prime 0…2^63-1, hash 1…10,000,000.
  // 40.0 is the whole number 40; 40.5, "40" and true are no whole numbers.
  struct Range {
    std::uint64_t least;
    std::uint64_t most;
  };
  static const std::unordered_map<std::string, Range> ranges{
      {"fibonacci", {0, 50}},
      {"prime", {0, (std::uint64_t{1} << 63U) - 1}},
      {"hash", {1, 10'000'000}}};
  const Json order = cluster::parse_json(body);
  if (!order.is_object()) {
    throw std::invalid_argument(
        R"(the body must be a JSON object like {"type":"fibonacci","n":40})");
  }
  const auto type = order.find("type");
  const auto range = type != order.end() && type->is_string() ? ranges.find(*type) : ranges.end();
  if (range == ranges.end()) {
    throw std::invalid_argument("`type` must be fibonacci, prime or hash");
  }
  const auto n = order.find("n");
  const auto& [least, most] = range->second;
  std::optional<std::uint64_t> number;
  if (n != order.end() &&
      (n->is_number_unsigned() || (n->is_number_integer() && n->get<std::int64_t>() >= 0))) {
    number = n->get<std::uint64_t>();
  } else if (n != order.end() && n->is_number_float()) {
    const auto value = n->get<double>();
    if (value >= 0 && value < 0x1p63 && value == std::floor(value)) {
      number = static_cast<std::uint64_t>(value);
    }
  }
  if (!number || *number < least || *number > most) {
    throw std::invalid_argument("`n` must be a whole number from " + std::to_string(least) +
                                " to " + std::to_string(most));
  }
  return {range->first, *number};
  // END STEP 2
}

// ----- the pool

enum class Status { queued, processing, completed, failed };
NLOHMANN_JSON_SERIALIZE_ENUM(Status, {{Status::queued, "queued"},
                                      {Status::processing, "processing"},
                                      {Status::completed, "completed"},
                                      {Status::failed, "failed"}})

// The check takes Json's noexcept move for one that throws.
// NOLINTNEXTLINE(bugprone-exception-escape)
struct Task {
  std::string id;
  Order order;
  Status status = Status::queued;
  Json result;
  std::string error;
  int slot = 0;  // of the worker that has the task or has finished it
  int attempts = 0;
  double queued_at = 0;
  double started_at = 0;
  double finished_at = 0;

  bool over() const { return status == Status::completed || status == Status::failed; }
};

// All tasks, and the workers that have them. The threads of the HTTP server and the master's loop
// use the pool at the same time. One mutex guards everything. Nothing is sent or computed while it
// is held.
class Pool {
 public:
  Pool(Master& master, const Settings& settings)
      : master_(master), settings_(settings), seats_(static_cast<std::size_t>(settings.workers)) {}

  // For the HTTP server's threads.
  enum class Refusal { full, closed };
  std::variant<Task, Refusal> submit(const Order& order);
  std::optional<Task> find(const std::string& id) const;
  Json stats() const;

  // For the master's loop.
  void take_idle(int slot, pid_t pid);  // the worker waits for its first task
  void take_result(int slot, const std::string& id, const Json& result);
  void take_leaving(int slot);  // the worker finishes its task and gets no other
  void take_death(int slot);
  void close();           // no task is accepted any more
  bool finished() const;  // no task waits, and none is being processed
  int failed() const;

 private:
  // The worker process in a slot. If there is none now, pid is 0.
  struct Seat {
    pid_t pid = 0;
    std::string task;   // empty if the worker is free
    bool sent = false;  // the task was sent to the worker
    int completed = 0;
  };

  void assign();
  void send_task(std::size_t index, pid_t pid, const Json& message);
  void finish(Task& task, Status status);
  std::size_t busy() const {
    return static_cast<std::size_t>(std::count_if(
        seats_.begin(), seats_.end(), [](const Seat& seat) { return !seat.task.empty(); }));
  }
  Seat& seat(int slot) { return seats_.at(static_cast<std::size_t>(slot - 1)); }

  Master& master_;
  const Settings& settings_;
  mutable std::mutex mutex_;
  // By id: the tasks that wait, those being processed, and the last finished ones.
  std::unordered_map<std::string, Task> tasks_;
  std::deque<std::string> waiting_;  // the next one first
  std::deque<std::string> over_;     // the oldest first
  std::vector<Seat> seats_;
  bool closed_ = false;
  int submitted_ = 0;
  int completed_ = 0;
  int failed_ = 0;
  int rejected_ = 0;
  int requeued_ = 0;
};

// STEP 3: accept and hand out
// - submit(): Refuse when the pool is closed, or when `max_queue` tasks wait already. Otherwise
//   store the task, put it at the back of the queue, and hand out. The look at the queue and the
//   push must be one step: no other order may come in between.
// - assign(): As long as a task waits and a seat is free, give the seat the next task. Note this in
//   the seat and in the task (status, slot, attempts, started_at) *before* the task is sent. Only
//   the loop's thread may send, so the message goes by way of master_.loop().post().
// - send_task(): Note in the seat that the task was sent. A task that was never sent has had no
//   attempt.
inline std::variant<Task, Pool::Refusal> Pool::submit(const Order& order) {
  Task task;
  task.id = cluster::new_uuid();
  task.order = order;
  const std::lock_guard lock(mutex_);
  if (closed_) {
    return Refusal::closed;
  }
  if (waiting_.size() >= static_cast<std::size_t>(settings_.max_queue)) {
    ++rejected_;
    return Refusal::full;
  }
  ++submitted_;
  task.queued_at = cluster::unix_ms();
  tasks_.emplace(task.id, task);
  waiting_.push_back(task.id);
  assign();
  return task;
}

inline void Pool::assign() {
  for (std::size_t index = 0; index < seats_.size() && !waiting_.empty(); ++index) {
    auto& free = seats_[index];
    if (free.pid == 0 || !free.task.empty()) {
      continue;
    }
    auto& task = tasks_.at(waiting_.front());
    waiting_.pop_front();
    free.task = task.id;
    task.status = Status::processing;
    task.slot = static_cast<int>(index) + 1;
    task.started_at = cluster::unix_ms();
    ++task.attempts;
    free.sent = false;
    const Json message{
        {"type", "task"}, {"id", task.id}, {"kind", task.order.type}, {"n", task.order.n}};
    master_.loop().post([this, index, pid = free.pid, message] { send_task(index, pid, message); });
  }
}

// If the worker has died meanwhile, nothing is sent, and its death brings the task back.
inline void Pool::send_task(std::size_t index, pid_t pid, const Json& message) {
  if (master_.send(pid, message) == cluster::Channel::Sent::queued) {
    const std::lock_guard lock(mutex_);
    seats_[index].sent = true;
  }
}
// END STEP 3

// STEP 4: take what workers say
// - take_idle(): The slot has a worker that is free. Hand out.
// - take_leaving(): The seat counts as empty from now on, so that nothing more is handed out to its
//   worker. The worker's last task may still come back, as a result or by the worker's death.
// - take_result(): The task is completed, unless the seat has another one. The worker is free
//   again. Hand out.
// - finish(): Note status and time, and count. Of the finished tasks keep the last `result_limit`.
inline void Pool::take_idle(int slot, pid_t pid) {
  const std::lock_guard lock(mutex_);
  seat(slot).pid = pid;
  assign();
}

inline void Pool::take_leaving(int slot) {
  const std::lock_guard lock(mutex_);
  seat(slot).pid = 0;
}

inline void Pool::take_result(int slot, const std::string& id, const Json& result) {
  const std::lock_guard lock(mutex_);
  auto& from = seat(slot);
  if (from.task != id) {
    return;
  }
  from.task.clear();
  ++from.completed;
  auto& task = tasks_.at(id);
  task.result = result;
  finish(task, Status::completed);
  assign();
}

inline void Pool::finish(Task& task, Status status) {
  task.status = status;
  task.finished_at = cluster::unix_ms();
  ++(status == Status::completed ? completed_ : failed_);
  if (closed_) {
    master_.log("finished during the end: ", task.order.type, ' ', task.order.n, ", task ",
                task.id);
  }
  over_.push_back(task.id);
  if (over_.size() > static_cast<std::size_t>(settings_.result_limit)) {
    tasks_.erase(over_.front());
    over_.pop_front();
  }
}
// END STEP 4

inline std::optional<Task> Pool::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = tasks_.find(id);
  return found != tasks_.end() ? std::optional(found->second) : std::nullopt;
}

inline void Pool::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

inline bool Pool::finished() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty() && busy() == 0;
}

inline int Pool::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

// ----- HTTP

// A task as GET /task/<id> shows it.
Json describe(const Task& task) {
  // STEP 5: show a task
  // Show taskId, type, n, status, result, error, worker, attempts, queuedAt, startedAt, finishedAt
  // and durationMs (counted from startedAt). Leave out values that are not known yet. Leave out
  // `worker` unless a worker has the task or has completed it.
  Json shown{{"taskId", task.id},     {"type", task.order.type},   {"n", task.order.n},
             {"status", task.status}, {"attempts", task.attempts}, {"queuedAt", task.queued_at}};
  if (task.slot != 0) shown["worker"] = task.slot;
  if (task.attempts > 0) shown["startedAt"] = task.started_at;
  if (task.over()) {
    shown["finishedAt"] = task.finished_at;
    shown["durationMs"] = task.finished_at - task.started_at;
  }
  if (task.status == Status::completed) shown["result"] = task.result;
  if (task.status == Status::failed) shown["error"] = task.error;
  return shown;
  // END STEP 5
}

void add_routes(HttpServer& server, Pool& pool) {
  // STEP 6: answer requests
  // - POST /task: Read the order and submit it. If it cannot be read, answer 400 with the reason.
  //   An accepted task gets 202 with `Location: /task/<id>`, taskId and status. When the queue is
  //   full, answer 429 with Retry-After; when the pool is closed, 503 with Retry-After.
  // - GET /task/<id>: The task, or 404.
  // - GET /stats: The statistics.
  // - GET /: How to use the pool.
  server.Post("/task", [&](const HttpServer::Request& request, HttpServer::Response& response) {
    Order order;
    try {
      order = read_order(request.body);
    } catch (const std::invalid_argument& wrong) {
      server.reply(response, 400, {{"error", wrong.what()}});
      return;
    }
    const auto outcome = pool.submit(order);
    if (const auto* task = std::get_if<Task>(&outcome)) {
      response.set_header("Location", "/task/" + task->id);
      server.reply(response, 202, {{"taskId", task->id}, {"status", task->status}});
      return;
    }
    const bool full = std::get<Pool::Refusal>(outcome) == Pool::Refusal::full;
    response.set_header("Retry-After", "1");
    server.reply(
        response, full ? 429 : 503,
        {{"error", full ? "the queue is full: try again later" : "shutting down: no new tasks"}});
  });
  server.Get(
      R"(/task/[\s\S]*)", [&](const HttpServer::Request& request, HttpServer::Response& response) {
        const auto task = pool.find(request.path.substr(std::string_view("/task/").size()));
        task ? server.reply(response, 200, describe(*task))
             : server.reply(response, 404,
                            {{"error", "there is no such task, or it was finished long ago"}});
      });
  server.Get("/stats", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200, pool.stats());
  });
  server.Get("/", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(
        response, 200,
        {{"submit", R"(POST /task {"type":"fibonacci","n":40}; types: fibonacci, prime, hash)"},
         {"follow", "GET /task/<id>"},
         {"statistics", "GET /stats"}});
  });
  // END STEP 6
}

// ----- the master

// Starts the workers and serves. Returns false if somebody asked for the end meanwhile.
bool start_cluster(Master& master, Pool& pool, HttpServer& server,
                   const cluster::Address& address) {
  // STEP 7: start the cluster
  // Tell the pool of each worker's messages ("idle", "leaving", "result") and of its death. Answer
  // "leaving" with "leave". The "leave" must come after every task that was handed out to this
  // worker before, so that the worker knows that no further task comes. Start the workers, and wait
  // until all are ready, or until somebody asks for the end. When all are ready, serve, and
  // announce that the cluster is ready.
  master.on_message("idle", [&](const Master::WorkerInfo& from, const Json&) {
    pool.take_idle(from.slot, from.pid);
  });
  master.on_message("result", [&](const Master::WorkerInfo& from, const Json& message) {
    pool.take_result(from.slot, message.value("id", ""), message["result"]);
  });
  master.on_message("leaving", [&](const Master::WorkerInfo& from, const Json&) {
    pool.take_leaving(from.slot);
    master.loop().post([&master, pid = from.pid] { master.send(pid, {{"type", "leave"}}); });
  });
  master.on_death([&](const Master::Death& death) { pool.take_death(death.worker.slot); });
  master.start_workers();
  master.wait_until([&] { return master.all_ready() || master.ending(); });
  if (master.ending()) {
    return false;
  }
  server.start();
  master.announce_ready(address);
  return true;
  // END STEP 7
}

// ----- the worker

// Takes tasks and computes them until the worker is told to leave.
void work(Worker& worker, const bool& told_to_leave) {
  // STEP 8: the life of a worker
  // Say that this worker is idle, and then that it is ready. A "task" has id, kind and n. Answer it
  // with a "result" that has id and result. The handlers only note the messages; the main line
  // computes. When told to leave, say that this worker is leaving. A task may still be on its way,
  // so finish every task that comes until the master has said "leave".
  std::deque<Json> tasks;
  bool last_has_come = false;
  worker.on_message("task", [&](const Json& task) { tasks.push_back(task); });
  worker.on_message("leave", [&](const Json&) { last_has_come = true; });
  worker.send({{"type", "idle"}});
  worker.ready();
  for (bool leaving = false; !last_has_come || !tasks.empty();) {
    worker.wait_until(
        [&] { return !tasks.empty() || last_has_come || (told_to_leave && !leaving); });
    if (told_to_leave && !leaving) {
      leaving = true;
      worker.send({{"type", "leaving"}});
    }
    if (!tasks.empty()) {
      const Json task = std::move(tasks.front());
      tasks.pop_front();
      worker.send(
          {{"type", "result"}, {"id", task["id"]}, {"result", compute(task["kind"], task["n"])}});
    }
  }
  // END STEP 8
}

// ----- more of the pool: statistics, and the death of a worker

inline Json Pool::stats() const {
  // STEP 9: statistics
  // Return `workers` (total, available, busy), `queue` (size, max), `tasks` (submitted, completed,
  // failed, rejected, requeued), and `perWorker` with an object for each slot: worker, pid, busy,
  // taskId, completed. Leave out a pid or taskId that does not exist now. `total` counts slots.
  // `rejected` counts orders that a full queue has refused.
  const std::lock_guard lock(mutex_);
  Json per_worker = Json::array();
  std::size_t available = 0;
  for (const auto& one : seats_) {
    available += one.pid != 0 && one.task.empty() ? 1 : 0;
    Json entry{{"worker", per_worker.size() + 1},
               {"busy", !one.task.empty()},
               {"completed", one.completed}};
    if (one.pid != 0) entry["pid"] = one.pid;
    if (!one.task.empty()) entry["taskId"] = one.task;
    per_worker.push_back(std::move(entry));
  }
  return {{"workers", {{"total", seats_.size()}, {"available", available}, {"busy", busy()}}},
          {"queue", {{"size", waiting_.size()}, {"max", settings_.max_queue}}},
          {"tasks",
           {{"submitted", submitted_},
            {"completed", completed_},
            {"failed", failed_},
            {"rejected", rejected_},
            {"requeued", requeued_}}},
          {"perWorker", std::move(per_worker)}};
  // END STEP 9
}

// STEP 10: take a worker's death
// The seat is empty now. If it had a task that had been sent, that was an attempt. The task goes
// back to the *front* of the queue, even if the queue is full. After `max_attempts` attempts the
// task has failed, and `error` says why.
inline void Pool::take_death(int slot) {
  const std::lock_guard lock(mutex_);
  auto& left = seat(slot);
  left.pid = 0;
  if (left.task.empty()) {
    return;
  }
  auto& task = tasks_.at(std::exchange(left.task, {}));
  task.slot = 0;
  task.attempts -= left.sent ? 0 : 1;
  if (left.sent && task.attempts >= settings_.max_attempts) {
    task.error = "the worker died, at each of " + std::to_string(task.attempts) + " attempts";
    finish(task, Status::failed);
    return;
  }
  ++requeued_;
  master_.log("task ", task.id, " goes back to the queue after attempt ", task.attempts);
  task.status = Status::queued;
  waiting_.push_front(task.id);
  assign();
}
// END STEP 10

// ----- the end

// Ends the cluster. Returns true if nothing was lost.
bool end_cluster(Master& master, Pool& pool, HttpServer& server, cluster::Listener& listener,
                 milliseconds timeout) {
  // STEP 11: the end
  // Close the pool. Wait until the pool has finished, the timeout is over, or a second signal
  // forces the end. Then let the server finish its answers (half-sent requests are cut after 5 s),
  // close the listening socket, and end the workers. All of this must fit into the timeout. A task
  // is lost if it is not finished, or if it has failed during the end. A request is lost if it was
  // cut, even when it was only half-sent.
  const auto deadline = Clock::now() + timeout;
  const auto rest = [&] {
    return std::max(milliseconds(0),
                    std::chrono::duration_cast<milliseconds>(deadline - Clock::now()));
  };
  const int failed_before = pool.failed();
  pool.close();
  master.wait_until([&] { return pool.finished() || master.forced(); }, timeout);
  const bool finished = pool.finished() && pool.failed() == failed_before;
  server.begin_drain(milliseconds(0));
  listener.fd.reset();
  master.wait_until([&] { return server.drained() || master.forced(); }, rest());
  const auto cut = server.cut();
  const bool graceful = master.end_workers(std::max(rest(), milliseconds(100)));
  return graceful && finished && cut.requests + cut.half_sent == 0;
  // END STEP 11
}

int run_master(const Settings& settings) {
  cluster::Listener listener = cluster::listen_on(settings.address);
  Master master(settings.workers, std::nullopt, settings.journal);  // the workers do not listen
  Pool pool(master, settings);
  HttpServer server(listener.fd.get(), Json::object(), master.journal(), {});
  add_routes(server, pool);
  // Wakes the main line when the drain is over.
  server.hooks.quiet = [&] { master.loop().post([] {}); };
  master.end_by_signal(Master::Meanwhile::replace);
  if (start_cluster(master, pool, server, listener.address)) {
    master.wait_until([&] { return master.ending(); });
  }
  return end_cluster(master, pool, server, listener, settings.shutdown_timeout) ? 0 : 1;
}

int run_worker(const Settings& settings) {
  Worker worker(settings.journal);
  bool told_to_leave = false;
  worker.on_signal({SIGTERM}, [&](int) { told_to_leave = true; });
  work(worker, told_to_leave);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return cluster::run_program(argc, argv, [] {
    const Settings settings;
    return Worker::is_one() ? run_worker(settings) : run_master(settings);
  });
}
