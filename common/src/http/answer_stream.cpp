#include "http/answer_stream.hpp"

#include <algorithm>

namespace cluster {

namespace {

// What is larger is not copied before it leaves.
constexpr std::size_t worth_copying = std::size_t{64} << 10;
// Of what a content provider writes, whatever the size of its pieces: it waits between them.
constexpr std::size_t longest_piece = std::size_t{256} << 10;

}  // namespace

ssize_t AnswerStream::read(char* buffer, std::size_t size) {
  if (head_.empty()) {
    const auto count = std::min(size, call_.body.size() - body_read_);
    std::copy_n(call_.body.data() + body_read_, count, buffer);
    body_read_ += count;
    return static_cast<ssize_t>(count);
  }
  const auto count = std::min(size, head_.size());
  std::copy_n(head_.data(), count, buffer);
  head_.remove_prefix(count);
  return static_cast<ssize_t>(count);
}

ssize_t AnswerStream::write(const char* data, std::size_t size) {
  std::string_view text(data, size);
  if (!call_.streams) {
    if (size <= worth_copying) {
      pending_ += text;
    } else if (!deliver(text, Piece::usual)) {
      return -1;
    }
    return static_cast<ssize_t>(size);
  }
  while (!text.empty()) {
    const auto piece = text.substr(0, longest_piece);
    if (!deliver(piece, Piece::of_stream)) {
      return -1;
    }
    text.remove_prefix(piece.size());
  }
  return static_cast<ssize_t>(size);
}

bool AnswerStream::finish(bool whole) {
  const bool last = whole && call_.close && call_.long_body.empty();
  return deliver({}, last ? Piece::last : Piece::usual);
}

bool AnswerStream::deliver(std::string_view text, Piece piece) {
  for (const auto part : {std::string_view(pending_), text}) {
    if (!part.empty() && !gone_) {
      started_ = true;
      gone_ = !deliver_(part, piece);
    }
  }
  pending_.clear();
  return !gone_;
}

}  // namespace cluster
