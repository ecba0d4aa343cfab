// Exercise 5: worker pool with backpressure.
//
// The master takes tasks over HTTP and keeps them in a queue. Each worker computes one task at a
// time. An accepted task is never lost, whichever worker dies. When the queue is full, the master
// says so (backpressure). First look at run_worker() below and at run_master() at the end of this
// file: each is the main line of its process. Then at set_handlers(), which ties the two together.
// The steps are numbered in the order in which to take them.
#include <cluster/cluster.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
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
  int workers = cluster::settings::workers(4);
  int max_queue = cluster::settings::count("MAX_QUEUE", 20);
  int max_attempts = cluster::settings::count("MAX_ATTEMPTS", 3);
  int result_limit = cluster::settings::count("RESULT_LIMIT", 10'000);
  milliseconds shutdown_timeout = cluster::settings::duration("SHUTDOWN_TIMEOUT_MS", 10s);
};

// ----- the computations

std::uint64_t fibonacci(std::uint64_t n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

bool is_prime(std::uint64_t n) {
  if (n < 4 || n % 2 == 0 || n % 3 == 0) return n == 2 || n == 3;
  // After 2 and 3, only divisors of the form 6k - 1 and 6k + 1 are left to try.
  for (std::uint64_t d = 5; d <= n / d; d += 6) {
    if (n % d == 0 || n % (d + 2) == 0) return false;
  }
  return true;
}

// The SHA-256 of a text in lower-case hex digits.
std::string sha256(const std::string& text) {
  std::array<unsigned char, 32> digest{};
  if (::EVP_Digest(text.data(), text.size(), digest.data(), nullptr, ::EVP_sha256(), nullptr) ==
      0) {
    throw std::runtime_error("OpenSSL cannot hash");
  }
  std::string hex;
  for (const unsigned byte : digest) {
    hex += {"0123456789abcdef"[byte >> 4U], "0123456789abcdef"[byte & 0x0fU]};
  }
  return hex;
}

Json compute(const std::string& type, std::uint64_t n) {
  if (type == "fibonacci") return fibonacci(n);
  if (type == "prime") return is_prime(n);
  std::string text = "start";
  for (std::uint64_t i = 0; i < n; ++i) text = sha256(text);
  return text;
}

// ----- the worker

int run_worker(Worker& worker, const Settings& /*settings*/) {
  worker.end_by_signal();
  // STEP 1: the life of a worker
  // Say once that this worker is idle, {{"type", "idle"}}, so that it has its seat, and then that
  // it is ready. A `task` has id, kind and n. Answer it with a `result` that has id and result.
  // That frees the seat: do not say `idle` again.
  // The handler only notes the task; the main line computes. A worker that is told to leave
  // (ending()) while it has a task finishes that first.
  // The grade stays 0 of 5: `curl http://127.0.0.1:8000/stats` shows 4 available workers now.
  std::optional<Json> task;
  worker.on_message("task", [&](const Json& message) { task = message; });
  worker.send({{"type", "idle"}});
  worker.ready();
  for (;;) {
    worker.wait_until([&] { return task || worker.ending(); });
    if (!task) return 0;
    const Json result = compute(task->at("kind"), task->at("n"));
    worker.send({{"type", "result"}, {"id", task->at("id")}, {"result", result}});
    task.reset();
  }
  // END STEP 1
}

// ----- tasks

// The check takes Json's noexcept move for one that throws.
// NOLINTNEXTLINE(bugprone-exception-escape)
struct Task {
  std::string type;
  std::uint64_t n = 0;
  std::string id = cluster::new_uuid();
  std::string status = "queued";  // then "processing", and "completed" or "failed"
  Json outcome = nullptr;         // {"result": …} or {"error": …}
  int slot = 0;                   // of the worker that has it or has completed it; 0: none
  int attempts = 0;
  double queued_at = cluster::unix_ms();
  double started_at = 0;  // of the last attempt
  double finished_at = 0;
};

// Reads the body of POST /task. Nothing if it was refused with 400.
std::optional<Task> read_task(const HttpServer& server, const std::string& text,
                              HttpServer::Response& response) {
  static const std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> ranges{
      {"fibonacci", {0, 50}},
      {"prime", {0, (std::uint64_t{1} << 63U) - 1}},
      {"hash", {1, 10'000'000}}};
  const Json body = cluster::parse_json(text);
  const Json type = body.is_object() ? body.value("type", Json()) : Json();
  const auto range = type.is_string() ? ranges.find(type) : ranges.end();
  if (range == ranges.end()) {
    server.fail(response, 400,
                R"(the body must be a JSON object like {"type":"fibonacci","n":40}; )"
                "`type` is fibonacci, prime or hash");
    return std::nullopt;
  }
  const auto [least, most] = range->second;
  const auto n = cluster::whole_number(body.value("n", Json()));
  if (!n || *n < least || *n > most) {
    server.fail(
        response, 400,
        "`n` must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return std::nullopt;
  }
  return Task{range->first, *n};
}

// A task as GET /task/<id> shows it.
Json describe(const Task& task) {
  Json shown{{"taskId", task.id},     {"type", task.type},         {"n", task.n},
             {"status", task.status}, {"attempts", task.attempts}, {"queuedAt", task.queued_at}};
  if (task.slot != 0) shown["worker"] = task.slot;
  if (task.attempts > 0) shown["startedAt"] = task.started_at;
  if (task.finished_at == 0) return shown;
  shown["finishedAt"] = task.finished_at;
  shown["durationMs"] = task.finished_at - task.started_at;
  shown.update(task.outcome);
  return shown;
}

// ----- the bookkeeping: it knows no master and no HTTP

// The worker process in a slot.
struct Seat {
  pid_t pid = 0;     // 0: there is none now
  std::string task;  // empty: it has none
  int completed = 0;
  bool free() const { return pid != 0 && task.empty(); }
  bool busy() const { return !task.empty(); }
};

struct Counts {
  int submitted = 0;
  int completed = 0;
  int failed = 0;
  int rejected = 0;
  int requeued = 0;
};

// All tasks, and which worker has which. Any thread may call it: one mutex guards everything.
class Pool {
  using Lock = std::lock_guard<std::mutex>;

  const Settings& settings_;
  mutable std::mutex mutex_;
  // By id: the tasks that wait, those being processed, and the last finished ones.
  std::unordered_map<std::string, Task> tasks_;
  std::deque<std::string> waiting_;   // the next one first
  std::deque<std::string> finished_;  // the oldest first
  std::vector<Seat> seats_;           // of slot 1, 2 …
  Counts counts_;

  Seat& seat_of(int slot) { return seats_.at(static_cast<std::size_t>(slot - 1)); }
  static int size(const std::deque<std::string>& ids) { return static_cast<int>(ids.size()); }
  int count(bool (Seat::*is)() const) const {
    return static_cast<int>(std::count_if(seats_.begin(), seats_.end(), std::mem_fn(is)));
  }

 public:
  explicit Pool(const Settings& settings)
      : settings_(settings), seats_(static_cast<std::size_t>(settings.workers)) {}

  std::atomic<bool> closed{false};  // no task is accepted any more

  // STEP 2: accept a task
  // Refuse a task when the pool is closed, or full: then return false. `max_queue` tasks may wait
  // (size() is an int), and one more for each free worker, which will take it at once. A task that
  // is refused because the pool is full, and not closed, counts as rejected. Else store the task,
  // put it at the back of the queue, and count it. Look at the queue and push under one lock: no
  // other task may come in between.
  // The grade stays 0 of 5: of 25 tasks 24 get 202, the last one 429. GET /stats shows 24 tasks in
  // the queue: nobody takes them before step 3.
  //   for i in $(seq 25); do
  //     curl -so /dev/null -w '%{http_code} ' -d '{"type":"prime","n":7}' 127.0.0.1:8000/task
  //   done
  bool submit(const Task& task) {
    const Lock lock(mutex_);
    const int room = settings_.max_queue + count(&Seat::free);
    const bool full = size(waiting_) >= room;
    if (closed || full) {
      counts_.rejected += closed ? 0 : 1;
      return false;
    }
    tasks_.emplace(task.id, task);
    waiting_.push_back(task.id);
    ++counts_.submitted;
    return true;
  }
  // END STEP 2

  // The slot has a new worker, which waits for its first task.
  void seat_worker(int slot, pid_t pid) {
    const Lock lock(mutex_);
    seat_of(slot).pid = pid;
  }

  // STEP 3: hand a task out
  // If a task waits and a worker is free, give the worker the next task, and return it: the caller
  // sends it. Note it in the seat and in the task (status, slot, started_at). This is an attempt.
  // The grade stays 0 of 5: a task (`curl` with the path in its Location) is "processing", and
  // stays so. It is computed, but complete() only frees the seat until step 4.
  std::optional<Task> hand_out() {
    const Lock lock(mutex_);
    const auto free = std::find_if(seats_.begin(), seats_.end(), std::mem_fn(&Seat::free));
    if (waiting_.empty() || free == seats_.end()) return std::nullopt;
    auto& task = tasks_.at(waiting_.front());
    waiting_.pop_front();
    free->task = task.id;
    task.status = "processing";
    task.slot = static_cast<int>(free - seats_.begin()) + 1;
    task.started_at = cluster::unix_ms();
    ++task.attempts;
    return task;
  }
  // END STEP 3

  // STEP 4: take a result
  // - complete(): The task is completed, and its outcome is {"result": …}. The seat is free again.
  //   Count it, in the seat and in counts_. Drop the result of a task that the seat does not have.
  // - finish(): Note status, outcome and time. Of the finished tasks keep the last `result_limit`,
  //   so that memory stays bounded. The caller has the lock.
  // Brings: item 1.
  void complete(int slot, const std::string& id, const Json& result) {
    const Lock lock(mutex_);
    if (seat_of(slot).task != id) return;
    seat_of(slot).task.clear();
    ++seat_of(slot).completed;
    ++counts_.completed;
    finish(tasks_.at(id), "completed", {{"result", result}});
  }

  void finish(Task& task, const std::string& status, const Json& outcome) {
    task.status = status;
    task.outcome = outcome;
    task.finished_at = cluster::unix_ms();
    finished_.push_back(task.id);
    if (size(finished_) > settings_.result_limit) {
      tasks_.erase(finished_.front());
      finished_.pop_front();
    }
  }
  // END STEP 4

  // The slot's worker has ended. One that has `left` by itself (somebody sent it SIGTERM) has
  // finished what it had begun. So a task that it leaves behind was still on its way: no attempt.
  void lose_worker(int slot, bool left) {
    const Lock lock(mutex_);
    seat_of(slot).pid = 0;
    const auto found = tasks_.find(std::exchange(seat_of(slot).task, {}));
    if (found == tasks_.end()) return;  // it had none
    found->second.slot = 0;
    if (left) --found->second.attempts;
    take_back(found->second);
  }

  // STEP 5: take a task back
  // Its worker has ended, and the seat is empty. The task is "queued" again, at the *front* of the
  // queue, even if the queue is full, and counts as requeued. But after `max_attempts` attempts it
  // has failed: finish() it as "failed", with {"error": …} and the reason as the outcome, and count
  // that. The caller has the lock.
  // Brings: items 2, 3 and 5.
  void take_back(Task& task) {
    if (task.attempts >= settings_.max_attempts) {
      ++counts_.failed;
      finish(task, "failed", {{"error", "at each attempt the worker died"}});
    } else {
      ++counts_.requeued;
      task.status = "queued";
      waiting_.push_front(task.id);
    }
  }
  // END STEP 5

  std::optional<Task> find(const std::string& id) const {
    const Lock lock(mutex_);
    const auto found = tasks_.find(id);
    return found != tasks_.end() ? std::optional(found->second) : std::nullopt;
  }

  int failed() const {
    const Lock lock(mutex_);
    return counts_.failed;
  }

  bool idle() const {  // no task waits, and none is being processed
    const Lock lock(mutex_);
    return waiting_.empty() && count(&Seat::busy) == 0;
  }

  Json stats() const {
    const Lock lock(mutex_);
    Json seats = Json::array();
    for (const auto& seat : seats_) {
      seats.push_back(
          {{"worker", seats.size() + 1}, {"busy", seat.busy()}, {"completed", seat.completed}});
      if (seat.pid != 0) seats.back()["pid"] = seat.pid;
      if (seat.busy()) seats.back()["taskId"] = seat.task;
    }
    const Json workers{
        {"total", seats_.size()}, {"available", count(&Seat::free)}, {"busy", count(&Seat::busy)}};
    const Json queue{{"size", waiting_.size()}, {"max", settings_.max_queue}};
    const Json tasks{{"submitted", counts_.submitted},
                     {"completed", counts_.completed},
                     {"failed", counts_.failed},
                     {"rejected", counts_.rejected},
                     {"requeued", counts_.requeued}};
    return {{"workers", workers}, {"queue", queue}, {"tasks", tasks}, {"perWorker", seats}};
  }
};

// ----- the dispatcher

// Gives tasks that wait to workers that are free. Only the master's loop may send, so only it may
// call this. A worker may have died without anybody having noticed: then its death will bring the
// task back.
void dispatch(Master& master, Pool& pool) {
  while (const auto task = pool.hand_out()) {
    master.send(master.current(task->slot),
                {{"type", "task"}, {"id", task->id}, {"kind", task->type}, {"n", task->n}});
  }
}

// Whenever a worker is free again, or has left a task behind, there may be something to dispatch.
void set_handlers(Master& master, Pool& pool) {
  master.on_message("idle", [&](const Master::WorkerInfo& from, const Json&) {
    pool.seat_worker(from.slot, from.pid);
    dispatch(master, pool);
  });
  master.on_message("result", [&](const Master::WorkerInfo& from, const Json& message) {
    pool.complete(from.slot, message["id"], message["result"]);
    if (master.ending()) master.log("finished during the end: task ", message.value("id", ""));
    dispatch(master, pool);
  });
  master.on_death([&](const Master::Death& death) {
    pool.lose_worker(death.worker.slot, death.status.code == 0);
    dispatch(master, pool);
  });
}

// ----- the master

void add_routes(HttpServer& server, Master& master, Pool& pool) {
  server.Post("/task", [&](const auto& request, auto& response) {
    const auto task = read_task(server, request.body, response);
    if (!task) return;
    if (pool.submit(*task)) {
      response.set_header("Location", "/task/" + task->id);
      server.reply(response, 202, {{"taskId", task->id}, {"status", task->status}});
      master.loop().post([&] { dispatch(master, pool); });
      return;
    }
    response.set_header("Retry-After", "1");
    pool.closed ? server.fail(response, 503, "shutting down: no new tasks")
                : server.fail(response, 429, "the queue is full: try again later");
  });
  server.Get(R"(/task/([\s\S]*))", [&](const auto& request, auto& response) {
    const auto task = pool.find(request.matches[1]);
    task ? server.reply(response, 200, describe(*task))
         : server.fail(response, 404, "there is no such task, or it was finished long ago");
  });
  server.Get("/stats",
             [&](const auto&, auto& response) { server.reply(response, 200, pool.stats()); });
  server.Get("/", [&](const auto&, auto& response) {
    server.reply(
        response, 200,
        {{"use", R"(POST /task {"type":"fibonacci","n":40}, GET /task/<id>, GET /stats)"}});
  });
}

// Ends the cluster. Returns true if nothing was lost.
bool end_cluster(Master& master, Pool& pool, HttpServer& server, cluster::Listener& listener,
                 milliseconds timeout) {
  // STEP 6: the end
  // 1. Close the pool. Wait until it is idle, or until a second signal forces the end.
  // 2. Drain the server, with no grace for idle connections (0ms), and close the listening socket
  //    (listener.fd). Wait until it has drained, or a second signal comes. cut() what is left, and
  //    look at what it returns.
  // 3. End the workers, whatever was lost before.
  // One timeout is for all three: each wait lasts at most for the rest, until Clock::now() +
  // timeout. (A wait with a time that is over returns at once.) Return whether nothing was lost: no
  // task is left unfinished or has failed() during the end, no request (not even a half-sent one)
  // was cut, no worker was killed.
  // Brings: item 4.
  const auto deadline = Clock::now() + timeout;
  const int failed_before = pool.failed();
  pool.closed = true;
  master.wait_until([&] { return pool.idle() || master.forced(); }, timeout);
  const bool finished = pool.idle() && pool.failed() == failed_before;
  server.begin_drain(0ms);
  listener.fd.reset();
  master.wait_until([&] { return server.drained() || master.forced(); }, deadline - Clock::now());
  const auto cut = server.cut();
  const bool ended = master.end_workers(std::max<Clock::duration>(deadline - Clock::now(), 100ms));
  return ended && finished && cut.requests + cut.half_sent == 0;
  // END STEP 6
}

int run_master(const Settings& settings) {
  cluster::Listener listener = cluster::listen_on(settings.address);
  Master master(settings.workers, std::nullopt, settings.journal);  // the workers do not listen
  Pool pool(settings);
  HttpServer server(listener.fd.get(), Json::object(), master.journal(), {});
  add_routes(server, master, pool);
  server.hooks.quiet = [&] { master.loop().post([] {}); };  // wakes end_cluster()
  set_handlers(master, pool);
  master.end_by_signal(Master::Meanwhile::replace);

  master.start_workers();
  master.wait_until([&] { return master.all_ready() || master.ending(); });
  if (!master.ending()) {
    server.start();
    master.announce_ready(listener.address);
  }
  master.wait_until([&] { return master.ending(); });
  return end_cluster(master, pool, server, listener, settings.shutdown_timeout) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return cluster::run_cluster(argc, argv, run_master, run_worker);
}
