#pragma once

// Example:
//
//   cluster::Worker worker("");
//   worker.on_message("ping", [&](const cluster::Json&) { worker.send({{"type", "pong"}}); });
//   worker.end_by_signal();
//   worker.log("worker ", worker.number(), " begins");
//   worker.ready();
//   worker.wait_until([&] { return worker.ending(); });

#include <chrono>
#include <functional>
#include <initializer_list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cluster/channel.hpp"
#include "cluster/event_loop.hpp"
#include "cluster/journal.hpp"
#include "cluster/log.hpp"

namespace cluster {

// The worker's side of a cluster: its number, its channel to the master and its copy of the
// listening socket. The Worker owns the channel, the copy and the loop. The thread that made it
// runs the loop by wait_until(), and handlers run in that loop. Any thread may call post(), send(),
// number() and log(); only the thread that made the Worker may call the rest.
//
// When the master is gone, the worker ends: the kernel kills it, or it sees end-of-file on the
// channel. A worker ignores SIGINT and SIGHUP, which a terminal sends to the whole process group:
// the master decides. It ignores SIGUSR1 and SIGUSR2, too. SIGTERM ends a worker without a handler
// for it.
class Worker {
 public:
  using MessageHandler = std::function<void(Json message)>;

  // Whether this process was started by a Master.
  static bool is_one();

  explicit Worker(const std::string& journal_path);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  int number() const { return number_; }
  int listener() const { return listener_.get(); }  // -1: the master has none to share
  void close_listener() { listener_.reset(); }
  const Log log;
  const Journal& journal() const { return journal_; }
  EventLoop& loop() { return loop_; }

  void ready();  // tells the master that this worker accepts work
  // Any thread. A message is a JSON object with a "type", as in {{"type", "drained"}}; anything
  // else throws std::invalid_argument. A message of a handler leaves at the end of the turn. A
  // message of the main line leaves before the loop waits again, or when the Worker is destroyed.
  void send(Json message);
  // Messages that were sent, by whatever thread, leave now, however long they are. So they do when
  // the Worker is destroyed. Waits for the master to read them, but gives up when it has taken
  // nothing for two seconds.
  void flush();
  void post(EventLoop::Handler handler) { loop_.post(std::move(handler)); }  // any thread
  // A later handler for the same type or signal replaces the earlier one, also from within that
  // one. A message of a type without a handler is logged once. A message is its handler's own.
  void on_message(const std::string& type, MessageHandler handler);
  void on_signal(std::initializer_list<int> signals, const EventLoop::SignalHandler& handler);
  bool wait_until(const std::function<bool()>& condition,  // as EventLoop's
                  std::optional<TimeSpan> timeout = std::nullopt);

  // For a worker whose threads wake one another all the time: the calling thread, and those that it
  // starts from now on, get the policy SCHED_BATCH, if they had the usual one. Then a thread that
  // wakes does not interrupt the one that woke it (sched(7)), and exercise 4 answers 15 % more
  // /stats. The price: beside other load of the machine a wake-up may wait for a time slice, some
  // milliseconds. Where the system refuses it nothing changes; but a filter of system calls that
  // kills must let sched_setscheduler() pass.
  static void prefer_throughput();

  // The usual end. After end_by_signal() SIGTERM turns ending() true. For a worker with a server
  // end_worker() does the rest.
  void end_by_signal();
  bool ending() const { return ending_; }

 private:
  void handle_message(Json message, std::size_t bytes);
  void send_now(const Json& message);
  void send_outbox();

  int number_;
  Journal journal_;
  EventLoop loop_;
  UniqueFd listener_;
  std::optional<Channel> channel_;
  std::map<std::string, MessageHandler> message_handlers_;
  bool ending_ = false;
  std::thread::id thread_;
  std::mutex outbox_mutex_;
  std::vector<Json> outbox_;  // messages of other threads; guarded by outbox_mutex_
};

}  // namespace cluster
