// The roles of this program when a test has started it: a worker of a Master, or a helper with a
// channel to the test.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "cluster/channel.hpp"
#include "cluster/event_loop.hpp"
#include "cluster/http_server.hpp"
#include "cluster/listener.hpp"
#include "cluster/master.hpp"
#include "cluster/program.hpp"
#include "cluster/system.hpp"
#include "cluster/worker.hpp"
#include "support.hpp"

namespace cluster::test {

namespace {

bool never() {
  return false;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// What a command of the shell writes.
std::string output_of(const std::string& command) {
  std::string result;
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  for (int c = 0; pipe != nullptr && (c = std::fgetc(pipe)) != EOF;) result += static_cast<char>(c);
  ::pclose(pipe);
  return result;
}

// Puts another handler in the place of one that is at work, which then tells whether it still has
// what it holds.
void replace_own_handler(Worker& worker) {
  auto held = std::make_shared<int>();
  worker.on_message("replace", [&worker, held, watched = std::weak_ptr(held)](const Json&) {
    auto& out = worker;
    const auto own = watched;
    out.on_message("replace", [](const Json&) {});
    out.send({{"type", "said"}, {"alive", !own.expired()}});
  });
}

// A worker that follows the messages of the test.
int obey() {
  const std::string handed = variable("CLUSTER_WORKER");  // the worker clears it
  Worker worker(variable("TEST_JOURNAL"));
  worker.on_message("echo", [&](const Json& message) {
    worker.send({{"type", "echo"}, {"id", message["id"]}});
  });
  worker.on_message("who", [&](const Json&) {
    worker.send({{"type", "who"},
                 {"number", worker.number()},
                 {"pid", ::getpid()},
                 {"listener", worker.listener()},
                 {"version", variable("TEST_VERSION")},
                 {"handed", variable("CLUSTER_WORKER")},
                 {"descriptors", open_descriptors()}});
  });
  worker.on_message("prefer throughput", [&](const Json&) {
    Worker::prefer_throughput();
    int thread = -1;
    std::jthread([&] { thread = ::sched_getscheduler(0); }).join();
    worker.send({{"type", "said"}, {"policy", ::sched_getscheduler(0)}, {"thread", thread}});
  });
  worker.on_message("say and die", [&](const Json& message) {
    const std::string text(
        300, 'x');  // all of it more than one read takes, and less than the socket holds
    for (int i = 0; i < message["count"]; ++i)
      worker.send({{"type", "said"}, {"number", i}, {"text", text}});
    worker.post(
        [] { ::kill(::getpid(), SIGKILL); });  // the next turn: this one's messages have left
  });
  worker.on_message("from threads", [&](const Json& message) {
    std::thread([&worker, count = message["count"].get<int>()] {
      for (int i = 0; i < count; ++i) worker.send({{"type", "threaded"}, {"number", i}});
    }).join();
  });
  worker.on_message("raw", [&](const Json& message) {
    // Bypasses the channel: the descriptor is the one that the master handed down.
    const auto channel = handed.find(' ', handed.find(' ') + 1) + 1;
    write_all(std::stoi(handed.substr(channel)), frame(message["text"].get<std::string>()));
  });
  worker.on_message("try to send", [&](const Json& message) {
    std::string refusal;
    try {
      worker.send(message["what"]);
    } catch (const std::invalid_argument& error) {
      refusal = error.what();
    }
    worker.send({{"type", "said"}, {"refusal", refusal}});
  });
  worker.on_message("exit", [](const Json& message) { std::_Exit(message["code"]); });
  worker.on_message("run", [&](const Json& message) {
    worker.send({{"type", "said"}, {"output", output_of(message["command"])}});
  });
  replace_own_handler(worker);
  Json last_word;
  worker.on_message("leave", [&](const Json& message) { last_word = message; });
  worker.ready();
  worker.wait_until([&] { return !last_word.is_null(); });
  const Json word{{"type", "said"}, {"text", std::string(last_word["length"], 'x')}};
  if (last_word["by thread"]) {
    std::jthread([&] { worker.send(word); });
  } else {
    worker.send(word);
  }
  if (last_word["flush"]) {
    worker.flush();
    std::_Exit(0);
  }
  return 0;
}

// A master with one worker in the role `obey`. It sends the worker's pid to the test, then waits.
int lead(Channel& test) {
  Master master(1, std::nullopt, "");
  master.start_workers();
  master.wait_until([&] { return master.all_ready(); });
  test.send({{"worker", master.current(1)}});
  test.flush();
  master.wait_until(never);
  return 0;
}

// A worker that serves until SIGTERM, and gives a half-sent request 300 ms.
int serve() {
  Worker worker("");
  HttpServer::Limits limits;
  limits.request = 300ms;
  HttpServer server(worker, limits);
  server.Get("/", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200, {});
  });
  server.Get("/wait", [&](const HttpServer::Request&, HttpServer::Response&) { server.pause(1h); });
  worker.end_by_signal();
  server.start();
  worker.ready();
  worker.wait_until([&] { return worker.ending(); });
  return end_worker(worker, server);
}

}  // namespace

