"""Optimizers along the gradient itself or its sign: sgd with momentum, lion; averaged weights."""

from __future__ import annotations

from typing import Any

from symgraph.errors import ArgumentError
from symgraph.ops.arithmetic import sign
from symgraph.optim.state import Rate, Updates, Work


def sgd(
    loss: Any, params: Any, learning_rate: Rate, momentum: float = 0.0, nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Updates:  # fmt: skip
    """Steps of ``learning_rate`` against the gradient.

    ``loss`` is a scalar, or a list of gradients (clipped ones, say); ``params`` is a shared
    variable or a list of them. ``learning_rate`` is a number, a scalar tensor or a schedule of this
    package. With ``momentum`` mu the step is along v' = mu * v + g, with ``nesterov`` along
    g + mu * v' (Sutskever et al., 2013). ``weight_decay`` times the parameters is added to the
    gradients. Raises ArgumentError, DTypeError; GradientError where the loss has no gradient.

    >>> import symgraph as sg
    >>> w = sg.shared([1.0, 2.0])
    >>> step = sg.compile([], [], updates=sg.optim.sgd(sg.sum(w**2), w, 0.25))
    >>> _ = step(); w.get_value().tolist()
    [0.5, 1.0]
    """
    if nesterov and not momentum:
        raise ArgumentError("sgd: nesterov needs momentum")
    work = Work("sgd", loss, params, learning_rate, weight_decay)
    for p, g, rate in work.each():
        if momentum:
            v = work.state(p, "velocity")
            new = momentum * v + g
            work.updates[v] = new
            g = g + momentum * new if nesterov else new
        work.updates[p] = p - rate * g
    return work.updates


def lion(
    loss: Any, params: Any, learning_rate: Rate = 1e-4, beta1: float = 0.9, beta2: float = 0.99,
    weight_decay: float = 0.0,
) -> Updates:  # fmt: skip
    """Steps of one size along the sign of beta1 * m + (1 - beta1) * g, m a running mean of the
    gradients (Chen et al., 2023). The weights decay by learning_rate * weight_decay apart from
    that. Other arguments and errors: see :func:`sgd`.

    >>> import symgraph as sg
    >>> w = sg.shared([1.0, -2.0])
    >>> step = sg.compile([], [], updates=sg.optim.lion(sg.sum(w**2), w, 0.5))
    >>> _ = step(); w.get_value().tolist()
    [0.5, -1.5]
    """
    work = Work("lion", loss, params, learning_rate)
    for p, g, rate in work.each():
        m = work.state(p, "mean")
        step = sign(beta1 * m + (1 - beta1) * g)
        step = step + weight_decay * p if weight_decay else step
        work.updates[m] = beta2 * m + (1 - beta2) * g
        work.updates[p] = p - rate * step
    return work.updates


def moving_average(
    updates: Updates, params: Any, decay: float = 0.999
) -> tuple[Updates, list[Any]]:
    """The updates with running means of the parameters, decay * mean + (1 - decay) * new value, and
    these means, shared variables that begin with the parameters' values (Polyak's averaging).

    >>> import symgraph as sg
    >>> w = sg.shared([1.0])
    >>> updates, (mean,) = sg.optim.moving_average(sg.optim.sgd(sg.sum(w**2), w, 0.5), w, 0.5)
    >>> _ = sg.compile([], [], updates=updates)(); mean.get_value().tolist()
    [0.5]
    """
    work = Work("average", [0.0] * _count(params), params, 0.0)
    means = []
    for p in work.params:
        mean = work.state(p, "mean")
        mean.set_value(p.get_value(borrow=True))
        new = updates[p] if p in updates else p
        work.updates[mean] = decay * mean + (1 - decay) * new
        means.append(mean)
    return {**updates, **work.updates}, means


def _count(params: Any) -> int:
    return len(params) if isinstance(params, list | tuple) else 1
