"""Functions of x and of -x in one kernel, as derivatives have them: the longer part once.

With u = -|x| and q = sigmoid(u), which is at most 1/2, sigmoid(x) is 1 - q or, where x < 0, q, and
sigmoid(-x) the other of the two; 1 - q loses nothing, as q is the smaller. softplus(x) is
max(x, 0) + softplus(u), and softplus(-x) is max(-x, 0) + softplus(u).
"""

from __future__ import annotations

from symgraph.loops.statements import Kernel, expressions, replaced, walk
from symgraph.scalar import Expr, postorder
from symgraph.scalar import functions as F

FUNCTIONS = ("sigmoid", "softplus")


def share(kernel: Kernel) -> Kernel:
    """The kernel with such pairs computed together; the same one where there are none."""
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    calls = {(e.op, e.args[0]): e for e in postorder(roots) if e.op in FUNCTIONS}
    stands: dict[Expr, Expr] = {}
    for (op, opposite), call in calls.items():
        plain = calls.get((op, opposite.args[0])) if opposite.op == "neg" else None
        if plain is not None:
            stands[plain], stands[call] = _together(op, opposite.args[0])
    return kernel._replace(body=replaced(kernel.body, stands)) if stands else kernel


def _together(op: str, x: Expr) -> tuple[Expr, Expr]:
    """The function of x and that of -x."""
    below = F.neg(F.abs_(x))
    if op == "softplus":
        rest = F.softplus(below)
        return F.add(F.maximum(x, 0), rest), F.add(F.maximum(F.neg(x), 0), rest)
    less = F.sigmoid(below)
    more, negative = F.sub(1, less), F.lt(x, 0)
    return F.select(negative, less, more), F.select(negative, more, less)
