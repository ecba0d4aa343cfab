#include "cluster/worker.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "cluster/process.hpp"
#include "cluster/system.hpp"
#include "handover.hpp"
#include "journaled.hpp"
#include "message.hpp"

namespace cluster {

namespace {

Handover required_handover() {
  const auto handover = Handover::from_environment();
  if (!handover) {
    throw std::logic_error("this process was not started as a worker");
  }
  return *handover;
}

// Asks the kernel to end this process with its parent. The parent may be gone already.
void end_with_the_master(pid_t master, const Log& log) {
  check("prctl", ::prctl(PR_SET_PDEATHSIG, SIGKILL));
  if (::getppid() != master) {
    log("the master, pid ", master, ", is gone");
    std::_Exit(1);
  }
  Handover::clear_environment();
}

UniqueFd take_over(int fd) {
  if (fd >= 0) {
    check("fcntl", ::fcntl(fd, F_SETFD, FD_CLOEXEC));
  }
  return UniqueFd(fd);
}

}  // namespace

bool Worker::is_one() {
  return Handover::from_environment().has_value();
}

Worker::Worker(const std::string& journal_path)
    : log("worker" + std::to_string(required_handover().number)),
      number_(required_handover().number),
      journal_(journal_path, number_),
      loop_(log),
      thread_(std::this_thread::get_id()) {
  const auto handover = required_handover();
  end_with_the_master(handover.master, log);
  raise_open_file_limit();
  resident_bytes(::getpid());  // opens its file as long as there is a descriptor for it
  listener_ = take_over(handover.listener);
  on_signal({SIGINT, SIGHUP}, [](int) {});
  on_signal({SIGTERM}, [this](int) {
    flush();
    std::_Exit(0);
  });
  channel_.emplace(
      loop_, take_over(handover.channel), "channel to the master",
      [this](Json message, std::size_t bytes) { handle_message(std::move(message), bytes); },
      [](const std::string&) { std::_Exit(1); });
}

Worker::~Worker() {
  flush();
}

void Worker::ready() {
  if (journal_) {
    journal_.write("ready");
  }
  send({{"type", "ready"}});
}

void Worker::prefer_throughput() {
  if (::sched_getscheduler(0) == SCHED_OTHER) {
    const sched_param none{};
    ::sched_setscheduler(0, SCHED_BATCH, &none);
  }
}

void Worker::send(Json message) {
  check_message(message);
  if (std::this_thread::get_id() == thread_) {
    send_now(message);
  } else {
    const std::lock_guard lock(outbox_mutex_);
    outbox_.push_back(std::move(message));
    if (outbox_.size() == 1) {
      loop_.post([this] { send_outbox(); });
    }
  }
}

void Worker::send_outbox() {
  std::vector<Json> messages;
  {
    const std::lock_guard lock(outbox_mutex_);
    messages.swap(outbox_);
  }
  for (const auto& message : messages) {
    send_now(message);
  }
}

void Worker::flush() {
  send_outbox();
  channel_->flush_all(std::chrono::seconds(2));
}

void Worker::send_now(const Json& message) {
  const auto sent = channel_->send(message);
  if (sent != Channel::Sent::queued) {
    log("a message to the master was not sent: ", sent == Channel::Sent::full ? "it does not read"
                                                  : sent == Channel::Sent::too_long
                                                      ? "it is too long"
                                                      : "it is gone");
  } else if (journal_) {
    journal_.write("send", journal_fields(message, "master", channel_->last_sent_bytes()));
  }
}

void Worker::handle_message(Json message, std::size_t bytes) {
  const auto type = type_of(message);
  if (!type) {
    log("the master sent a message without a type; dropped");
    return;
  }
  if (journal_) {
    journal_.write("recv", journal_fields(message, "master", bytes));
  }
  const auto [handler, first] = message_handlers_.try_emplace(*type);  // empty: there is none
  if (handler->second) {
    const auto call = handler->second;  // a copy: it may put another handler in its own place
    call(std::move(message));
  } else if (first) {
    log("no handler for a message of type \"", *type, "\" (from the master)");
  }
}

void Worker::on_message(const std::string& type, MessageHandler handler) {
  message_handlers_[type] = std::move(handler);
}

void Worker::on_signal(std::initializer_list<int> signals,
                       const EventLoop::SignalHandler& handler) {
  for (const int number : signals) {
    loop_.on_signal(number, journaled(journal_, handler));
  }
}

void Worker::end_by_signal() {
  on_signal({SIGTERM}, [this](int) { ending_ = true; });
}

bool Worker::wait_until(const std::function<bool()>& condition, std::optional<TimeSpan> timeout) {
  return loop_.wait_until(condition, timeout);
}

}  // namespace cluster
