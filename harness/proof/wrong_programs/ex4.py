"""Wrong programs of exercise 4, advanced IPC."""
from __future__ import annotations

from harness.proof.wrong_program import Wrong

# In place of what takes the promise out of the table.
FINDS_THE_PROMISE = (
    '    auto found = pending_.extract(message["id"].get<std::string>());\n'
    "    lock.unlock();\n"
    "    if (found) found.mapped().set_value(std::move(message));",
    '    const auto found = pending_.find(message["id"]);\n'
    "    if (found != pending_.end()) found->second.set_value(std::move(message));")

WRONG = (
    Wrong("one-id-for-all", "all messages of a worker have the same id", 5,
          (("    const std::string id = process_ + '-' + std::to_string(++last_id_);\n"
            "    auto answer = pending_[id].get_future();",
            "    const auto own = process_ + '-' + std::to_string(++last_id_);\n"
            '    const std::string id = request["what"] == "stats" ? own : process_;\n'
            "    std::promise<Json> promise;\n"
            "    auto answer = promise.get_future();\n"
            "    pending_[id] = std::move(promise);"),),
          "collide",
          also={4: "of calls that one worker has under way at the same time, a later one takes "
                   "the place of an earlier"}),
    Wrong("received-is-not-summed", "`total` lacks what was received", 1,
          (("    total[key] = sum;",
            '    total[key] = key == std::string("received") ? 0 : sum;'),), "not the sum"),
    Wrong("received-is-what-is-kept", "`received` is the number of messages that are kept", 1,
          (("received() const { return received_; }",
            "received() const { return static_cast<std::int64_t>(messages().size()); }"),),
          "how many messages are kept"),
    Wrong("counts-the-stats-itself",
          "`pending` has the very /stats in it that is being answered", 1,
          (('pending_beside(id)', 'pending_beside("")'),), "counts the very /stats",
          also={4: "nothing pending is waited for there, too"}),
    Wrong("counts-are-kept", "statistics are asked for once, and the answer is kept for ever", 1,
          (("    if (found) server.reply(response, 200, sums(std::move(*found)));",
            "    static const auto first = found ? sums(*found) : Json();\n"
            "    if (found) server.reply(response, 200, first);"),),
          "kept"),
    Wrong("broadcast-without-the-sender", "a broadcast goes to the others only", 2,
          (('      if (request["what"] == "send" && request["to"] != slot) continue;',
            '      if (request["what"] == "send" && request["to"] != slot) continue;\n'
            '      if (request["what"] == "broadcast" && slot == pending.caller.slot) continue;'),),
          "sender"),
    Wrong("broadcast-twice-to-the-sender",
          "the sender puts a broadcast into its mailbox itself, and gets it from the master, "
          "too", 2,
          (("    Json delivered = Json::array();\n",
            "    office.mailbox.add(\n"
            '        {{"from", office.worker.number()},\n'
            '         {"type", "broadcast"},\n'
            '         {"message", *text},\n'
            '         {"timestamp", static_cast<std::int64_t>(cluster::unix_ms())}});\n'
            "    Json delivered = Json::array();\n"),), "twice"),
    Wrong("length-of-the-message-off", "1,025 bytes are allowed", 2,
          (("message.size() > 1'024", "message.size() > 1'025"),), "length"),
    Wrong("sends-to-itself", "the message goes to the worker that was asked", 3,
          (('{"what", "send"}, {"to", slot}', '{"what", "send"}, {"to", office.worker.number()}'),),
          "sender"),
    Wrong("negative-numbers-are-400",
          "a whole number that is no slot is not told from what is no number", 3,
          (('R"(/send/(-?[0-9]+))"', 'R"(/send/([0-9]+))"'),), "number"),
    Wrong("waits-for-the-dead",
          "the death of a receiver is not noticed: its sender waits until the deadline", 4,
          (("awaited.extract(dead)", "awaited.extract(0)"),), "dea"),
    Wrong("one-caller-learns-of-a-death",
          "of the calls that wait for a worker that dies only the first is ended", 4,
          (("        finish_if_complete(entry->first);\n      }\n    }\n  }",
            "        finish_if_complete(entry->first);\n        return;\n      }\n    }\n  }"),),
          "only the first"),
    Wrong("awaits-the-slot-not-the-process",
          "who is awaited is noted by slot, and looked up by pid", 1,
          (("pending.awaited[pid] = slot;", "pending.awaited[slot] = static_cast<int>(pid);"),),
          "does not find who is awaited"),
    Wrong("a-part-is-a-failure",
          "an answer in which somebody is missing is taken for none", 4,
          (('found && !found->at("answers").empty()', 'found && found->at("missing").empty()'),),
          "failure of the whole"),
    Wrong("missing-by-pid", "the missing are named by their pids", 4,
          (('pending.missing[slot] = "late";', 'pending.missing[pid] = "late";'),), "pids"),
    Wrong("deadline-of-the-dead",
          "the call of a caller that has died is erased, and its deadline is not cancelled", 4,
          (("      if (dropped) master_.loop().cancel(entry.second.deadline);\n", ""),),
          "exception"),
    Wrong("the-dead-are-not-missing", "a worker that dies is no longer awaited, and not missing", 4,
          (("        entry->second.missing[awaited.mapped()] = \"dead\";\n", ""),), "nobody notes"),
    Wrong("no-partial-answer", "the master waits longer than the caller", 4,
          (("  milliseconds master_timeout = request_timeout * 3 / 4;",
            "  milliseconds master_timeout = request_timeout * 2;"),), "waits for all"),
    Wrong("gives-up-too-early", "a 504 comes after a quarter of the time", 4,
          (("  milliseconds master_timeout = request_timeout * 3 / 4;",
            "  milliseconds master_timeout = request_timeout / 4;"),), "too early"),
    Wrong("never-erased",
          "a call is erased from the table when it is answered, but not when its time is over", 4,
          (FINDS_THE_PROMISE,
           ("    pending_.erase(id);\n"
            "    return in_time ? std::optional(answer.get()) : std::nullopt;",
            "    auto result = in_time ? std::optional(answer.get()) : std::nullopt;\n"
            '    if (result && result->at("missing").empty()) {\n'
            "      pending_.erase(id);\n"
            "    }\n"
            "    return result;")), "erased"),
    Wrong("given-up-but-not-erased",
          "a call is erased from the table when it is answered, but not when its caller gives "
          "up", 4,
          (FINDS_THE_PROMISE,
           ("    pending_.erase(id);\n", "    if (in_time) pending_.erase(id);\n")),
          "gives up"),
    Wrong("only-an-answer-erases",
          "what a caller has given up stays in the table until its late answer comes", 4,
          (("    pending_.erase(id);\n", ""),), "gives up"),
    Wrong("caller-without-a-deadline",
          "the caller waits for the master without a deadline of its own", 4,
          (("comes_within(timeout, answer)", "comes_within(timeout * 100, answer)"),),
          "as the master takes"),
    Wrong("lock-held-while-waiting",
          "a caller keeps the lock while it waits, and the answer cannot get to it", 1,
          (("    lock.unlock();\n    request", "    request"),
           ("    lock.lock();\n    pending_.erase", "    pending_.erase")), "lock"),
    Wrong("ids-are-used-again",
          "the smallest free id is taken: a late answer finds a later request with the same one", 4,
          (("    const std::string id = process_ + '-' + std::to_string(++last_id_);\n",
            "    last_id_ = 1;\n"
            "    while (pending_.contains(process_ + '-' + std::to_string(last_id_))) {\n"
            "      ++last_id_;\n"
            "    }\n"
            "    const std::string id = process_ + '-' + std::to_string(last_id_);\n"),
           FINDS_THE_PROMISE),
          "late answer",
          also={5: "the answers of a worker that was stopped find later messages to it when it "
                   "is woken"}),
    Wrong("no-process-is-waited-for",
          "a message for a slot without a process is waited for until the deadline", 4,
          (("      if (sent == Sent::queued) {",
            "      if (sent != Sent::full) {"),), "no process"),
    Wrong("first-in-first-out-matching", "an answer goes to whoever has waited longest", 5,
          (('    auto found = pending_.extract(message["id"].get<std::string>());',
            "    if (pending_.empty()) return;\n"
            "    auto found = pending_.extract(pending_.begin());"),), "matched",
          also={1: "of two answers in quick succession the first caller may get both, and the "
                   "second none",
                4: "an answer that comes sooner than that to an earlier call goes to the caller "
                   "of the earlier"}),
    Wrong("one-global-pending",
          "a worker has room for one pending message: a later one takes the place of an earlier", 5,
          (("    auto answer = pending_[id].get_future();\n",
            "    static std::map<std::string, std::promise<Json>> lost;\n"
            '    if (request["what"] == "send") {\n'
            "      lost.merge(pending_);\n"
            "    }\n"
            "    auto answer = pending_[id].get_future();\n"),), "room for one",
          also={4: "a message that waits for a stopped worker loses its place to the next one"}),
    Wrong("write-blocks", "the master waits until a worker that does not read takes its message", 5,
          (("      const auto sent = master_.send(pid, request);",
            "      auto sent = master_.send(pid, request);\n"
            "      while (sent == Sent::full) {\n"
            "        std::this_thread::sleep_for(milliseconds(1));\n"
            "        sent = master_.send(pid, request);\n"
            "      }"),
           ("#include <string>\n", "#include <string>\n#include <thread>\n")), "blocks the master"),
    Wrong("keeps-one-message-too-few", "99 messages are kept, not 100", 3,
          (("    if (messages_.size() > limit_)", "    if (messages_.size() >= limit_)"),), "kept",
          also={5: "of 10,000 messages, too, one too few is kept"}),
    Wrong("mailbox-without-a-limit", "every message is kept for ever", 3,
          (("    if (messages_.size() > limit_)", "    if (messages_.size() > limit_ * 1000)"),),
          "kept", also={5: "memory grows with every message"}),
    Wrong("router-never-forgets", "the master keeps every call for ever", 5,
          (("    pending_.erase(entry);  // and", "    // and"),), "pile up"),
    Wrong("keeps-all-and-shows-the-last",
          "every message is kept for ever; /messages shows the last 100", 5,
          (("    if (messages_.size() > limit_) messages_.pop_front();\n", ""),
           ("    return messages_;",
            "    const auto kept = static_cast<std::ptrdiff_t>(std::min(limit_, "
            "messages_.size()));\n"
            "    return std::deque<Json>(messages_.end() - kept, messages_.end());")), "pile up"),
    Wrong("counts-itself-twice", "GET / tells one request too many", 5,
          (('server.reply(response, 200, {{"requests", office.requests.load()}});',
            'server.reply(response, 200, {{"requests", office.requests.load() + 1}});'),),
          "requests"),
)
