"""Rows for sorting, statistics, running folds, windows and the elementwise functions beside them.

Most rows are one call that is made on NumPy and on symgraph alike.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

from symgraph import api
from symgraph.ops import cumulative
from tests.ops.samples import Sample, array, ints

NAN, INF = float("nan"), float("inf")
A, B, V = array(3, 4), array(2, 3, 4, seed=1), array(7, seed=2)
F32 = array(3, 4, seed=3).astype("float32")
HOLES = np.array([[1.0, NAN, 3.0, -2.0], [NAN, NAN, NAN, NAN], [4.0, 0.5, -1.0, 2.0]])
TIES = ints(3, 5, low=0, high=3)
SMALL = ints(2, 6, low=-5, high=5, dtype="int8")
EMPTY, ONE = np.ones((0, 3)), np.array([2.5])
ORDERED = np.array([-2.0, -1.0, 0.5, 0.5, 2.0, 3.5])
TRUTH = np.array([[True, False, True], [False, False, True]])


def row(op: str, call: Any, *arrays: Any, **options: Any) -> Sample:
    """``call(module, *operands)`` means the same on both modules."""
    return Sample(op, partial(call, api), partial(_quietly, call), arrays, **options)


def _quietly(call: Any, *operands: Any) -> Any:
    """NumPy's answer without what it has to say of slices without numbers and old functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(np, *operands)


ELEMENTWISE = {
    "fmod": np.fmod, "fmax": np.fmax, "fmin": np.fmin, "heaviside": np.heaviside,
    "signbit": np.signbit, "nextafter": np.nextafter,
    "bitwise_count": np.bitwise_count, "binary_exponent": lambda x: np.frexp(x)[1],
}  # fmt: skip

# sorting ------------------------------------------------------------------------------------------

SAMPLES: list[Sample] = [
    *(row("sort", lambda m, x, k=k: m.sort(x, axis=k), A) for k in (0, 1, None)),
    *(row("sort", lambda m, x: m.sort(x), x, grad=x is not HOLES) for x in (HOLES, TIES, SMALL,
        TRUTH, EMPTY, ONE, F32)),
    *(row("argsort", lambda m, x: m.argsort(x, stable=True) if m is np else m.argsort(x), x)
      for x in (A, HOLES, TIES, SMALL, TRUTH, EMPTY, ONE, F32)),
    row("argsort", lambda m, x: m.argsort(x, 0), A),
    Sample("argsort", lambda x: api.argsort(x, descending=True),
           lambda x: np.argsort(-x, kind="stable"), (TIES,)),
    Sample("sort", lambda x: api.sort(x, 0, descending=True), lambda x: -np.sort(-x, 0), (A,)),
    row("argsort", lambda m, x, y: m.lexsort((x, y)), TIES[0], TIES[1], symbolic=False),
    Sample("sort", lambda x: api.partition(x, 2), lambda x: np.sort(x), (A,)),
    Sample("argsort", lambda x: api.argpartition(x, 1, 0), lambda x: np.argsort(x, 0), (A,)),
    Sample("take_along_axis", lambda x: api.topk(x, 2)[0], lambda x: -np.sort(-x)[..., :2], (B,)),
    Sample("top_positions", lambda x: api.topk(x, 2, 0, largest=False)[1],
           lambda x: np.argsort(x, 0)[:2], (A,)),
    *(row("searchsorted", lambda m, a, v, s=s: m.searchsorted(a, v, s), ORDERED, v)
      for s in ("left", "right") for v in (A, np.array([0.5, NAN, -9.0, 9.0]), np.array(0.5))),
    row("searchsorted", lambda m, a, v: m.searchsorted(a, v), EMPTY[:, 0], V),
    row("searchsorted", lambda m, a, v: m.searchsorted(a, v), ints(5).cumsum() * 0 + 3, ints(4)),
    row("searchsorted", lambda m, a, v: m.searchsorted(a, v, sorter=m.argsort(a)), V, A[0]),
    row("searchsorted", lambda m, x: m.digitize(x, ORDERED), A),
    row("searchsorted", lambda m, x: m.digitize(x, ORDERED[::-1], right=True), A),
    row("searchsorted", lambda m, x, b: m.digitize(x, b[::-1]), A, ORDERED),
]  # fmt: skip

# quantiles ----------------------------------------------------------------------------------------

METHODS = """linear lower higher midpoint nearest inverted_cdf averaged_inverted_cdf
closest_observation interpolated_inverted_cdf hazen weibull median_unbiased
normal_unbiased""".split()
Q = np.array([0.0, 0.13, 0.25, 0.5, 0.75, 1.0])

