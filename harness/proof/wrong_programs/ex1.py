"""Wrong programs of exercise 1, graceful shutdown."""
from __future__ import annotations

from harness.proof.wrong_program import Wrong

WAITS_FOR_EVER = "the drain does not end before the timeout"

WRONG = (
    Wrong("nobody-is-replaced", "replacing is switched off when the cluster is ready", 1,
          (("  if (!noted.stopping()) master.announce_ready();\n",
            "  if (!noted.stopping()) master.announce_ready();\n  master.stop_replacing();\n"),),
          "starts no successor"),
    Wrong("a-crash-ends-the-cluster", "the death of one worker is taken for the wish to end", 1,
          (("    if (noted.stopping() && early",
            "    if (!noted.stopping()) noted.stops.push_back(SIGTERM);\n"
            "    if (noted.stopping() && early"),), "one death"),
    Wrong("serves-on-while-draining", "new requests are still served after the signal", 2,
          (("  ++(draining_ ? refused_ : count_);\n  return !draining_;",
            "  ++count_;\n  return true;"),), "was served"),
    Wrong("kept-alive-served-while-draining",
          "only new connections are turned away; one that was open before goes on being served", 2,
          (("  ++(draining_ ? refused_ : count_);\n  return !draining_;",
            "  const bool newcomer = opened_ > refused_;\n"
            "  ++(newcomer ? refused_ : count_);\n"
            "  return !newcomer;"),
           ("  bool draining() const {",
            "  void opened() {\n"
            "    const std::lock_guard lock(mutex_);\n"
            "    opened_ += draining_ ? 1 : 0;\n"
            "  }\n"
            "  bool draining() const {"),
           ("  int refused_ = 0;\n", "  int refused_ = 0;\n  int opened_ = 0;\n"),
           ("  server.hooks.admit = ",
            "  server.hooks.opened = [&](std::uint64_t) { in_flight.opened(); };\n"
            "  server.hooks.admit = ")), "kept-alive"),
    Wrong("listener-closed-at-once",
          "the listening socket is closed at the signal, not at the end of the drain", 2,
          (("  in_flight.start_draining();\n",
            "  in_flight.start_draining();\n"
            "  server.stop_accepting();\n"
            "  worker.close_listener();\n"),
           ('  master.broadcast({{"type", "drain"}});',
            '  master.close_listener();\n  master.broadcast({{"type", "drain"}});')),
          "listening socket"),
    Wrong("accepts-no-more-at-once",
          "the workers stop accepting at the signal: the socket is open, and new connections "
          "wait in its queue", 2,
          (("  in_flight.start_draining();\n",
            "  in_flight.start_draining();\n  server.stop_accepting();\n"),), "stopped accepting"),
    Wrong("no-retry-after", "the 503 has no Retry-After", 2,
          (('  response.set_header("Retry-After", "5");\n', ""),), "header"),
    Wrong("slow-refusal", "the 503 waits as if it were work", 2,
          (("    turn_away(server, in_flight, request, response);\n",
            "    server.pause(400ms);\n    turn_away(server, in_flight, request, response);\n"),),
          "as if it were work"),
    Wrong("buys-time",
          "the 503 waits, while idle threads spin, so that the machine seems to be late", 2,
          (("    turn_away(server, in_flight, request, response);\n",
            "    server.pause(400ms);\n    turn_away(server, in_flight, request, response);\n"),
           ("#include <string>\n", "#include <string>\n#include <thread>\n"),
           ("  in_flight.start_draining();\n  server.close_after_answer();\n",
            "  for (int i = 0; i < 4; ++i) {\n"
            "    std::thread([] {\n"
            "      const sched_param none{};\n"
            "      ::pthread_setschedparam(::pthread_self(), SCHED_IDLE, &none);\n"
            "      for (volatile bool on = true; on;) {\n      }\n"
            "    }).detach();\n"
            "  }\n"
            "  in_flight.start_draining();\n  server.close_after_answer();\n")),
          "as if it were work",
          also={4: "on a busy machine its own threads hold up its end",
                5: "a worker that gives way to the end answers as late"}),
    Wrong("idle-connections-hold-it-up",
          "the drain waits until every connection is closed, idle ones too", 2,
          (("in_flight.count() == 0 && server.activity().half_sent == 0",
            "server.activity().connections == 0"),), "active requests only",
          also={3: "a connection that is idle after its answer holds up the end",
                5: "so does one when the end is asked for with Ctrl+C"}),
    Wrong("turned-away-counts-on",
          "a request that was turned away goes on counting as one in flight", 5,
          (("  ++(draining_ ? refused_ : count_);\n",
            "  refused_ += draining_ ? 1 : 0;\n  ++count_;\n"),), "turned away",
          also={2: "a worker that has turned somebody away does not end before the timeout"}),
    Wrong("leaves-when-itself-drained",
          "a worker ends when it has drained itself, although another one has not", 2,
          (("  worker.wait_until([&] { return orders.finish || orders.cut; });\n", ""),),
          "nothing left to do"),
    Wrong("nobody-lets-go", "the master does not tell the workers that all have drained", 3,
          (('  master.broadcast({{"type", drained ? "finish" : "cut"}});\n',
            '  if (!drained) {\n    master.broadcast({{"type", "cut"}});\n  }\n'),),
          "let the workers go",
          also={number: "everybody waits for the timeout there, too" for number in (2, 4, 5)}),
    Wrong("ends-before-the-answers", "the worker leaves at once, with requests in flight", 3,
          (("  worker.wait_until([&] { return quiet() || orders.cut; });\n", ""),
           ("  const auto quiet = [&]", "  [[maybe_unused]] const auto quiet = [&]")),
          "end at the signal",
          also={2: "no worker is left to answer 503 while the requests that were in flight "
                   "would still have been worked on"}),
    Wrong("exit-before-the-answer-is-written",
          "a request counts as finished when its work is done, not when its answer is sent", 3,
          (("constexpr milliseconds kill_grace = 100ms;\n",
            "constexpr milliseconds kill_grace = 100ms;\nstd::atomic<int> at_work{0};\n"),
           ("#include <algorithm>\n",
            "#include <algorithm>\n#include <atomic>\n#include <thread>\n"),
           ("    server.pause(delay);  // ends early when the server is cut\n",
            "    ++at_work;\n"
            "    server.pause(delay);\n"
            "    --at_work;\n"
            "    std::this_thread::sleep_for(delay / 5);  // the answer is put together\n"),
           ("  server.close_after_answer();\n",
            "  server.close_after_answer();\n  worker.loop().every(10ms, [] {});\n"),
           ("return in_flight.count() == 0 &&", "return at_work == 0 &&")),
          "before its answer was written",
          also={2: "the requests that show that the drain goes on lose their answers"}),
    Wrong("exit-code-1-after-a-good-end",
          "requests that were finished are taken for requests that were lost", 3,
          (("noted.lost == 0;", "noted.lost == 0 && noted.finished == 0;"),), "normal end",
          also={5: "the end of a drain of both workers, in which nothing was cut, has exit code "
                   "1"}),
    Wrong("no-deadline", "the wait for the drain has no timeout", 4,
          (("noted.forced(); }, timeout);",
            "noted.forced(); });\n  static_cast<void>(timeout);"),), "no timer"),
    Wrong("exit-code-0-after-force", "a forced end is called graceful", 4,
          (("const bool graceful = drained && gone && noted.cut == 0 && noted.lost == 0;",
            "const bool graceful = drained || gone || noted.cut >= 0;"),),
          "exit code does not tell"),
    Wrong("half-sent-is-idle",
          "a half-sent request is cut at once, as if the connection were idle", 4,
          (("in_flight.count() == 0 && server.activity().half_sent == 0",
            "in_flight.count() == 0"),), "counts as idle"),
    Wrong("unanswered-counts-for-ever",
          "a request whose client has gone stays in flight", 3,
          (("  --count_;\n  finished_", "  if (!answered) return;\n  --count_;\n  finished_"),),
          "cannot be sent"),
    Wrong("forced-end-waits-for-the-timeout",
          "after a second signal a stopped worker is waited for until the timeout", 5,
          (("drained ? left : kill_grace", "left"),), "for as long as the timeout leaves"),
    Wrong("killed-is-gone",
          "whether all have gone by themselves is asked when those that did not were killed", 5,
          (("  return gone;\n", "  static_cast<void>(gone);\n  return all_gone(master);\n"),),
          "exit code does not tell"),
    Wrong("second-signal-ignored", "a second signal during the end is not heeded", 5,
          (("    noted.stops.push_back(signal);\n",
            "    if (noted.stops.empty()) {\n      noted.stops.push_back(signal);\n    }\n"),),
          "signal is ignored"),
    Wrong("second-signal-restarts-the-deadline",
          "each further signal starts the drain and its time anew", 5,
          (("  master.wait_until([&] { return all_drained(master, noted) || noted.forced(); }, "
            "timeout);",
            "  for (std::size_t seen = 0; seen != noted.stops.size();) {\n"
            "    seen = noted.stops.size();\n"
            "    master.wait_until(\n"
            "        [&] { return all_drained(master, noted) || noted.stops.size() > seen; }, "
            "timeout);\n"
            "  }"),), "anew"),
    Wrong("shutdown-of-the-shared-socket",
          "a worker that leaves calls shutdown() on the listening socket, as cpp-httplib's "
          "stop() does", 5,
          (("  server.begin_drain();\n",
            "  server.begin_drain();\n"
            "  ::shutdown(worker.listener(), SHUT_RDWR);\n"),
           ("#include <cluster/cluster.hpp>\n",
            "#include <cluster/cluster.hpp>\n#include <sys/socket.h>\n")), "shutdown()"),
    Wrong("orphans", "workers go on when their master is gone", 5,
          (("  worker.ready();\n",
            "  ::prctl(PR_SET_PDEATHSIG, 0);\n  lives_on = true;\n  worker.ready();\n"),
           ("namespace {\n\nusing cluster::Clock;",
            "// So the library's end at the end of the channel is none.\n"
            "static bool lives_on = false;\n"
            'extern "C" void _Exit(int code) noexcept {\n'
            "  while (lives_on) {\n"
            "    ::pause();\n"
            "  }\n"
            "  ::_exit(code);\n"
            "}\n"
            "\n"
            "namespace {\n"
            "\n"
            "using cluster::Clock;"),
           ("#include <cluster/cluster.hpp>\n",
            "#include <cluster/cluster.hpp>\n#include <sys/prctl.h>\n#include <unistd.h>\n")),
          "orphans"),
    Wrong("workers-die-of-ctrl-c",
          "SIGINT, which a terminal sends to the whole group, ends the workers", 5,
          (("  worker.end_by_signal();\n",
            "  worker.end_by_signal();\n"
            "  worker.on_signal({SIGINT}, [](int) { std::_Exit(0); });\n"),
           ("#include <cluster/cluster.hpp>\n",
            "#include <cluster/cluster.hpp>\n\n#include <cstdlib>\n")), "SIGINT"),
    Wrong("replaced-during-shutdown", "workers that have drained are replaced", 5,
          (("    master.stop_replacing();\n", ""),), "replaces dead workers",
          also={number: "the successors of those that have drained are never told to go, so that "
                        "the cluster does not end" for number in (2, 3, 4)}),
    Wrong("stopped-worker-not-killed", "who does not go is only waited for", 4,
          (("    master.kill(worker.pid, SIGKILL);\n", ""),), "stopped process",
          also={5: "a stopped worker is not killed there, either"}),
    Wrong("one-worker-drains-with-503",
          "a worker that was sent SIGTERM alone turns requests away, though the others serve", 5,
          (("    if (leave(worker, server, orders)) return", "    if (orders.finish) return"),
           ("bool leave(Worker& worker", "[[maybe_unused]] bool leave(Worker& worker")),
          "whole cluster"),
    Wrong("one-worker-leaves-at-once",
          "a worker that was sent SIGTERM alone does not wait for its requests", 5,
          (("  worker.wait_until([&] { return server.drained() || orders.drain; });\n", ""),),
          "dies with its request"),
    Wrong("one-worker-serves-on",
          "a worker that was sent SIGTERM alone goes on accepting until it is idle", 5,
          (("  server.begin_drain();\n"
            "  worker.wait_until([&] { return server.drained() || orders.drain; });\n",
            "  server.close_after_answer();\n"
            "  worker.wait_until([&] { return server.activity().connections == 0; });\n"),),
          "takes new connections"),
    Wrong("one-worker-does-not-give-way",
          "a worker that leaves does not accept again when the master says `drain`", 5,
          (("  if (orders.drain) server.resume_accepting();\n", ""),), "does not accept again"),
    Wrong("health-counts-nothing", "/health tells that no request is in flight, whatever is", 1,
          (("in_flight.count() - 1, server", "0, server"),), "nobody counts"),
    Wrong("health-does-not-drain", "the 503 for /health is that of all other paths", 2,
          (('  if (request.path == "/health") {',
            '  if (request.path == "/heath") {'),), "all other paths"),
    Wrong("keeps-connections-open", "answers during the drain leave their connections open", 2,
          (("  server.close_after_answer();\n", ""),), "close_after_answer",
          also={3: WAITS_FOR_EVER, 4: WAITS_FOR_EVER, 5: WAITS_FOR_EVER}),
    Wrong("default-answers-at-once", "GET / does not take its time", 1,
          (('server.Get("/", after(server, settings.default_delay));',
            'server.Get("/", after(server, 0ms));'),), "simulated work",
          also={3: "a request that should still be under way has its answer already"}),
    Wrong("announces-too-early", "the ready line is printed when the workers are started", 0,
          (("  master.wait_until([&] { return master.all_ready() || noted.stopping(); });\n", ""),),
          "ready"),
)
