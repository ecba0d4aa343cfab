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

class WorkerSlot;

// The master's side of a cluster: numbered slots 1…N and the worker processes in them. A slot has
// at most one *current* process; beside it there may be others, a successor that starts or a
// predecessor that leaves. The current process of a slot is replaced when it dies: at once if it
// had lived for a second, else after a pause that doubles from 100 ms to 5 s. Workers run this
// program by path (own_program()) in the role of a worker, with the listening socket and a channel
// handed down.
//
// Belongs to the thread that made it, which must outlive it: the kernel ends workers with the
// thread that started them. Handlers only note facts; the main line waits with wait_until() and
// acts. A Master that goes kills and reaps the workers that are left. SIGTERM and SIGINT end a
// master that has no handler for them, and its workers with it.
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
  using Variables = std::map<std::string, std::string>;  // environment: name → value
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

  // Workers. A slot's variables are those of its current process: a replacement is started with the
  // same.
  int slots() const { return slots_; }
  void start_workers(const Variables& variables = {});  // one in every slot
  bool all_ready() const;  // every slot has a current process that is ready
  // One more process; it is the slot's current one if there is none. 0: it could not be started.
  pid_t start(int slot, const Variables& variables);
  void promote(pid_t pid);                  // makes it the slot's current one; the former leaves
  void retire(pid_t pid);                   // its end is wanted
  void stop_replacing();                    // from now on no worker is started by itself
  std::vector<WorkerInfo> workers() const;  // all that live, by slot and age
  std::optional<WorkerInfo> find(pid_t pid) const;
  pid_t current(int slot) const;  // 0 when the slot has none now

  // A message is a JSON object with a "type", as in {{"type", "drain"}}; anything else is refused
  // (std::invalid_argument). `Sent::closed` for a worker that is gone.
  Channel::Sent send(pid_t pid, const Json& message);
  void broadcast(const Json& message);  // to every worker that lives
  bool kill(pid_t pid, int signal);     // false when it is gone; never reaches another process

  // Handlers. A later one for the same type or signal replaces the earlier. A type without one is
  // logged once.
  void on_message(const std::string& type, MessageHandler handler);
  void on_death(DeathHandler handler);  // after everything that the worker had sent was handled
  void on_signal(std::initializer_list<int> signals, const EventLoop::SignalHandler& handler);

  // The main line. wait_until() is EventLoop's.
  bool wait_until(const std::function<bool()>& condition,
                  std::optional<std::chrono::nanoseconds> timeout = std::nullopt);
  void announce_ready() const;  // prints the line `ready url=… workers=… pid=…`
  void announce_ready(const Address& address)
      const;              // of a master without a listener to share, which serves itself
  void close_listener();  // the master's copy

  // The usual end, for programs that do not write their own. end_by_signal(): the first SIGTERM or
  // SIGINT turns ending() true, and nobody is replaced any more, unless they are wanted until the
  // end; a later one is the wish to end at once, forced(). end_workers() sends every worker SIGTERM
  // and waits until all are gone; after the timeout, or at that wish, it kills them. It tells
  // whether the end was graceful: nobody was killed, and since nobody is replaced no worker that
  // was ready has failed (SIGTERM to one that drains is its exit code 0).
  enum class Meanwhile { stop_replacing, replace };
  void end_by_signal(Meanwhile meanwhile = Meanwhile::stop_replacing);
  bool ending() const { return end_signals_ > 0; }
  bool forced() const { return end_signals_ > 1; }
  bool end_workers(std::chrono::milliseconds timeout);

 private:
  struct Member;

  WorkerSlot& slot(int number);
  std::vector<std::string> environment_of(int slot, const Variables& variables,
                                          int channel_fd) const;
  void handle_message(pid_t pid, const Json& message, std::size_t bytes);
  void handle_end(pid_t pid);
  void replace_later(int slot, Clock::duration lived);

  int slots_;
  Journal journal_;
  EventLoop loop_{log};
  std::optional<Listener> listener_;
  std::filesystem::path program_;
  std::map<int, std::unique_ptr<WorkerSlot>> slot_table_;
  std::map<pid_t, std::unique_ptr<Member>> members_;
  std::map<std::string, MessageHandler> message_handlers_;
  DeathHandler death_handler_;
  bool replacing_ = true;
  int end_signals_ = 0;
  int failed_ = 0;  // workers that were ready, and have failed since nobody is replaced
};

}  // namespace cluster
