"""Values that are themselves, with a derivative that is not: clipped, scaled, zero."""

from __future__ import annotations

from typing import Any

from symgraph.errors import ArgumentError
from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import clip
from symgraph.ops.functions import Function
from symgraph.ops.operands import as_variable
from symgraph.ops.slicing import zeros

__all__ = ["grad_clip", "grad_scale", "zero_grad"]


def grad_clip(x: Any, lower: float, upper: float) -> Variable:
    """x itself; the cotangent that comes back is clipped to [lower, upper], element by element.

    For recurrent networks: Graves, Generating sequences with recurrent neural networks, 2013.
    Raises ArgumentError when lower is not below upper.

    >>> import symgraph as sg
    >>> x = sg.scalar("x")
    >>> sg.grad(sg.grad_clip(x, -1, 1) * 5, x).eval({x: 2.0}).item()
    1.0
    """
    if not lower <= upper:
        raise ArgumentError(f"grad_clip: lower is {lower}, upper is {upper}")
    return _gate("grad_clip", lambda g, y, v: clip(g, lower, upper), x)


def grad_scale(x: Any, factor: Any) -> Variable:
    """x itself; the cotangent that comes back is multiplied by ``factor``. With -1 this is the
    gradient reversal of domain-adversarial training (Ganin et al. 2016).

    >>> import symgraph as sg
    >>> x = sg.scalar("x")
    >>> sg.grad(sg.grad_scale(x, -1.0) * 5, x).eval({x: 2.0}).item()
    -5.0
    """
    return _gate("grad_scale", lambda g, y, v: g * factor, x)


def zero_grad(x: Any) -> Variable:
    """x itself; its derivative is zero. Unlike :func:`stop_gradient`, after which a gradient is an
    error because nothing connects the cost with the variable, the gradient is there: zeros.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.grad(sg.sum(sg.zero_grad(x)), x).eval({x: [2.0, 3.0]}).tolist()
    [0.0, 0.0]
    """
    return _gate("zero_grad", lambda g, y, v: zeros(v.type), x)


def _gate(name: str, rule: Any, x: Any) -> Variable:
    return Function(lambda v: v, name, rule)(as_variable(x))  # type: ignore[no-any-return]
