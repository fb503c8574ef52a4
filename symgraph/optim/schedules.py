"""Learning rates that change: functions from the number of updates so far to a rate.

A schedule is given as ``learning_rate``; the optimizer counts its updates and asks it. It can also
be called: ``schedule(step)`` for an int or an integer tensor is a float64 scalar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from symgraph.errors import ArgumentError
from symgraph.ir.graph import Variable
from symgraph.ops.arithmetic import clip, floor, maximum, minimum, power, rsqrt
from symgraph.ops.cast import cast
from symgraph.ops.comparison import greater_equal, less, where
from symgraph.ops.operands import as_variable
from symgraph.ops.trigonometric import cos

Schedule = Callable[[Any], Variable]


def _count(step: Any) -> Variable:
    return cast(as_variable(step), "float64")


def constant(rate: float) -> Schedule:
    """Always ``rate``.

    >>> import symgraph as sg
    >>> sg.optim.constant(0.1)(7).eval().item()
    0.1
    """
    return lambda step: as_variable(float(rate))


def exponential_decay(initial: float, steps: int, rate: float, staircase: bool = False) -> Schedule:
    """initial * rate**(step / steps); ``staircase`` rounds the exponent down.

    >>> import symgraph as sg
    >>> sg.optim.exponential_decay(1.0, 10, 0.5)(20).eval().item()
    0.25
    """

    def schedule(step: Any) -> Variable:
        exponent = _count(step) / steps
        return initial * power(rate, floor(exponent) if staircase else exponent)

    return schedule


def step_decay(initial: float, every: int, factor: float = 0.1) -> Schedule:
    """``initial``, times ``factor`` after every ``every`` updates.

    >>> import symgraph as sg
    >>> sg.optim.step_decay(1.0, 10, 0.5)(25).eval().item()
    0.25
    """
    return exponential_decay(initial, every, factor, staircase=True)


def piecewise_constant(boundaries: Sequence[int], rates: Sequence[float]) -> Schedule:
    """``rates[k]`` from update ``boundaries[k - 1]`` on, up to the one before ``boundaries[k]``.
    Raises ArgumentError unless there is one rate more than boundaries.

    >>> import symgraph as sg
    >>> [sg.optim.piecewise_constant([5], [1.0, 0.5])(k).eval().item() for k in (4, 5)]
    [1.0, 0.5]
    """
    if len(rates) != len(boundaries) + 1:
        raise ArgumentError(f"{len(boundaries)} boundaries for {len(rates)} rates")

    def schedule(step: Any) -> Variable:
        found: Any = as_variable(float(rates[0]))
        for boundary, rate in zip(boundaries, rates[1:], strict=True):
            found = where(greater_equal(_count(step), boundary), float(rate), found)
        return found

    return schedule


def polynomial_decay(
    initial: float, steps: int, end: float = 0.0, exponent: float = 1.0
) -> Schedule:
    """From ``initial`` to ``end`` in ``steps`` updates, along a straight line or the power
    ``exponent`` of one, and ``end`` from then on.

    >>> import symgraph as sg
    >>> sg.optim.polynomial_decay(1.0, 10)(5).eval().item()
    0.5
    """

    def schedule(step: Any) -> Variable:
        left = 1 - clip(_count(step) / steps, 0.0, 1.0)
        return (initial - end) * (left if exponent == 1 else power(left, exponent)) + end

    return schedule


def cosine_decay(initial: float, steps: int, end: float = 0.0) -> Schedule:
    """From ``initial`` to ``end`` in ``steps`` updates along half a cosine (Loshchilov and Hutter,
    2016), and ``end`` from then on.

    >>> import symgraph as sg
    >>> sg.optim.cosine_decay(1.0, 10)(10).eval().item()
    0.0
    """

    def schedule(step: Any) -> Variable:
        part = clip(_count(step) / steps, 0.0, 1.0)
        return end + 0.5 * (initial - end) * (1 + cos(math.pi * part))

    return schedule


def inverse_square_root(peak: float, steps: int) -> Schedule:
    """Rising in a straight line to ``peak`` in ``steps`` updates, then falling as peak *
    sqrt(steps / step) (Vaswani et al., 2017).

    >>> import symgraph as sg
    >>> [sg.optim.inverse_square_root(1.0, 4)(k).eval().item() for k in (1, 4, 16)]
    [0.25, 1.0, 0.5]
    """

    def schedule(step: Any) -> Variable:
        step = _count(step)
        falling = math.sqrt(steps) * rsqrt(maximum(step, 1.0))
        return peak * minimum(step / steps, falling)

    return schedule


def warmup(steps: int, then: Schedule | float) -> Schedule:
    """In ``steps`` updates rising in a straight line from 0 to the first rate of ``then``, a
    schedule or a number, which follows.

    >>> import symgraph as sg
    >>> [sg.optim.warmup(4, 0.5)(k).eval().item() for k in (0, 2, 9)]
    [0.0, 0.25, 0.5]
    """
    after = then if callable(then) else constant(then)

    def schedule(step: Any) -> Variable:
        step = as_variable(step)
        rising = after(0) * (_count(step) / max(steps, 1))
        return where(less(step, steps), rising, after(maximum(step - steps, 0)))

    return schedule


def one_cycle(
    peak: float, steps: int, rise: float = 0.3, start: float | None = None,
    end: float | None = None,
) -> Schedule:  # fmt: skip
    """From ``start`` (peak / 25 unless given) to ``peak`` in the share ``rise`` of all ``steps``,
    then to ``end`` (start / 10000), each along half a cosine (Smith and Topin, 2017).

    >>> import symgraph as sg
    >>> sg.optim.one_cycle(1.0, 100)(30).eval().item()
    1.0
    """
    start = peak / 25 if start is None else start
    end = start / 1e4 if end is None else end
    first = rise * steps
    up, down = cosine_decay(start, 1, peak), cosine_decay(peak, 1, end)

    def schedule(step: Any) -> Variable:
        step = _count(step)
        falling = down((step - first) / max(steps - first, 1e-9))
        return where(less(step, first), up(step / max(first, 1e-9)), falling)

    return schedule
