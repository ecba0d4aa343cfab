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
// bodies only, no content providers). The server owns its connections and its threads; it does not
// own the listening socket. One of its threads accepts connections and reads them without blocking.
// When a whole request is there, the same thread runs the handler. If the handler takes long,
// another thread goes on with the connections. So an idle or stalled connection needs no thread, a
// fast handler needs no hand-over, and a slow handler holds up no other request.
//
// Set routes and hooks before start(). The server's threads call handlers and hooks, several at
// once. Any thread may call the other functions; a hook may call only reply() and activity(). All
// functions but resume_accepting() may also be called without start(): there is no connection then.
class HttpServer {
 public:
  using Request = httplib::Request;
  using Response = httplib::Response;
  using Handler = std::function<void(const Request&, Response&)>;

  struct Limits {
    std::size_t head = std::size_t{16} << 10;  // bytes of request line and headers: over it 431
    std::size_t body = std::size_t{64} << 10;  // bytes of a body: over it 413
    // From the first byte of a request to its last: over it 408.
    std::chrono::milliseconds request{5'000};
    std::chrono::milliseconds idle{75'000};  // an idle connection is closed after it
    std::chrono::milliseconds write{5'000};  // the client must take its answer within it
    // So many handlers run at once. A further request goes to `refuse`; `admit` is not asked.
    std::size_t threads = 1'024;
  };

  enum class CloseReason {
    peer,     // the client closed the connection, or failed
    answer,   // the answer said `Connection: close`
    idle,     // the connection was idle for too long, or close_idle() was called
    stalled,  // a half-sent request ran out of time
    cut,      // cut() was called, or the server ended, with a request in flight or half-sent
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
    std::function<void(const Exchange&)> done;  // the answer was sent, or could not be sent
    std::function<void(std::uint64_t connection)> opened;
    std::function<void(std::uint64_t connection, CloseReason reason)> closed;
    // Called while close_after_answer() is in force and no request is in flight or half-sent: each
    // time when a request, a refusal or a connection has ended, and when a drain begins. For a
    // request, `done` was called before.
    std::function<void()> quiet;
  };

  struct Activity {
    std::size_t connections = 0;  // open, of whatever state
    std::size_t half_sent = 0;    // a request has begun to arrive
    std::size_t requests = 0;     // admitted and not answered yet
    std::size_t refusals = 0;     // refused and not answered yet
  };

  // The requests that an end has cost.
  struct Cut {
    std::size_t requests = 0;
    std::size_t half_sent = 0;  // and those that ran out of time since close_after_answer()
  };

  // Serves on the worker's listening socket. `quiet` wakes the worker's loop. reply() adds the
  // worker's number and pid to each answer.
  explicit HttpServer(Worker& worker);
  HttpServer(Worker& worker, Limits limits);
  // For a process that is no worker. The server owns neither the listener nor the journal. reply()
  // adds `identity` to each answer.
  HttpServer(int listener, const Json& identity, const Journal& journal, Limits limits);
  ~HttpServer();  // cuts the connections that are left; waits for its threads and their handlers
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  Hooks hooks;

  // A path that ends in '/' stands for all paths below it; "/" alone stands only for itself.
  void get(const std::string& path, Handler handler);
  void post(const std::string& path, Handler handler);
  void del(const std::string& path, Handler handler);

  // Answers with a JSON object and adds `identity` to it; the two must have no key in common. {} is
  // the empty object. Throws std::invalid_argument when the body is no object.
  void reply(Response& response, int status, const Json& body) const;

  void start();

  // A simulated delay inside a handler. False: cut() has ended it early.
  bool pause(std::chrono::milliseconds duration);

  Activity activity() const;
  // How long the oldest admitted request has been in flight; 0 when there is none. Looks at every
  // connection.
  std::chrono::milliseconds longest_in_flight() const;

  // The parts of a drain. When stop_accepting() has returned, no new connection reaches this
  // process; other processes that share the socket go on. After resume_accepting() idle connections
  // have their usual time again, too; close_after_answer() stays in force.
  void stop_accepting();
  void resume_accepting();
  void close_after_answer();  // every answer from now on says `Connection: close`
  void close_idle(std::chrono::milliseconds older_than =
                      {});  // connections without a request, idle for so long
  Cut cut();                // closes every connection now

  // The usual drain. The server accepts no new connection and finishes the requests in flight. It
  // answers a further request on an open connection with `Connection: close`, and closes
  // connections that are idle for longer than `idle_grace`. When no connection is left, drained()
  // turns true and `quiet` is called. begin_drain() returns at once. drain() waits, and returns
  // whether no connection was left before the deadline.
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