SAMPLES += [
    row("sort", lambda m, x: m.median(x, axis=0), EMPTY, symbolic=False, grad=False),
    *(row("sort", lambda m, x, k=k: m.median(x, axis=k), x, grad=x is A) for k in (None, 1, 0)
      for x in (A, HOLES, ints(3, 4, dtype="int32"))),
    row("sort", lambda m, x: m.median(x, axis=(0, 2), keepdims=True), B),
    row("sort", lambda m, x: m.median(x, axis=1), array(3, 5)),
    *(row("sort", lambda m, x, k=k: m.quantile(x, Q, axis=1, method=k), A, grad=k == "linear")
      for k in METHODS),
    *(row("sort", lambda m, x, k=k: m.quantile(x, 0.5, axis=0, method=k), array(8, 2), grad=False)
      for k in METHODS),
    row("sort", lambda m, x: m.quantile(x, [0.1, 0.6], axis=(0, 2), keepdims=True), B),
    row("sort", lambda m, x, q: m.quantile(x, q), F32, np.float32([0.3, 0.6]), grad=False),
    row("sort", lambda m, x: m.percentile(x, [10, 50], axis=-1), HOLES, grad=False),
    row("sort", lambda m, x: m.nanmedian(x, axis=1), HOLES, grad=False),
    row("sort", lambda m, x: m.nanquantile(x, [0.2, 0.5], axis=0), HOLES, grad=False),
    row("sort", lambda m, x: m.nanpercentile(x, 30, axis=1, keepdims=True), HOLES, grad=False),
]  # fmt: skip

# statistics ---------------------------------------------------------------------------------------


def _nan_rows(name: str, arrays: Any, **options: Any) -> list[Sample]:
    def call(m: Any, x: Any, k: Any) -> Any:
        return getattr(m, name)(x, axis=k, keepdims=k == 1)

    return [
        row("sum", lambda m, x, k=k: call(m, x, k), x, grad=False, **options)
        for k in (None, 0, 1) for x in arrays
    ]  # fmt: skip


FULL = HOLES[[0, 2]]
SAMPLES += [
    *_nan_rows("nansum", [HOLES, SMALL]), *_nan_rows("nanprod", [HOLES, SMALL]),
    *_nan_rows("nanmean", [HOLES, SMALL]), *_nan_rows("nanvar", [HOLES, SMALL]),
    *_nan_rows("nanstd", [HOLES]), *_nan_rows("nanmax", [HOLES, SMALL]),
    *_nan_rows("nanmin", [HOLES]), *_nan_rows("nanargmax", [FULL, SMALL]),
    *_nan_rows("nanargmin", [FULL]),
    row("sum", lambda m, x: m.nanvar(x, axis=1, ddof=3), HOLES, grad=False),
    row("cumsum", lambda m, x: m.nancumsum(x, 1), HOLES, grad=False),
    row("cumprod", lambda m, x: m.nancumprod(x), HOLES, grad=False),
    row("max", lambda m, x: m.ptp(x, axis=1), A),
    row("max", lambda m, x: m.ptp(x), SMALL),
    row("sum", lambda m, x, w: m.average(x, weights=w), A, np.abs(A) + 1),
    row("sum", lambda m, x, w: m.average(x, axis=1, weights=w), A, np.array([1.0, 2, 3, 1])),
    row("sum", lambda m, x: m.average(x, axis=0, keepdims=True), ints(3, 4)),
    row("sum", lambda m, x: m.average(x, 0, weights=[1, 2, 3], returned=True), A),
    row("sum", lambda m, x, w: m.average(x, axis=(2, 0), weights=w), B, array(4, 2, low=1)),
    row("matmul", lambda m, x: m.cov(x), A), row("matmul", lambda m, x: m.cov(x), V),
    row("matmul", lambda m, x: m.cov(x, rowvar=False, bias=True), A),
    row("matmul", lambda m, x, y: m.cov(x, y, ddof=0), A[0], A[1]),
    row("matmul", lambda m, x: m.cov(x, fweights=[1, 2, 1, 3], aweights=[0.5, 1, 1, 2]), A),
    row("matmul", lambda m, x: m.corrcoef(x), A, grad=False),
    row("matmul", lambda m, x: m.corrcoef(x, rowvar=False), A[:2], grad=False),
]  # fmt: skip

# counting -----------------------------------------------------------------------------------------


def _pairs(built: Any) -> Any:
    return [built[0], *(built[1] if isinstance(built[1], list | tuple) else built[1:])]


