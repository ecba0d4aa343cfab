#include "cluster/master.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "cluster/system.hpp"
#include "journaled.hpp"
#include "master_member.hpp"
#include "message.hpp"
#include "orphans.hpp"
#include "worker_slot.hpp"

namespace cluster {

namespace {

using std::chrono::milliseconds;

bool is_ignored(int signal) {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

Master::Master(int workers, std::optional<Listener> listener, const std::string& journal_path)
    : slots_(workers),
      journal_(journal_path, 0),
      listener_(std::move(listener)),
      program_(own_program()),
      ignores_hangup_(is_ignored(SIGHUP)) {
  raise_open_file_limit();
  // Workers inherit that these are ignored. A signal that is blocked still comes to on_signal().
  for (const int signal : {SIGUSR1, SIGUSR2}) {
    std::signal(signal, SIG_IGN);
  }
  // If SIGCHLD was inherited as ignored, the kernel would reap the workers.
  std::signal(SIGCHLD, SIG_DFL);
  adopt_orphans(true);
  loop_.on_signal(SIGCHLD, [](int) { reap_orphans(); });
  on_signal({SIGTERM, SIGINT}, [this](int) {
    kill_all();
    std::_Exit(0);
  });
  for (int number = 1; number <= workers; ++number) {
    slot_table_.emplace(number, std::make_unique<WorkerSlot>());
  }
}

Master::~Master() {
  kill_all();
  adopt_orphans(false);
}

void Master::kill_all() {
  members_.clear();
  end_orphans();
}

bool Master::all_ready() const {
  return std::all_of(slot_table_.begin(), slot_table_.end(), [this](const auto& entry) {
    const auto found = members_.find(entry.second->current());
    return found != members_.end() && found->second->info.ready;
  });
}

void Master::handle_message(pid_t pid, Json message, std::size_t bytes) {
  const auto found = members_.find(pid);
  if (found == members_.end()) {
    return;
  }
  auto& info = found->second->info;
  const auto type = type_of(message);
  if (!type) {
    log("worker ", info.slot, " (pid ", pid, ") sent a message without a type; dropped");
    return;
  }
  if (journal_) {
    journal_.write("recv", journal_fields(message, info.slot, bytes));
  }
  if (*type == "ready" && !info.ready) {
    info.ready = true;
    log("worker ", info.slot, " is ready, pid ", pid);
  }
  const auto [handler, first] = message_handlers_.try_emplace(*type);  // empty: there is none
  if (handler->second) {
    const auto call = handler->second;  // a copy: it may put another handler in its own place
    call(WorkerInfo(info), std::move(message));
  } else if (first && *type != "ready") {
    log("no handler for a message of type \"", *type, "\" (from worker ", info.slot, ", pid ", pid,
        ")");
  }
}

void Master::handle_end(pid_t pid) {
  const auto found = members_.find(pid);
  if (found == members_.end()) {
    return;
  }
  const int pidfd = found->second->process.pidfd();
  loop_.forget(pidfd);
  const auto status = found->second->process.try_reap();
  if (!status) {
    loop_.watch_readable(pidfd, found->second->name_of_end(), [this, pid] { handle_end(pid); });
    return;
  }
  found->second->channel->read_all();  // messages come before the death
  const Death death{found->second->info, *status};
  members_.erase(found);
  end_orphans();  // what this worker, or another, has left behind
  if (journal_) {
    Json fields{{"peer", death.worker.slot}, {"child", pid}};
    fields[status->signal ? "signal" : "status"] = status->signal ? *status->signal : *status->code;
    journal_.write("exit", std::move(fields));
  }
  log("worker ", death.worker.slot, " ended, pid ", pid, ", ", status->text());
  failed_ += !replacing_ && death.worker.ready && status->code != 0 ? 1 : 0;
  auto& home = slot(death.worker.slot);
  const bool was_current = home.current() == pid;
  if (was_current) {
    home.vacate();
  }
  if (const auto call = death_handler_) {  // a copy, for the same reason
    call(death);
  }
  if (was_current && home.vacant() && !death.worker.leaving) {
    replace_later(death.worker.slot, Clock::now() - death.worker.started);
  }
}

std::vector<Master::WorkerInfo> Master::workers() const {
  std::vector<WorkerInfo> result;
  for (const auto& [pid, member] : members_) {
    result.push_back(member->info);
  }
  std::sort(result.begin(), result.end(), [](const WorkerInfo& a, const WorkerInfo& b) {
    return std::pair(a.slot, a.started) < std::pair(b.slot, b.started);
  });
  return result;
}

std::optional<Master::WorkerInfo> Master::find(pid_t pid) const {
  const auto found = members_.find(pid);
  return found != members_.end() ? std::optional(found->second->info) : std::nullopt;
}

pid_t Master::current(int number) const {
  const auto found = slot_table_.find(number);
  return found != slot_table_.end() ? found->second->current() : 0;
}

Channel::Sent Master::send(pid_t pid, const Json& message) {
  check_message(message);
  const auto found = members_.find(pid);
  if (found == members_.end()) {
    return Channel::Sent::closed;
  }
  auto& channel = *found->second->channel;
  const auto sent = channel.send(message);
  if (journal_ && sent == Channel::Sent::queued) {
    journal_.write("send",
                   journal_fields(message, found->second->info.slot, channel.last_sent_bytes()));
  }
  return sent;
}

void Master::broadcast(const Json& message) {
  check_message(message);  // a mistake must show also when no worker lives
  for (const auto& worker : workers()) {
    send(worker.pid, message);
  }
}

bool Master::kill(pid_t pid, int signal) {
  const auto found = members_.find(pid);
  return found != members_.end() && found->second->process.signal(signal);
}

void Master::on_message(const std::string& type, MessageHandler handler) {
  message_handlers_[type] = std::move(handler);
}

void Master::on_death(DeathHandler handler) {
  death_handler_ = std::move(handler);
}

void Master::on_signal(std::initializer_list<int> signals,
                       const EventLoop::SignalHandler& handler) {
  for (const int number : signals) {
    const bool asks_for_the_end = number == SIGTERM || number == SIGINT;
    loop_.on_signal(number, journaled(journal_, [this, handler, asks_for_the_end](int signal) {
                      asked_to_end_ = asked_to_end_ || asks_for_the_end;
                      handler(signal);
                    }));
    own_hangup_ = own_hangup_ || number == SIGHUP;
    if (number == SIGTERM && !own_hangup_ && !ignores_hangup_) {
      loop_.on_signal(SIGHUP, journaled(journal_, [this, handler](int signal) {
                        // A terminal that closes and its shell may both send it. So it never is the
                        // second signal, which forces the end.
                        if (!std::exchange(asked_to_end_, true)) {
                          handler(signal);
                        }
                      }));
    }
  }
}

bool Master::wait_until(const std::function<bool()>& condition, std::optional<TimeSpan> timeout) {
  return loop_.wait_until(condition, timeout);
}

void Master::announce_ready() const {
  announce_ready(listener_.value().address);
}

void Master::announce_ready(const Address& address) const {
  print_line("ready url=http://" + address.text() + " workers=" + std::to_string(slots_) +
             " pid=" + std::to_string(::getpid()));
}

void Master::close_listener() {
  if (listener_) {
    listener_->fd.reset();
  }
}

}  // namespace cluster
