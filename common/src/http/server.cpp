#include "cluster/http_server.hpp"

#include <unistd.h>

#include <stdexcept>

#include "cluster/worker.hpp"
#include "http/engine.hpp"

namespace cluster {

HttpServer::HttpServer(Worker& worker) : HttpServer(worker, Limits{}) {}

HttpServer::HttpServer(Worker& worker, Limits limits)
    : HttpServer(worker.listener(), {{"worker", worker.number()}, {"pid", ::getpid()}},
                 worker.journal(), limits) {
  hooks.quiet = [&worker] { worker.post([] {}); };
}

HttpServer::HttpServer(int listener, const Json& identity, const Journal& journal, Limits limits)
    : identity_(identity.empty() ? "" : to_text(identity)),
      engine_(std::make_unique<Engine>(*this, listener, journal, limits)) {}

HttpServer::~HttpServer() = default;

void HttpServer::get(const std::string& path, Handler handler) {
  engine_->routes.add("GET", path, std::move(handler));
}

void HttpServer::post(const std::string& path, Handler handler) {
  engine_->routes.add("POST", path, std::move(handler));
}

void HttpServer::del(const std::string& path, Handler handler) {
  engine_->routes.add("DELETE", path, std::move(handler));
}

void HttpServer::reply(Response& response, int status, const Json& body) const {
  if (!body.is_object() && !body.is_null()) {
    throw std::invalid_argument(R"(the body of a reply is a JSON object, as in {{"status", "ok"}} )"
                                "with two pairs of braces, not " +
                                to_text(body));
  }
  std::string text = body.empty() ? "{}" : to_text(body);
  if (!identity_.empty()) {
    text.pop_back();
    text += body.empty() ? "" : ",";
    text.append(identity_, 1);
  }
  response.status = status;
  response.set_content(text, "application/json");
}

void HttpServer::start() {
  engine_->start();
}

bool HttpServer::pause(std::chrono::milliseconds duration) {
  return engine_->pause(duration);
}

HttpServer::Activity HttpServer::activity() const {
  return engine_->activity();
}

std::chrono::milliseconds HttpServer::longest_in_flight() const {
  return engine_->longest_in_flight();
}

void HttpServer::stop_accepting() {
  engine_->accept_connections(false);
}

void HttpServer::resume_accepting() {
  engine_->accept_connections(true);
}

void HttpServer::close_after_answer() {
  engine_->close_after_answer();
}

void HttpServer::close_idle(std::chrono::milliseconds older_than) {
  engine_->close_idle(std::chrono::steady_clock::now() - older_than);
}

HttpServer::Cut HttpServer::cut() {
  return engine_->cut();
}

void HttpServer::begin_drain(std::chrono::milliseconds idle_grace) {
  engine_->begin_drain(idle_grace);
}

bool HttpServer::drained() const {
  return engine_->drained();
}

bool HttpServer::drain(std::chrono::steady_clock::time_point deadline,
                       std::chrono::milliseconds idle_grace) {
  engine_->begin_drain(idle_grace);
  return engine_->wait_drained(deadline);
}

}  // namespace cluster
