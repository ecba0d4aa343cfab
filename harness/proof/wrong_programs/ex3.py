"""Wrong programs of exercise 3, health monitoring."""
from __future__ import annotations

from harness.proof.wrong_program import Wrong

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
          (('    return "silent";', '    return "";'),), "nobody looks"),
    Wrong("impatient", "silence is judged after half of the timeout", 2,
          (("heartbeat.at > settings.timeout", "heartbeat.at > settings.timeout / 2"),),
          "too early"),
    Wrong("sigterm-to-a-frozen-worker", "a stuck worker is asked to leave, which it cannot hear", 2,
          (("stuck ? SIGKILL : SIGTERM", "SIGTERM"),
           ('  const bool stuck = former && diagnose(*former, noted, settings) == "silent";\n',
            "")), "SIGTERM"),
    Wrong("memory-is-not-judged", "a worker over the memory limit is left alone", 3,
          (("  if (settled && heartbeat.memory_mb() > settings.memory_limit) {",
            "  if (settled && heartbeat.memory_mb() < 0) {"),), "memory"),
    Wrong("memory-of-the-master", "the resident set of the parent is told", 3,
          (("cluster::resident_bytes(::getpid())", "cluster::resident_bytes(::getppid())"),),
          "memory"),
    Wrong("memory-limit-in-kib", "bytes are divided by 1,024 only once", 3,
          (('number("memoryBytes") / mebibyte', 'number("memoryBytes") / 1024'),), "MiB",
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
          (("  if (from.leaving) {\n    return;\n  }\n  noted.heartbeats[from.pid]",
            "  noted.heartbeats[from.slot]"),
           ("noted.heartbeats.find(worker.pid)", "noted.heartbeats.find(worker.slot)"),
           ("noted.heartbeats.erase(death.worker.pid);",
            "noted.heartbeats.erase(death.worker.slot);")), "was replaced",
          also={2: "the first heartbeat of the successor counts for the stopped worker, which "
                   "is then only asked to go"}),
    Wrong("kill-before-the-successor",
          "the sick worker is ended before its successor is started", 5,
          (("    patient.successor = master.start(patient.worker.slot, {});",
            "    master.retire(patient.worker.pid);\n"
            "    master.kill(patient.worker.pid, SIGKILL);\n"
            "    master.wait_until([&] { return !master.find(patient.worker.pid); });\n"
            "    patient.successor = master.start(patient.worker.slot, {});"),),
          "ended before its successor"),
    Wrong("healthy-ones-too", "workers that come after a sick one are replaced with it", 5,
          (("      if (!reason.empty()) {\n        const auto last",
            "      if (worker && (!reason.empty() || !sick.empty())) {\n        const auto last"),),
          "healthy worker"),
    Wrong("restarts-not-counted", "the report says 0 restarts for ever", 5,
          (('" restarts=" << history.restarts', '" restarts=" << 0'),), "count"),
)
