// The engine's answers.
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "http/engine.hpp"
#include "http/message.hpp"

namespace cluster {

namespace {

using State = Connection::State;

// A content provider waits while more of its output than this has not left.
constexpr std::size_t most_waiting = std::size_t{1} << 20;
// So that a quick reader of a long answer holds up nobody else.
constexpr std::size_t most_at_once = std::size_t{1} << 20;
constexpr std::size_t kept_capacity = 4'096;  // of the input of an idle connection

// What a request that was not read to its end says of itself.
std::pair<std::string_view, std::string_view> first_words(std::string_view input) {
  auto line = take_line(input);
  const auto method = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(method.size() + 1, line.size()));
  return {method, line.substr(0, line.find_first_of(" ?"))};
}

}  // namespace

// Without the connection's lock: the handler may take its time. `whole`: the answer was written to
// its end, and the client is still there.
Connection::Answer HttpServer::Engine::handle(LeaderThreads::Member& self, Connection& connection,
                                              bool& whole) {
  auto& call = *connection.call;
  AnswerStream stream(call, [this, &connection](std::string_view text, AnswerStream::Piece piece) {
    return deliver(connection, text, piece);
  });
  call.hung_up = [&connection] {
    const Lock lock(connection.mutex);
    return connection.hung_up || connection.gone || connection.cut;
  };
  threads_.begin_handler(self, call.began);
  try {
    whole = server_.application_->run(call, stream);
  } catch (...) {  // of a logger, or of a handler of errors or exceptions
    whole = false;
    call.long_body.clear();
    if (!stream.started()) {
      Response response;
      response.headers = server_.application_->default_headers;
      server_.application_->fail(response, 500, "a handler of the server failed");
      const auto text = format_last_response(response, call.request.method != "HEAD");
      whole = stream.write(text.data(), text.size()) >= 0;
      call.status = 500;
      call.close = true;
    }
  }
  threads_.end_handler(self);
  whole = stream.finish(whole) && whole &&
          (call.long_body.empty() || deliver(connection, std::move(call.long_body)));
  if (call.admitted) {
    --handlers_;
  }
  return {{connection.id,
           std::move(call.request.method),
           std::move(call.request.path),
           call.status,
           call.admitted,
           false,
           {}},
          call.began,
          call.close};
}

// Called by the thread that answers. False: the client is gone, or cut.
bool HttpServer::Engine::deliver(Connection& connection, std::string_view text,
                                 AnswerStream::Piece piece) {
  Lock lock(connection.mutex);
  using Piece = AnswerStream::Piece;
  const auto result = connection.output.write(connection.fd.get(), text, piece == Piece::last);
  return delivered(lock, connection, result, piece == Piece::of_stream);
}

bool HttpServer::Engine::deliver(Connection& connection, std::string&& text) {
  Lock lock(connection.mutex);
  return delivered(lock, connection, connection.output.write(connection.fd.get(), std::move(text)),
                   false);
}

bool HttpServer::Engine::delivered(Lock& lock, Connection& connection, Output::Result result,
                                   bool may_wait) {
  const auto over = [&connection] { return connection.cut || connection.gone; };
  connection.gone = connection.gone || result == Output::Result::failed;
  if (over() || connection.output.empty()) {
    return !over();
  }
  connection.gone = !watch(connection);
  if (may_wait) {
    connection.output_changed.wait(
        lock, [&] { return over() || connection.output.size() <= most_waiting; });
    connection.since = Clock::now();  // the handler was not at work meanwhile
  }
  return !over();
}

void HttpServer::Engine::answered(Lock& lock, Connection& connection, Connection::Answer answer,
                                  bool whole) {
  const bool lost = !whole || connection.cut || connection.gone;
  if (lost || connection.output.empty()) {
    conclude(lock, connection, std::move(answer), !lost);
  } else {
    connection.answer = std::make_unique<Connection::Answer>(std::move(answer));
    connection.call->request = {};  // the client may take its time
    enter(connection, Connection::Event::left_over);
  }
}

