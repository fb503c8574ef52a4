"""Adam and its kin: steps along a running mean of the gradients over a running size of them."""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Variable
from symgraph.ir.shared import Shared, shared
from symgraph.ops.arithmetic import absolute, maximum, power, sqrt, square
from symgraph.ops.cast import cast
from symgraph.optim.state import Rate, Updates, Work


class Moments:
    """Running means of the gradients and of their squares, and what corrects their beginning."""

    def __init__(self, work: Work, beta1: float, beta2: float) -> None:
        self.work, self.beta1, self.beta2 = work, beta1, beta2
        n = work.number()
        self.first, self.second = 1 - power(beta1, n), 1 - power(beta2, n)

    def mean(self, p: Shared, g: Variable) -> Variable:
        """The running mean of the gradients of p, updated."""
        m = self.work.state(p, "mean")
        new = self.beta1 * m + (1 - self.beta1) * g
        self.work.updates[m] = new
        return new

    def size(self, p: Shared, g: Variable, epsilon: float, greatest: bool = False) -> Variable:
        """sqrt of the running mean of the squares, or of its greatest so far, corrected."""
        v = self.work.state(p, "squares")
        new = self.beta2 * v + (1 - self.beta2) * square(g)
        self.work.updates[v] = new
        if greatest:
            top = self.work.state(p, "greatest")
            new = maximum(top, new)
            self.work.updates[top] = new
        return sqrt(new) / cast(sqrt(self.second), p.dtype) + epsilon


def adam(
    loss: Any, params: Any, learning_rate: Rate = 1e-3, beta1: float = 0.9, beta2: float = 0.999,
    epsilon: float = 1e-8, weight_decay: float = 0.0, amsgrad: bool = False,
) -> Updates:  # fmt: skip
    """Steps m / (sqrt(v) + epsilon), m and v running means of the gradients and of their squares,
    corrected for beginning with 0 (Kingma and Ba, 2014). ``amsgrad`` divides by the greatest v so
    far (Reddi et al., 2018). Other arguments and errors: see :func:`sgd`.

    >>> import symgraph as sg
    >>> w = sg.shared([1.0, -3.0])
    >>> step = sg.compile([], [], updates=sg.optim.adam(sg.sum(w**2), w, 0.5))
    >>> _ = step(); w.get_value().round(6).tolist()
    [0.5, -2.5]
    """
    return _adam("adam", loss, params, learning_rate, (beta1, beta2), epsilon, weight_decay, 0.0,
                 amsgrad)  # fmt: skip


def adamw(
    loss: Any, params: Any, learning_rate: Rate = 1e-3, beta1: float = 0.9, beta2: float = 0.999,
    epsilon: float = 1e-8, weight_decay: float = 0.01, amsgrad: bool = False,
) -> Updates:  # fmt: skip
    """:func:`adam` with weights that decay by learning_rate * weight_decay apart from the gradient
    (Loshchilov and Hutter, 2017).

    >>> import symgraph as sg
    >>> w = sg.shared([1.0])
    >>> step = sg.compile([], [], updates=sg.optim.adamw(sg.sum(w**2), w, 0.5, weight_decay=1.0))
    >>> _ = step(); w.get_value().round(6).tolist()
    [0.0]
    """
    return _adam("adamw", loss, params, learning_rate, (beta1, beta2), epsilon, 0.0, weight_decay,
                 amsgrad)  # fmt: skip


def _adam(
    name: str, loss: Any, params: Any, learning_rate: Rate, betas: tuple[float, float],
    epsilon: float, penalty: float, decay: float, amsgrad: bool,
) -> Updates:  # fmt: skip
    work = Work(name, loss, params, learning_rate, penalty)
    moments = Moments(work, *betas)
    for p, g, rate in work.each():
        kept = p * (1 - rate * decay) if decay else p
        step = moments.mean(p, g) / moments.size(p, g, epsilon, amsgrad)
        work.updates[p] = kept - (rate / cast(moments.first, p.dtype)) * step
    return work.updates


def adamax(
    loss: Any, params: Any, learning_rate: Rate = 2e-3, beta1: float = 0.9, beta2: float = 0.999,
    epsilon: float = 1e-8, weight_decay: float = 0.0,
) -> Updates:  # fmt: skip
    """:func:`adam` with the greatest size of the gradients, fading by beta2, instead of a mean of
    squares (Kingma and Ba, 2014).

    >>> import symgraph as sg
    >>> w = sg.shared([1.0, -3.0])
    >>> step = sg.compile([], [], updates=sg.optim.adamax(sg.sum(w**2), w, 0.5))
    >>> _ = step(); w.get_value().round(6).tolist()
    [0.5, -2.5]
    """
    work = Work("adamax", loss, params, learning_rate, weight_decay)
    moments = Moments(work, beta1, beta2)
    for p, g, rate in work.each():
        u = work.state(p, "greatest")
        work.updates[u] = maximum(beta2 * u, absolute(g) + epsilon)
        step = moments.mean(p, g) / work.updates[u]
        work.updates[p] = p - (rate / cast(moments.first, p.dtype)) * step
    return work.updates


def nadam(
    loss: Any, params: Any, learning_rate: Rate = 2e-3, beta1: float = 0.9, beta2: float = 0.999,
    epsilon: float = 1e-8, weight_decay: float = 0.0, momentum_decay: float = 4e-3,
) -> Updates:  # fmt: skip
    """:func:`adam` with Nesterov's momentum, whose weight is
    beta1 * (1 - 0.96**(n * momentum_decay) / 2) in the n-th update (Dozat, 2016).

    >>> import symgraph as sg
    >>> w = sg.shared([1.0])
    >>> step = sg.compile([], [], updates=sg.optim.nadam(sg.sum(w**2), w, 0.5))
    >>> _ = step(); bool(w.get_value()[0] < 1)
    True
    """
    work = Work("nadam", loss, params, learning_rate, weight_decay)
    moments = Moments(work, beta1, beta2)
    n = work.number()
    now = beta1 * (1 - 0.5 * power(0.96, n * momentum_decay))
    after = beta1 * (1 - 0.5 * power(0.96, (n + 1) * momentum_decay))
    product = shared(1.0, "nadam_product")
    work.updates[product] = product * now
    weight_now = (1 - now) / (1 - work.updates[product])
    weight_mean = after / (1 - work.updates[product] * after)
    for p, g, rate in work.each():
        step = cast(weight_now, p.dtype) * g + cast(weight_mean, p.dtype) * moments.mean(p, g)
        work.updates[p] = p - rate * (step / moments.size(p, g, epsilon))
    return work.updates
