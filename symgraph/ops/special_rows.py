"""How special functions become elementwise operations: rows of the scalar table, and operands by
which no derivative is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from symgraph.errors import GradientError
from symgraph.ops.elementwise import Elementwise, to_float
from symgraph.scalar import Expr
from symgraph.scalar.expr import call
from symgraph.scalar.functions import cast
from symgraph.scalar.special import SPECIAL


def word(name: str) -> Callable[..., Expr]:
    """The scalar operation as a function of expressions."""
    return lambda *operands: call(name, *operands)


def scalar(name: str) -> dict[str, Any]:
    """What `elementwise` wants to know of a function of floats in the scalar table."""
    arity, reference = SPECIAL[name]
    return {"dtype": to_float, "arity": arity, "reference": reference, "lower": word(name)}


def in_float64(lower: Callable[..., Expr]) -> Callable[..., Expr]:
    """A lowering that computes float32 in float64: for formulas that magnify roundings."""

    def wide(*operands: Expr) -> Expr:
        found = lower(*(cast(x, "float64") for x in operands))
        return cast(found, operands[0].dtype)

    return wide


def no_slope(row: Elementwise, reasons: Mapping[int, str]) -> Elementwise:
    """The row, which refuses derivatives by the operands at these places, for these reasons."""

    def partial_vjp(wanted: Any, g: Any, y: Any, *inputs: Any) -> Any:
        for place, reason in reasons.items():
            if wanted[place]:
                v = inputs[place]
                raise GradientError(
                    f"{row.name}: no derivative by operand {place}, {reason}",
                    operands=[(v.label(), v.type.text(), v.origin)],
                    hint="give it as a constant, or sg.stop_gradient of it",
                )
        return row.vjp(g[0], y[0], *inputs)

    row.no_slope = dict(reasons)  # type: ignore[attr-defined]
    row.partial_vjp = partial_vjp  # type: ignore[attr-defined]
    return row
