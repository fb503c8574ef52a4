"""The fixpoint driver: one iterative sweep leaves every value in normal form.

Operands come first. A value whose operands are normal is offered to the rules; what a rule returns
is processed like any other value, so that the result is normal again. A memo makes every value be
processed once, and nodes that nothing changes are not rebuilt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from operator import is_
from typing import Any, Protocol

from symgraph.errors import RewriteError, SymgraphError
from symgraph.records import NamedTuple
from symgraph.rewrite.match import instantiate, match, matched_nodes
from symgraph.rewrite.record import Firing, NearMiss, Record
from symgraph.rewrite.rules import EXACT, STABLE, Rule, RuleSet, call_with

LONGEST_CHAIN = 1000  # firings on the offspring of one value; more is a rule set that never ends


class Adapter(Protocol):
    """What the engine must know about a graph.

    Values have ``owner`` (the node that makes them, or None) and ``index`` (which of its outputs);
    nodes have ``op.name``, ``inputs``, ``outputs`` and ``origins``. Nothing of them ever changes,
    and a value is equal only to itself.
    """

    def is_constant(self, value: Any) -> bool:
        """Whether the value is known now."""

    def number(self, value: Any) -> bool | int | float | None:
        """The number that every element of a constant equals, else None."""

    def kind(self, value: Any) -> str:
        """The kind of its dtype: one of b, i, u, f."""

    def param(self, node: Any, name: str) -> Any:
        """A parameter of the node's op."""

    def build(self, op: str, inputs: Sequence[Any], params: dict[str, Any], like: Any) -> Any:
        """The value of an op over values and Python numbers."""

    def literal(self, number: bool | int | float, like: Any) -> Any:
        """A constant of the dtype of ``like``."""

    def rebuild(self, node: Any, inputs: Sequence[Any]) -> Any:
        """The node over other inputs, with the same origins."""

    def conform(self, new: Any, old: Any) -> Any:
        """``new`` with exactly the type of ``old``; None when that cannot be shown, RewriteError
        when the dtypes differ."""

    def creating_with(self, origins: Callable[[], tuple[Any, ...]]) -> AbstractContextManager[None]:
        """While open, new nodes get these origins; they are computed when the first is made."""


class _Chain(NamedTuple):
    # The firings that led to a value, latest first.
    rule: Rule
    length: int
    before: _Chain | None


def rewrite(
    outputs: Sequence[Any],
    rules: RuleSet,
    adapter: Adapter,
    *,
    admit: Iterable[str] = (EXACT, STABLE),
    record: Record | None = None,
    memo: dict[Any, Any] | None = None,
) -> list[Any]:
    """The outputs in normal form under the admitted rules; what does not change is shared.

    ``memo`` holds normal forms that an earlier call with the same rules found, and gets the new
    ones: a value never changes, so it is not looked at twice.
    Raises RewriteError (SG501), naming the rules, when they undo each other or never end, and when
    a rule changes a dtype.
    """
    sweep = _Sweep(rules, adapter, admit, record, {} if memo is None else memo)
    return [sweep.normal_form(v) for v in outputs]


