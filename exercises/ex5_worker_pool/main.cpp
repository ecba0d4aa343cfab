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
// TODO: three functions that compute.
std::uint64_t fibonacci(std::uint64_t n) {
  return n;
}

bool is_prime(std::uint64_t n) {
  return n == 0;
}

std::string hash_chain(std::uint64_t n) {
  return sha256(std::to_string(n));
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
  // TODO: parse, look, refuse.
  throw std::invalid_argument("STEP 2 is still to do: no order is read, neither " + body);
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
// TODO: look, store, push, hand out.
inline std::variant<Task, Pool::Refusal> Pool::submit(const Order& order) {
  static_cast<void>(order);
  assign();
  return closed_ ? Refusal::closed : Refusal::full;
}

inline void Pool::assign() {
  static_cast<void>(master_);
}

inline void Pool::send_task(std::size_t index, pid_t pid, const Json& message) {
  static_cast<void>(index);
  static_cast<void>(pid);
  static_cast<void>(message);
}
// END STEP 3

// STEP 4: take what workers say
// - take_idle(): The slot has a worker that is free. Hand out.
// - take_leaving(): The seat counts as empty from now on, so that nothing more is handed out to its
//   worker. The worker's last task may still come back, as a result or by the worker's death.
// - take_result(): The task is completed, unless the seat has another one. The worker is free
//   again. Hand out.
// - finish(): Note status and time, and count. Of the finished tasks keep the last `result_limit`.
// TODO: seat the worker; complete the task; keep the last ones.
inline void Pool::take_idle(int slot, pid_t pid) {
  seat(slot).pid = pid;
}

inline void Pool::take_leaving(int slot) {
  seat(slot).pid = 0;
}

inline void Pool::take_result(int slot, const std::string& id, const Json& result) {
  static_cast<void>(slot);
  static_cast<void>(id);
  static_cast<void>(result);
}

inline void Pool::finish(Task& task, Status status) {
  task.status = status;
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
  // TODO: what is known.
  static_cast<void>(task);
  return Json::object();
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
  // TODO: server.Post() for /task, server.Get() for /task/.*, /stats and /.
  static_cast<void>(server);
  static_cast<void>(pool);
  static_cast<void>(read_order);
  static_cast<void>(describe);
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
  // TODO: listen to the workers, start, wait, serve, announce.
  static_cast<void>(pool);
  static_cast<void>(server);
  static_cast<void>(address);
  master.log("STEP 7 is still to do: no worker was started");
  return false;
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
  // TODO: say what you are, take tasks, answer.
  static_cast<void>(compute);
  worker.wait_until([&] { return told_to_leave; });
  // END STEP 8
}

// ----- more of the pool: statistics, and the death of a worker

inline Json Pool::stats() const {
  // STEP 9: statistics
  // Return `workers` (total, available, busy), `queue` (size, max), `tasks` (submitted, completed,
  // failed, rejected, requeued), and `perWorker` with an object for each slot: worker, pid, busy,
  // taskId, completed. Leave out a pid or taskId that does not exist now. `total` counts slots.
  // `rejected` counts orders that a full queue has refused.
  // TODO: count, list.
  for (const auto& count : {submitted_, completed_, rejected_, requeued_, settings_.max_queue}) {
    static_cast<void>(count);
  }
  return Json::object();
  // END STEP 9
}

// STEP 10: take a worker's death
// The seat is empty now. If it had a task that had been sent, that was an attempt. The task goes
// back to the *front* of the queue, even if the queue is full. After `max_attempts` attempts the
// task has failed, and `error` says why.
// TODO: to the front of the queue, or failed.
inline void Pool::take_death(int slot) {
  seat(slot).pid = 0;
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
  // TODO: close, wait, drain, end.
  static_cast<void>(pool);
  static_cast<void>(server);
  static_cast<void>(listener);
  return master.end_workers(timeout);
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
