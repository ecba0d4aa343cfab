#include "cluster/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>

#include "cluster/system.hpp"
#include "read_probe.hpp"

namespace cluster {

namespace {

constexpr int events_per_turn = 64;
// While something has a time limit, the loop waits for no longer than a lap at once: after it, it
// knows whether the process was stopped meanwhile.
constexpr std::chrono::milliseconds lap(250);

}  // namespace

EventLoop::EventLoop(Log log)
    : log_(std::move(log)),
      epoll_(check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC))),
      wake_(check("eventfd", ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
  ::sigemptyset(&signal_set_);
  watch_readable(wake_.get(), "posted work", [this] { run_posted(); });
}

EventLoop::Watch& EventLoop::watch(int fd) {
  auto& entry = watches_[fd];
  if (!entry) {
    entry = std::make_unique<Watch>();
    entry->fd = fd;
    epoll_event event{};
    event.data.ptr = entry.get();
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) {
      watches_.erase(fd);
      check("epoll_ctl", -1);
    }
  }
  return *entry;
}

void EventLoop::update(Watch& watch) {
  epoll_event event{};
  event.events = (watch.on_readable ? EPOLLIN : 0U) | (watch.want_write ? EPOLLOUT : 0U);
  event.data.ptr = &watch;
  check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, watch.fd, &event));
}

void EventLoop::watch_readable(int fd, std::string name, Handler on_readable) {
  auto& entry = watch(fd);
  entry.name = std::move(name);
  entry.on_readable = std::move(on_readable);
  entry.stretch = {};
  update(entry);
}

void EventLoop::watch_writable(int fd, Handler on_writable) {
  auto& entry = watch(fd);
  entry.on_writable = std::move(on_writable);
  entry.want_write = true;
  update(entry);
}

void EventLoop::unwatch_writable(int fd) {
  auto& entry = watch(fd);
  entry.want_write = false;
  update(entry);
}

void EventLoop::forget(int fd) {
  const auto found = watches_.find(fd);
  if (found == watches_.end()) {
    return;
  }
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  found->second->forgotten = true;
  forgotten_.push_back(std::move(found->second));
  watches_.erase(found);
}

void EventLoop::on_signal(int signal, SignalHandler handler) {
  ::sigaddset(&signal_set_, signal);
  sigset_t one;
  ::sigemptyset(&one);
  ::sigaddset(&one, signal);
  ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
  const int fd =
      check("signalfd", ::signalfd(signals_.get(), &signal_set_, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) {
    signals_.reset(fd);
    watch_readable(fd, "signals", [this] { read_signals(); });
  }
  signal_handlers_[signal] = std::move(handler);
}

void EventLoop::read_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const auto found = signal_handlers_.find(static_cast<int>(info.ssi_signo));
    if (found != signal_handlers_.end() && found->second) {
      const auto handler = found->second;  // a copy: it may put another handler in its own place
      handler(found->first);
    }
  }
}

void EventLoop::post(Handler handler) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(handler));
    if (posted_.size() > 1) {
      return;  // the loop was woken already
    }
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void EventLoop::run_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
  std::vector<Handler> handlers;
  {
    const std::lock_guard lock(posted_mutex_);
    handlers.swap(posted_);
  }
  for (const auto& handler : handlers) {
    handler();
  }
}

void EventLoop::at_end_of_turn(Handler handler) {
  end_of_turn_.push_back(std::move(handler));
}

void EventLoop::run_end_of_turn() {
  while (!end_of_turn_.empty()) {
    std::vector<Handler> handlers;
    handlers.swap(end_of_turn_);
    for (const auto& handler : handlers) {
      handler();
    }
  }
}

int EventLoop::wait_for_events(std::span<epoll_event> events) {
  for (;;) {
    const auto wanted = time_to_wait();
    const auto wait = wanted ? std::min(*wanted, lap) : std::chrono::milliseconds(-1);
    const auto before = Clock::now();
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   static_cast<int>(wait.count()));
    if (count < 0 && errno != EINTR) {
      check("epoll_wait", count);
    }
    if (wanted) {
      leave_out(Clock::now() - before - wait, next_timer_);
    }
    if (count != 0 || wanted == wait) {
      return std::max(count, 0);
    }
  }
}

void EventLoop::run_watches() {
  std::array<epoll_event, events_per_turn> events{};
  const int count = wait_for_events(events);
  const auto phase = begin_phase();
  const auto happened = std::span(events).first(static_cast<std::size_t>(count));
  for (const bool signals : {true, false}) {
    for (const auto& event : happened) {
      auto& watch = *static_cast<Watch*>(event.data.ptr);
      if ((watch.fd == signals_.get()) == signals) {
        run_watch(watch, event.events);
      }
    }
  }
  end_phase(phase);
}

void EventLoop::run_watch(Watch& watch, std::uint32_t events) {
  const bool failed = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (!watch.forgotten && watch.on_readable && (failed || (events & EPOLLIN) != 0)) {
    run_reader(watch);
  }
  if (!watch.forgotten && watch.want_write && (failed || (events & EPOLLOUT) != 0)) {
    const auto handler = watch.on_writable;  // copies: they may put others in their own place
    handler();
  }
}

void EventLoop::run_reader(Watch& watch) {
  auto& stretch = watch.stretch;
  if (stretch.last_turn + 1 != turn_) {
    stretch = {};
  }
  stretch.last_turn = turn_;
  if (stretch.trusted > 0) {
    --stretch.trusted;
    const auto handler = watch.on_readable;
    handler();
  } else {
    run_suspect(watch);
  }
}

void EventLoop::run_suspect(Watch& watch) {
  const ReadProbe probe(watch.fd);
  const auto handler = watch.on_readable;
  handler();
  if (watch.forgotten) {
    return;
  }
  auto& stretch = watch.stretch;
  switch (probe.look()) {
    case ReadProbe::Found::progress:
    case ReadProbe::Found::unknown:
      stretch.fruitless = 0;
      stretch.trusted = trusted_turns;
      break;
    case ReadProbe::Found::nothing:
      stretch.fruitless = std::min(stretch.fruitless + 1, fruitless_turns + 1);
      if (stretch.fruitless == fruitless_turns) {
        log_("busy wait: the handler of \"", watch.name, "\" was called in ", fruitless_turns,
             " turns in a row and has not read: it must read what has come, or forget() the "
             "descriptor");
      }
      break;
  }
}

void EventLoop::run_turn() {
  running_ = true;
  ++turn_;
  run_end_of_turn();  // the main line may have sent messages since the last turn
  run_watches();
  const auto phase = begin_phase();
  run_timers();
  run_end_of_turn();
  end_phase(phase);
  forgotten_.clear();
  running_ = false;
}

void EventLoop::run_once(std::optional<TimeSpan> timeout) {
  if (running_) {
    throw std::logic_error("EventLoop: a handler must not run the loop");
  }
  set_limit(timeout);
  run_turn();
}

bool EventLoop::wait_until(const std::function<bool()>& condition,
                           std::optional<TimeSpan> timeout) {
  if (running_) {
    throw std::logic_error("EventLoop: a handler must not run the loop");
  }
  set_limit(timeout);
  while (!condition()) {
    const bool over = limit_ && *limit_ <= Clock::now();
    run_turn();
    if (over) {
      return condition();
    }
  }
  return true;
}

}  // namespace cluster