class _Sweep:
    def __init__(
        self,
        rules: RuleSet,
        adapter: Adapter,
        admit: Iterable[str],
        record: Record | None,
        final: dict[Any, Any],
    ) -> None:
        self.name, self.adapter, self.record = rules.name, adapter, record
        self.table = rules.table(admit)
        self.final = final
        if record is not None and record.seconds is not None:
            self.attempt = self.timed  # type: ignore[method-assign]
        self.numbers: dict[Any, Any] = {}  # constant -> what adapter.number says of it

    def normal_form(self, root: Any) -> Any:
        final, table = self.final, self.table
        turned: dict[Any, Any] = {}  # value -> what it was turned into, being processed
        active: set[Any] = set()  # values whose operands or offspring are being processed
        stack: list[tuple[Any, _Chain | None]] = [(root, None)]
        while stack:
            value, chain = stack[-1]
            if value in final:
                stack.pop()
                continue
            goal = turned.get(value)
            if goal is not None:
                final[value] = final[goal]
                continue
            node = value.owner
            if node is None:
                final[value] = value
                continue
            waiting, same = [], True
            for v in node.inputs:
                normal = final.get(v)
                if normal is None:
                    waiting.append(v)
                elif normal is not v:
                    same = False
            if waiting:
                active.add(value)
                for v in waiting:
                    if v in active:
                        raise self.loop(v, chain)
                    stack.append((v, chain))
                continue
            if same and not table[node.op.name]:
                final[value] = value
                continue
            new, chain = self.advance(value, node, chain)
            if new is value or new in final:
                final[value] = final.get(new, new)
            else:
                active.add(value)
                if new in active:
                    raise self.loop(value, chain)
                turned[value] = new
                stack.append((new, chain))
        return final[root]

    def advance(self, value: Any, node: Any, chain: _Chain | None) -> tuple[Any, _Chain | None]:
        """One step of a value whose operands are normal: rebuild it over them, or fire a rule."""
        inputs = tuple(map(self.final.__getitem__, node.inputs))
        if not all(map(is_, inputs, node.inputs)):
            moved = self.adapter.rebuild(node, inputs).outputs[value.index]
            if self.record is not None:
                self.record.moves.append((len(self.record.firings), value, moved))
            return moved, chain
        candidates = self.table[node.op.name]
        if candidates:
            keys = self.keys(inputs)
            for rule in candidates:
                if rule.needs <= keys and (rule.among is None or rule.among & keys):
                    after = self.attempt(rule, value)
                    if after is not None:
                        return after, self.extend(chain, rule, value)
        return value, chain

    def keys(self, inputs: Sequence[Any]) -> set[Any]:
        """What rule.needs is compared with: the op names of the operands, "#" for a constant and
        the number that it holds."""
        found: set[Any] = set()
        for v in inputs:
            if v.owner is not None:
                found.add(v.owner.op.name)
            elif self.adapter.is_constant(v):
                number = self.numbers.get(v, v)
                if number is v:
                    number = self.numbers[v] = self.adapter.number(v)
                found.update(("#", number))
        return found

    def attempt(self, rule: Rule, value: Any) -> Any:
        """What the rule makes of the value, of the same type; None when it does not fire."""

        def accept(bindings: dict[str, Any]) -> Any:
            if rule.when is not None and not call_with(rule.when, bindings, value):
                return self.declined(rule, value, "its condition does not hold")
            try:
                with self.adapter.creating_with(lambda: _united(value, bindings)):
                    new = self.right_side(rule, bindings, value)
                    if new is None:
                        return self.declined(rule, value, "its function declined")
                    new = self.adapter.conform(new, value)
            except SymgraphError as error:
                what = f"{self.name}: the rule {rule.equation()} ({rule.location()}): {error.what}"
                raise RewriteError(what, origin=error.origin) from error
            if new is None:
                return self.declined(rule, value, "the shapes are not provably equal")
            return None if new is value else new

        after = match(rule.pattern, value, self.adapter, accept)
        if after is not None and self.record is not None:
            self.record.firings.append(Firing(rule, value, after, self.name))
        return after

    def timed(self, rule: Rule, value: Any) -> Any:
        """An attempt whose time is recorded."""
        start = time.perf_counter()
        after = _Sweep.attempt(self, rule, value)
        assert self.record is not None and self.record.seconds is not None
        row = self.record.seconds.setdefault(rule.name, [self.name, 0.0, 0, 0])
        row[1] += time.perf_counter() - start
        row[2] += 1
        row[3] += after is not None
        return after

    def right_side(self, rule: Rule, bindings: dict[str, Any], value: Any) -> Any:
        if rule.replacement is not None:
            return instantiate(rule.replacement, bindings, self.adapter, value)
        assert rule.function is not None
        return call_with(rule.function, bindings, value)

    def declined(self, rule: Rule, value: Any, reason: str) -> None:
        if self.record is not None and self.record.near_misses is not None:
            self.record.near_misses.append(NearMiss(rule, value, reason))

    def extend(self, chain: _Chain | None, rule: Rule, value: Any) -> _Chain:
        chain = _Chain(rule, 1 if chain is None else chain.length + 1, chain)
        if chain.length > LONGEST_CHAIN:
            raise self.loop(value, chain)
        return chain

    def loop(self, value: Any, chain: _Chain | None) -> RewriteError:
        named: dict[str, None] = {}
        while chain is not None and len(named) < 4:
            named[f"{chain.rule.equation()} ({chain.rule.location()})"] = None
            chain = chain.before
        origins = value.owner.origins
        return RewriteError(
            f"{self.name}: these rules never end: {'; '.join(named)}",
            origin=origins[0] if origins else None,
            hint="two of them undo each other, or one makes a value that it matches again",
        )


def _united(value: Any, bindings: dict[str, Any]) -> tuple[Any, ...]:
    origins = dict.fromkeys(o for n in matched_nodes(value, bindings) for o in n.origins)
    return tuple(origins)
