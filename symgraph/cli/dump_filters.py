"""`symgraph dump --after RULE`, `--only REGEX` and `--redact`: less than the whole."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from symgraph import stages
from symgraph.cli.problems import SubjectError
from symgraph.drawing.replay import Numbers, histories
from symgraph.function import Definition
from symgraph.ir.graph import Apply, Graph, Variable
from symgraph.ir.hashing import inner_graphs
from symgraph.passes.pipeline import PassRecord
from symgraph.provenance import Location, Origin
from symgraph.scalar import Expr, postorder

_CONSTANT = re.compile(r"const<([^>]*\[[^>]*)>\((?:\[[^\]]*\]|bits \"[^\"]*\")\)")
_DIGEST = re.compile(r'digest="[^"]*"')
_BYTES = re.compile(r'c"(?:\\[0-9A-F]{2})+"|0x[0-9a-f]{8,}(?:\.\.\.)?(?=$| alias)', re.MULTILINE)


def graph_after(d: Definition, rule: str) -> Graph:
    """The graph as it was when a rule or pass whose name contains the word had fired last.

    Raises SubjectError where none did.
    """
    record = PassRecord()
    record.near_misses = []
    optimized = stages.optimized_graph(d, record)
    tales = histories(record, optimized, Numbers())
    changes = tales[-1].changes if tales else []
    for c in reversed(changes):
        if rule == c.name or any(rule in f.rule.name for f in c.firings):
            return c.graph
    names = dict.fromkeys(f.rule.name for c in changes for f in c.firings)
    fired = "; ".join(list(names)[:6]) + ("; ..." if len(names) > 6 else "")
    raise SubjectError(
        f"dump: no rule or pass named {rule!r} changed this graph",
        hint=f"these did: {fired}" if fired else "no rule changed it",
    )


def only(text: str, pattern: str, stage: str) -> str:
    """Of a graph the lines that match, of later stages the kernels; SubjectError for a pattern that
    is none."""
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise SubjectError(f"dump: --only {pattern!r} is no regular expression: {error}") from None
    if stage in ("graph", "optimized", "program"):
        return "\n".join(line for line in text.splitlines() if wanted.search(line))
    if stage in ("loops", "scheduled"):
        parts = text.split("\n\n")
    else:
        mark = "# " if stage == "asm" else "; "
        parts = re.split(rf"\n(?={mark}\w+$)", text, flags=re.MULTILINE)
    return "\n\n".join(p for p in parts if wanted.search(p))


@contextlib.contextmanager
def redacted(d: Definition, words: list[str]) -> Iterator[tuple[Definition, list[str]]]:
    """The definition without the user's names and files, while it is open. Names are not part of
    what a node is, so they are put aside and back."""
    names: list[tuple[Variable, str | None]] = []
    lines: list[tuple[Any, tuple[Origin, ...]]] = []
    files: dict[str, str] = {}
    try:
        for k, v in enumerate(v for v in _variables(d) if v.name):
            names.append((v, v.name))
            v.name = f"v{k}"
        things: list[Any] = [*_nodes(d.graph)]
        things += [v for v in _variables(d) if hasattr(v, "origins")]  # inputs, shared variables
        for n in things:
            lines.append((n, n.origins))
            n.origins = tuple(_hidden(o, files) for o in n.origins)
        yield d._replace(name="function"), [f"result{k}" for k in range(len(words))]
    finally:
        for v, name in names:
            v.name = name
        for n, origins in lines:
            n.origins = origins


def _nodes(graph: Graph) -> Iterator[Apply]:
    for n in graph.toposort():
        yield n
        for inner in inner_graphs(n.op):
            yield from _nodes(inner)  # as deep as loops are nested


def _variables(d: Definition) -> list[Variable]:
    found = dict.fromkeys((*d.graph.inputs, *d.shared))
    for n in _nodes(d.graph):
        found.update(dict.fromkeys((*n.inputs, *n.outputs)))
    return list(found)


def _hidden(origin: Origin, files: dict[str, str]) -> Origin:
    at = origin.location()
    file = files.setdefault(at.file, f"<file {len(files)}>")
    return Origin.from_location(Location(file, at.line, at.end_line, None, None, "", ""))


def without_sizes_and_data(text: str, d: Definition) -> str:
    """The text with the user's names of sizes replaced and the values of arrays taken out."""
    values = (*d.graph.inputs, *d.shared, *(v for n in _nodes(d.graph) for v in n.outputs))
    names = dict.fromkeys(
        e.attr for v in values for s in v.shape if isinstance(s, Expr)
        for e in postorder([s]) if e.op == "var" and not e.attr.startswith("?")
    )  # fmt: skip
    table = {name: f"s{k}" for k, name in enumerate(names)}
    if table:
        wanted = "|".join(re.escape(n) for n in sorted(table, key=len, reverse=True))
        text = re.sub(rf"(?<!\w)({wanted})(?!\w)", lambda m: table[m[0]], text)
    text = _CONSTANT.sub(r"const<\1>(...)", text)
    return _BYTES.sub("...", _DIGEST.sub('digest="..."', text))
