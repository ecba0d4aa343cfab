// A master's slots: who is started in them, and who is replaced.
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "cluster/master.hpp"
#include "cluster/system.hpp"
#include "handover.hpp"
#include "master_member.hpp"
#include "worker_slot.hpp"

namespace cluster {

WorkerSlot& Master::slot(int number) {
  const auto found = slot_table_.find(number);
  if (found == slot_table_.end()) {
    throw std::out_of_range("no slot " + std::to_string(number));
  }
  return *found->second;
}

void Master::start_workers(const Variables& variables) {
  for (int number = 1; number <= slots_; ++number) {
    start(number, variables);
  }
}

std::vector<std::string> Master::environment_of(int slot, const Variables& variables) const {
  // The numbers that Process::spawn() gives to the descriptors of start().
  constexpr int channel = Process::first_inherited;
  const int listener = listener_ && listener_->fd ? channel + 1 : -1;
  std::vector<std::string> result{Handover{slot, ::getpid(), channel, listener}.variable()};
  for (const auto& [name, value] : variables) {
    result.push_back(name + '=' + value);
  }
  return result;
}

pid_t Master::start(int number, const Variables& variables) {
  auto& target = slot(number);
  if (target.vacant()) {
    target.variables = variables;
  }
  UniqueFd own_end;
  std::unique_ptr<Member> member;
  try {
    UniqueFd worker_end;
    std::tie(own_end, worker_end) = Channel::make_pair();
    std::vector<int> inherited{worker_end.get()};
    if (listener_ && listener_->fd) {
      inherited.push_back(listener_->fd.get());
    }
    member = std::make_unique<Member>(
        Process::spawn(program_, environment_of(number, variables), inherited), number, variables);
  } catch (const std::system_error& error) {
    if (target.trouble != error.what()) {  // told once, however often it is tried
      target.trouble = error.what();
      log("worker ", number, " could not be started: ", target.trouble);
    }
    if (target.vacant()) {
      replace_later(number, Clock::duration(0));
    }
    return 0;
  }
  target.trouble.clear();
  const pid_t pid = member->info.pid;
  member->channel.emplace(
      loop_, std::move(own_end), "channel to worker " + std::to_string(number),
      [this, pid](Json message, std::size_t bytes) {
        handle_message(pid, std::move(message), bytes);
      },
      [this, pid, number](const std::string& reason) {
        if (!reason.empty()) {
          log("worker ", number, " (pid ", pid, ") ", reason, "; its channel is closed");
        }
      });
  loop_.watch_readable(member->process.pidfd(), member->name_of_end(),
                       [this, pid] { handle_end(pid); });
  members_.emplace(pid, std::move(member));
  if (target.vacant()) {
    target.fill(pid, variables);
  }
  if (journal_) {
    journal_.write("spawn", {{"peer", number}, {"child", pid}});
  }
  log("worker ", number, " started, pid ", pid);
  return pid;
}

void Master::replace_later(int number, Clock::duration lived) {
  auto& home = slot(number);
  if (!replacing_ || home.in_pause()) {
    return;
  }
  const auto pause = home.next_pause(lived);
  if (lived < WorkerSlot::stable_after && home.trouble.empty()) {
    log("worker ", number, " died young; the next one starts in ", pause);
  }
  home.begin_pause(loop_.after(pause, [this, number] {
    auto& due = slot(number);
    due.end_pause();
    if (replacing_ && due.vacant()) {
      start(number, Variables(due.variables));
    }
  }));
}

void Master::promote(pid_t pid) {
  const auto& member = *members_.at(pid);
  auto& home = slot(member.info.slot);
  if (home.current() != pid) {
    retire(home.current());
    home.fill(pid, member.variables);
  }
}

void Master::retire(pid_t pid) {
  if (const auto found = members_.find(pid); found != members_.end()) {
    found->second->info.leaving = true;
  }
}

void Master::stop_replacing() {
  replacing_ = false;
  for (const auto& [number, entry] : slot_table_) {
    if (entry->in_pause()) {
      loop_.cancel(entry->end_pause());
    }
  }
}

}  // namespace cluster
