"""Wrong programs of exercise 4, advanced IPC."""
from __future__ import annotations

from .wrong import Wrong

WRONG = (
    Wrong("one-id-for-all", "every call has the same id, so there is room for one", 5,
          (("  return prefix_ + std::to_string(++last_id_);", "  return prefix_ + std::to_string(last_id_.load());"),), "collide"),
    Wrong("received-is-not-summed", "`total` lacks what was received", 1,
          (('    for (const auto* key : {"requests", "received", "pending"}) {', '    for (const auto* key : {"requests", "pending"}) {'),), "numbers"),
    Wrong("counts-are-kept", "statistics are asked for once, and the answer is kept for ever", 1,
          (("    response = rounds->join(ask)->response;", "    static const auto first = rounds->join(ask);\n    response = first->response;"),), "kept"),
    Wrong("broadcast-without-the-sender", "a broadcast goes to the others only", 2,
          (("      pass_on(entry->second, request, slot);\n    }", '      if (slot != caller.slot || request["what"] == "stats") {\n        pass_on(entry->second, request, slot);\n      }\n    }'),),
          "sender"),
    Wrong("broadcast-twice-to-the-sender", "the sender puts a broadcast into its mailbox itself, and gets it from the master, too", 2,
          (('        post.calls.call({{"what", "broadcast"}, {"message", *message}}, post.settings.caller_timeout);',
            '        post.calls.call({{"what", "broadcast"}, {"message", *message}}, post.settings.caller_timeout);\n'
            '    post.mailbox.add({{"from", post.worker.number()}, {"type", "broadcast"}, {"message", *message}, {"timestamp", 0}});'),), "twice"),
    Wrong("length-of-the-message-off", "1,025 bytes are allowed", 2,
          (("message.size() > longest_message", "message.size() > longest_message + 1"),), "length"),
    Wrong("sends-to-itself", "the message goes to the worker that was asked", 3,
          (('{"to", *slot}, {"message", *message}}', '{"to", post.worker.number()}, {"message", *message}}'),)
          , "sender"),
    Wrong("negative-numbers-are-400", "a whole number that is no slot is not told from what is no number", 3,
          (("text.substr(text.starts_with('-') ? 1 : 0)", "text.substr(0)"),), "number"),
    Wrong("waits-for-the-dead", "the death of a receiver is not noticed: its sender waits until the deadline", 4,
          (("    } else if (awaited != pending.awaited.end()) {", "    } else if (awaited != pending.awaited.end() && pending.awaited.empty()) {"),), "dea"),
    Wrong("no-partial-answer", "the master waits longer than the caller", 4,
          (("  milliseconds master_timeout = request_timeout * 3 / 4;", "  milliseconds master_timeout = request_timeout * 2;"),), "waits for all"),
    Wrong("gives-up-too-early", "a 504 comes after a quarter of the time", 4,
          (("  milliseconds master_timeout = request_timeout * 3 / 4;", "  milliseconds master_timeout = request_timeout / 4;"),), "too early"),
    Wrong("first-in-first-out-matching", "an answer goes to whoever has waited longest", 5,
          (('pending_.find(message.value("id", "")); found != pending_.end()', "pending_.begin(); !message.empty() && found != pending_.end()"),), "matched"),
    Wrong("keeps-one-message-too-few", "99 messages are kept, not 100", 3,
          (("  if (messages_.size() > limit_) {", "  if (messages_.size() >= limit_) {"),), "kept"),
    Wrong("mailbox-without-a-limit", "every message is kept for ever", 3,
          (("  if (messages_.size() > limit_) {", "  if (messages_.size() > limit_ * 1000) {"),), "kept"),
)