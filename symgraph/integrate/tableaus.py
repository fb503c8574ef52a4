"""Explicit methods of Runge and Kutta as tables, and one step of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgraph.ir.graph import Variable
from symgraph.records import NamedTuple

Slope = Callable[[Variable, Variable], Variable]  # y, t -> dy/dt


class Tableau(NamedTuple):
    """The nodes, the rows of the matrix below its diagonal, and the weights of a method."""

    nodes: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


FIXED = {
    "euler": Tableau((0.0,), ((),), (1.0,)),
    "midpoint": Tableau((0.0, 0.5), ((), (0.5,)), (0.0, 1.0)),
    "heun": Tableau((0.0, 1.0), ((), (1.0,)), (0.5, 0.5)),
    "rk4": Tableau(
        (0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
        (1 / 6, 1 / 3, 1 / 3, 1 / 6),
    ),
}  # fmt: skip

# Dormand and Prince, "A family of embedded Runge-Kutta formulae", 1980: order 5, first same as last
DOPRI5 = Tableau(
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0),
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# the weights minus those of the embedded method of order 4, the slope at the end included
DOPRI5_ERROR = (
    71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40
)  # fmt: skip


def combined(weights: Sequence[float], slopes: Sequence[Variable]) -> Variable:
    """The sum of the slopes times their weights."""
    total = None
    for w, k in zip(weights, slopes, strict=True):
        if w:
            total = w * k if total is None else total + w * k
    assert total is not None
    return total


def stages(
    table: Tableau, f: Slope, y: Variable, t: Variable, h: Variable, first: Variable | None = None
) -> list[Variable]:
    """The slopes of one step; ``first`` is the one at its beginning where it is known."""
    slopes = [f(y, t) if first is None else first]
    for node, row in zip(table.nodes[1:], table.rows[1:], strict=True):
        slopes.append(f(y + h * combined(row, slopes), t + node * h))
    return slopes
