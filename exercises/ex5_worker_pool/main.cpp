// Exercise 5: worker pool with backpressure.
//
// The master takes tasks over HTTP and keeps them in a queue; the workers compute, one task at a time each. An accepted task
// is never lost, whoever dies, and a full queue is said to be full. Look at run_master() and run_worker() at the end first:
// each is the main line of its process. The steps are numbered in the order in which to take them.
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
  milliseconds shutdown_timeout = cluster::settings::duration("SHUTDOWN_TIMEOUT_MS", milliseconds(10'000));
};

// The SHA-256 of a text in lower-case hex digits.
std::string sha256(std::string_view text) {
  static const std::unique_ptr<EVP_MD, decltype(&::EVP_MD_free)> algorithm(
      ::EVP_MD_fetch(nullptr, "SHA256", nullptr), &::EVP_MD_free);
  std::array<unsigned char, 32> digest{};
  if (::EVP_Digest(text.data(), text.size(), digest.data(), nullptr, algorithm.get(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL cannot hash");
  }
  std::string hex;
  for (const unsigned byte : digest) {
    hex += "0123456789abcdef"[byte >> 4U];
    hex += "0123456789abcdef"[byte & 0x0fU];
  }
  return hex;
}

// ----- what workers compute

// STEP 1: the three computations
// fibonacci: by plain recursion, fibonacci(0) = 0, fibonacci(1) = 1; results reach beyond 32 bits. is_prime: by trial division,
// for every n up to 2^63-1 (d * d must fit its type: a signed one of 64 bits does not hold it). hash_chain: n hashes in all, the
// first of "start", each further one of the hex digits of the last.
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

// ----- what clients ask for

// A task as a client orders it.
struct Order {
  std::string type;
  std::uint64_t n = 0;
};

// Reads the body of POST /task. Throws std::invalid_argument, whose text says what is wrong and what is allowed.
Order read_order(const std::string& body) {
  // STEP 2: read an order
  // The body must be a JSON object with `type`, one of the three, and `n`, a whole number in the type's range: fibonacci
  // 0…50, prime 0…2^63-1, hash 1…10,000,000. 40.0 is the whole number 40; 40.5, "40" and true are none.
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

struct Task {  // NOLINT(bugprone-exception-escape): the check takes Json's noexcept move for one that throws
  std::string id;
  Order order;
  Status status = Status::queued;
  Json result;
  std::string error;
  int slot = 0;  // of the worker that has it, or has finished it
  int attempts = 0;
  double queued_at = 0;
  double started_at = 0;
  double finished_at = 0;

  bool over() const { return status == Status::completed || status == Status::failed; }
};

// All tasks and who works on them. The threads of the HTTP server and the master's loop use it at the same time: one mutex
// guards everything, and nothing is sent or computed while it is held.
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
  void take_idle(int slot, pid_t pid);  // a worker that waits for its first task
  void take_result(int slot, const std::string& id, const Json& result);
  void take_leaving(int slot);  // it finishes what it has, and is to get nothing more
  void take_death(int slot);
  void close();           // no further tasks
  bool finished() const;  // no task waits or is being worked on
  int failed() const;

 private:
  // What sits in a slot: a worker process or, with pid 0, none now.
  struct Seat {
    pid_t pid = 0;
    std::string task;   // empty: it is free
    bool sent = false;  // the task has left for the worker
    int completed = 0;
  };

  void assign();
  void send_task(std::size_t index, pid_t pid, const Json& message);
  void finish(Task& task, Status status);
  std::size_t busy() const {
    return static_cast<std::size_t>(
        std::count_if(seats_.begin(), seats_.end(), [](const Seat& seat) { return !seat.task.empty(); }));
  }
  Seat& seat(int slot) { return seats_.at(static_cast<std::size_t>(slot - 1)); }

  Master& master_;
  const Settings& settings_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Task>
      tasks_;                        // by id: those that wait, those at work, the last that are finished
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
// submit(): refuse when closed, or when `max_queue` tasks wait already; else store the task, put it at the back of the queue, and
// hand out. Between the look at the queue and the push nobody may come in between.
// assign(): as long as a task waits and a seat is free, give it the next one: note it in seat and task (status, slot, attempts,
// started_at) *before* it is sent. Only the loop's thread may send, so the message goes by way of master_.loop().post(), and
// the seat notes when it has left: what was never sent was no attempt.
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
// take_idle(): the slot has a worker that is free: hand out. take_leaving(): nobody is seated there any more, so that nothing
// is handed out to it; its last task may still come back as a result or by its death. take_result(): the task is completed,
// unless the seat has another one; the worker is free: hand out. finish(): status, time, count; of the finished tasks the last `result_limit` are kept.
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
  // taskId, type, n, status, result, error, worker, attempts, queuedAt, startedAt, finishedAt, durationMs (from startedAt on). What is
  // not known yet is left out, and `worker` unless one has the task or has completed it.
  // TODO: what is known.
  static_cast<void>(task);
  return Json::object();
  // END STEP 5
}

void add_routes(HttpServer& server, Pool& pool) {
  // STEP 6: answer requests
  // POST /task: read the order (400 with the reason if it is none) and submit it: 202 with `Location: /task/<id>`, taskId and status;
  // 429 with Retry-After when the queue is full, 503 with Retry-After when the pool is closed. GET /task/<id>: the task, or 404.
  // GET /stats: the statistics. GET /: how to use it.
  // TODO: server.post() for /task, server.get() for /task/, /stats and /.
  static_cast<void>(server);
  static_cast<void>(pool);
  static_cast<void>(read_order);
  static_cast<void>(describe);
  // END STEP 6
}

// ----- the master

// Starts the workers and serves; false if the end was asked for meanwhile.
bool start_cluster(Master& master, Pool& pool, HttpServer& server, const cluster::Address& address) {
  // STEP 7: start the cluster
  // Let the pool know what workers say ("idle", "leaving", "result") and who dies. Who is leaving gets
  // a "leave", behind all that was handed out to it before. Start the workers, wait until all are ready or the end
  // is asked for, serve, and announce that the cluster is ready.
  // TODO: listen to the workers, start, wait, serve, announce.
  static_cast<void>(pool);
  static_cast<void>(server);
  static_cast<void>(address);
  master.log("STEP 7 is still to do: no worker was started");
  return false;
  // END STEP 7
}

// ----- the worker

// Takes tasks and computes them until it is told to leave.
void work(Worker& worker, const bool& told_to_leave) {
  // STEP 8: the life of a worker
  // Say that you are idle, and then that you are ready. A "task" has id, kind and n; answer it by a "result" with id and
  // result. The handler only notes what comes: compute in the main line. When told to leave, say that you are leaving; a task
  // may be on its way to you, so finish what comes until the master has said "leave".
  // TODO: say what you are, take tasks, answer.
  static_cast<void>(compute);
  worker.wait_until([&] { return told_to_leave; });
  // END STEP 8
}

// ----- more of the pool: what it tells, and what it makes of a death

inline Json Pool::stats() const {
  // STEP 9: statistics
  // `workers` (total, available, busy), `queue` (size, max), `tasks` (submitted, completed, failed, rejected, requeued), and
  // `perWorker` with an object for each slot: worker, pid, busy, taskId, completed. What is not there is left out. `total` counts
  // slots, `rejected` what a full queue has refused.
  // TODO: count, list.
  for (const auto& count : {submitted_, completed_, rejected_, requeued_, settings_.max_queue}) {
    static_cast<void>(count);
  }
  return Json::object();
  // END STEP 9
}

// STEP 10: take a worker's death
// The seat is empty. If it had a task that had been sent, that was an attempt. The task goes back to the *front* of the queue, even if the queue is full; after
// `max_attempts` it has failed, and `error` says why.
// TODO: to the front of the queue, or failed.
inline void Pool::take_death(int slot) {
  seat(slot).pid = 0;
}
// END STEP 10

// ----- the end

// Ends the cluster; whether nothing was lost.
bool end_cluster(Master& master, Pool& pool, HttpServer& server, cluster::Listener& listener,
                 milliseconds timeout) {
  // STEP 11: the end
  // Close the pool, and wait until it has finished, the timeout is over, or the end is forced by a second signal. Then let the
  // server finish its answers (half-sent requests are cut after 5 s), close the listening socket, and end the workers: all
  // within the timeout. Lost are tasks that are not finished, those that have failed meanwhile, and requests that were cut, half-sent
  // ones too.
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
  server.hooks.quiet = [&] {
    master.loop().post([] {});
  };  // wakes the main line when the drain has come to its end
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
