"""`symgraph dump --diff A B`: what differs between two programs at a stage.

Graphs are compared by structure and not by text: nodes that compute the same from the same are
equal, whatever their names and numbers; a node of which only the operands changed is not listed,
the operands are. The texts of later stages are compared kernel by kernel.
"""

from __future__ import annotations

import difflib
from collections import Counter
from typing import Any

from symgraph.ir.graph import Apply, Constant, Graph, Variable
from symgraph.ir.shared import Shared
from symgraph.ir.text import GraphPrinter, constant_text, digest
from symgraph.records import NamedTuple
from symgraph.rewrite.pattern import COMMUTATIVE


class Difference(NamedTuple):
    """The values that only one graph has, in order, and how many nodes both have."""

    only_a: list[Variable]
    only_b: list[Variable]
    common: int


def graph_difference(a: Graph, b: Graph) -> Difference:
    """The smallest lists that a walk from the outputs down finds.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> d = graph_difference(sg.Graph([x], [sg.exp(x) + 1]), sg.Graph([x], [sg.log(x) + 1]))
    >>> [v.owner.op.name for v in (*d.only_a, *d.only_b)], d.common
    (['exp', 'log'], 1)
    """
    looks: dict[Any, int] = {}
    mine, yours = _structure(a, looks), _structure(b, looks)
    same_a = {v.owner for v, k in mine.items() if k in set(yours.values()) and v.owner}
    same_b = {v.owner for v, k in yours.items() if k in set(mine.values()) and v.owner}
    waiting = list(zip(a.outputs, b.outputs, strict=False))
    seen: set[tuple[Variable, Variable]] = set()
    while waiting:
        v, w = waiting.pop()
        if (v, w) in seen or mine[v] == yours[w] or v.owner is None or w.owner is None:
            continue
        seen.add((v, w))
        pairs = _operands(v.owner, w.owner, mine, yours) if _alike(v.owner, w.owner) else []
        if pairs and all(_may_differ(p, q) or mine[p] == yours[q] for p, q in pairs):
            same_a.add(v.owner)
            same_b.add(w.owner)
        waiting += pairs
    only_a = [n.outputs[0] for n in a.toposort() if n not in same_a]
    only_b = [n.outputs[0] for n in b.toposort() if n not in same_b]
    return Difference(only_a, only_b, len(a.toposort()) - len(only_a))


def _structure(graph: Graph, looks: dict[Any, int]) -> dict[Variable, int]:
    """A number for each value: equal where two values are computed alike. Sizes without a name
    count from nought in each graph."""
    printer = GraphPrinter(graph)
    found: dict[Variable, int] = {}

    def number(look: Any) -> int:
        return looks.setdefault(look, len(looks))

    for v in [*graph.inputs, *graph.leaves()]:
        if isinstance(v, Constant):
            text = constant_text(v.data) if v.data.size <= 16 else digest(v.data)
            found[v] = number(("constant", text))
        else:
            word = "shared" if isinstance(v, Shared) else "input"
            found[v] = number((word, v.name, printer.type(v.type)))
    for n in graph.toposort():
        operands = tuple(found[v] for v in n.inputs)
        if n.op.name in COMMUTATIVE:
            operands = tuple(sorted(operands))
        for v in n.outputs:
            look = (n.op.name, printer._op(n.op) if not _owns(n) else n.op, operands, v.index)
            found[v] = number((*look, printer.type(v.type)))
    return found


def _owns(node: Apply) -> bool:
    return any(isinstance(v, Graph) for v in node.op._values)


def _alike(a: Apply, b: Apply) -> bool:
    """The same op with the same parameters, over whatever operands."""
    same = a.op == b.op or (a.op.name == b.op.name and not _owns(a) and repr(a.op) == repr(b.op))
    return same and len(a.inputs) == len(b.inputs)


def _may_differ(v: Variable, w: Variable) -> bool:
    """Whether a difference shows in their own nodes; that of a leaf shows in its readers."""
    return v.owner is not None and w.owner is not None


def _operands(
    a: Apply, b: Apply, mine: dict[Variable, int], yours: dict[Variable, int]
) -> list[tuple[Variable, Variable]]:
    """The operands in pairs; those of commutative ops as they match best."""
    left, right = list(a.inputs), list(b.inputs)
    if a.op.name in COMMUTATIVE and len(left) == 2:
        crossed = Counter([mine[left[0]] == yours[right[1]], mine[left[1]] == yours[right[0]]])
        if crossed[True]:
            right.reverse()
    return list(zip(left, right, strict=True))


def graph_lines(a: Graph, b: Graph) -> list[str]:
    """The difference as lines; none when the graphs are equal."""
    found = graph_difference(a, b)
    lines = [f"- {line}" for line in _written(a, found.only_a)]
    lines += [f"+ {line}" for line in _written(b, found.only_b)]
    if not lines:
        return []
    head = f"{len(found.only_a)} nodes only in the first, {len(found.only_b)} only in the second, "
    return [f"{head}{found.common} in both", *lines]


def _written(graph: Graph, values: list[Variable]) -> list[str]:
    """The lines of `symgraph dump` that make the values."""
    printer = GraphPrinter(graph)
    words = {printer.words.get(v) for v in values}
    found = []
    for line in printer.lines:
        names = [w.split(" ")[0] for w in line.strip().partition(" = ")[0].split(", ")]
        if " = " in line and words & set(names):
            found.append(line.strip())
    return found


def text_lines(a: str, b: str) -> list[str]:
    """The difference of two texts of blocks: what both have in any place is left out."""
    mine, yours = a.split("\n\n"), b.split("\n\n")
    both = Counter(mine) & Counter(yours)
    left, right = _without(mine, both), _without(yours, both)
    lines: list[str] = []
    for k in range(max(len(left), len(right))):
        old = left[k].splitlines() if k < len(left) else []
        new = right[k].splitlines() if k < len(right) else []
        found = list(difflib.unified_diff(old, new, lineterm="", n=2))
        lines += [t for t in found[2:] if t.strip()]
    return lines


def _without(blocks: list[str], away: Counter[str]) -> list[str]:
    left = Counter(away)
    kept = []
    for block in blocks:
        if left[block]:
            left[block] -= 1
        else:
            kept.append(block)
    return kept
