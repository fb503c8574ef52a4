"""PTX as it is written, taken apart: one kernel's parameters, memory, labels and instructions."""

from __future__ import annotations

import re
from typing import NamedTuple


class Instruction(NamedTuple):
    """``words`` are the parts of the operation's name, ``types`` those that name a type."""

    guard: str
    negated: bool
    words: tuple[str, ...]
    types: tuple[str, ...]
    operands: tuple[str, ...]
    text: str


class Variable(NamedTuple):
    """Memory that a kernel declares; ``space`` is shared, local or, with its bytes, global."""

    name: str
    space: str
    size: int
    align: int
    data: bytes = b""


class Entry(NamedTuple):
    """A kernel: parameters as (name, offset, size), declared memory, code, labels."""

    name: str
    threads: int
    params: tuple[tuple[str, int, int], ...]
    variables: tuple[Variable, ...]
    code: tuple[Instruction, ...]
    labels: dict[str, int]


_TYPE = re.compile(r"[usbf](8|16|32|64)|pred")


def entry(text: str) -> Entry:
    """The only kernel of a PTX module."""
    text = re.sub(r"//[^\n]*", "", text)
    found = re.search(r"\.visible \.entry (\w+)\((.*?)\)(.*?)\{(.*)\}", text, re.S)
    assert found is not None, "no kernel"
    name, params, head, body = found.groups()
    threads = re.search(r"\.maxntid (\d+)", head)
    variables = []
    for space, align, variable, size in re.findall(
        r"\.(shared|local) \.align (\d+) \.b8\s+(\w+)\[(\d+)\]", text
    ):
        variables.append(Variable(variable, space, int(size), int(align)))
    for align, variable, size, values in re.findall(
        r"\.global \.align (\d+) \.b8\s+(\w+)\[(\d+)\] = \{([^}]*)\}", text
    ):
        data = bytes(int(v) for v in values.split(","))
        data += bytes(int(size) - len(data))
        variables.append(Variable(variable, "global", int(size), int(align), data))
    code: list[Instruction] = []
    labels: dict[str, int] = {}
    body = re.sub(r"\.(reg|shared|local|pragma)\s[^;]*;", "", body)
    for label, statement in re.findall(r"\s*(?:(\$?\w+):|((?:[^;{}]|\{[^}]*\})+);)", body):
        if label:
            labels[label] = len(code)
        else:
            code.append(_instruction(" ".join(statement.split())))
    return Entry(
        name, int(threads[1]) if threads else 0, _params(params), tuple(variables), tuple(code),
        labels,
    )  # fmt: skip


def _params(text: str) -> tuple[tuple[str, int, int], ...]:
    out, offset = [], 0
    for p in text.split(",") if text.strip() else []:
        size = int(re.search(r"\.param \.\w(\d+)", p)[1]) // 8  # type: ignore[index]
        offset = -(-offset // size) * size
        out.append((re.search(r"(\w+)\s*$", p)[1], offset, size))  # type: ignore[index]
        offset += size
    return tuple(out)


def _instruction(text: str) -> Instruction:
    guard = ""
    rest = text
    if rest.startswith("@"):
        guard, rest = rest[1:].split(" ", 1)
    name, _, operands = rest.partition(" ")
    words = tuple(name.split("."))
    types = tuple(w for w in words if _TYPE.fullmatch(w))
    parts = tuple(re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", operands))
    return Instruction(guard.lstrip("!"), guard.startswith("!"), words, types, parts, text)
