#pragma once

#include <httplib.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "cluster/journal.hpp"
#include "cluster/json.hpp"

namespace cluster {

class Worker;

// An HTTP/1.1 server on a listening socket that several processes may share. Handlers are written
// as for cpp-httplib: they get its Request (without multipart forms) and fill its Response (whole
// bodies only, no content providers). A thread of its own accepts connections, reads them without
// blocking and, when a whole request is there, runs the handler; if that takes long, another thread
// takes its place. So idle and stalled connections cost no thread, fast handlers no hand-over, and
// slow handlers hold up nobody.
//
// Set routes and hooks before start(). Handlers and hooks are called by the server's threads,
// several at once. All other functions may be called from any thread (from a hook only reply() and
// activity()), and but for resume_accepting() without start(), too: there is no connection then.
class HttpServer {
 public:
  using Request = httplib::Request;
  using Response = httplib::Response;
  using Handler = std::function<void(const Request&, Response&)>;

  struct Limits {
    std::size_t head = std::size_t{16} << 10;  // bytes of request line and headers: over it 431
    std::size_t body = std::size_t{64} << 10;  // bytes of a body: over it 413
    std::chrono::milliseconds request{
        5'000};  // from the first byte of a request to its last: over it 408
    std::chrono::milliseconds idle{75'000};  // an idle connection is closed after it
    std::chrono::milliseconds write{5'000};  // for a client that does not take its answer
    // Handlers that run at once. A further request goes to `refuse`, and `admit` is not asked.
    std::size_t threads = 1'024;
  };

  enum class CloseReason {
    peer,     // the client closed it, or failed
    answer,   // after an answer that said so
    idle,     // unasked: idle for too long, or closed by close_idle()
    stalled,  // a half-sent request that ran out of time
    cut,      // by cut() or at the end of the server, with a request in flight or half-sent
  };

  // A request that was answered, or whose connection was cut before.
  struct Exchange {
    std::uint64_t connection = 0;
    std::string method;
    std::string path;
    int status = 0;
    bool admitted = false;
    bool sent = false;  // the whole answer was handed to the kernel
    std::chrono::nanoseconds duration{};
  };

  // Hooks must be quick, and must not throw.
  struct Hooks {
    // Whether a request whose last byte has just been read is served (no hook: always) or goes to
    // `refuse`.
    std::function<bool()> admit;
    Handler refuse;  // writes the refusal (no hook: 503); the connection is closed after it
    std::function<void(const Exchange&)> done;  // after the answer was sent, or could not be
    std::function<void(std::uint64_t connection)> opened;
    std::function<void(std::uint64_t connection, CloseReason reason)> closed;
    // While close_after_answer() holds, and nothing is in flight or half-sent: a request (`done`
    // was called before), a refusal or a connection has ended, or a drain begins.
    std::function<void()> quiet;
  };

  struct Activity {
    std::size_t connections = 0;  // open, of whatever state
    std::size_t half_sent = 0;    // a request has begun to arrive
    std::size_t requests = 0;     // admitted and not answered yet
    std::size_t refusals = 0;     // refused and not answered yet
  };

  // What an end has cost.
  struct Cut {
    std::size_t requests = 0;
    std::size_t half_sent = 0;  // also those that ran out of time since close_after_answer()
  };

  // Serves on the worker's listening socket; `quiet` wakes the worker's loop, and every answer made
  // by reply() bears the worker's number and pid.
  explicit HttpServer(Worker& worker);
  HttpServer(Worker& worker, Limits limits);
  // For a process that is no worker. Neither the listener nor the journal is owned; `identity` is
  // added to every reply().
  HttpServer(int listener, const Json& identity, const Journal& journal, Limits limits);
  ~HttpServer();  // cuts what is left, waits for its threads (so for the handlers that run)
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  Hooks hooks;

  // A path that ends in '/' (but "/" itself) stands for everything below it.
  void get(const std::string& path, Handler handler);
  void post(const std::string& path, Handler handler);
  void del(const std::string& path, Handler handler);

  // Answers with a JSON object, to which `identity` is added (it must not have the same keys). {}
  // is the empty one; a body that is no object is refused (std::invalid_argument).
  void reply(Response& response, int status, const Json& body) const;

  void start();

  // A simulated delay inside a handler: false when it was ended early because the server is cut.
  bool pause(std::chrono::milliseconds duration);

  Activity activity() const;
  // How long the oldest admitted request has been at work; 0 without one. Looks at every
  // connection.
  std::chrono::milliseconds longest_in_flight() const;

  // The parts of a drain. stop_accepting(): when it returns, no new connection reaches this
  // process; others that share the socket go on. resume_accepting(): idle connections have their
  // usual time again, too; close_after_answer() stays in force.
  void stop_accepting();
  void resume_accepting();
  void close_after_answer();  // every answer from now on says `Connection: close`
  void close_idle(std::chrono::milliseconds older_than =
                      {});  // connections without a request, idle for so long
  Cut cut();                // closes every connection now

  // The usual drain: accepts nothing more, finishes what is in flight, answers a further request on
  // an open connection with `Connection: close`, and closes connections that are idle for longer
  // than `idle_grace`. begin_drain() returns at once; drained() turns true (and `quiet` is called)
  // when no connection is left; drain() waits, and tells whether it got there in time.
  void begin_drain(std::chrono::milliseconds idle_grace = std::chrono::seconds(1));
  bool drained() const;
  bool drain(std::chrono::steady_clock::time_point deadline,
             std::chrono::milliseconds idle_grace = std::chrono::seconds(1));

 private:
  class Engine;
  std::string identity_;  // as text, "{…}"
  std::unique_ptr<Engine> engine_;
};

}  // namespace cluster
