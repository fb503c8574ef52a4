"""Gradients kept small before they are given to an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.errors import ArgumentError
from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import clip, maximum, sqrt, square
from symgraph.ops.cast import cast
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import sum


def clip_by_value(gradients: Sequence[Any], limit: float) -> list[Variable]:
    """Each element kept between -limit and limit.

    >>> import symgraph as sg
    >>> sg.optim.clip_by_value([sg.constant([-3.0, 0.5])], 1.0)[0].eval().tolist()
    [-1.0, 0.5]
    """
    return [clip(as_variable(g), -limit, limit) for g in gradients]


def clip_by_norm(gradients: Sequence[Any], limit: float) -> list[Variable]:
    """Each gradient by itself made shorter where its Euclidean norm is above ``limit``.

    >>> import symgraph as sg
    >>> sg.optim.clip_by_norm([sg.constant([3.0, 4.0])], 1.0)[0].eval().tolist()
    [0.6000000000000001, 0.8]
    """
    return [clip_by_global_norm([g], limit)[0] for g in gradients]


def global_norm(tensors: Sequence[Any]) -> Variable:
    """The Euclidean norm of all elements of all tensors. Raises ArgumentError for none.

    >>> import symgraph as sg
    >>> sg.optim.global_norm([sg.constant([3.0]), sg.constant([[4.0]])]).eval().item()
    5.0
    """
    if not tensors:
        raise ArgumentError("global_norm: there is no tensor")
    total: Any = 0
    for t in tensors:
        total = total + sum(square(as_variable(t)))
    return sqrt(total)


def clip_by_global_norm(gradients: Sequence[Any], limit: float) -> list[Variable]:
    """All gradients times limit / norm where the norm of all together is above ``limit`` (Pascanu,
    Mikolov and Bengio, 2013).

    >>> import symgraph as sg
    >>> a, b = sg.optim.clip_by_global_norm([sg.constant([3.0]), sg.constant([4.0])], 10.0)
    >>> a.eval().tolist(), b.eval().tolist()
    ([3.0], [4.0])
    """
    factor = limit / maximum(global_norm(gradients), limit)
    tensors = [as_variable(g) for g in gradients]
    return [g * cast(factor, g.dtype) for g in tensors]
