"""Every rule, first and second order: elementwise operations against mpmath, special functions
among them, and by complex steps; all samples of all operations against differences with
Richardson's extrapolation.

A few arguments are tried in the quick tests, more of them, and those that take mpmath long, in the
slow ones.
"""

from __future__ import annotations

import itertools
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import symgraph as sg
from symgraph import dtypes
from symgraph.autodiff.reverse import grad
from symgraph.errors import GradientError
from symgraph.ir.graph import Graph, Input, Variable
from symgraph.ir.interpret import interpret
from symgraph.ir.op import OPS
from symgraph.ir.types import TensorType
from symgraph.ops import reductions
from symgraph.ops.elementwise import Elementwise
from tests.autodiff.exact import ANALYTIC, SPECIAL
from tests.ops.samples import Sample
from tests.ops.samples_special import NO_SECOND
from tests.ops.test_registry import ALL, outputs_of

EXACT = {**ANALYTIC, **SPECIAL}
ROWS = {n: op for n, op in OPS.items() if isinstance(op, Elementwise) and not op.nondifferentiable}
# of declared derivative 0, or of complex operands or a condition: test_complex.py, test_grad.py
OTHERS = frozenset("where stop_gradient floor_divide real imag conj complex".split())
LONG = frozenset(
    "betaincinv betainccinv owens_t gammaincinv gammainccinv stdtrit y1 k1 k1e".split()
)
# how far the second derivatives of these are from exact: they subtract what is nearly equal
LOOSE = {"ive": 1e-12, "erfcx": 1e-12, "reciprocal_minus_cot": 1e-10}


def derivatives(name: str) -> tuple[list[Input], dict[tuple[int, ...], Variable]]:
    """The first derivatives by each operand, and the second ones by each pair of which the rules
    do not say that they do not exist."""
    row: Any = ROWS[name]
    xs = [sg.vector(f"x{k}") for k in range(row.arity)]
    known = [k for k in range(row.arity) if k not in getattr(row, "no_slope", ())]
    y = row(*xs)
    first = {k: grad(reductions.sum(y), xs[k]) for k in known}
    found: dict[tuple[int, ...], Variable] = {(k,): g for k, g in first.items()}
    refused = set(itertools.product(NO_SECOND.get(name, ()), repeat=2))
    for k, j in itertools.combinations_with_replacement(known, 2):
        if (name == "hyp2f1" and j < 3) or (k, j) in refused:
            with pytest.raises(GradientError):
                grad(reductions.sum(first[k]), xs[j])
            continue
        found[k, j] = grad(reductions.sum(first[k]), xs[j], disconnected="zero")
    return xs, found


def points(name: str, count: int) -> list[Any]:
    """Arguments from the domain of a row; many of them are near its ends too."""
    row: Any = ROWS[name]
    domains = row.domain if isinstance(row.domain[0], tuple) else (row.domain,) * row.arity
    rng = np.random.default_rng(sum(map(ord, name)))
    columns = []
    for low, high in domains:
        inside = rng.uniform(low, high, count)
        if count > 2 and low < high:
            ends = rng.permutation([low, high, low + 1e-3 * (high - low), high - 1e-6])
            inside = np.concatenate([inside, ends])
        columns.append(inside)
    size = max(map(len, columns))
    return [np.resize(c, size) for c in columns]


def check_exactly(name: str, count: int) -> None:
    xs, found = derivatives(name)
    arrays = points(name, count)
    got = interpret(Graph(xs, list(found.values())), arrays)
    tolerance = LOOSE.get(name, 3e-13)
    for key, values in zip(found, got, strict=True):
        orders = tuple(map(key.count, range(len(xs))))
        for k, value in enumerate(values):
            at = tuple(mp.mpf(float(a[k])) for a in arrays)
            with mp.workdps(25):
                wanted = float(mp.re(mp.diff(EXACT[name], at, orders)))
            assert abs(value - wanted) <= tolerance * (abs(wanted) + 1e-3), (key, at, value, wanted)


@pytest.mark.parametrize("name", sorted(set(ROWS) & set(EXACT) - LONG))
def test_exact(name: str) -> None:
    check_exactly(name, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ROWS) & set(EXACT)))
