"""Wrong programs of exercise 5, worker pool."""
from __future__ import annotations

from harness.proof.wrong_program import Wrong

FULL = "  if (waiting_.size() >= static_cast<std::size_t>(settings_.max_queue)) {"

WRONG = (
    Wrong("never-free-again", "a worker that has finished its task is never free again", 1,
          (("  from.task.clear();\n  ++from.completed;", "  ++from.completed;"),),
          "although a worker is free",
          also={number: "tasks that wait are not begun when a worker has finished"
                for number in (2, 3, 4, 5)}),
    Wrong("two-tasks-at-once", "a worker is given a task although it has one", 1,
          (("    if (free.pid == 0 || !free.task.empty()) {",
            "    if (free.pid == 0 || (!free.task.empty() && index > 0)) {"),), "second task",
          also={2: "no task ever waits",
                3: "no task is ever queued",
                4: "the queue is never full",
                5: "the result of the task that was overwritten is dropped"}),
    Wrong("busy-ones-are-available", "workers at work are counted as available", 1,
          (("one.pid != 0 && one.task.empty() ? 1 : 0", "one.pid != 0 ? 1 : 0"),), "drift"),
    Wrong("counts-die-with-the-worker", "`completed` is the process's, not the slot's", 1,
          (("  auto& left = seat(slot);\n  left.pid = 0;",
            "  auto& left = seat(slot);\n  left.pid = 0;\n  left.completed = 0;"),), "anew"),
    Wrong("last-in-first-out", "the newest task is started first", 2,
          (("  waiting_.push_back(task.id);", "  waiting_.push_front(task.id);"),), "stack"),
    Wrong("requeued-at-the-back", "the task of a dead worker goes to the end of the queue", 2,
          (("  waiting_.push_front(task.id);", "  waiting_.push_back(task.id);"),), "back"),
    Wrong("back-of-the-queue-with-its-old-time",
          "the task of a dead worker goes to the end of the queue, and keeps the time of its "
          "first start", 2,
          (("  waiting_.push_front(task.id);", "  waiting_.push_back(task.id);"),
           ("    task.started_at = cluster::unix_ms();",
            "    task.started_at = task.attempts == 0 ? cluster::unix_ms() : task.started_at;")),
          "back"),
    Wrong("later-deaths-at-the-back",
          "when several workers die at once, only the first one's task goes to the front", 2,
          (("  waiting_.push_front(task.id);",
            "  static double last_death = 0;\n"
            "  const double death = cluster::unix_ms();\n"
            "  death - last_death < 1'000 ? waiting_.push_back(task.id) : "
            "waiting_.push_front(task.id);\n"
            "  last_death = death;"),), "died later"),
    Wrong("lost-with-its-worker", "the task of a dead worker is forgotten", 2,
          (("  waiting_.push_front(task.id);\n", ""),), "lost",
          also={5: "a task whose worker was killed is done by nobody"}),
    Wrong("unknown-id-is-200", "an unknown id is answered with 200", 3,
          (("server.reply(response, 404,", "server.reply(response, 200,"),), "200"),
    Wrong("poison-task-for-ever", "a task that kills its workers is tried again without an end", 3,
          (("  if (left.sent && task.attempts >= settings_.max_attempts) {",
            "  if (task.attempts >= settings_.max_attempts + 1'000) {"),), "round for ever",
          also={4: "during the end, too, the task of a dead worker is tried again although "
                   "MAX_ATTEMPTS is 1, so that the exit code is 0"}),
    Wrong("one-attempt-too-few", "a task fails at its second death", 3,
          (("  if (left.sent && task.attempts >= settings_.max_attempts) {",
            "  if (task.attempts + 1 >= settings_.max_attempts) {"),), "too early"),
    Wrong("results-for-ever", "finished tasks are never forgotten", 3,
          (("  if (over_.size() > static_cast<std::size_t>(settings_.result_limit)) {",
            "  if (over_.size() > 1'000'000U + "
            "static_cast<std::size_t>(settings_.result_limit)) {"),), "for ever"),
    Wrong("forgotten-but-kept", "old tasks are not shown any more, but not erased either", 3,
          (("    tasks_.erase(over_.front());\n", "    tasks_.at(over_.front()).id.clear();\n"),
           ("  return found != tasks_.end() ? std::optional(found->second) : std::nullopt;",
            "  return found != tasks_.end() && !found->second.id.empty() ? "
            "std::optional(found->second) : std::nullopt;")), "for ever"),
    Wrong("seconds-for-milliseconds", "times are Unix seconds", 3,
          (('{"queuedAt", task.queued_at}', '{"queuedAt", task.queued_at / 1000}'),), "unit"),
    Wrong("one-too-many", "the limit is off by one: 21 tasks wait", 4,
          ((FULL, FULL.replace(">=", ">")),), "off by one"),
    Wrong("one-too-few", "the limit is off by one: 19 tasks wait", 4,
          ((FULL, FULL.replace("waiting_.size()", "waiting_.size() + 1")),), "off by one"),
    Wrong("tasks-at-work-count", "tasks that are being processed count as waiting", 4,
          ((FULL, FULL.replace("waiting_.size()", "waiting_.size() + busy()")),), "at work"),
    Wrong("look-then-push", "the look at the queue and the push are two steps", 4,
          (("  ++submitted_;\n  task.queued_at",
            "  mutex_.unlock();\n"
            "  std::this_thread::sleep_for(milliseconds(2));\n"
            "  mutex_.lock();\n"
            "  ++submitted_;\n"
            "  task.queued_at"),
           ("#include <string_view>\n", "#include <string_view>\n#include <thread>\n")),
          "two steps"),
    Wrong("requeue-refused-by-the-limit", "a full queue refuses the task of a dead worker", 4,
          (("  if (left.sent && task.attempts >= settings_.max_attempts) {",
            "  if (task.attempts >= settings_.max_attempts || waiting_.size() >= "
            "static_cast<std::size_t>(settings_.max_queue)) {"),), "requeue"),
    Wrong("sigterm-forgets-what-waits", "the workers are ended at once, with tasks waiting", 4,
          (("  master.wait_until([&] { return pool.finished() || master.forced(); }, timeout);\n",
            ""),), "forgotten"),
    Wrong("whole-timeout", "the end takes the whole timeout although every task is finished", 4,
          (("  master.wait_until([&] { return pool.finished() || master.forced(); }, timeout);\n",
            "  master.wait_until([&] { return master.forced(); }, timeout);\n"),),
          "until the timeout"),
    Wrong("accepts-during-the-end", "new tasks are accepted after SIGTERM", 4,
          (("  pool.close();\n", ""),), "still accepted"),
    Wrong("nobody-replaced-during-the-end",
          "dead workers are not replaced any more after SIGTERM", 4,
          (("  master.end_by_signal(Master::Meanwhile::replace);", "  master.end_by_signal();"),),
          "started any more"),
    Wrong("zero-and-one-are-prime", "0 and 1 count as primes", 5,
          (("    return n == 2 || n == 3;", "    return n < 4;"),), "0 and 1"),
    Wrong("squares-are-prime", "the divisors end one before the square root", 5,
          (("d <= n / d; d += 6", "d < n / d; d += 6"),), "square root"),
    Wrong("fibonacci-starts-with-1", "fibonacci(0) is 1", 5,
          (("  return n < 2 ? n : fibonacci", "  return n < 2 ? 1 : fibonacci"),), "1, 1"),
    Wrong("one-hash-too-many", "the chain has n + 1 hashes", 5,
          (("i < n; ++i", "i <= n; ++i"),), "one hash too many"),
    Wrong("hash-of-raw-bytes", "the bytes of the last digest are hashed, not its hex digits", 5,
          (("    text = sha256(text);",
            '    std::string bytes = i == 0 ? text : "";\n'
            "    for (std::size_t at = 0; i > 0 && at < text.size(); at += 2) {\n"
            "      bytes += static_cast<char>(std::stoi(text.substr(at, 2), nullptr, 16));\n"
            "    }\n"
            "    text = sha256(bytes);"),), "raw bytes"),
    Wrong("n-is-a-double", "n goes through a floating-point number", 5,
          (("    number = n->get<std::uint64_t>();",
            "    number = static_cast<std::uint64_t>(n->get<double>());"),), "floating"),
    Wrong("fractions-are-cut-off", "1.5 is taken for 1", 5,
          (("value < 0x1p63 && value == std::floor(value)", "value < 0x1p63"),), "fractional"),
    Wrong("32-bit-fibonacci", "results beyond 32 bits overflow", 5,
          (("std::uint64_t fibonacci(std::uint64_t n) {",
            "std::int32_t fibonacci(std::uint64_t n) {"),
           ("  return n < 2 ? n : fibonacci",
            "  return n < 2 ? static_cast<std::int32_t>(n) : fibonacci")),
          "32 bits", real_time=True),
    Wrong("square-overflows",
          "d * d is computed in 64 bits with a sign, which does not hold it for the largest "
          "primes", 5,
          (("d <= n / d; d += 6",
            "static_cast<std::int64_t>(d * d) <= static_cast<std::int64_t>(n); d += 6"),),
          "overflows", real_time=True),
)
