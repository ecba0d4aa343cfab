#include "http_adaptor.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace cluster {

namespace {

// Reads from a request in memory, collects the answer.
class MemoryStream : public httplib::Stream {
 public:
  MemoryStream(std::string_view input, std::string& output) : input_(input), output_(output) {}

  // The names of these differ between the versions of cpp-httplib; each version overrides its own.
  bool is_readable() const override { return !input_.empty(); }
  // NOLINTNEXTLINE(modernize-use-override,clang-diagnostic-inconsistent-missing-override)
  bool is_writable() const { return true; }
  bool wait_readable() const { return !input_.empty(); }
  bool wait_writable() const { return true; }
  time_t duration() const { return 0; }
  ssize_t read(char* to, std::size_t size) override {
    const auto count = std::min(size, input_.size());
    std::memcpy(to, input_.data(), count);
    input_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, std::size_t size) override {
    output_.append(from, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
  // None: a number over FD_SETSIZE would be refused, and nothing else is done with it.
  socket_t socket() const override { return INVALID_SOCKET; }

 private:
  std::string_view input_;
  std::string& output_;
};

}  // namespace

void HttpRoutes::add(const std::string& method, const std::string& path, HttpServer::Handler handler) {
  routes_[path][method] = std::move(handler);
}

const std::map<std::string, HttpServer::Handler>* HttpRoutes::find(const std::string& path) const {
  if (const auto exact = routes_.find(path); exact != routes_.end()) {
    return &exact->second;
  }
  for (auto slash = path.rfind('/'); slash != std::string::npos && slash > 0;
       slash = path.rfind('/', slash - 1)) {
    if (const auto below = routes_.find(path.substr(0, slash + 1)); below != routes_.end()) {
      return &below->second;
    }
  }
  return nullptr;
}

HttpAdaptor::HttpAdaptor(const HttpRoutes& routes, const HttpServer::Handler& refuse,
                         std::function<void(Response&, int, const std::string&)> fail)
    : routes_(routes), refuse_(refuse), fail_(std::move(fail)) {
  set_pre_routing_handler([this](const Request& request, Response& response) {
    routed_ = true;
    route(request, response);
    return HandlerResponse::Handled;
  });
  set_exception_handler([this](const Request&, Response& response, std::exception_ptr failure) {
    try {
      std::rethrow_exception(std::move(failure));
    } catch (const std::exception& error) {
      fail_(response, 500, error.what());
    } catch (...) {
      fail_(response, 500, "the handler failed");
    }
  });
  set_error_handler(Handler([this](const Request&, Response& response) {
    if (response.body.empty()) {
      fail_(response, response.status, "this is no request that the server understands");
    }
  }));
  set_post_routing_handler(
      [this](const Request& request, Response& response) { complete(request, response); });
}

// cpp-httplib answers 400 to a header line over 8 KiB, and its packaged library cannot be told otherwise. Such lines are
// kept from it and put into the request afterwards; the framer has seen that each is of the form `Name: value`.
std::string_view HttpAdaptor::without_long_headers(std::string_view head) {
  long_headers_.clear();
  if (head.size() <= CPPHTTPLIB_HEADER_MAX_LENGTH) {
    return head;
  }
  short_head_.clear();
  while (!head.empty()) {
    const auto line = head.substr(0, std::min(head.find('\n'), head.size() - 1) + 1);
    head.remove_prefix(line.size());
    if (line.size() <= CPPHTTPLIB_HEADER_MAX_LENGTH || short_head_.empty()) {
      short_head_ += line;
    } else {
      const auto colon = line.find(':');
      const auto begin = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
      const auto end = line.find_last_not_of(" \t\r\n") + 1;
      long_headers_.emplace(line.substr(0, colon), line.substr(begin, std::max(begin, end) - begin));
    }
  }
  return short_head_;
}

void HttpAdaptor::prepare(Request& request) {
  request.body = std::move(task_.body);
  request.headers.merge(long_headers_);
  // Answers are small JSON texts: no ranges, no compression; "100 Continue" was sent where it was due.
  request.ranges.clear();
  request.headers.erase("Accept-Encoding");
  request.headers.erase("Expect");
}

void HttpAdaptor::route(const Request& request, Response& response) {
  if (task_.refused) {
    refuse_(request, response);
    return;
  }
  const auto* methods = routes_.find(request.path);
  if (methods == nullptr) {
    fail_(response, 404, "there is nothing at " + request.path);
    return;
  }
  const auto handler = methods->find(request.method);
  if (handler == methods->end()) {
    std::string allowed;
    for (const auto& [method, ignored] : *methods) {
      allowed += (allowed.empty() ? "" : ", ") + method;
    }
    response.set_header("Allow", allowed);
    fail_(response, 405, request.method + " is not allowed here: " + allowed);
    return;
  }
  handler->second(request, response);
}

void HttpAdaptor::complete(const Request& request, Response& response) {
  result_.method = request.method;
  result_.path = request.path;
  result_.status = response.status;
  result_.close = task_.wants_close || task_.refused || !routed_ || task_.must_close();
  // process_request was told to close, so the header is there; keeping open is what HTTP/1.1 does without one.
  if (!result_.close) {
    response.headers.erase("Connection");
    if (request.version == "HTTP/1.0") {
      response.set_header("Connection", "keep-alive");
    }
  }
}

// From 0.15 on process_request takes the peers' addresses as arguments; before, it asks the stream.
template <typename Self, typename Setup>
void HttpAdaptor::process(Self& self, httplib::Stream& stream, const Setup& setup) {
  bool closed = false;
  if constexpr (requires { self.process_request(stream, "", 0, "", 0, false, closed, setup); }) {
    self.process_request(stream, "", 0, "", 0, true, closed, setup);
  } else {
    self.process_request(stream, true, closed, setup);
  }
}

HttpAdaptor::Result HttpAdaptor::answer(Task task) {
  task_ = std::move(task);
  result_ = {};
  routed_ = false;
  MemoryStream stream(without_long_headers(task_.head), result_.text);
  process(*this, stream, [this](Request& request) { prepare(request); });
  return std::move(result_);
}

}  // namespace cluster
