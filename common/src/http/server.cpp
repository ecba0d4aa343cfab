#include "cluster/http_server.hpp"

#include <unistd.h>

#include <stdexcept>

#include "cluster/worker.hpp"
#include "http/application.hpp"
#include "http/engine.hpp"
#include "http/message.hpp"

namespace cluster {

HttpServer::HttpServer(Worker& worker) : HttpServer(worker, Limits{}) {}

HttpServer::HttpServer(Worker& worker, Limits limits)
    : HttpServer(worker.listener(), {{"worker", worker.number()}, {"pid", ::getpid()}},
                 worker.journal(), limits, worker.log) {
  hooks.quiet = [&worker] { worker.post([] {}); };
}

HttpServer::HttpServer(int listener, const Json& identity, const Journal& journal, Limits limits)
    : HttpServer(listener, identity, journal, limits, Log("master")) {}

HttpServer::HttpServer(int listener, const Json& identity, const Journal& journal, Limits limits,
                       const Log& log)
    : identity_(identity.empty() ? "" : to_text(identity)),
      engine_(std::make_unique<Engine>(*this, listener, journal, limits, log)),
      application_(std::make_unique<Application>(*this, engine_->closes_after_answer())) {}

HttpServer::~HttpServer() {
  engine_->end();  // while what its handlers use is there
}

HttpServer& HttpServer::Get(const std::string& pattern, Handler handler) {
  application_->add("GET", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::Post(const std::string& pattern, Handler handler) {
  application_->add("POST", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::Post(const std::string& pattern, HandlerWithContentReader handler) {
  application_->add("POST", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::Put(const std::string& pattern, Handler handler) {
  application_->add("PUT", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::Put(const std::string& pattern, HandlerWithContentReader handler) {
  application_->add("PUT", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::Patch(const std::string& pattern, Handler handler) {
  application_->add("PATCH", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::Patch(const std::string& pattern, HandlerWithContentReader handler) {
  application_->add("PATCH", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::Delete(const std::string& pattern, Handler handler) {
  application_->add("DELETE", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::Delete(const std::string& pattern, HandlerWithContentReader handler) {
  application_->add("DELETE", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::Options(const std::string& pattern, Handler handler) {
  application_->add("OPTIONS", pattern, std::move(handler));
  return *this;
}

HttpServer& HttpServer::set_error_handler(HandlerWithResponse handler) {
  application_->error_handler = std::move(handler);
  return *this;
}

HttpServer& HttpServer::set_exception_handler(ExceptionHandler handler) {
  application_->exception_handler = std::move(handler);
  return *this;
}

HttpServer& HttpServer::set_pre_routing_handler(HandlerWithResponse handler) {
  application_->pre_routing_handler = std::move(handler);
  return *this;
}

HttpServer& HttpServer::set_post_routing_handler(Handler handler) {
  application_->post_routing_handler = std::move(handler);
  return *this;
}

HttpServer& HttpServer::set_logger(httplib::Logger logger) {
  application_->has_logger = static_cast<bool>(logger);
  Server::set_logger(std::move(logger));
  return *this;
}

HttpServer& HttpServer::set_default_headers(httplib::Headers headers) {
  for (const auto& [name, value] : headers) {
    if (!is_token(name) || !is_text(value)) {
      throw std::invalid_argument("a default header that is no text: " + name);
    }
  }
  application_->default_headers = std::move(headers);
  return *this;
}

bool HttpServer::set_mount_point(const std::string& mount_point, const std::string& folder,
                                 httplib::Headers headers) {
  application_->serves_files = true;
  return Server::set_mount_point(mount_point, folder, std::move(headers));
}

bool HttpServer::set_base_dir(const std::string& folder, const std::string& mount_point) {
  return set_mount_point(mount_point, folder);
}

void HttpServer::reply(Response& response, int status, const Json& body) const {
  if (!body.is_object() && !body.is_null()) {
    throw std::invalid_argument(R"(the body of a reply is a JSON object, as in {{"status", "ok"}} )"
                                "with two pairs of braces, not " +
                                to_text(body));
  }
  auto& text = response.body;
  text = body.empty() ? "{}" : to_text(body);
  if (!identity_.empty()) {
    text.pop_back();
    text += body.empty() ? "" : ",";
    text.append(identity_, 1);
  }
  response.status = status;
  erase_header(response.headers, "Content-Type");
  response.headers.emplace("Content-Type", "application/json");
}

void HttpServer::fail(Response& response, int status, const std::string& text) const {
  reply(response, status, {{"error", text}});
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
  engine_->stop_accepting();
}

void HttpServer::resume_accepting() {
  engine_->resume_accepting();
}

void HttpServer::close_after_answer() {
  engine_->close_after_answer();
}

void HttpServer::close_idle(std::chrono::milliseconds older_than) {
  engine_->close_idle(older_than);
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

int end_worker(Worker& worker, HttpServer& server) {
  worker.log("draining");
  server.begin_drain();
  worker.close_listener();
  worker.wait_until([&] { return server.drained(); });
  const auto cut = server.cut();
  return cut.requests + cut.half_sent == 0 ? 0 : 1;
}

}  // namespace cluster