def test_exact_at_many_points(name: str) -> None:
    check_exactly(name, 3 if name in LONG else 12)


# complex steps ------------------------------------------------------------------------------------


def holomorphic() -> list[str]:
    """Rows of complex operands that are analytic where these are real."""
    found = []
    for name in sorted(set(ANALYTIC) & set(ROWS)):
        row: Any = ROWS[name]
        try:
            kinds = row.computes_in(("complex128",) * row.arity)
            y = row(*(Input(TensorType("complex128", ())) for _ in range(row.arity)))
        except (TypeError, sg.errors.SymgraphError):
            continue
        if all(map(dtypes.is_complex, kinds)) and dtypes.is_complex(y.dtype):
            found.append(name)
    return found


@pytest.mark.parametrize("name", holomorphic())
def test_complex_step(name: str) -> None:
    """f(x + ih) = f(x) + ih f'(x) + O(h^2): no difference is taken, so h may be tiny (Squire and
    Trapp 1998)."""
    row: Any = ROWS[name]
    xs, found = derivatives(name)
    arrays = points(name, 2)
    values = dict(zip(found, interpret(Graph(xs, list(found.values())), arrays), strict=True))
    zs = [sg.vector(f"z{k}", dtype="complex128") for k in range(row.arity)]
    graph = Graph(zs, [row(*zs)])
    for k in range(row.arity):
        moved = [a + (1e-30j if j == k else 0j) for j, a in enumerate(arrays)]
        (value,) = interpret(graph, moved)
        np.testing.assert_allclose(values[k,], value.imag / 1e-30, rtol=2e-14, atol=1e-16)


# differences --------------------------------------------------------------------------------------

DIFFERENTIABLE = [s for s in ALL if s.grad]
QUICK = {s.op: k for k, s in reversed(list(enumerate(DIFFERENTIABLE)))}


def check_sample(sample: Sample) -> None:
    """verify_grad's differences are extrapolated once: (8 near - far) / 12."""
    arrays = [np.asarray(a) for a in sample.arrays]
    if not any(a.dtype in ("float64", "complex128") and a.size for a in arrays):
        return

    def build(*xs: Any) -> list[Any]:
        made = outputs_of(sample.build(*xs))
        connected = [x * x for x in xs if dtypes.is_inexact(x.dtype)]  # whatever the op reads of it
        return [*made, *connected]

    xs = [Input(TensorType(str(a.dtype), a.shape)) for a in arrays]
    if any(not dtypes.is_inexact(y.dtype) for y in outputs_of(sample.build(*xs))):
        return
    try:
        sg.verify_grad(build, arrays, order=2, rtol=1e-6, directions=1)
    except GradientError as error:
        if error.what.startswith("verify_grad"):
            raise
        sg.verify_grad(build, arrays, directions=1)  # there is no second derivative, with an error


@pytest.mark.parametrize("k", sorted(QUICK.values())[::4], ids=lambda k: DIFFERENTIABLE[k].op)
def test_sample(k: int) -> None:
    check_sample(DIFFERENTIABLE[k])


@pytest.mark.slow
@pytest.mark.parametrize(
    "sample", DIFFERENTIABLE, ids=[f"{k}-{s.op}" for k, s in enumerate(DIFFERENTIABLE)]
)
def test_every_sample(sample: Sample) -> None:
    check_sample(sample)


@pytest.mark.parametrize("name", sorted(set(ROWS) - set(EXACT) - OTHERS))
def test_without_a_meaning_in_mpmath(name: str) -> None:
    """Piecewise ones away from their corners, by differences."""
    row: Any = ROWS[name]
    arrays = points(name, 3)
    known = [k for k in range(row.arity) if k not in getattr(row, "no_slope", ())]
    fixed = [a[:3] for a in arrays]

    def build(*xs: Any) -> Any:
        given = dict(zip(known, xs, strict=True))
        y = row(*(given.get(k, sg.constant(fixed[k])) for k in range(row.arity)))
        return y + sum(x * x for x in xs)  # so that a derivative of 0 is connected

    sg.verify_grad(build, [arrays[k][:3] for k in known], order=2)
