"""Wrong programs of exercise 5, worker pool."""
from __future__ import annotations

from harness.proof.wrong_program import Wrong

FULL = "size(waiting_) >= room;"

N = '  const auto n = cluster::whole_number(body.value("n", Json()));'

WRONG = (
    Wrong("never-free-again", "a worker that has finished its task is never free again", 1,
          (("    seat_of(slot).task.clear();\n    ++seat_of(slot).completed;",
            "    ++seat_of(slot).completed;"),),
          "although a worker is free",
          also={number: "tasks that wait are not begun when a worker has finished"
                for number in (2, 3, 4, 5)}),
    Wrong("two-tasks-at-once", "a worker is given a task although it has one", 1,
          (("    const auto free = std::find_if(seats_.begin(), seats_.end(), "
            "std::mem_fn(&Seat::free));",
            "    const auto free = std::find_if(seats_.begin(), seats_.end(), [&](const Seat& one) "
            "{\n"
            "      return one.free() || (one.pid != 0 && &one == seats_.data());\n"
            "    });"),), "second task",
          also={2: "no task ever waits",
                3: "no task is ever queued",
                4: "the queue is never full",
                5: "the result of the task that was overwritten is dropped"}),
    Wrong("busy-ones-are-available", "workers at work are counted as available", 1,
          (('{"available", count(&Seat::free)}', '{"available", seats_.size()}'),), "drift"),
    Wrong("counts-die-with-the-worker", "`completed` is the process's, not the slot's", 1,
          (("    seat_of(slot).pid = 0;\n",
            "    seat_of(slot).pid = 0;\n    seat_of(slot).completed = 0;\n"),), "anew"),
    Wrong("last-in-first-out", "the newest task is started first", 2,
          (("  waiting_.push_back(task.id);", "  waiting_.push_front(task.id);"),), "stack"),
    Wrong("requeued-at-the-back", "the task of a dead worker goes to the end of the queue", 2,
          (("waiting_.push_front(task.id);", "waiting_.push_back(task.id);"),), "back"),
    Wrong("back-of-the-queue-with-its-old-time",
          "the task of a dead worker goes to the end of the queue, and keeps the time of its "
          "first start", 2,
          (("waiting_.push_front(task.id);", "waiting_.push_back(task.id);"),
           ("    task.started_at = cluster::unix_ms();",
            "    task.started_at = task.attempts == 0 ? cluster::unix_ms() : task.started_at;")),
          "back"),
    Wrong("later-deaths-at-the-back",
          "when several workers die at once, only the first one's task goes to the front", 2,
          (("      waiting_.push_front(task.id);",
            "  static double last_death = 0;\n"
            "  const double death = cluster::unix_ms();\n"
            "  death - last_death < 1'000 ? waiting_.push_back(task.id)\n"
            "                             : waiting_.push_front(task.id);\n"
            "  last_death = death;"),), "died later"),
    Wrong("lost-with-its-worker", "the task of a dead worker is forgotten", 2,
          (("      waiting_.push_front(task.id);\n", ""),), "lost",
          also={5: "a task whose worker was killed is done by nobody"}),
    Wrong("unknown-id-is-200", "an unknown id is answered with 200", 3,
          (("server.fail(response, 404,", "server.fail(response, 200,"),), "200"),
    Wrong("poison-task-for-ever", "a task that kills its workers is tried again without an end", 3,
          (("    if (task.attempts >= settings_.max_attempts) {",
            "    if (task.attempts >= settings_.max_attempts + 1'000) {"),), "round for ever",
          also={4: "during the end, too, the task of a dead worker is tried again although "
                   "MAX_ATTEMPTS is 1, so that the exit code is 0"}),
    Wrong("one-attempt-too-few", "a task fails at its second death", 3,
          (("    if (task.attempts >= settings_.max_attempts) {",
            "    if (task.attempts + 1 >= settings_.max_attempts) {"),), "too early"),
    Wrong("results-for-ever", "finished tasks are never forgotten", 3,
          (("    if (size(finished_) > settings_.result_limit) {",
            "    if (finished_.size() > 1'000'000U + "
            "static_cast<std::size_t>(settings_.result_limit)) {"),), "for ever"),
    Wrong("forgotten-but-kept", "old tasks are not shown any more, but not erased either", 3,
          (("tasks_.erase(finished_.front());", "tasks_.at(finished_.front()).id.clear();"),
           ("  return found != tasks_.end() ? std::optional(found->second) : std::nullopt;",
            "  return found != tasks_.end() && !found->second.id.empty() ? "
            "std::optional(found->second) : std::nullopt;")), "for ever"),
    Wrong("seconds-for-milliseconds", "times are Unix seconds", 3,
          (('{"queuedAt", task.queued_at}', '{"queuedAt", task.queued_at / 1000}'),), "unit"),
    Wrong("one-too-many", "the limit is off by one: 21 tasks wait", 4,
          ((FULL, FULL.replace(">=", ">")),), "off by one"),
    Wrong("one-too-few", "the limit is off by one: 19 tasks wait", 4,
          ((FULL, FULL.replace("size(waiting_)", "size(waiting_) + 1")),), "off by one"),
    Wrong("tasks-at-work-count", "tasks that are being processed count as waiting", 4,
          ((FULL, FULL.replace("size(waiting_)", "size(waiting_) + count(&Seat::busy)")),),
          "at work"),
    Wrong("free-workers-make-no-room",
          "a task that a free worker will take at once counts as one that waits", 4,
          (("    const int room = settings_.max_queue + count(&Seat::free);",
            "    const int room = settings_.max_queue;"),), "a free worker will take"),
    Wrong("look-then-push", "the look at the queue and the push are two steps", 4,
          (("    tasks_.emplace(task.id, task);\n",
            "    mutex_.unlock();\n"
            "    std::this_thread::sleep_for(2ms);\n"
            "    mutex_.lock();\n"
            "    tasks_.emplace(task.id, task);\n"),
           ("#include <string>\n", "#include <string>\n#include <thread>\n")),
          "two steps"),
    Wrong("requeue-refused-by-the-limit", "a full queue refuses the task of a dead worker", 4,
          (("    if (task.attempts >= settings_.max_attempts) {",
            "    if (task.attempts >= settings_.max_attempts || waiting_.size() >= "
            "static_cast<std::size_t>(settings_.max_queue)) {"),), "requeue"),
    Wrong("sigterm-forgets-what-waits", "the workers are ended at once, with tasks waiting", 4,
          (("  master.wait_until([&] { return pool.idle() || master.forced(); }, timeout);\n",
            ""),), "forgotten"),
    Wrong("whole-timeout", "the end takes the whole timeout although every task is finished", 4,
          (("  master.wait_until([&] { return pool.idle() || master.forced(); }, timeout);\n",
            "  master.wait_until([&] { return master.forced(); }, timeout);\n"),),
          "until the timeout"),
    Wrong("timeouts-add-up", "each part of the end gets the whole timeout, not what is left of it",
          4, (("std::max<Clock::duration>(deadline - Clock::now(), 100ms)", "timeout"),
              ("  const auto deadline = Clock::now() + timeout;\n", ""),
              ("deadline - Clock::now());\n  const auto cut", "timeout);\n  const auto cut")),
          "instead of what is left"),
    Wrong("requests-cut-at-once",
          "when no task is left all connections are cut, those with a request under way, too", 4,
          (("  master.wait_until([&] { return server.drained() || master.forced(); }, "
            "deadline - Clock::now());\n", ""),), "connections are cut"),
    Wrong("accepts-during-the-end", "new tasks are accepted after SIGTERM", 4,
          (("  pool.closed = true;\n", ""),), "still accepted"),
    Wrong("nobody-replaced-during-the-end",
          "dead workers are not replaced any more after SIGTERM", 4,
          (("  master.end_by_signal(Master::Meanwhile::replace);", "  master.end_by_signal();"),),
          "started any more"),
    Wrong("zero-and-one-are-prime", "0 and 1 count as primes", 5,
          (("return n == 2 || n == 3;", "return n < 4;"),), "0 and 1"),
    Wrong("squares-are-prime", "the divisors end one before the square root", 5,
          (("d <= n / d; d += 6", "d < n / d; d += 6"),), "square root"),
    Wrong("fibonacci-starts-with-1", "fibonacci(0) is 1", 5,
          (("  return n < 2 ? n : fibonacci", "  return n < 2 ? 1 : fibonacci"),), "1, 1"),
    Wrong("one-hash-too-many", "the chain has n + 1 hashes", 5,
          (("i < n; ++i", "i <= n; ++i"),), "one hash too many"),
    Wrong("hash-of-raw-bytes", "the bytes of the last digest are hashed, not its hex digits", 5,
          (("  for (std::uint64_t i = 0; i < n; ++i) text = sha256(text);",
            "  for (std::uint64_t i = 0; i < n; ++i) {\n"
            '    std::string bytes = i == 0 ? text : "";\n'
            "    for (std::size_t at = 0; i > 0 && at < text.size(); at += 2) {\n"
            "      bytes += static_cast<char>(std::stoi(text.substr(at, 2), nullptr, 16));\n"
            "    }\n"
            "    text = sha256(bytes);\n"
            "  }"),), "raw bytes"),
    Wrong("n-is-a-double", "n goes through a floating-point number", 5,
          ((N, "  const Json given = body.value(\"n\", Json());\n"
               "  auto n = cluster::whole_number(given);\n"
               "  if (n) n = static_cast<std::uint64_t>(given.get<double>());"),), "floating"),
    Wrong("fractions-are-cut-off", "1.5 is taken for 1", 5,
          ((N, "  const Json given = body.value(\"n\", Json());\n"
               "  auto n = cluster::whole_number(given);\n"
               "  if (given.is_number_float() && given > 0 && given < 0x1p53) n = given;"),),
          "fractional"),
    Wrong("rounded-beyond-2-53",
          "beyond 2^53 a number with a fraction or an exponent is taken, although it was rounded",
          5,
          ((N, "  const Json given = body.value(\"n\", Json());\n"
               "  auto n = cluster::whole_number(given);\n"
               "  if (given.is_number_float() && given >= 0x1p53 && given < 0x1p63) n = given;"),),
          "too large n"),
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
