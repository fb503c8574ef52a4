"""Draws that differ at every call of a compiled function, as Theano's RandomStream."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.ir.graph import Variable
from symgraph.ir.shared import Shared, shared
from symgraph.ops import random_continuous as continuous
from symgraph.ops import random_discrete as discrete
from symgraph.ops import random_gamma as gammas
from symgraph.ops import random_implicit as implicit
from symgraph.ops import random_picking as picking
from symgraph.ops import random_vectors as vectors
from symgraph.ops.random_bits import SPLIT, bits, fold_in, numpy_words, seed_words

__all__ = ["RandomStream", "Stream"]


def _method(draw: Callable[..., Variable]) -> Callable[..., Variable]:
    """A distribution without its key."""

    @functools.wraps(draw)
    def method(self: Stream, *args: Any, **kwargs: Any) -> Variable:
        return draw(self.key(), *args, **kwargs)

    method.__doc__ = f"As :func:`{draw.__name__}`, new numbers at every call."
    return method


class Stream:
    """Draws that differ at every call of a compiled function, as Theano's RandomStream: a method
    for each distribution, with the arguments of the function of that name but for the key.

    Each draw has a key and a counter of its own (shared variables); a function that uses the draw
    adds 1 to the counter, by the counter's ``default_update``. Calls of other functions, and draws
    made before or after, do not change it.

    >>> import symgraph as sg
    >>> stream = sg.random.RandomStream(seed=1)
    >>> f = sg.compile([], stream.uniform(3))
    >>> bool((f() == f()).any())
    False
    """

    def __init__(self, seed: int = 0) -> None:
        self.states: list[tuple[Shared, Shared]] = []
        self._seed = seed_words(seed)

    def seed(self, seed: int) -> None:
        """Start all draws again from another seed."""
        self._seed = seed_words(seed)
        for position, (own, counter) in enumerate(self.states):
            own.set_value(self._own_key(position))
            counter.set_value(np.uint64(0))

    def _own_key(self, position: int) -> Any:
        words = numpy_words(position, 0, 0, SPLIT, *self._seed)
        return np.array([int(words[0]), int(words[1])], "uint32")

    def key(self) -> Variable:
        """A key that is another one at every call."""
        position = len(self.states)
        own = shared(self._own_key(position), f"stream_key_{position}")
        counter = shared(np.uint64(0), f"stream_counter_{position}")
        counter.default_update = counter + 1
        self.states.append((own, counter))
        return fold_in(own, counter)

    def updates(self) -> dict[Shared, Variable]:
        """What a compiled function does to the counters by itself, for functions that are compiled
        without default updates."""
        return {c: c.default_update for _, c in self.states if c.default_update is not None}

    ball = _method(vectors.ball)
    bartlett = _method(vectors.bartlett)
    bernoulli = _method(discrete.bernoulli)
    beta = _method(gammas.beta)
    beta_binomial = _method(discrete.beta_binomial)
    binomial = _method(discrete.binomial)
    bits = _method(bits)
    categorical = _method(picking.categorical)
    cauchy = _method(continuous.cauchy)
    chisquare = _method(gammas.chisquare)
    chi2 = chisquare
    choice = _method(picking.choice)
    dirichlet = _method(gammas.dirichlet)
    exponential = _method(continuous.exponential)
    f = _method(gammas.f)
    gamma = _method(gammas.gamma)
    generalized_normal = _method(vectors.generalized_normal)
    geometric = _method(discrete.geometric)
    gumbel = _method(continuous.gumbel)
    half_cauchy = _method(continuous.half_cauchy)
    half_normal = _method(continuous.half_normal)
    hypergeometric = _method(discrete.hypergeometric)
    integers = _method(discrete.integers)
    inverse_gamma = _method(gammas.inverse_gamma)
    laplace = _method(continuous.laplace)
    lkj_cholesky = _method(vectors.lkj_cholesky)
    loggamma = _method(gammas.loggamma)
    logistic = _method(continuous.logistic)
    lognormal = _method(continuous.lognormal)
    logseries = _method(discrete.logseries)
    maxwell = _method(continuous.maxwell)
    multinomial = _method(picking.multinomial)
    multivariate_normal = _method(vectors.multivariate_normal)
    negative_binomial = _method(discrete.negative_binomial)
    noncentral_chisquare = _method(gammas.noncentral_chisquare)
    noncentral_f = _method(gammas.noncentral_f)
    normal = _method(continuous.normal)
    orthogonal = _method(vectors.orthogonal)
    pareto = _method(continuous.pareto)
    permutation = _method(picking.permutation)
    poisson = _method(discrete.poisson)
    power = _method(continuous.power)
    rademacher = _method(discrete.rademacher)
    randint = _method(discrete.randint)
    rayleigh = _method(continuous.rayleigh)
    shuffle = _method(picking.shuffle)
    student_t = _method(gammas.student_t)
    triangular = _method(continuous.triangular)
    truncated_normal = _method(implicit.truncated_normal)
    uniform = _method(continuous.uniform)
    vonmises = _method(implicit.vonmises)
    wald = _method(implicit.wald)
    weibull = _method(continuous.weibull)
    wishart = _method(vectors.wishart)
    zipf = _method(discrete.zipf)


RandomStream = Stream
