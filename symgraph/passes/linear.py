"""Values as sums of variables with constant factors: what two of them differ by, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symgraph.ir.graph import Variable
from symgraph.passes.adapter import TENSORS, number
from symgraph.records import NamedTuple
from symgraph.runtime.later import LaterFunctions

if TYPE_CHECKING:
    from fractions import Fraction as Fraction
else:  # imports decimal numbers and compiles a pattern
    Fraction = LaterFunctions("fractions").Fraction

DEPTH = 5  # sums within sums that are opened
LONGEST = 2  # terms of a difference that is written down


class Linear(NamedTuple):
    """constant + the sum of factor * variable, no factor 0; ``value`` has this value, if known."""

    terms: dict[Variable, Fraction]
    constant: Fraction
    value: Variable | None = None

    @property
    def size(self) -> int:
        """The number of its terms."""
        return len(self.terms) + (self.constant != 0)

    def plus(self, other: Linear, factor: Fraction | int = 1) -> Linear:
        """The sum with a multiple of another one."""
        terms = dict(self.terms)
        for v, k in other.terms.items():
            terms[v] = terms.get(v, Fraction(0)) + k * factor
        found = {v: k for v, k in terms.items() if k}
        return Linear(found, self.constant + other.constant * factor)


def linear(v: Variable, depth: int = DEPTH) -> Linear:
    """The value opened as far as it is a sum, or a product with a number."""
    return _opened(v, depth)._replace(value=v)


def _opened(v: Variable, depth: int) -> Linear:
    one = number(v)
    if one is not None and abs(one) < float("inf"):  # not NaN
        return Linear({}, Fraction(one))
    node = v.owner
    if node is not None and depth:
        inputs, name = node.inputs, node.op.name
        if name in ("add", "subtract"):
            a, b = (_opened(i, depth - 1) for i in inputs)
            return a.plus(b, 1 if name == "add" else -1)
        if name == "negative":
            return Linear({}, Fraction(0)).plus(_opened(inputs[0], depth - 1), -1)
        if name in ("multiply", "divide"):
            factor = number(inputs[1])
            if factor is not None and 0 < abs(factor) < float("inf"):
                k = Fraction(factor) if name == "multiply" else 1 / Fraction(factor)
                return Linear({}, Fraction(0)).plus(_opened(inputs[0], depth - 1), k)
    return Linear({v: Fraction(1)}, Fraction(0))


def gap(u: Linear, v: Linear) -> Linear | None:
    """u - v if something of both cancels in it and it can be computed with one rounding or two."""
    found = u.plus(v, -1)
    shared = any(k in v.terms and k not in found.terms for k in u.terms)
    shared |= u.constant == v.constant != 0
    if not shared or not 0 < found.size <= LONGEST:
        return None
    numbers = (found.constant, *found.terms.values())
    return found if all(Fraction(float(k)) == k for k in numbers) else None


def written(a: Linear, like: Variable) -> Variable:
    """A short sum as a value of the dtype of ``like``."""
    if a.value is not None:
        return a.value
    parts = [_multiple(v, k, like) for v, k in a.terms.items()]
    if a.constant or not parts:
        parts.append(TENSORS.literal(float(a.constant), like))
    total = parts[0]
    for part in parts[1:]:
        total = TENSORS.build("add", [total, part], {}, like)
    return total


def _multiple(v: Variable, k: Fraction, like: Variable) -> Variable:
    if k == 1:
        return v
    if k == -1:
        return TENSORS.build("negative", [v], {}, like)
    return TENSORS.build("multiply", [v, TENSORS.literal(float(k), like)], {}, like)
