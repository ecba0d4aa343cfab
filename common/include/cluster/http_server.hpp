#pragma once

// Example:
//
//   cluster::Worker worker("");
//   cluster::HttpServer server(worker);
//   server.Get("/hello", [&](const auto& request, auto& response) {
//     if (!request.has_param("name")) return server.fail(response, 400, "`name` is missing");
//     server.reply(response, 200, {{"hello", request.get_param_value("name")}});
//   });
//   worker.end_by_signal();
//   server.start();
//   worker.ready();
//   worker.wait_until([&] { return worker.ending(); });
//   const int exit_code = cluster::end_worker(worker, server);

#include <httplib.h>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "cluster/journal.hpp"
#include "cluster/json.hpp"
#include "cluster/log.hpp"

namespace cluster {

class Worker;

// Converts to a response, but not to a reference to one.
struct ResponseByValue {
  operator httplib::Response() const;  // NOLINT(*-explicit-*): that is what it is for
};
template <typename Function>
concept WritesIntoACopy = std::invocable<Function&, const httplib::Request&, ResponseByValue>;

// cpp-httplib's Server on a listening socket that several processes may share. Routes, patterns,
// handlers, forms, content providers and the set_… functions are as cpp-httplib documents them.
// What it does with sockets and threads does not fit a cluster, so this class does that part
// itself: a thread accepts connections, reads them without blocking and, when a whole request is
// there, runs the handler; if that takes long, another thread takes its place. So idle and stalled
// connections cost no thread, fast handlers no hand-over, and slow handlers hold up nobody. An
// answer that the client does not take waits in its connection, not in a thread; only a content
// provider waits, while more than 1 MiB of its output is left.
//
// Unlike cpp-httplib: HEAD is a method like others (405 where only Get() was called). A body of an
// error that nobody wrote is {"error": …}. Ranges are ignored, answers under 1 KiB are not
// compressed, and no handler of a path gets a body with Content-Encoding (415). A content provider
// may keep references to its request, but not to its response. Requests that are malformed or over
// a limit reach no handler, not even that of errors.
//
// Set routes, handlers and hooks before start(). The server's threads call handlers and hooks,
// several at once. All other functions may be called from any thread (from a hook only reply(),
// fail() and activity()), and but for resume_accepting() without start(), too: there is no
// connection then.
class HttpServer : public httplib::Server {
 public:
  using Request = httplib::Request;
  using Response = httplib::Response;

