"""Which rules nearly changed a node, and what kept them from it: for `explain --node`.

A rule is near where its pattern matches, with the node at its root or as a part. Then one of four
things was in the way: its condition, whose words and constants are told; its function, of which the
line that declined is told; its class, which the mode does not admit; or another rule that came
first.
"""

from __future__ import annotations

import ast
import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from symgraph.ir.graph import Constant, Variable
from symgraph.passes.adapter import TENSORS
from symgraph.passes.pipeline import ADMITTED, PIPELINE, PassRecord
from symgraph.records import NamedTuple
from symgraph.rewrite.match import match, matched_nodes
from symgraph.rewrite.pattern import OpPattern, parts
from symgraph.rewrite.rules import Rule, RuleSet, call_with, described

LONGEST = 100  # columns of a condition


class Near(NamedTuple):
    """A rule that matched ``value`` and did not fire there, and why."""

    rule: Rule
    value: Variable
    as_part: bool
    reason: str


def near_rules(record: PassRecord, states: Iterable[Variable]) -> list[Near]:
    """The rules that nearly changed a node, which was all of these values one after another; those
    with the longest patterns first."""
    own = dict.fromkeys(states)
    nodes = {v.owner for v in own if v.owner is not None}
    found: dict[tuple[str, str], Near] = {}
    for near in (*_recorded(record, own, nodes), *_others(record, own)):
        found.setdefault((near.rule.name, near.reason.partition(" (")[0]), near)
    return sorted(found.values(), key=lambda n: (n.as_part, -_length(n.rule)))


def _length(rule: Rule) -> int:
    return sum(isinstance(p, OpPattern) for p in parts(rule.pattern))


def _recorded(record: PassRecord, own: Iterable[Variable], nodes: set[Any]) -> Iterator[Near]:
    """What was tried and did not fire, on the node or on a value of which it was a part."""
    values = set(own)
    seen: set[tuple[int, Variable]] = set()
    for miss in record.near_misses or ():
        if (id(miss.rule), miss.value) in seen or not (miss.rule.root or miss.rule.among):
            continue  # a rule for any op is offered whatever there is
        seen.add((id(miss.rule), miss.value))
        for bindings in _ways(miss.rule, miss.value):
            as_part = miss.value not in values
            if as_part and not nodes & set(matched_nodes(miss.value, bindings)):
                continue
            reason = why_not(miss.rule, bindings, miss.value) or miss.reason
            yield Near(miss.rule, miss.value, as_part, reason)


def _others(record: PassRecord, own: Iterable[Variable]) -> Iterator[Near]:
    """What was not tried: rules of a class that is not admitted, and those behind the one that
    fired."""
    first = {f.before: f.rule for f in record.firings}
    admitted = ADMITTED["run"]
    for rules in dict.fromkeys(p.work for p in PIPELINE if isinstance(p.work, RuleSet)):
        for value in own:
            if value.owner is None:
                continue
            table = [r for r in rules if r.root == value.owner.op.name]
            fired = next((k for k, r in enumerate(table) if r is first.get(value)), len(table))
            for rule in table:
                if rule.klass not in admitted and _ways(rule, value):
                    reason = f"it is {rule.klass}: mode run admits {' and '.join(admitted)}"
                    yield Near(rule, value, False, reason)
            for rule in table[fired + 1 :]:
                for bindings in _ways(rule, value) if rule.klass in admitted else ():
                    why = why_not(rule, bindings, value)
                    yield Near(rule, value, False, why or f"{table[fired].name} came first")


def _ways(rule: Rule, value: Variable) -> list[dict[str, Any]]:
    """The bindings of all ways in which a rule matches a value."""
    found: list[dict[str, Any]] = []
    match(rule.pattern, value, TENSORS, lambda b: found.append(dict(b)))
    return found


def why_not(rule: Rule, bindings: dict[str, Any], value: Variable) -> str:
    """What in a rule's own words keeps it from firing; "" when nothing does."""
    if rule.when is not None and not call_with(rule.when, bindings, value):
        known = [f"{n} = {v.data.item():.6g}" for n, v in bindings.items()
                 if isinstance(v, Constant) and v.data.size == 1]  # fmt: skip
        end = f" ({', '.join(known)})" if known else ""
        return f"{described(rule.when)}: does not hold{end}"
    if rule.function is not None:
        return _declined(rule.function, lambda: call_with(rule.function, bindings, value))  # type: ignore[arg-type]
    return ""


# where a function declined -----------------------------------------------------------------------


def _declined(function: Callable[..., Any], call: Callable[[], Any]) -> str:
    """The condition in a function's source that made it return None; "" when it returns more."""
    code, lines = function.__code__, [0]

    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code is not code:
            return None
        lines[0] = frame.f_lineno
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = call()
    except Exception as error:  # so the rule does not fire here
        return f"its function raises {type(error).__name__}"
    finally:
        sys.settrace(before)
    if result is not None:
        return ""
    place = f"{os.path.basename(code.co_filename)}:{lines[0]}"
    return f"its function declined at {place}: {_condition(function, lines[0])}"


def _condition(function: Callable[..., Any], line: int) -> str:
    """What stands in the source of a function about the line at which it returned None."""
    try:
        source, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(source)))
    except (OSError, SyntaxError):
        return "it gave nothing"
    ast.increment_lineno(tree, first - 1)
    returned: ast.expr | None = None
    tests: list[tuple[ast.expr, bool]] = []
    for node in ast.walk(tree):  # outer ones first
        if isinstance(node, ast.Return) and _covers(node, line):
            returned = node.value
        elif isinstance(node, ast.If) and any(_covers(n, line) for n in (*node.body, *node.orelse)):
            tests.append((node.test, any(_covers(n, line) for n in node.body)))
    if isinstance(returned, ast.IfExp):
        tests.append((returned.test, _nothing(returned.body)))
    elif returned is not None and not _nothing(returned):
        return _short(f"{ast.unparse(returned)} gives nothing")
    if not tests:
        return "it gave nothing"
    test, holds = tests[-1]
    return _short(f"{'because' if holds else 'it needs'} {ast.unparse(test)}")


def _covers(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _nothing(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."
