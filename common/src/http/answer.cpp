// The engine's answers.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "http/engine.hpp"
#include "http/message.hpp"

namespace cluster {

namespace {

using std::chrono::milliseconds;

// Method and path of a request that was not read to its end.
std::pair<std::string_view, std::string_view> first_words(std::string_view input) {
  auto line = take_line(input);
  const auto method = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(method.size() + 1, line.size()));
  return {method, line.substr(0, line.find_first_of(" ?"))};
}

}  // namespace

void HttpServer::Engine::fail(Response& response, int status, std::string_view error) const {
  server_.reply(response, status, {{"error", error}});
}

void HttpServer::Engine::respond(const Request& request, bool admitted, Response& response) const {
  try {
    if (admitted) {
      route(request, response);
    } else if (server_.hooks.refuse) {
      server_.hooks.refuse(request, response);
    } else {
      fail(response, 503, "there are too many requests: try again later");
    }
  } catch (const std::exception& error) {
    fail(response, 500, error.what());
  } catch (...) {
    fail(response, 500, "the handler failed");
  }
  if (response.status < 0) {
    response.status = 200;
  }
  if (response.status >= 400 && response.body.empty()) {
    fail(response, response.status, reason_phrase(response.status));
  }
}

void HttpServer::Engine::route(const Request& request, Response& response) const {
  const auto* methods = routes.find(request.path);
  if (methods == nullptr) {
    fail(response, 404, "there is nothing at " + request.path);
    return;
  }
  if (const auto handler = methods->find(request.method); handler != methods->end()) {
    handler->second(request, response);
    return;
  }
  std::string allowed;
  for (const auto& [method, ignored] : *methods) {
    allowed += (allowed.empty() ? "" : ", ") + method;
  }
  response.set_header("Allow", allowed);
  fail(response, 405, request.method + " is not allowed here: " + allowed);
}

// The caller does not hold the connection's lock: the handler may take long.
void HttpServer::Engine::answer(Connection& connection, bool& sent, bool& close_it) {
  const auto began = Clock::now();
  auto& request = *connection.request;
  Response response;
  respond(request, connection.admitted, response);
  close_it = !connection.admitted || connection.framer.wants_close() || close_after_answer_ ||
             same_name(response.get_header_value("Connection"), "close");
  const Closing closing{close_it, request.version == "HTTP/1.0"};
  sent = send_all(connection, format_response(response, closing, request.method != "HEAD"));
  connection.answered = sent;
  if (journal_) {
    journal_.write("response", {{"conn", connection.id},
                                {"method", request.method},
                                {"path", request.path},
                                {"status", response.status},
                                {"sent", sent}});
  }
  if (server_.hooks.done) {
    server_.hooks.done({connection.id, std::move(request.method), std::move(request.path),
                        response.status, connection.admitted, sent, Clock::now() - began});
  }
}

bool HttpServer::Engine::send_all(const Connection& connection, std::string_view text) const {
  const auto deadline = Clock::now() + limits_.write;
  while (!text.empty()) {
    const auto sent = ::send(connection.fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) {
      return false;
    }
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    pollfd writable{connection.fd.get(), POLLOUT, 0};
    if (left <= 0 || ::poll(&writable, 1, static_cast<int>(left)) == 0) {
      return false;
    }
  }
  return true;
}

// Answers a request without reading it to its end, and closes the connection.
void HttpServer::Engine::refuse_unread(Connection& connection, int status,
                                       const std::string& reason) {
  Response response;
  fail(response, status, reason);
  const auto text = format_response(response, {.close = true});
  ::send(connection.fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
  if (journal_) {
    const auto [method, path] = first_words(connection.input);
    journal_.write(
        "response",
        {{"conn", connection.id}, {"method", method}, {"path", path}, {"status", status}});
  }
  if (status == 408) {
    close(connection, CloseReason::stalled);
  } else {
    linger(connection);
    note_quiet();
  }
}

// Shuts only our end. To close a connection with unread input would reset it, and the client might
// lose the answer. Input is thrown away until the client closes, at most for linger_time.
void HttpServer::Engine::linger(Connection& connection) {
  ::shutdown(connection.fd.get(), SHUT_WR);
  enter(connection, Connection::Event::shut);
  connection.input.clear();
}

}  // namespace cluster
