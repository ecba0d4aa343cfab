"""Wrong programs of exercise 3, health monitoring."""
from __future__ import annotations

from harness.proof.wrong_program import Wrong

HEALTHY_ONES_GO = "healthy workers are replaced all the time"

WRONG = (
    Wrong("one-heartbeat-only", "a heartbeat is sent when the worker is ready, and never again", 1,
          (("  worker.loop().every(interval, send);\n", "  static_cast<void>(interval);\n"),),
          "only one",
          also={2: "after the timeout those that were not stopped are silent, too",
                3: "the master never hears that memory has grown",
                4: "the master never hears of the errors",
                5: "the master judges and reports what was at the start"}),
    Wrong("heartbeats-too-slow", "each wait is half as long again as the interval", 1,
          (("every(interval, send)", "every(interval * 3 / 2, send)"),), "too rarely"),
    Wrong("silence-is-not-judged", "a worker that says nothing is never replaced", 2,
          (('return "silent";', 'return "";'),), "nobody looks"),
    Wrong("impatient", "silence is judged after half of the timeout", 2,
          (("heartbeat.at > settings.timeout)", "heartbeat.at > settings.timeout / 2)"),),
          "too early"),
    Wrong("sigterm-to-a-frozen-worker", "a stuck worker is asked to leave, which it cannot hear", 2,
          (("stuck ? SIGKILL : SIGTERM", "SIGTERM"),
           ('  const bool stuck = diagnose(*sick, noted, settings) == "silent";\n', "")),
          "SIGTERM"),
    Wrong("judges-at-once-after-a-stop",
          "a whole group that was stopped and goes on is judged before its heartbeats are read", 2,
          (("    if (round > pause + 100ms) leave_out(round - pause, master, noted);\n",
            "    static_cast<void>(leave_out);\n"),
           ("    master.wait_until([&] { return noted.news || master.ending(); }, pause);\n",
            "    master.loop().run_once(pause);\n")), "master itself was stopped"),
    Wrong("memory-is-not-judged", "a worker over the memory limit is left alone", 3,
          (('heartbeat.number("memoryBytes") > settings.memory_limit * mebibyte',
            'heartbeat.number("memoryBytes") < 0'),), "memory"),
    Wrong("memory-of-the-master", "the resident set of the parent is told", 3,
          (("cluster::resident_bytes(::getpid())", "cluster::resident_bytes(::getppid())"),),
          "memory"),
    Wrong("memory-limit-in-kib", "the limit is multiplied by 1,024 only once", 3,
          (("settings.memory_limit * mebibyte", "settings.memory_limit * 1024"),), "MiB",
          also={number: "workers of the usual size are over the limit, and are replaced again and "
                        "again" for number in (1, 2, 4, 5)}),
    Wrong("peak-memory",
          "the largest size that the process has ever had is told, not its size now", 3,
          (('{"memoryBytes", cluster::resident_bytes(::getpid())}',
            '{"memoryBytes", peak_bytes()}'),
           ("// Counts a worker's requests and errors.",
            "std::size_t peak_bytes() {\n"
            "  rusage usage{};\n"
            "  ::getrusage(RUSAGE_SELF, &usage);\n"
            "  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;\n"
            "}\n"
            "\n"
            "// Counts a worker's requests and errors."),
           ("#include <unistd.h>\n", "#include <sys/resource.h>\n#include <unistd.h>\n")), "peak"),
    Wrong("one-of-one-is-100-per-cent", "the error rate is judged from the first request on", 4,
          (("  return enough && heartbeat", "  return heartbeat"),
           ('  const bool enough = heartbeat.number("requests") > settings.error_rate_min;\n', "")),
          "first request"),
    Wrong("errors-are-not-counted", "a 500 does not count as an error", 4,
          (("exchange.status >= 500", "exchange.status >= 600"),), "not counted"),
    Wrong("heartbeat-of-the-replaced-one",
          "a heartbeat counts for the slot: the one who was replaced goes on being judged in "
          "its successor's name", 4,
          (("  if (from.leaving) return;\n  noted.heartbeats[from.pid]",
            "  noted.heartbeats[from.slot]"),
           ("noted.heartbeats.find(worker.pid)", "noted.heartbeats.find(worker.slot)"),
           ("noted.heartbeats.erase(death.worker.pid);",
            "noted.heartbeats.erase(death.worker.slot);")), "was replaced",
          also={2: "the first heartbeat of the successor counts for the stopped worker, which "
                   "is then only asked to go"}),
    Wrong("dismisses-the-successor", "the successor is told to go when it is given the slot", 2,
          (("  master.promote(treatment.successor);\n",
            "  dismiss(master, treatment.successor, SIGTERM, settings.timeout);\n"
            "  master.promote(treatment.successor);\n"),),
          "successor was dismissed",
          also={number: "there, too, the slot stays empty" for number in (3, 4, 5)}),
    Wrong("treatment-is-not-ended",
          "the treatment is not over when the slot is handed over: the next round takes the "
          "successor for one too many", 4,
          (("  noted.treatments.erase(found);\n"
            "  if (wanted && ready) return hand_over(master, noted, slot, treatment, settings);\n",
            "  if (wanted && ready) return hand_over(master, noted, slot, treatment, settings);\n"
            "  noted.treatments.erase(found);\n"),),
          "treatment was not over"),
    Wrong("kill-before-the-successor",
          "the sick worker is ended before its successor is started", 5,
          (("    noted.treatments[slot] = {current->pid, master.start(slot, {}), noted.now, "
            "reason};\n",
            "    master.retire(current->pid);\n"
            "    master.kill(current->pid, SIGKILL);\n"
            "    master.wait_until([&] { return !master.find(current->pid); });\n"
            "    master.start(slot, {});\n"
            "    ++noted.restarts[slot];\n"
            "    noted.last_restart[slot] = reason;\n"),),
          "ended before its successor",
          also={3: "a worker that is over the limit is killed, too"}),
    Wrong("healthy-ones-too", "workers that come after a sick one are replaced with it", 5,
          (("    if (reason.empty()) return;",
            "    const auto& all = noted.treatments;\n"
            "    const bool after_a_sick_one = !all.empty() && all.begin()->first < slot;\n"
            "    if (!current || (reason.empty() && !after_a_sick_one)) return;"),),
          "healthy worker"),
    Wrong("waits-for-the-successor",
          "the master waits until the successor is ready, and looks at no other worker meanwhile",
          5,
          (("{current->pid, master.start(slot, {}), noted.now, reason};\n",
            "{current->pid, master.start(slot, {}), noted.now, reason};\n"
            "    const pid_t started = noted.treatments[slot].successor;\n"
            "    const auto settled = [&] {\n"
            "      const auto one = master.find(started);\n"
            "      return !one || one->ready || master.ending();\n"
            "    };\n"
            "    master.wait_until(settled, settings.timeout);\n"),),
          "waits for one successor"),
    Wrong("successor-is-not-awaited",
          "the slot is handed over to a successor that was started, ready or not", 5,
          (("  const bool ready = successor && successor->ready;",
            "  const bool ready = successor.has_value();"),),
          "before its successor"),
    Wrong("successor-gets-one-interval",
          "a successor that is not ready an interval after its start is given up", 5,
          (("const auto limit = successor ? std::max<milliseconds>(settings.timeout, 1s) : "
            "settings.interval;", "const auto limit = settings.interval;"),),
          "before it can be ready"),
    Wrong("hanging-successor-lives-on",
          "a successor that is not ready in time is forgotten, and lives on", 5,
          (("  dismiss(master, treatment.successor, ready ? SIGTERM",
            "  if (!wanted) dismiss(master, treatment.successor, ready ? SIGTERM"),),
          "lives on"),
    Wrong("hanging-successor-gets-the-slot",
          "when its time is over the slot is handed over to a successor that hangs", 5,
          (("  if (wanted && ready) return", "  if (wanted) return"),), "after a fixed time"),
    Wrong("hanging-successor-is-asked-to-go",
          "a successor that hangs is sent SIGTERM, which it cannot heed", 5,
          (("ready ? SIGTERM : SIGKILL, settings.timeout", "SIGTERM, 4 * settings.timeout"),),
          "SIGTERM"),
    Wrong("successor-of-the-dead-lives-on",
          "the successor of a worker that has died meanwhile is forgotten, and lives on", 5,
          (("  dismiss(master, treatment.successor, ready ? SIGTERM",
            "  if (wanted) dismiss(master, treatment.successor, ready ? SIGTERM"),),
          "is forgotten"),
    Wrong("dead-one-counted-twice",
          "a sick worker that dies before its successor is ready counts twice: as a crash, and "
          "when the slot is handed over", 5,
          (("  if (!sick) return;\n", ""),
           ("  noted.last_restart[slot] = treatment.reason;\n",
            "  noted.last_restart[slot] = treatment.reason;\n  if (!sick) return;\n")),
          "twice"),
    Wrong("restarts-not-counted", "the report says 0 restarts for ever", 5,
          (('" restarts=" << noted.restarts[slot]', '" restarts=" << 0'),), "count"),
    Wrong("bytes-against-megabytes", "bytes are compared with the limit in MiB", 3,
          (("settings.memory_limit * mebibyte)", "settings.memory_limit)"),), "bytes",
          also={1: HEALTHY_ONES_GO, 2: HEALTHY_ONES_GO, 4: HEALTHY_ONES_GO, 5: HEALTHY_ONES_GO}),
    Wrong("every-sick-one-is-killed", "a sick worker is killed, with its requests in flight", 3,
          (("stuck ? SIGKILL : SIGTERM", "stuck ? SIGKILL : SIGKILL"),), "kill"),
)