COUNTED = np.array([3, 0, 3, 1, 7])
SAMPLES += [
    Sample("scatter", lambda x: api.bincount(x, length=9), lambda x: np.bincount(x, minlength=9),
           (COUNTED,)),
    Sample("scatter", lambda x, w: api.bincount(x, w, length=9),
           lambda x, w: np.bincount(x, w, 9), (COUNTED, array(5)), symbolic=False),
    row("scatter", lambda m: m.bincount(COUNTED, minlength=3)),
    *(row("scatter", lambda m, x, o=o: m.histogram(x, **o), x, grad=False)
      for x in (A, SMALL, F32, ONE) for o in ({"bins": 4}, {"bins": ORDERED, "density": True})),
    row("scatter", lambda m, x: m.histogram(x, 3, range=(-1.0, 2.0)), A, grad=False),
    row("scatter", lambda m, x, w: m.histogram(x, 5, weights=w), A, A, grad=False),
    row("scatter", lambda m, x: m.histogram(x, 4, range=(0, 1)), EMPTY, symbolic=False),
    row("scatter", lambda m, x: m.histogram_bin_edges(x, 3), A, grad=False),
    row("scatter", lambda m, x: _pairs(m.histogramdd(x, (2, 3, 2, 1))), array(9, 4), grad=False,
        symbolic=False),
    row("scatter", lambda m, x: m.histogramdd(x, 2, density=True)[0], A.T, grad=False,
        symbolic=False),
    row("scatter", lambda m, x, y: m.histogram2d(x, y, (2, 3)), V, V[::-1], grad=False),
]  # fmt: skip

# running folds, neighbours, windows ---------------------------------------------------------------

ZEROS = np.array([[1.5, 0.0, 2.0, -1.0], [0.0, 0.0, 3.0, 1.0], [2.0, 1.0, -1.0, 0.5]])


def _accumulated(name: str, ufunc: Any, *arrays: Any) -> list[Sample]:
    return [
        Sample(name, lambda x, k=k: getattr(api, name)(x, k),
               lambda x, k=k: ufunc.accumulate(x, k), (x,), grad=bool(np.isfinite(x).all()))
        for k in (0, 1) for x in arrays
    ]  # fmt: skip


SAMPLES += [
    *(row("cumprod", lambda m, x, k=k: m.cumprod(x, k), x) for k in (0, 1, None)
      for x in (ZEROS, SMALL, TRUTH)),
    *_accumulated("cummax", np.maximum, A, HOLES, SMALL, TRUTH, EMPTY),
    *_accumulated("cummin", np.minimum, A, HOLES, SMALL, TRUTH, EMPTY),
    *_accumulated("cumlogsumexp", np.logaddexp, A, np.array([[-INF, -INF, 1.0, INF, 2.0]]),
                  F32),
    *(Sample("linear_recurrence", cumulative.LinearRecurrence(k, r),
             cumulative.LinearRecurrence(k, r).reference, (A, ZEROS))
      for k in (0, 1) for r in (False, True)),
    *(Sample("cumprod", lambda x, r=r: cumulative.CumProd(1, r)(x), cumulative.CumProd(1,
        r).reference,
             (ZEROS,)) for r in (False, True)),
    Sample("cummax", cumulative.CumMax(0, True), cumulative.CumMax(0, True).reference, (A,)),
    Sample("cumlogsumexp", cumulative.CumLogSumExp(1, True),
           cumulative.CumLogSumExp(1, True).reference, (A,)),
    *(row("slice", lambda m, x, n=n: m.diff(x, n), x) for n in (1, 2) for x in (A, SMALL, TRUTH)),
    row("slice", lambda m, x: m.diff(x, axis=0, prepend=0.5, append=x), A),
    row("slice", lambda m, x: m.ediff1d(x, to_begin=1.0, to_end=[2.0, 3.0]), A),
    row("sum", lambda m, y: m.trapezoid(y, dx=0.5, axis=0), A),
    row("sum", lambda m, y, x: m.trapezoid(y, x), A, A[0]),
    row("sum", lambda m, y, x: m.trapezoid(y, x), A, A * 2),
    *(row("slice", lambda m, x, e=e: list(m.gradient(x, 0.5, edge_order=e)), A)
      for e in (1, 2)),
    *(row("slice", lambda m, x, y, e=e: m.gradient(x, y, axis=1, edge_order=e), A,
          np.array([0.0, 1.0, 2.5, 3.0])) for e in (1, 2)),
    row("searchsorted", lambda m, x, p, f: m.interp(x, p, f), A, np.array([-2.0, -1, 0.7, 2.1]),
        array(4)),
    row("searchsorted", lambda m, x, p, f: m.interp(x, p, f, left=-7.0, right=8.0), A,
        np.array([-2.0, -1, 0.7, 2.1]), array(4)),
    row("searchsorted", lambda m, x: m.interp(x, [3.0, 1.0, 2.0], [1.0, 5.0, 2.0], period=4), V),
    row("roll", lambda m, x: m.roll(x, 2), A), row("roll", lambda m, x: m.roll(x, -5, 1), A),
    row("roll", lambda m, x: m.roll(x, (1, -2), (0, 1)), A),
    row("roll", lambda m, x: m.roll(x, 1, 0), EMPTY, symbolic=False),
    Sample("window_view", lambda x: api.sliding_window_view(x, (2, 3)),
           lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 3)), (A,)),
    Sample("window_sum", lambda x: api.grad(api.sum(api.sliding_window_view(x, 3, 1) ** 2), x),
           lambda x: 2 * x * np.array([1, 2, 2, 1]), (A,), symbolic=False),
    *(row("window_view", lambda m, x, y, k=k: m.convolve(x, y, k), a, b)
      for k in ("full", "same", "valid") for a, b in ((V, A[0]), (A[0], V), (A[0], A[1]))),
    *(row("window_view", lambda m, x, y, k=k: m.correlate(x, y, k), a, b)
      for k in ("full", "same", "valid") for a, b in ((V, A[0]), (A[0], V), (ints(3), ints(4)))),
]  # fmt: skip

