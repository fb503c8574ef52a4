"""Random variables of PyTensor: the streams are NumPy's, bit for bit, as in its own modes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytensor = pytest.importorskip("pytensor")
pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():  # of PyTensor's about its own past and compilers that are not there
    warnings.simplefilter("ignore")
    import pytensor.tensor as pt
    import pytensor.tensor.random.basic as variables
    from pytensor.compile.mode import Mode
    from pytensor.tensor.random.op import RandomVariable
    from pytensor.tensor.random.utils import RandomStream

    import symgraph.interop.pytensor as door

P = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
PARAMETERS: dict[str, tuple[Any, ...]] = {
    "betabinom": (10, 1.5, 2.5), "binomial": (10, 0.3), "categorical": (P,), "dirichlet": (P * 9,),
    "bernoulli": (0.4,), "geometric": (0.3,), "hypergeometric": (7, 8, 5), "integers": (-3, 9),
    "multinomial": (5, P), "multivariate_normal": (P[0], np.eye(3) * 2), "nbinom": (4, 0.3),
    "negative_binomial": (4, 0.3), "triangular": (-1.0, 0.5, 2.0), "truncexpon": (2.0, 0.5, 1.5),
    "uniform": (-1.0, 2.0), "gengamma": (1.5, 0.8, 2.0), "t": (5.0, 1.0, 2.0),
}  # fmt: skip
NAMES = sorted(n for n, v in vars(variables).items() if isinstance(v, RandomVariable))


def both(build: Callable[[], tuple[list[Any], list[Any]]], *values: Any, calls: int = 2) -> Any:
    """What a function gives at each of several calls, which must be what PyTensor's own does."""
    ours = pytensor.function(*build(), mode="SYMGRAPH")
    theirs = pytensor.function(*build(), mode=Mode("py", "fast_compile"))
    for _ in range(calls):
        for a, b in zip(ours(*values), theirs(*values), strict=True):
            np.testing.assert_array_equal(a, b, strict=True)
    return ours


def parameters(name: str) -> tuple[Any, ...]:
    count = len(getattr(variables, name).ndims_params)
    return PARAMETERS.get(name, (1.5, 0.8, 2.0)[:count])


def test_every_variable() -> None:
    def build() -> tuple[list[Any], list[Any]]:
        stream, outs = RandomStream(seed=7), []
        for name in NAMES:
            given = parameters(name)
            batched = [np.asarray(p)[None] if np.ndim(p) < 2 else p for p in given]
            outs += [stream.gen(getattr(variables, name), *given),
                     stream.gen(getattr(variables, name), *given, size=(4, 2)),
                     stream.gen(getattr(variables, name), *batched)]  # fmt: skip
        return [], outs

    assert len(NAMES) > 30
    both(build)


def test_sizes_and_parameters_that_are_arguments() -> None:
    def build() -> tuple[list[Any], list[Any]]:
        stream = RandomStream(seed=3)
        x, n = pt.matrix("x", dtype="float64"), pt.lscalar("n")
        outs = [stream.normal(x, 2.0), stream.normal(x[0], size=(n, x.shape[1])),
                stream.poisson(pt.exp(x)).sum(0), stream.uniform(size=(n,)) * 2]  # fmt: skip
        return [x, n], outs

    ours = both(build, np.arange(6.0).reshape(2, 3), 4)
    assert ours(np.ones((1, 5)), 2)[1].shape == (2, 5)  # the same code with other sizes


def test_shuffles_and_choices() -> None:
    def build() -> tuple[list[Any], list[Any]]:
        def rng(seed: int) -> Any:
            return pytensor.shared(np.random.default_rng(seed))

        x = pt.matrix("x", dtype="float64")
        choice, fair = pt.random.choice, np.full(4, 0.25)
        outs = [pt.random.permutation(x, rng=rng(1)), pt.random.permutation(6, rng=rng(2)),
                choice(5, size=(3,), rng=rng(3)), choice(5, size=3, replace=False, rng=rng(4)),
                choice(x[0], p=fair, size=(2, 2), rng=rng(5)),
                choice(4, p=P[0].tolist() + [0.0], size=3, replace=False, rng=rng(6))]  # fmt: skip
        return [x], outs

    both(build, np.arange(12.0).reshape(3, 4))


def test_a_generator_without_update_stays() -> None:
    generator = np.random.default_rng(5)
    rng = pytensor.shared(generator, borrow=True)
    before = copy.deepcopy(generator.bit_generator.state)
    f = pytensor.function([], pt.random.normal(size=3, rng=rng), mode="SYMGRAPH")
    np.testing.assert_array_equal(f(), f())
    assert generator.bit_generator.state == before
    np.testing.assert_array_equal(f(), np.random.default_rng(5).normal(size=3))


def test_updates_go_on_and_generators_come_out() -> None:
    rng = pytensor.shared(np.random.default_rng(5))
    next_rng, x = pt.random.uniform(size=2, rng=rng).owner.outputs
    f = pytensor.function([], [x, next_rng], updates={rng: next_rng}, mode="SYMGRAPH")
    theirs = np.random.default_rng(5)
    for _ in range(3):
        value, generator = f()
        np.testing.assert_array_equal(value, theirs.uniform(size=2))
        kept = rng.get_value(borrow=True)
        assert generator.bit_generator.state == kept.bit_generator.state
        generator.normal()  # it is the caller's own
        assert generator.bit_generator.state != rng.get_value(borrow=True).bit_generator.state


def test_a_generator_as_an_argument() -> None:
    rng = pt.random.type.random_generator_type("rng")
    next_rng, x = pt.random.gamma(2.0, 1.0, size=3, rng=rng).owner.outputs
    _, y = pt.random.normal(x, rng=next_rng).owner.outputs
    f = pytensor.function([rng], [x, y], mode="SYMGRAPH")
    theirs = np.random.default_rng(9)
    found = f(np.random.default_rng(9))
    first = theirs.gamma(2.0, 1.0, size=3)
    np.testing.assert_array_equal(found[0], first)
    np.testing.assert_array_equal(found[1], theirs.normal(first, 1.0))


def test_draws_in_a_loop() -> None:
    def build() -> tuple[list[Any], list[Any]]:
        rng = pytensor.shared(np.random.default_rng(1))

        def step(x: Any, rng: Any) -> Any:
            next_rng, y = pt.random.normal(x, 1.0, rng=rng).owner.outputs
            return y, {rng: next_rng}

        found, updates = pytensor.scan(step, outputs_info=[pt.zeros(2)], non_sequences=[rng],
                                       n_steps=5, strict=True)  # fmt: skip
        build.updates = updates  # type: ignore[attr-defined]
        return [], [found]

    results = []
    for mode in ("SYMGRAPH", Mode("py", "fast_compile")):
        inputs, outputs = build()
        f = pytensor.function(inputs, outputs, updates=build.updates, mode=mode)  # type: ignore[attr-defined]
        results.append(np.stack([*f(), *f()]))
    np.testing.assert_array_equal(*results)
    assert door.mode() is not None
