#pragma once

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

// The master's side of a cluster: numbered slots 1…N and the worker processes in them. A slot has at most one
// *current* process; beside it there may be others, a successor that starts or a predecessor that leaves.
// The current process of a slot is replaced when it dies: at once if it had lived for a second, else after a
// pause that doubles from 100 ms to 5 s. Workers run this program by path (own_program()) in the role of a
// worker, with the listening socket and a channel handed down.
//
// Belongs to the thread that made it, which must outlive it: the kernel ends workers with the thread that started
// them. Handlers only note facts; the main line waits with wait_until() and acts.
// A Master that goes kills and reaps the workers that are left. SIGTERM and SIGINT end a master that has no
// handler for them, and its workers with it.
class Master {
 public:
  // A worker process as the master knows it.
  struct WorkerInfo {
    int slot = 0;
    pid_t pid = 0;
    bool ready = false;
    bool leaving = false;  // its end is wanted: it will not be replaced
    Clock::time_point started;
  };
  struct Death {
    WorkerInfo worker;  // as it was
    ExitStatus status;
  };
  using MessageHandler = std::function<void(const WorkerInfo& from, const Json& message)>;
  using DeathHandler = std::function<void(const Death&)>;

  // Throws std::system_error. `journal_path` may be empty.
  Master(int workers, std::optional<Listener> listener, const std::string& journal_path);
  ~Master();
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

  const Log log{"master"};
  const Journal& journal() const { return journal_; }
  EventLoop& loop() { return loop_; }

  // Workers.
  int slots() const { return slots_; }
  void start_workers();    // one in every slot
  bool all_ready() const;  // every slot has a current process that is ready
  pid_t start(
      int slot);  // one more process; it is the slot's current one if there is none. 0: it could not be started
  void promote(pid_t pid);                  // makes it the slot's current one; the former leaves
  void retire(pid_t pid);                   // its end is wanted
  void stop_replacing();                    // from now on no worker is started by itself
  std::vector<WorkerInfo> workers() const;  // all that live, by slot and age
  std::optional<WorkerInfo> find(pid_t pid) const;
  pid_t current(int slot) const;  // 0 when the slot has none now
  void set_variable(int slot, const std::string& name,
                    const std::string& value);  // environment of its next processes

  // Messages are objects with a "type". `Sent::closed` for a worker that is gone.
  Channel::Sent send(pid_t pid, const Json& message);
  void broadcast(const Json& message);  // to every worker that lives
  bool kill(pid_t pid, int signal);     // false when it is gone; never reaches another process

  // Handlers. A later one for the same type or signal replaces the earlier.
  void on_message(const std::string& type, MessageHandler handler);
  void on_death(DeathHandler handler);  // after everything that the worker had sent was handled
  void on_signal(std::initializer_list<int> signals, const EventLoop::SignalHandler& handler);

  // The main line.
  bool wait_until(const std::function<bool()>& condition,
                  std::optional<std::chrono::nanoseconds> timeout = std::nullopt);
  void announce_ready() const;  // prints the line `ready url=… workers=… pid=…`
  void close_listener();        // the master's copy

 private:
  struct Member;
  struct Slot {
    pid_t current = 0;
    std::chrono::milliseconds pause{0};
    std::optional<EventLoop::TimerId> restart;
    std::map<std::string, std::string> variables;
  };

  Slot& slot(int number);
  std::vector<std::string> variables_for(int slot, int channel_fd) const;
  void handle_message(pid_t pid, const Json& message, std::size_t bytes);
  void handle_end(pid_t pid);
  void replace_later(int slot, Clock::duration lived);

  int slots_;
  Journal journal_;
  std::string journal_path_;
  EventLoop loop_;
  std::optional<Listener> listener_;
  std::filesystem::path program_;
  std::map<int, Slot> slot_table_;
  std::map<pid_t, std::unique_ptr<Member>> members_;
  std::map<std::string, MessageHandler> message_handlers_;
  DeathHandler death_handler_;
  bool replacing_ = true;
};

}  // namespace cluster
