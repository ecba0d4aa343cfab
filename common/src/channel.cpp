#include "cluster/channel.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "cluster/system.hpp"

namespace cluster {

namespace {

constexpr std::size_t header_size = 4;
constexpr std::size_t read_size = std::size_t{64} << 10;

void append_header(std::string& output, std::size_t length) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    output += static_cast<char>((length >> static_cast<unsigned>(shift)) & 0xFFU);
  }
}

std::size_t header_at(const std::string& input, std::size_t position) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < header_size; ++i) {
    length = (length << 8U) | static_cast<unsigned char>(input[position + i]);
  }
  return length;
}

}  // namespace

std::pair<UniqueFd, UniqueFd> Channel::make_pair() {
  std::array<int, 2> ends{};
  check("socketpair",
        ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()));
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Channel::Channel(EventLoop& loop, UniqueFd fd, std::string name, OnMessage on_message,
                 OnClose on_close)
    : loop_(loop),
      fd_(std::move(fd)),
      on_message_(std::move(on_message)),
      on_close_(std::move(on_close)) {
  loop_.watch_readable(fd_.get(), std::move(name), [this] { read_some(); });
}

Channel::~Channel() {
  *alive_ = false;
  if (fd_) {
    flush();
    loop_.forget(fd_.get());
  }
}

Channel::Sent Channel::send(const Json& message) {
  if (closed()) {
    return Sent::closed;
  }
  const std::string text = to_text(message);
  if (text.size() > max_frame) {
    return Sent::too_long;
  }
  if (queued_bytes() + header_size + text.size() > max_queued) {
    return Sent::full;
  }
  append_header(output_, text.size());
  output_ += text;
  last_sent_bytes_ = text.size();
  happen(Event::queued);
  return Sent::queued;
}

// Asks the loop for the call that the new state needs.
void Channel::happen(Event event) {
  const auto before = std::exchange(state_, table.after(state_, event));
  if (state_ == before) {
    return;
  }
  if (state_ == Output::planned) {
    loop_.at_end_of_turn([this, alive = alive_] {
      if (*alive) {
        flush();
      }
    });
  } else if (state_ == Output::waiting) {
    loop_.watch_writable(fd_.get(), [this] { flush(); });
  } else if (before == Output::waiting && state_ == Output::empty) {
    loop_.unwatch_writable(fd_.get());
  }
}

void Channel::flush() {
  if (queued_bytes() == 0) {
    return;
  }
  while (queued_bytes() > 0) {
    const auto sent = ::send(fd_.get(), output_.data() + written_, queued_bytes(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      happen(Event::full);
      break;
    }
    // When the peer is gone, the rest is dropped. The reading side learns it by end-of-file, after
    // it has read what the peer had sent.
    written_ = sent < 0 ? output_.size() : written_ + static_cast<std::size_t>(sent);
  }
  if (queued_bytes() == 0) {
    output_.clear();
    written_ = 0;
    happen(Event::written);
  } else if (written_ > max_queued / 4) {
    output_.erase(0, written_);
    written_ = 0;
  }
}

void Channel::flush_all(std::chrono::milliseconds patience) {
  // Many short waits instead of a long one: a process that is stopped and continued loses only one.
  constexpr std::chrono::milliseconds wait(20);
  flush();
  for (auto left = patience; queued_bytes() > 0 && left.count() > 0; left -= wait) {
    pollfd writable{fd_.get(), POLLOUT, 0};
    if (::poll(&writable, 1, static_cast<int>(wait.count())) > 0) {
      flush();
      left = patience + wait;
    }
  }
}

bool Channel::read_some() {
  std::array<char, read_size> buffer;  // NOLINT(*-member-init): recv fills it
  const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (got > 0) {
    input_.append(buffer.data(), static_cast<std::size_t>(got));
    handle_frames();
    return !closed();
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    return false;
  }
  close(input_.size() > parsed_ && got == 0 ? "ended in the middle of a message" : "");
  return false;
}

void Channel::read_all() {
  while (!closed() && read_some()) {
  }
}

void Channel::handle_frames() {
  while (!closed() && input_.size() - parsed_ >= header_size) {
    const std::size_t length = header_at(input_, parsed_);
    if (length > max_frame) {
      close("sent a message of " + std::to_string(length) + " bytes; at most " +
            std::to_string(max_frame) + " are allowed");
      return;
    }
    if (input_.size() - parsed_ < header_size + length) {
      break;
    }
    const char* text = input_.data() + parsed_ + header_size;
    Json message = parse_json({text, length});
    parsed_ += header_size + length;
    if (message.is_discarded()) {
      close("sent a message that is not JSON, or is nested deeper than " +
            std::to_string(max_json_depth) + " levels");
      return;
    }
    on_message_(std::move(message), length);
  }
  if (!closed()) {
    input_.erase(0, parsed_);
    parsed_ = 0;
  }
}

void Channel::close(const std::string& reason) {
  loop_.forget(fd_.get());
  fd_.reset();
  output_.clear();
  written_ = 0;
  happen(Event::close);
  on_close_(reason);
}

}  // namespace cluster
