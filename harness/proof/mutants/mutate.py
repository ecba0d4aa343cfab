"""Makes mutants of a solution: one small change each, in the steps that a learner writes.

The compiler's own syntax tree (libclang) says where statements, conditions and literals are. Every
statement is left out, every condition negated, every constant and comparison shifted. (These are
the operators that Offutt et al., "An experimental determination of sufficient mutant operators",
1996, found to be enough, but for arithmetic, of which the steps have little.)
"""
from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from clang.cindex import (
    CompilationDatabase, Cursor, CursorKind, Diagnostic, Index, Token, TokenKind, TypeKind,
)

SHIFTED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||",
           "||": "&&", "++": "--", "--": "++", "+=": "-=", "-=": "+="}
CONDITIONED = (CursorKind.IF_STMT, CursorKind.WHILE_STMT, CursorKind.FOR_STMT,
               CursorKind.CONDITIONAL_OPERATOR)
BODIED = (CursorKind.IF_STMT, CursorKind.WHILE_STMT, CursorKind.FOR_STMT,
          CursorKind.CXX_FOR_RANGE_STMT)
MARKS = re.compile(rb"^ *// (END )?STEP (\d+).*$", re.MULTILINE)
DURATION = re.compile(r"(\d[\d']*)(h|min|s|ms|us|ns)")
WHOLE = re.compile(r"(\d[\d']*)([uUlL]*)")


@dataclass(frozen=True)
class Mutant:
    exercise: int
    step: int
    line: int
    change: str
    """What was done, in words that name the text: `left out: worker.ready();`."""
    source: str

    @property
    def key(self) -> str:
        """It changes with anything in the source."""
        return f"ex{self.exercise}-" + hashlib.sha256(self.source.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Edit:
    start: int
    end: int
    text: bytes
    change: str


class Solution:
    """The syntax tree of a solution. Offsets are in bytes, as libclang counts."""

    def __init__(self, exercise: int, file: Path, database: Path) -> None:
        self.exercise, self.file = exercise, file
        self.code = file.read_bytes()
        found = CompilationDatabase.fromDirectory(str(database)).getCompileCommands(str(file))
        words = list(next(iter(found)).arguments)[1:]
        arguments = [word for word in words if word not in ("-c", "--", str(file))]
        if "-o" in arguments:
            place = arguments.index("-o")
            del arguments[place:place + 2]
        self.unit = Index.create().parse(str(file), args=[*arguments, "-w"])
        wrong = [str(one) for one in self.unit.diagnostics if one.severity >= Diagnostic.Error]
        if wrong:
            raise ValueError(f"libclang cannot read {file}: {wrong[0]}")
        self.steps = steps(self.code)

    def step_at(self, start: int, end: int) -> int:
        """0: outside all steps."""
        return next((number for number, (begin, stop) in self.steps.items()
                     if begin <= start and end <= stop), 0)

    def own(self) -> Iterator[Cursor]:
        """The nodes of this file: a function may be larger than a step."""
        for top in self.unit.cursor.get_children():
            if top.location.file and top.location.file.name == str(self.file):
                yield from top.walk_preorder()

    def mutants(self) -> list[Mutant]:
        """Each source once. Some do not compile."""
        found: dict[str, Mutant] = {}
        for edit in sorted(set(self.edits()), key=lambda edit: (edit.start, edit.end, edit.text)):
            source = (self.code[:edit.start] + edit.text + self.code[edit.end:]).decode()
            line = self.code.count(b"\n", 0, edit.start) + 1
            mutant = Mutant(self.exercise, self.step_at(edit.start, edit.end), line, edit.change,
                            source)
            found.setdefault(mutant.key, mutant)
        return list(found.values())

    def edits(self) -> list[Edit]:
        found = [*(edit for node in self.own() for edit in self.of_node(node)), *self.of_tokens()]
        return [edit for edit in found if self.step_at(edit.start, edit.end)]

    def of_node(self, node: Cursor) -> Iterator[Edit]:
        children = list(node.get_children())
        if node.kind == CursorKind.COMPOUND_STMT:
            last = children[-1:] if children else []
            for child in children:
                # The last return is left out nowhere: to run past it is undefined.
                if child.kind != CursorKind.DECL_STMT and not (
                        child.kind == CursorKind.RETURN_STMT and child in last):
                    yield self.left_out(child)
        if node.kind in BODIED:
            for child in children[1:]:
                if child.kind not in (CursorKind.COMPOUND_STMT, CursorKind.IF_STMT) and (
                        child.kind == CursorKind.RETURN_STMT or not is_condition(child)):
                    yield self.left_out(child)
        conditions = [child for child in children[:1] if node.kind in CONDITIONED]
        if node.kind == CursorKind.FOR_STMT:
            conditions = [child for child in children[:-1] if is_condition(child)]
        if node.kind == CursorKind.RETURN_STMT:
            conditions = [child for child in children[:1] if is_condition(child)]
        for child in conditions:
            if child.kind.is_expression():
                start, end = extent(child)
                text = self.code[start:end]
                yield Edit(start, end, b"!(" + text + b")", f"negated: {shown(text)}")

    def left_out(self, statement: Cursor) -> Edit:
        start, end = extent(statement)
        if self.code[end - 1:end] not in (b"}", b";"):
            end = self.code.index(b";", end) + 1
        text = self.code[start:end]
        lines = b"\n" * text.count(b"\n")  # the lines below keep their numbers
        return Edit(start, end, b";" + lines, f"left out: {shown(text)}")

    def of_tokens(self) -> Iterator[Edit]:
        for token in self.unit.cursor.get_tokens():
            start, end = extent(token)
            if changed := shift(token):
                line = self.code[self.code.rfind(b"\n", 0, start) + 1:self.code.find(b"\n", end)]
                yield Edit(start, end, changed.encode(),
                           f"{token.spelling} is {changed} in: {shown(line)}")


def steps(code: bytes) -> dict[int, tuple[int, int]]:
    """Number → the offsets of its beginning and end."""
    begins = {int(mark[2]): mark.end() for mark in MARKS.finditer(code) if not mark[1]}
    ends = {int(mark[2]): mark.start() for mark in MARKS.finditer(code) if mark[1]}
    return {number: (begin, ends[number]) for number, begin in begins.items()}


def extent(node: Cursor | Token) -> tuple[int, int]:
    return node.extent.start.offset, node.extent.end.offset


def is_condition(node: Cursor) -> bool:
    return bool(node.kind.is_expression()
                and node.type.get_canonical().kind == TypeKind.BOOL)


def shift(token: Token) -> str:
    """Another operator or constant in the place of this one; empty: it stays."""
    text = str(token.spelling)
    if token.kind == TokenKind.PUNCTUATION:
        return SHIFTED.get(text, "")
    if token.kind == TokenKind.KEYWORD:
        return {"true": "false", "false": "true"}.get(text, "")
    if token.kind != TokenKind.LITERAL:
        return ""
    if found := DURATION.fullmatch(text):  # a millisecond more would change nothing
        number = int(found[1].replace("'", ""))
        return f"{number * 4 or 500}{found[2]}"
    if found := WHOLE.fullmatch(text):
        return f"{int(found[1].replace(chr(39), '')) + 1}{found[2]}"
    return ""


def shown(text: bytes) -> str:
    flat = " ".join(text.decode().split())
    return flat if len(flat) <= 80 else flat[:77] + "..."
