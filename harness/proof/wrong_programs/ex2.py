"""Wrong programs of exercise 2, rolling restart."""
from __future__ import annotations

from harness.proof.wrong_program import Wrong

READY_WAIT = (
    "  master.wait_until([&] { return ready() || !master.find(pid) || master.ending(); }, timeout);"
)

INITIALISE = (
    "  if (worker.wait_until([&] { return worker.ending(); }, startup)) {\n    return 0;\n  }\n")
WRONG_ONES_SERVE = "after a restart old versions are served"
ANOTHER_FOLLOWS = "when a restart is over, another one begins"
READY_LINE_TOO_EARLY = "the ready line is printed before the workers serve"

WRONG = (
    Wrong("starts-with-the-second-version",
          "the version is raised before it is used for the first time", 1,
          (("  int minor = 0;", "  int minor = 1;"),), "version"),
    Wrong("timestamp-is-a-number", "the timestamp is seconds, not ISO 8601", 1,
          (('{"timestamp", now_as_iso_8601()}', '{"timestamp", std::time(nullptr)}'),
           ("std::string now_as_iso_8601() {", "[[maybe_unused]] std::string now_as_iso_8601() {")),
          "timestamp"),
    Wrong("uptime-in-milliseconds", "uptime is told in milliseconds", 1,
          (('{"uptime", uptime.count()}', '{"uptime", uptime.count() * 1000}'),), "uptime"),
    Wrong("only-the-first-slot", "the restart ends after the first slot", 2,
          (("  for (int slot = 1; slot <= master.slots(); ++slot) {\n    master.wait_until",
            "  for (int slot = 1; slot <= 1; ++slot) {\n    master.wait_until"),), "first"),
    Wrong("asks-too-late-whom-to-end",
          "the slot's worker is asked for when its successor has been promoted", 2,
          (("  const pid_t former = master.current(slot);\n  master.promote(successor);\n",
            "  master.promote(successor);\n  const pid_t former = master.current(slot);\n"),),
          "successors were told to go"),
    Wrong("early-signal-remembered", "SIGUSR2 before the ready line is obeyed afterwards", 2,
          (("    if (serving && !restart_wanted) {", "    if (!restart_wanted) {"),), "remembered"),
    Wrong("old-one-first", "the old worker is ended before its successor is started", 3,
          (("    const pid_t successor = start_successor(",
            "    const pid_t old = master.current(slot);\n"
            "    master.retire(old);\n"
            "    master.kill(old, SIGTERM);\n"
            "    master.wait_until([&] { return !master.find(old); });\n"
            "    const pid_t successor = start_successor("),
           ("    hand_over(master, successor, slot, settings.drain_timeout);",
            "    if (master.current(slot) != successor) {\n"
            "      hand_over(master, successor, slot, settings.drain_timeout);\n"
            "    }")), "ended first",
          also={4: "when a successor fails its slot has no worker of the old version any more, "
                   "and is repaired with the new one",
                5: "when a successor is killed its slot has no worker left, and another has to "
                   "be started although the restart is abandoned"}),
    Wrong("nobody-waits-for-the-old-one",
          "the next slot begins while the old worker still drains", 3,
          (("  if (!master.wait_until([&] { return gone() || master.ending(); }, timeout)) {",
            "  if (timeout.count() < 0 && !gone()) {"),), "wait"),
    Wrong("all-at-once", "all successors are started at the same time", 3,
          (("    const pid_t successor = start_successor(master, slot, version, "
            "settings.ready_timeout);",
            "    static std::map<int, pid_t> successors;\n"
            "    if (slot == 1) {\n"
            "      successors.clear();\n"
            "      for (int one = 1; one <= master.slots(); ++one) {\n"
            "        successors[one] = master.start(one, version.variables());\n"
            "      }\n"
            "    }\n"
            "    const pid_t successor = start_successor(master, successors[slot], "
            "settings.ready_timeout);"),
           ("pid_t start_successor(Master& master, int slot, const Version& version, milliseconds "
            "timeout) {",
            "pid_t start_successor(Master& master, pid_t pid, milliseconds timeout) {"),
           ("  const pid_t pid = master.start(slot, version.variables());\n", ""),
           ('  master.log("the successor in slot ", slot, master.find(pid)',
            '  master.log("the successor", master.find(pid)'),
           ("    if (successor == 0) {\n",
            "    if (successor == 0) {\n"
            "      for (const auto& [other, pid] : successors) {\n"
            "        other > slot && master.kill(pid, SIGKILL);\n"
            "      }\n"),
           ("#include <ctime>\n", "#include <ctime>\n#include <map>\n")), "at once",
          also={number: "the other successors may still be there when the first one has been "
                        "killed, which ends the restart" for number in (4, 5)}),
    Wrong("sleep-instead-of-readiness", "the successor is taken for ready after a fixed time", 3,
          ((READY_WAIT,
            "  static_cast<void>(timeout);\n"
            "  master.wait_until([&] { return master.ending(); }, milliseconds(100));"),
           ("  if (ready()) {\n    return pid;",
            "  if (ready() || master.find(pid)) {\n    return pid;")), "until that is ready",
          also={4: "that a successor never becomes ready is not noticed, so that the restart is "
                   "not abandoned",
                5: "a successor that is killed later than after that time has already taken "
                   "over its slot"}),
    Wrong("no-drain-timeout", "a stuck old worker is waited for without an end", 3,
          (("return gone() || master.ending(); }, timeout)) {",
            "return gone() || master.ending(); }) || timeout.count() < 0) {"),), "limit"),
    Wrong("version-raised-although-abandoned", "an abandoned restart counts", 4,
          (('      master.log("rolling restart to ", next.text(), " abandoned',
            "      version = next;\n"
            '      master.log("rolling restart to ", next.text(), " abandoned'),), "version"),
    Wrong("version-not-kept", "each restart begins at the first version", 4,
          (("      version = next;\n", ""),), "kept"),
    Wrong("version-raised-twice",
          "the version is raised when the restart begins and again when it is done", 4,
          (("      version = next;\n", "      version = next.next();\n"),), "twice"),
    Wrong("overlapping-restarts", "a SIGUSR2 during a restart begins another one beside it", 4,
          (("    const Version next = version.next();",
            "    restart_wanted = false;\n    const Version next = version.next();"),
           ('"; the version is still ", version.text());\n    }\n    restart_wanted = false;',
            '"; the version is still ", version.text());\n    }'),
           ("bool rolling_restart(Master& master, const Version& version, const Settings& "
            "settings) {",
            "bool rolling_restart(Master& master, const Version& version, const Settings& "
            "settings, bool& restart_wanted) {"),
           ("    if (rolling_restart(master, next, settings)) {",
            "    if (rolling_restart(master, next, settings, restart_wanted)) {"),
           ("    hand_over(master, successor, slot, settings.drain_timeout);",
            "    if (std::exchange(restart_wanted, false)) {\n"
            "      rolling_restart(master, version.next(), settings, restart_wanted);\n"
            "    }\n"
            "    hand_over(master, successor, slot, settings.drain_timeout);"),
           ("#include <string>\n", "#include <string>\n#include <utility>\n")), "second restart"),
    Wrong("signals-are-queued", "a SIGUSR2 that comes during a restart brings another one", 4,
          (("    const Version next = version.next();",
            "    restart_wanted = false;\n    const Version next = version.next();"),
           ('"; the version is still ", version.text());\n    }\n    restart_wanted = false;',
            '"; the version is still ", version.text());\n    }')), "signal"),
    Wrong("goes-on-after-a-failure",
          "a successor that does not come up is skipped, and the restart goes on", 4,
          (("    if (successor == 0) {\n      return false;\n    }",
            "    if (successor == 0) {\n      continue;\n    }"),), "next slot",
          also={5: "a restart whose successor is killed is not abandoned either"}),
    Wrong("dead-successor-hangs-the-restart",
          "the master waits for a successor that has died, until READY_TIMEOUT_MS", 5,
          ((READY_WAIT, READY_WAIT.replace(" || !master.find(pid)", "")),), "died"),
    Wrong("ends-with-requests-in-flight", "the old worker leaves at once", 5,
          (("  return cluster::end_worker(worker, server);\n",
            "  server.begin_drain();\n  return 0;\n"),), "in flight",
          also={3: "old workers do not finish their requests either when nobody asks during the "
                   "restart"}),
    Wrong("kept-alive-connections-cut",
          "connections that are idle for a moment are closed unasked", 5,
          (("  return cluster::end_worker(worker, server);\n",
            "  server.begin_drain(0ms);\n  return cluster::end_worker(worker, server);\n"),),
          "connections"),
    Wrong("end-waits-for-the-successor",
          "SIGTERM is heeded only when the successor is ready, or its time is over", 5,
          ((READY_WAIT, READY_WAIT.replace(" || master.ending()", "")),), "wait for the successor"),
    Wrong("end-waits-for-the-old-worker",
          "SIGTERM is heeded only when the old worker has ended, or its time is over", 5,
          (("return gone() || master.ending(); }, timeout)) {", "return gone(); }, timeout)) {"),),
          "wait for the old worker"),
    Wrong("sigterm-waits-for-the-restart", "SIGTERM is heeded only when the restart is over", 5,
          ((READY_WAIT, READY_WAIT.replace(" || master.ending()", "")),
           ("  if (master.ending()) {\n"
            "    return 0;  // end_workers() ends it like all others\n"
            "  }\n",
            ""),
           ("return gone() || master.ending(); }, timeout)) {", "return gone(); }, timeout)) {"),
           ("    if (!master.all_ready() || master.ending()) {\n      return false;",
            "    if (!master.all_ready()) {\n      return false;")), "goes on"),
    Wrong("nobody-is-promoted", "the successor never becomes the slot's worker", 2,
          (("  master.promote(successor);\n", ""),), "never becomes the slot's worker",
          also={3: WRONG_ONES_SERVE, 4: WRONG_ONES_SERVE,
                5: "so many processes that the restart comes to no end in time"}),
    Wrong("old-variables-handed-on", "successors are started with the variables of the first start",
          4, (("  const pid_t pid = master.start(slot, version.variables());",
               "  const pid_t pid = master.start(slot, Version{}.variables());"),),
          "variables of the first start", also={2: WRONG_ONES_SERVE, 3: WRONG_ONES_SERVE}),
    Wrong("old-one-is-never-told", "nobody tells the old worker to go", 2,
          (("  master.kill(former, SIGTERM);\n", ""),), "told to go"),
    Wrong("old-one-is-killed", "the old worker is killed, with requests in flight", 5,
          (("  master.kill(former, SIGTERM);\n", "  master.kill(former, SIGKILL);\n"),), "killed",
          also={3: "an old worker does not finish its requests"}),
    Wrong("restart-stays-wanted", "nobody notes that the restart is over: another one follows", 4,
          (("    restart_wanted = false;\n", ""),), "is over",
          also={2: ANOTHER_FOLLOWS, 3: ANOTHER_FOLLOWS, 5: ANOTHER_FOLLOWS}),
    Wrong("ready-before-it-is-initialised",
          "the worker says that it is ready, and then initialises", 3,
          ((INITIALISE + "  server.start();\n  worker.ready();\n",
            "  worker.ready();\n" + INITIALISE + "  server.start();\n"),), "ready",
          also={2: READY_LINE_TOO_EARLY, 4: READY_LINE_TOO_EARLY, 5: READY_LINE_TOO_EARLY}),
    Wrong("failed-successor-lives-on", "a successor that is not ready in time is left alone", 4,
          (("  master.kill(pid, SIGKILL);\n"
            "  master.wait_until([&] { return !master.find(pid); });\n", ""),),
          "nobody kills it"),
    Wrong("handler-throws", "the handler throws an exception", 1,
          (('  const std::string version = handed_down != nullptr ? handed_down : "unknown";\n',
            '  const std::string version = "1.0.0";\n'),
           ("        const std::chrono::duration<double> uptime",
            "        if (handed_down != nullptr) throw std::runtime_error(\"no such key\");\n"
            "        const std::chrono::duration<double> uptime"),
           ("#include <string>\n", "#include <stdexcept>\n#include <string>\n")), "exception"),
)
