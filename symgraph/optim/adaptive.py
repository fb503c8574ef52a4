"""Optimizers that divide the gradient by a running size of it: adagrad, rmsprop, adadelta."""

from __future__ import annotations

from typing import Any

from symgraph.ops.arithmetic import sqrt, square
from symgraph.ops.cast import cast
from symgraph.optim.state import Rate, Updates, Work


def adagrad(
    loss: Any, params: Any, learning_rate: Rate = 0.01, epsilon: float = 1e-10,
    initial: float = 0.0, rate_decay: float = 0.0, weight_decay: float = 0.0,
) -> Updates:  # fmt: skip
    """Steps g / (sqrt(sum of all squares so far) + epsilon) (Duchi, Hazan and Singer, 2011).

    The sum begins with ``initial``; the learning rate of the n-th update is divided by
    1 + (n - 1) * rate_decay. Other arguments and errors: see :func:`sgd`.

    >>> import symgraph as sg
    >>> w = sg.shared([1.0])
    >>> step = sg.compile([], [], updates=sg.optim.adagrad(sg.sum(w**2), w, 0.5))
    >>> _ = step(); w.get_value().round(6).tolist()
    [0.5]
    """
    work = Work("adagrad", loss, params, learning_rate, weight_decay)
    for p, g, rate in work.each():
        if rate_decay:
            rate = rate / cast(1 + (work.number() - 1) * rate_decay, p.dtype)
        total = work.state(p, "squares", initial)
        new = total + square(g)
        work.updates[total] = new
        work.updates[p] = p - rate * (g / (sqrt(new) + epsilon))
    return work.updates


def rmsprop(
    loss: Any, params: Any, learning_rate: Rate = 0.01, decay: float = 0.99, epsilon: float = 1e-8,
    momentum: float = 0.0, centered: bool = False, weight_decay: float = 0.0,
) -> Updates:  # fmt: skip
    """Steps g / (sqrt(v) + epsilon), v a running mean of the squares of g; ``centered`` subtracts
    the square of the running mean of g (Hinton's lecture 6e, 2012; Graves, 2013).

    ``momentum`` adds up the steps. Other arguments and errors: see :func:`sgd`.

    >>> import symgraph as sg
    >>> w = sg.shared([1.0])
    >>> step = sg.compile([], [], updates=sg.optim.rmsprop(sg.sum(w**2), w, 0.5, decay=0.0))
    >>> _ = step(); w.get_value().round(6).tolist()
    [0.5]
    """
    work = Work("rmsprop", loss, params, learning_rate, weight_decay)
    for p, g, rate in work.each():
        v = work.state(p, "squares")
        size = decay * v + (1 - decay) * square(g)
        work.updates[v] = size
        if centered:
            mean = work.state(p, "mean")
            work.updates[mean] = decay * mean + (1 - decay) * g
            size = size - square(work.updates[mean])
        step = g / (sqrt(size) + epsilon)
        if momentum:
            velocity = work.state(p, "velocity")
            step = momentum * velocity + step
            work.updates[velocity] = step
        work.updates[p] = p - rate * step
    return work.updates


def adadelta(
    loss: Any, params: Any, learning_rate: Rate = 1.0, decay: float = 0.9, epsilon: float = 1e-6,
    weight_decay: float = 0.0,
) -> Updates:  # fmt: skip
    """Steps g * sqrt(d + epsilon) / sqrt(v + epsilon), with running means v of the squares of g and
    d of the squares of the steps (Zeiler, 2012). Other arguments and errors: see :func:`sgd`.

    >>> import symgraph as sg
    >>> w = sg.shared([1.0])
    >>> step = sg.compile([], [], updates=sg.optim.adadelta(sg.sum(w**2), w))
    >>> _ = step(); bool(w.get_value()[0] < 1)
    True
    """
    work = Work("adadelta", loss, params, learning_rate, weight_decay)
    for p, g, rate in work.each():
        v, d = work.state(p, "squares"), work.state(p, "steps")
        size = decay * v + (1 - decay) * square(g)
        step = g * (sqrt(d + epsilon) / sqrt(size + epsilon))
        work.updates[v] = size
        work.updates[d] = decay * d + (1 - decay) * square(step)
        work.updates[p] = p - rate * step
    return work.updates
