"""Control characters of a program reach neither a terminal nor a file."""
from __future__ import annotations

from harness.telling.visible import all_visible, visible


def test_a_control_character_is_written_as_its_number() -> None:
    assert visible("\x1b]0;title\x07 and \x9b31m, \ud800, \x00") == (
        "\\x1b]0;title\\x07 and \\x9b31m, \\xd800, \\x00")


def test_what_is_no_control_character_stays() -> None:
    assert visible("ä → €\ttab\nline") == "ä → €\ttab\nline"


def test_all_texts_of_a_structure() -> None:
    assert all_visible({"a\x1b": ["\x08", 1, None, {"b": "\x7f"}]}) == {
        "a\\x1b": ["\\x08", 1, None, {"b": "\\x7f"}]}
