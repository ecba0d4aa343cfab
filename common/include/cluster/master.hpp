#pragma once

// Example:
//
//   cluster::Master master(2, cluster::listen_on({"127.0.0.1", 8000}), "");
//   master.end_by_signal();
//   master.on_message("pong", [&](const cluster::Master::WorkerInfo& from, const cluster::Json&) {
//     master.log("worker ", from.slot, " has answered");
//   });
//   master.start_workers();
//   master.wait_until([&] { return master.all_ready() || master.ending(); });
//   if (!master.ending()) master.announce_ready();
//   master.broadcast({{"type", "ping"}});
//   master.wait_until([&] { return master.ending(); });
//   const bool graceful = master.end_workers(std::chrono::seconds(10));

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/channel.hpp"
#include "cluster/event_loop.hpp"
#include "cluster/journal.hpp"
#include "cluster/listener.hpp"
#include "cluster/log.hpp"
#include "cluster/process.hpp"

namespace cluster {

class WorkerSlot;

// The master's side of a cluster: numbered slots 1…N and the worker processes in them. A slot has
// at most one *current* process. There may be others beside it: a successor that starts, or a
// predecessor that leaves. When the current process of a slot dies, it is replaced: at once if it
// had lived for a second, else after a pause. The pause doubles from 100 ms to 5 s. Workers run
// this program by path (own_program()) in the role of a worker. They inherit the listening socket
// and a channel.
//
// The Master owns its loop, its copy of the listening socket and its workers: its destructor kills
// and reaps those that are left. Only the thread that made it may call it. That thread must live
// longer than the Master, because the kernel ends workers with the thread that started them.
//
// What a worker leaves behind when it ends (children, and their children) is killed: the kernel
// makes it a child of the master, and every child counts as left behind that no Process owns and
// that was not there before the Master. So start other programs with Process::spawn(), not with
// system() or popen(); and where the master is process 1 of a container, which gets the orphans of
// all others too, start nothing beside it, or use an init process (`docker run --init`).
//
// Handlers only note facts; the main line waits with wait_until() and acts.
//
// SIGTERM or SIGINT ends a master without a handler for it, and its workers, too. The first SIGHUP
// goes to the handler of SIGTERM, unless one was asked for the end already, or SIGHUP has a handler
// of its own, or was ignored at the start (nohup): then it stays ignored. SIGUSR1 and SIGUSR2 do
// nothing without a handler. Workers leave SIGHUP, SIGUSR1 and SIGUSR2 to the master.
class Master {
 public:
  // A worker process as the master knows it.
  struct WorkerInfo {
    int slot = 0;
    pid_t pid = 0;
    bool ready = false;
    bool leaving = false;  // it is to end, and will not be replaced
    Clock::time_point started;
  };
  struct Death {
    WorkerInfo worker;  // as it was
    ExitStatus status;
  };
  using Variables = std::map<std::string, std::string>;  // environment: name → value
  using MessageHandler = std::function<void(const WorkerInfo& from, Json message)>;
  using DeathHandler = std::function<void(const Death&)>;

  // Throws std::system_error. `journal_path` may be empty.
  Master(int workers, std::optional<Listener> listener, const std::string& journal_path);
  ~Master();
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

  const Log log{"master"};
  const Journal& journal() const { return journal_; }
  EventLoop& loop() { return loop_; }

  // Workers. A slot keeps the variables of its current process; a replacement is started with the
  // same variables.
  int slots() const { return slots_; }
  void start_workers(const Variables& variables = {});  // one in every slot
  bool all_ready() const;  // every slot has a current process that is ready
  // Starts one more process. It becomes the current one if the slot has none. 0: the start failed.
  pid_t start(int slot, const Variables& variables);
  // Makes it the current one. The former one is now `leaving`, and will not be replaced; that is
  // all: it goes on serving until kill() sends it SIGTERM.
  void promote(pid_t pid);
  void retire(pid_t pid);  // marks it as `leaving`, as promote() does with the former one
  void stop_replacing();   // from now on only start() starts workers
  std::vector<WorkerInfo> workers() const;  // all that live, by slot and age
  std::optional<WorkerInfo> find(pid_t pid) const;
  pid_t current(int slot) const;  // 0 when the slot has none now

  // A message is a JSON object with a "type", as in {{"type", "drain"}}; anything else throws
  // std::invalid_argument. `Sent::closed`: the worker is gone.
  Channel::Sent send(pid_t pid, const Json& message);
  void broadcast(const Json& message);  // to all workers that live
  bool kill(pid_t pid, int signal);  // false: it is gone. The signal never reaches another process

  // Handlers. A later handler for the same type or signal replaces the earlier one, also from
  // within that one. A type without a handler is logged once. A message is its handler's own.
  void on_message(const std::string& type, MessageHandler handler);
  void on_death(DeathHandler handler);  // called when all messages of the worker were handled
  void on_signal(std::initializer_list<int> signals, const EventLoop::SignalHandler& handler);

  // The main line. wait_until() is EventLoop's.
  bool wait_until(const std::function<bool()>& condition,
                  std::optional<TimeSpan> timeout = std::nullopt);
  // Prints the line `ready url=… workers=… pid=…`. A master without a listener to share serves by
  // itself, and names its address.
  void announce_ready() const;
  void announce_ready(const Address& address) const;
  void close_listener();  // the master's copy

  // The usual end, for programs that do not write their own. After end_by_signal() the first
  // SIGTERM or SIGINT turns ending() true; a later one turns forced() true. From the first one on
  // workers are no longer replaced, unless `Meanwhile::replace` is given.
  //
  // end_workers() sends SIGTERM to all workers and waits until they are gone. After the timeout, or
  // when forced() turns true, it kills those that are left. It returns whether the end was
  // graceful: no worker was killed, and no worker that was ready has failed since replacing
  // stopped. (A worker that drains on SIGTERM has exit code 0.)
  enum class Meanwhile { stop_replacing, replace };
  void end_by_signal(Meanwhile meanwhile = Meanwhile::stop_replacing);
  bool ending() const { return end_signals_ > 0; }
  bool forced() const { return end_signals_ > 1; }
  bool end_workers(TimeSpan timeout);

 private:
  struct Member;

  WorkerSlot& slot(int number);
  std::vector<std::string> environment_of(int slot, const Variables& variables) const;
  void handle_message(pid_t pid, Json message, std::size_t bytes);
  void handle_end(pid_t pid);
  void kill_all();
  void replace_later(int slot, Clock::duration lived);

  int slots_;
  Journal journal_;
  EventLoop loop_{log};
  std::optional<Listener> listener_;
  std::filesystem::path program_;
  bool ignores_hangup_;        // since the start, as under nohup
  bool own_hangup_ = false;    // on_signal() has set a handler for SIGHUP itself
  bool asked_to_end_ = false;  // by SIGTERM, SIGINT or SIGHUP
  std::map<int, std::unique_ptr<WorkerSlot>> slot_table_;
  std::map<pid_t, std::unique_ptr<Member>> members_;
  std::map<std::string, MessageHandler> message_handlers_;
  DeathHandler death_handler_;
  bool replacing_ = true;
  int end_signals_ = 0;
  int failed_ = 0;  // workers that were ready and have failed since replacing stopped
};

}  // namespace cluster