// Sends what waits, if the client takes it.
void HttpServer::Engine::flush(Lock& lock, Connection& connection) {
  if (connection.output.empty()) {
    return;
  }
  const auto result = connection.output.flush(connection.fd.get(), most_at_once);
  if (result == Output::Result::failed) {
    connection.gone = true;
  } else if (result == Output::Result::more) {
    connection.watched_output = false;  // so that the kernel tells of it again
    connection.gone = !watch(connection);
  }
  connection.output_changed.notify_all();
  if (!connection.gone && !connection.output.empty()) {
    return;
  }
  if (connection.state == State::sending) {
    conclude(lock, connection, std::move(*connection.answer), !connection.gone);
  } else if (connection.state == State::refusing) {
    refused(connection);
  }
}

// The answer has left, or never will. The hook may take its time, too.
void HttpServer::Engine::conclude(Lock& lock, Connection& connection, Connection::Answer answer,
                                  bool sent) {
  enter(connection, Connection::Event::out);
  connection.output.drop();
  if (sent && answer.close) {
    ::shutdown(connection.fd.get(), SHUT_WR);  // before the hook, which may take its time
  }
  const auto out = connection.since;
  lock.unlock();
  auto& exchange = answer.exchange;
  exchange.sent = sent;
  exchange.duration = out - answer.began;
  if (journal_) {
    journal_.write("response", {{"conn", connection.id},
                                {"method", exchange.method},
                                {"path", exchange.path},
                                {"status", exchange.status},
                                {"sent", sent}});
  }
  const bool admitted = exchange.admitted;
  if (server_.hooks.done) {
    server_.hooks.done(exchange);
  }
  lock.lock();
  finish(connection, sent, answer.close);
  --(admitted ? requests_ : refusals_);
  note_quiet();
}

void HttpServer::Engine::finish(Connection& connection, bool sent, bool close_it) {
  connection.input.erase(0, connection.framer.size());
  connection.framer = RequestFramer(limits_.head, limits_.body);
  connection.begun = false;
  connection.empty_lines = 0;
  connection.call.reset();
  connection.answer.reset();
  if (connection.input.capacity() > kept_capacity) {
    connection.input.shrink_to_fit();
  }
  if (!sent || connection.cut) {
    close(connection, connection.cut ? CloseReason::cut : CloseReason::peer);
  } else if (close_it) {
    linger(connection);
  } else {
    enter(connection, Connection::Event::kept);
  }
}

// Answers a request without reading it to its end, and closes the connection.
void HttpServer::Engine::refuse_unread(Connection& connection, int status,
                                       const std::string& reason) {
  Response response;
  response.headers = server_.application_->default_headers;
  server_.application_->fail(response, status, reason);
  const auto [method, path] = first_words(connection.input);
  const auto text = format_last_response(response, method != "HEAD");
  if (journal_) {
    journal_.write(
        "response",
        {{"conn", connection.id}, {"method", method}, {"path", path}, {"status", status}});
  }
  connection.forget_input();
  connection.gone = connection.output.write(connection.fd.get(), text) == Output::Result::failed;
  if (status == 408) {
    ::shutdown(connection.fd.get(), SHUT_WR);
    close(connection, CloseReason::stalled);  // also if it does not take the refusal
    return;
  }
  if (!connection.output.empty()) {
    enter(connection, Connection::Event::left_over);
    connection.gone = !watch(connection);
  }
  if (connection.gone || connection.output.empty()) {
    refused(connection);
  } else {
    note_quiet();  // it is no longer half-sent
  }
}

// The refusal of a request has left, or never will.
void HttpServer::Engine::refused(Connection& connection) {
  if (connection.gone) {
    close(connection, CloseReason::peer);
  } else {
    ::shutdown(connection.fd.get(), SHUT_WR);
    linger(connection);
    note_quiet();
  }
}

// The caller has shut our end. To close a connection with unread input would reset it, and the
// client might lose the answer. Input is thrown away until the client closes, at most for
// linger_time.
void HttpServer::Engine::linger(Connection& connection) {
  enter(connection, Connection::Event::shut);
  connection.forget_input();
}

}  // namespace cluster