int run_worker_role() {
  const auto role = variable("TEST_ROLE");
  if (role == "crash") return 3;
  if (role == "serve") return serve();
  if (role == "mute") {
    Worker worker("");
    worker.wait_until(never);
  }
  if (role == "busy") {  // runs its loop once, and then no more
    Worker worker("");
    worker.ready();
    worker.wait_until(never, 1ms);
    burn(patience);
    return 0;
  }
  return obey();
}

namespace {

// Opens a journal and writes a line to the log, as a program does.
int run_as_a_program() {
  std::string name = "test";
  return run_program(1, std::array{name.data(), static_cast<char*>(nullptr)}.data(), [] {
    const Journal journal(variable("TEST_JOURNAL"), 0);
    journal.write("began");
    Log("master")("a line of the log");
    std::fputs("a line on standard error\n", stderr);
    journal.write("ended");
    return 0;
  });
}

// Tells when a second is over, by a timer and by a wait. Meanwhile a handler does something.
void wait_for_a_second(EventLoop& loop, Channel& test, const std::function<void()>& meanwhile) {
  const auto tell = [&](const std::string& what) {
    test.send({{"over", what}});
    test.flush();
  };
  loop.after(1s, [&] { tell("timer"); });
  loop.after(50ms, [&] {
    tell("begun");  // both have begun
    meanwhile();
  });
  loop.wait_until(never, 1s);
  tell("wait");
}

// Every limit is two seconds.
void serve_with_short_limits(Channel& test, const std::function<void()>& wait) {
  const auto listener = listen_on({"127.0.0.1", 0});
  const Journal journal("", 1);
  HttpServer::Limits limits;
  limits.request = limits.idle = limits.write = 2s;
  HttpServer server(listener.fd.get(), Json::object(), journal, limits);
  const std::string large(std::size_t{16} << 20, 'x');
  server.Get("/", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200, {});
  });
  server.Get("/large", [&](const HttpServer::Request&, HttpServer::Response& response) {
    response.set_content(large, "text/plain");
  });
  server.start();
  test.send({{"port", listener.address.port}});
  test.flush();
  wait();
}

}  // namespace

int run_helper_role(const std::string& role) {
  if (role == "program") return run_as_a_program();
  const int fd = Process::first_inherited;
  check("fcntl", ::fcntl(fd, F_SETFD, FD_CLOEXEC));
  EventLoop loop;
  bool closed = false;
  Channel test(
      loop, UniqueFd(fd), "channel to the test", [](const Json&, std::size_t) {},
      [&](const std::string&) { closed = true; });
  if (role == "master") return lead(test);
  if (role == "describe") {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    test.send({{"descriptors", open_descriptors()},
               {"blocked", ::sigismember(&mask, SIGUSR1)},
               {"ignored", std::signal(SIGUSR2, SIG_DFL) == SIG_IGN},
               {"ignores SIGPIPE", std::signal(SIGPIPE, SIG_DFL) == SIG_IGN},
               {"program", own_program()},
               {"variable", variable("TEST_VARIABLE")}});
    test.flush();
    return 0;
  }
  if (role == "timers") {
    wait_for_a_second(loop, test, [] {});
    return 0;
  }
  if (role == "timers and a stop") {
    wait_for_a_second(loop, test, [&] {
      ::raise(SIGSTOP);
      loop.after(100ms, [&] {
        test.send({{"over", "planned after the stop"}});
        test.flush();
      });
    });
    return 0;
  }
  if (role == "server") {
    serve_with_short_limits(test, [&] { loop.wait_until([&] { return closed; }); });
    return 0;
  }
  test.send({{"started", role}});
  test.flush();
  loop.wait_until([&] { return closed; });
  return 0;
}

}  // namespace cluster::test
