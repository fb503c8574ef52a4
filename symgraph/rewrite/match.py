"""Matching a pattern against a value, in both orders where an op is commutative."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from symgraph.rewrite.pattern import Attr, Number, OpPattern, Pattern, Wild

R = TypeVar("R")
Bindings = dict[str, Any]
# The parts still to match, as a linked list: (pattern, value, rest).
Agenda = tuple[Pattern, Any, Any] | None


def match(
    pattern: Pattern, value: Any, adapter: Any, accept: Callable[[Bindings], R | None]
) -> R | None:
    """The first answer of ``accept`` that is not None, over all ways in which the pattern matches.

    ``accept`` gets the bindings of one way; None sends the matcher on to the next. The work is
    bounded by the pattern, never by the graph below the value.
    """
    return _step((pattern, value, None), {}, adapter, accept)


def _step(
    agenda: Agenda, bindings: Bindings, adapter: Any, accept: Callable[[Bindings], R | None]
) -> R | None:
    while agenda is not None:
        pattern, value, agenda = agenda
        if isinstance(pattern, OpPattern):
            owner = value.owner
            if owner is None or owner.op.name != pattern.op or value.index:
                return None
            inputs = owner.inputs
            if len(inputs) != len(pattern.inputs):
                return None
            if pattern.params and not _params(pattern, owner, adapter, bindings):
                return None
            if pattern.commutative:
                (p, q), (a, b) = pattern.inputs, inputs
                found = _step((p, a, (q, b, agenda)), dict(bindings), adapter, accept)
                if found is not None or a is b:
                    return found
                agenda = (p, b, (q, a, agenda))
            else:
                for k in range(len(inputs) - 1, -1, -1):
                    agenda = (pattern.inputs[k], inputs[k], agenda)
        elif isinstance(pattern, Wild):
            bound = bindings.get(pattern.name)
            if bound is None:
                if pattern.constant and not adapter.is_constant(value):
                    return None
                if pattern.kinds and adapter.kind(value) not in pattern.kinds:
                    return None
                bindings[pattern.name] = value
            elif bound is not value:
                return None
        elif isinstance(pattern, Number):
            number = adapter.number(value)
            if number is None or not same_number(number, pattern.value):
                return None
    return accept(bindings)


def _params(pattern: OpPattern, owner: Any, adapter: Any, bindings: Bindings) -> bool:
    for name, wanted in pattern.params.items():
        found = adapter.param(owner, name)
        if isinstance(wanted, Attr):
            if wanted.name in bindings and bindings[wanted.name] != found:
                return False
            bindings[wanted.name] = found
        elif found != wanted:
            return False
    return True


def same_number(a: bool | int | float, b: bool | int | float) -> bool:
    """Equality of numbers that tells -0.0 from 0, since ``x + 0`` is ``x`` only for one of them.

    >>> same_number(1.0, 1), same_number(-0.0, 0)
    (True, False)
    """
    return a == b and (a != 0 or math.copysign(1.0, a) == math.copysign(1.0, b))


def instantiate(pattern: Pattern, bindings: Bindings, adapter: Any, like: Any) -> Any:
    """The value that a replacement describes; numbers take the dtype of the operands they meet, or
    of ``like``, the value being replaced."""
    if isinstance(pattern, Number):
        return adapter.literal(pattern.value, like)
    return _instance(pattern, bindings, adapter, like)


def _instance(pattern: Pattern, bindings: Bindings, adapter: Any, like: Any) -> Any:
    if isinstance(pattern, Wild):
        return bindings[pattern.name]
    if isinstance(pattern, Number):
        return pattern.value
    assert isinstance(pattern, OpPattern)
    inputs = [_instance(i, bindings, adapter, like) for i in pattern.inputs]
    params = {k: bindings[p.name] if isinstance(p, Attr) else p for k, p in pattern.params.items()}
    return adapter.build(pattern.op, inputs, params, like)


def matched_nodes(value: Any, bindings: Bindings) -> list[Any]:
    """The nodes that a match covers: from the root down to the bound values."""
    stop = {id(v) for v in bindings.values()}
    nodes, stack = [value.owner], list(value.owner.inputs) if id(value) not in stop else []
    while stack:
        v = stack.pop()
        if id(v) not in stop and v.owner is not None:
            stop.add(id(v))
            nodes.append(v.owner)
            stack.extend(v.owner.inputs)
    return nodes