# elementwise functions of several steps -----------------------------------------------------------

SPECIAL = np.array([0.0, -0.0, 1.5, -2.25, INF, -INF, NAN, 1e300, 5e-324])
SAMPLES += [
    *(row("gcd", lambda m, x, y: m.gcd(x, y), x, y)
      for x, y in ((ints(3, 4), ints(4)), (SMALL, SMALL[:, :1]), (np.array(12), np.array(18)),
                   (ints(5, low=0, dtype="uint32"), ints(5, low=0, dtype="uint32", seed=4)))),
    row("gcd", lambda m, x, y: m.lcm(x, y), ints(3, 4), ints(4, seed=3)),
    row("nextafter", lambda m, x: m.spacing(x), SPECIAL, grad=False),
    row("nextafter", lambda m, x: m.spacing(x), F32, grad=False),
    row("trunc", lambda m, x: m.modf(x), SPECIAL, grad=False),
    row("binary_exponent", lambda m, x: m.frexp(x), SPECIAL, grad=False),
    row("multiply", lambda m, x, n: m.ldexp(x, n), V, np.array([3, -4, 0, 1, 900, -900, 2]),
        grad=False),
    row("absolute", lambda m, x: m.fabs(x), ints(3)),
    row("power", lambda m, x: m.float_power(x, -1), ints(4, low=1)),
    row("multiply", lambda m, x: m.deg2rad(x), A), row("multiply", lambda m, x: m.rad2deg(x), F32),
    row("where", lambda m, x: m.sinc(x), np.array([0.0, 0.5, 1.25, -2.0])),
    row("where", lambda m, x: m.nan_to_num(x), SPECIAL, grad=False),
    row("where", lambda m, x: m.nan_to_num(x, nan=1.0, posinf=2.0, neginf=-3.0), SPECIAL,
        grad=False),
    row("less_equal", lambda m, x, y: m.isclose(x, y), SPECIAL, SPECIAL + 1e-9),
    row("less_equal", lambda m, x, y: m.isclose(x, y, equal_nan=True), SPECIAL, SPECIAL),
    row("all", lambda m, x, y: m.allclose(x, y), A, A + 1e-9),
    row("all", lambda m, x, y: m.array_equal(x, y), A, A),
    row("all", lambda m, x, y: m.array_equal(x, y), A, V),
    row("all", lambda m, x, y: m.array_equal(x, y, equal_nan=True), HOLES, HOLES),
    row("all", lambda m, x, y: m.array_equiv(x, y), A * 0, np.zeros(1)),
    row("equal", lambda m, x: m.isposinf(x), SPECIAL),
    row("equal", lambda m, x: m.isneginf(x), SPECIAL),
    *(row("multiply", lambda m, p, x: m.polyval(p, x), p, x, symbolic=False)
      for p, x in ((array(4), A), (ints(3), ints(2, 3)))),
    row("add", lambda m, p, q: m.polyadd(p, q), V, A[0], symbolic=False),
    row("subtract", lambda m, p, q: m.polysub(p, q), A[0], V, symbolic=False),
    row("window_view", lambda m, p, q: m.polymul(p, q), V, A[0]),
    row("multiply", lambda m, p: m.polyder(p, 2), V),
    row("divide", lambda m, p: m.polyint(p, 2, [1.0, 2.0]), V),
]  # fmt: skip