  struct Limits {
    std::size_t head = std::size_t{16} << 10;  // bytes of request line and headers: over it 431
    std::size_t body = std::size_t{64} << 10;  // bytes of a body: over it 413
    // From the first byte of a request to its last: over it 408.
    std::chrono::milliseconds request{5'000};
    std::chrono::milliseconds idle{75'000};  // an idle connection is closed after it
    // A client that has taken nothing of its answer for so long is cut.
    std::chrono::milliseconds write{5'000};
    // Handlers that run at once. A further request goes to `refuse`, and `admit` is not asked.
    std::size_t threads = 1'024;
  };

  enum class CloseReason {
    peer,     // the client closed it, or failed
    answer,   // after an answer that said so
    idle,     // unasked: idle for too long, or closed by close_idle()
    stalled,  // a half-sent request that ran out of time
    // By cut() or at the end of the server, with a request in flight or half-sent; or the client
    // did not take its answer.
    cut,
  };

  // A request that was answered. Or its connection was cut before that.
  struct Exchange {
    std::uint64_t connection = 0;
    std::string method;
    std::string path;
    int status = 0;
    bool admitted = false;
    bool sent = false;  // the kernel has taken the whole answer
    std::chrono::nanoseconds duration{};
  };

  // Hooks must be quick, and must not throw.
  struct Hooks {
    // Called when the last byte of a request was read. True: the request is served. False: it goes
    // to `refuse`. Without this hook all requests are served.
    std::function<bool()> admit;
    Handler refuse;  // writes the refusal (no hook: 503); then the connection is closed
    // The answer, of a refused request too, was sent, or could not be sent.
    std::function<void(const Exchange&)> done;
    std::function<void(std::uint64_t connection)> opened;
    std::function<void(std::uint64_t connection, CloseReason reason)> closed;
    // Called while close_after_answer() is in force and no request is in flight or half-sent: each
    // time when a request, a refusal or a connection has ended, and when a drain begins. For a
    // request, `done` was called before. A worker's server has one that wakes the worker's loop:
    // one that takes its place must do so, too.
    std::function<void()> quiet;
  };

  struct Activity {
    std::size_t connections = 0;  // open, of whatever state
    std::size_t half_sent = 0;    // a request has begun to arrive
    std::size_t requests = 0;     // admitted, and the answer has not left yet
    std::size_t refusals = 0;     // refused, and the answer has not left yet
  };

  // What an end has cost.
  struct Cut {  // with those that ran out of time since close_after_answer()
    std::size_t requests = 0;
    std::size_t half_sent = 0;
  };

  // Serves on the worker's listening socket. `quiet` wakes the worker's loop. reply() adds the
  // worker's number and pid to each answer.
  explicit HttpServer(Worker& worker);
  HttpServer(Worker& worker, Limits limits);
  // For a process that is no worker. The server owns neither the listener nor the journal. reply()
  // adds `identity` to each answer.
  HttpServer(int listener, const Json& identity, const Journal& journal, Limits limits);
  // Cuts what is left, and waits for its threads (so for the handlers that run).
  ~HttpServer() override;
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  Hooks hooks;

  // cpp-httplib's. The first pattern that matches the path decides; a path that only patterns of
  // other methods match is answered with 405 and `Allow`.
  // A handler takes its response by reference. One that takes it by value, and so would write into
  // a copy, does not compile; nor does a generic one that takes `auto&&`.
  HttpServer& Get(const std::string& pattern, Handler handler);
  HttpServer& Post(const std::string& pattern, Handler handler);
  HttpServer& Post(const std::string& pattern, HandlerWithContentReader handler);
  HttpServer& Put(const std::string& pattern, Handler handler);
  HttpServer& Put(const std::string& pattern, HandlerWithContentReader handler);
  HttpServer& Patch(const std::string& pattern, Handler handler);
  HttpServer& Patch(const std::string& pattern, HandlerWithContentReader handler);
  HttpServer& Delete(const std::string& pattern, Handler handler);
  HttpServer& Delete(const std::string& pattern, HandlerWithContentReader handler);
  HttpServer& Options(const std::string& pattern, Handler handler);
  template <WritesIntoACopy Function>
  HttpServer& Get(const std::string& pattern, Function handler) = delete;
  template <WritesIntoACopy Function>
  HttpServer& Post(const std::string& pattern, Function handler) = delete;
  template <WritesIntoACopy Function>
  HttpServer& Put(const std::string& pattern, Function handler) = delete;
  template <WritesIntoACopy Function>
  HttpServer& Patch(const std::string& pattern, Function handler) = delete;
  template <WritesIntoACopy Function>
  HttpServer& Delete(const std::string& pattern, Function handler) = delete;
  template <WritesIntoACopy Function>
  HttpServer& Options(const std::string& pattern, Function handler) = delete;

  HttpServer& set_error_handler(HandlerWithResponse handler);
  template <typename Function>
  requires(!std::convertible_to<Function, HandlerWithResponse>)
      HttpServer& set_error_handler(Function handler) {
    return set_error_handler(HandlerWithResponse(
        [handler = Handler(std::move(handler))](const auto& request, auto& response) {
          handler(request, response);
          return HandlerResponse::Handled;
        }));
  }
  HttpServer& set_exception_handler(ExceptionHandler handler);
  HttpServer& set_pre_routing_handler(HandlerWithResponse handler);
  HttpServer& set_post_routing_handler(Handler handler);
  HttpServer& set_logger(httplib::Logger logger);
  HttpServer& set_default_headers(httplib::Headers headers);  // also of what reaches no handler
  bool set_mount_point(const std::string& mount_point, const std::string& folder,
                       httplib::Headers headers = {});
  bool set_base_dir(const std::string& folder, const std::string& mount_point = {});

  // Answers with a JSON object and adds `identity` to it; the two must have no key in common. {} is
  // the empty object. Throws std::invalid_argument when the body is no object.
  void reply(Response& response, int status, const Json& body) const;
  // The same with {"error": text}. The text says what is wrong, and what is allowed.
  void fail(Response& response, int status, const std::string& text) const;

  void start();

  // A simulated delay inside a handler. False: cut() has ended it early.
  bool pause(std::chrono::milliseconds duration);

  Activity activity() const;
  // How long the oldest handler of an admitted request has been at work; 0 when none is. Looks at
  // every connection.
  std::chrono::milliseconds longest_in_flight() const;

  // The parts of a drain. When stop_accepting() has returned, no new connection reaches this
  // process; other processes that share the socket go on. After resume_accepting() idle connections
  // have their usual time again, too; close_after_answer() stays in force.
  void stop_accepting();
  void resume_accepting();
  void close_after_answer();  // every answer from now on says `Connection: close`
  // Closes connections without a request that have been idle for so long.
  void close_idle(std::chrono::milliseconds older_than = {});
  Cut cut();  // closes every connection now

  // The usual drain. The server accepts no new connection and finishes the requests in flight. It
  // answers a further request on an open connection with `Connection: close`, and closes
  // connections that are idle for longer than `idle_grace`. When no connection is left, drained()
  // turns true and `quiet` is called. begin_drain() returns at once. drain() waits, and returns
  // whether no connection was left before the deadline.
  void begin_drain(std::chrono::milliseconds idle_grace = std::chrono::seconds(1));
  bool drained() const;
  bool drain(std::chrono::steady_clock::time_point deadline,
             std::chrono::milliseconds idle_grace = std::chrono::seconds(1));

  // What cpp-httplib does with sockets and threads: a call does not compile, and says what to do.
  template <typename... T>
  void listen(T&&...) = delete;  // the server has its listening socket: call start()
  template <typename... T>
  void listen_after_bind(T&&...) = delete;  // as listen()
  template <typename... T>
  void bind_to_port(T&&...) = delete;  // the socket is listen_on()'s or the master's
  template <typename... T>
  void bind_to_any_port(T&&...) = delete;  // as bind_to_port()
  template <typename... T>
  void stop(T&&...) = delete;  // it would end all processes' socket: begin_drain(), then cut()
  template <typename... T>
  void decommission(T&&...) = delete;  // as stop()
  template <typename... T>
  void is_running(T&&...) = delete;  // from start() to the destructor
  template <typename... T>
  void wait_until_ready(T&&...) = delete;  // it is when start() has returned
  template <typename... T>
  void set_keep_alive_max_count(T&&...) = delete;  // there is no such limit
  template <typename... T>
  void set_keep_alive_timeout(T&&...) = delete;  // Limits::idle
  template <typename... T>
  void set_read_timeout(T&&...) = delete;  // Limits::request
  template <typename... T>
  void set_write_timeout(T&&...) = delete;  // Limits::write
  template <typename... T>
  void set_idle_interval(T&&...) = delete;  // there is none
  template <typename... T>
  void set_payload_max_length(T&&...) = delete;  // Limits::body
  template <typename... T>
  void set_address_family(T&&...) = delete;  // the socket is made already
  template <typename... T>
  void set_ipv6_v6only(T&&...) = delete;  // as set_address_family()
  template <typename... T>
  void set_tcp_nodelay(T&&...) = delete;  // it is on
  template <typename... T>
  void set_socket_options(T&&...) = delete;  // set them on the listening socket
  template <typename... T>
  void set_expect_100_continue_handler(T&&...) = delete;  // the server says 100 by itself
  template <typename... T>
  void set_header_writer(T&&...) = delete;  // set_post_routing_handler() sees all headers

 private:
  class Engine;
  class Application;
  void new_task_queue();  // hides cpp-httplib's: the threads are Limits::threads

  HttpServer(int listener, const Json& identity, const Journal& journal, Limits limits,
             const Log& log);

  std::string identity_;  // as text, "{…}"
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Application> application_;
};

// The usual end of a worker that serves. Drains the server, as begin_drain() does, and closes the
// worker's copy of the listening socket; waits in the worker's loop until no connection is left.
// Returns the worker's exit code: 1 if a request or a half-sent one was cut, else 0. There is no
// limit: the master kills a worker that takes too long. Only the thread of the worker's main line
// may call it.
int end_worker(Worker& worker, HttpServer& server);

}  // namespace cluster
