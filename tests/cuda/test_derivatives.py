"""Derivatives of factors by kernels of our own: nothing is left to the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.loops.program import Call
from symgraph.lower.cuda import derivatives
from symgraph.runtime.cuda.device import using
from tests.cuda import running
from tests.cuda.fake_driver import FakeDriver

RNG = np.random.default_rng(107)


def positive(*shape: int) -> np.ndarray:
    a = RNG.standard_normal((*shape, shape[-1]))
    return a @ np.swapaxes(a, -1, -2) + shape[-1] * np.eye(shape[-1])  # type: ignore[no-any-return]


def _chol(x: Any) -> Any:
    return sg.sum(sg.sin(sg.linalg.cholesky(x)))


def _lu(x: Any) -> Any:
    return sg.sum(sg.sin(sg.linalg.lu_factor(x)[0]))


LOSSES: dict[str, Callable[[Any], Any]] = {"cholesky": _chol, "lu": _lu}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(5,), (2, 4)])
def test_first_and_second_derivatives(name: str, shape: tuple[int, ...]) -> None:
    array = positive(*shape)
    x = sg.tensor("x", shape=(None,) * array.ndim)
    first = sg.grad(LOSSES[name](x), x)
    weights = sg.constant(RNG.standard_normal(array.shape))
    outputs = [first, sg.grad(sg.sum(first * weights), x)]
    with using(FakeDriver()), config.change(cache=False):
        f = sg.compile([x], outputs, target="cuda")
        found = f(array)
        (frame,) = f.frames.values()
    assert not frame.tape.host and not frame.tape.waits
    for a, b in zip(found, sg.compile([x], outputs)(array), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_large_matrices_are_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivatives, "MOST", 4)
    x = sg.matrix("x")
    slope = sg.grad(_chol(x), x)
    with using(FakeDriver()), config.change(cache=False):
        f = sg.compile([x], slope, target="cuda")
        for n, hosts in ((4, 0), (5, 1)):
            array = positive(n)
            np.testing.assert_allclose(f(array), sg.compile([x], slope)(array), rtol=1e-9)
            assert [len(g.tape.host) for g in f.frames.values()][-1] == hosts
    known = sg.tensor("known", shape=(6, 6))
    calls = [s for s in running.scheduled(sg.grad(_chol(known), known))[1].steps
             if isinstance(s, Call)]  # fmt: skip
    assert "cholesky_pull" in [dict(c.params)["name"] for c in calls]
