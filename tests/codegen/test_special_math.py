"""The special functions of vmath: accuracy in ulp against mpmath, special values, lane widths."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from symgraph.codegen import llvm, scalar_llvm, vmath
from symgraph.codegen.writer import ModuleWriter
from symgraph.scalar.special import LIBRARY, NATIVE, SPECIAL
from symgraph.scalar.table import SCALAR_OPS

DTYPES = ("float32", "float64")
COUNT = 60
NARROW_LIMIT = 0.6  # float32 is computed in float64

# (low, high) of uniform samples, or "log" and the ends of logarithmic ones
RANGES = {
    "gamma": [(0, 3), (3, 171.6), ("log", 1e-300, 1), (-5, 0), (-160, -5)],
    "lgamma": [(0, 3), (3, 100), ("log", 1e-300, 1), ("log", 1, 1e300)],
    "digamma": [(0, 3), (3, 100), ("log", 1e-300, 1), ("log", 1, 1e300)],
    "trigamma": [(0, 3), (3, 100), ("log", 1e-150, 1), ("log", 1, 1e300), (-30, 0)],
    "erfcx": [(-26, 0), (-1, 1), (0, 30), ("log", 1e-10, 1e100)],
    "erfinv": [(-1, 1), ("log", 1e-200, 1)],
    "erfcinv": [(0, 2), ("log", 1e-300, 1)],
    "ndtr": [(-38, 0), (-1, 8)],
    "ndtri": [(0, 1), ("log", 1e-300, 1)],
    "i0": [(-15, 15), (15, 713), ("log", 1e-20, 1)],
    "i1": [(-15, 15), (15, 713), ("log", 1e-20, 1)],
    "i0e": [(-15, 15), (15, 713), ("log", 1e3, 1e15)],
    "i1e": [(-15, 15), (15, 713), ("log", 1e3, 1e15)],
    "k0": [(0, 1), (1, 700), ("log", 1e-200, 1)],
    "k1": [(0, 1), (1, 700), ("log", 1e-200, 1)],
    "k0e": [(0, 1), (1, 700), ("log", 1, 1e20)],
    "k1e": [(0, 1), (1, 700), ("log", 1, 1e20)],
    "j0": [(-8, 8), (8, 100), (100, 1e6)],
    "j1": [(-8, 8), (8, 100), (100, 1e6), ("log", 1e-300, 1)],
}
LIMITS = dict.fromkeys(RANGES, 5.0) | {"trigamma": 6.0, "gamma": 7.0, "j0": 6.0}


def _inverse_of_erfc(y):
    if y > 1:
        return -_inverse_of_erfc(2 - y)
    if y > 0.1:
        return mpmath.erfinv(1 - y)
    x = mpmath.mpf(float(SPECIAL["erfcinv"].reference(np.float64(y))))
    for _ in range(5):  # Newton on the logarithm
        e = mpmath.erfc(x)
        slope = e * mpmath.sqrt(mpmath.pi) / (2 * mpmath.exp(-x * x))
        x += (mpmath.log(e) - mpmath.log(y)) * slope
    return x


def _scaled(function, order, sign):
    return lambda x: mpmath.exp(sign * abs(x)) * function(order, x)


PRECISE = {
    "lgamma": lambda x: mpmath.loggamma(x).real,
    "trigamma": lambda x: mpmath.polygamma(1, x),
    "erfcx": lambda x: mpmath.exp(x * x) * mpmath.erfc(x),
    "erfcinv": _inverse_of_erfc,
    "ndtr": mpmath.ncdf,
    "ndtri": lambda p: -mpmath.sqrt(2) * _inverse_of_erfc(2 * p),
    **{f"i{k}": lambda x, k=k: mpmath.besseli(k, x) for k in (0, 1)},
    **{f"j{k}": lambda x, k=k: mpmath.besselj(k, x) for k in (0, 1)},
    **{f"k{k}": lambda x, k=k: mpmath.besselk(k, x) for k in (0, 1)},
    **{f"i{k}e": _scaled(mpmath.besseli, k, -1) for k in (0, 1)},
    **{f"k{k}e": _scaled(mpmath.besselk, k, 1) for k in (0, 1)},
}
INF, NAN = np.inf, np.nan
EDGES = [0.0, -0.0, 1.0, -1.0, -2.0, 0.5, -0.5, INF, -INF, NAN, 2.0, 3.0, 15.0, 8.0, 1e30, -1e30,
         -170.5, 171.7, 2.5, -2.5, 28.0, 720.0, 1e-20]  # fmt: skip
# where SciPy overflows or loses its way
BEYOND = [
    ("lgamma", 5e-324, 744.4400719213812), ("erfcinv", 5e-324, 27.213293210812946),
    ("k0", 5e-324, 744.5560034370396), ("k1", 5e-324, INF), ("i0", 713.0, 6.705128263670996e307),
    ("i1", 713.0, 6.700424559186402e307), ("i0", INF, INF), ("j0", INF, 0.0),
]  # fmt: skip


@pytest.fixture(scope="module")
def built(kernels, native_lanes):
    """Every function and dtype, as wide as a register and as a scalar."""
    k = kernels()
    k.module = ModuleWriter(llvm.host().features)
    for name, function in vmath.SPECIAL.items():
        for dtype in DTYPES:
            for lanes in (1, native_lanes(dtype)):
                kinds = [dtype] * function.arity

                def emit(fn, module, lanes, args, name=name, dtype=dtype, kinds=kinds):
                    return scalar_llvm.emit(fn, module, name, dtype, lanes, args, kinds)

                k.add(f"{name}_{dtype}_{lanes}", kinds, dtype, lanes, emit)
    k.build()
    return k


def test_the_tables_agree():
    assert set(vmath.SPECIAL) == set(NATIVE)
    assert not set(vmath.FUNCTIONS) & set(LIBRARY)
    for name, row in SPECIAL.items():
        assert SCALAR_OPS[name].arity == row.arity
    for name, function in vmath.SPECIAL.items():
        assert function.arity == NATIVE[name].arity


def _samples(name, dtype):
    rng, found = np.random.default_rng(7), []
    for low, high, *more in RANGES[name]:
        if low == "log":
            found.append(np.exp(rng.uniform(np.log(high), np.log(more[0]), COUNT)))
        else:
            found.append(rng.uniform(low, high, COUNT))
    x = np.concatenate(found)
    if dtype == "float32":
        x = x[(abs(x) < 1e30) & (abs(x) > 1e-30)].astype("float32")
    return x


def _unit(name, x, exact, info):
    """One unit in the last place; of j0 and j1 of their envelope, as they have many zeros."""
    size = exact
    if name in ("j0", "j1") and abs(x) > 2:
        size = mpmath.sqrt(2 / mpmath.pi / abs(x))
    return mpmath.ldexp(1, max(mpmath.frexp(size)[1] - 1, info.minexp) - info.nmant)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RANGES)
def test_accuracy(built, native_lanes, name, dtype):
    x, info = _samples(name, dtype), np.finfo(dtype)
    got = built(f"{name}_{dtype}_{native_lanes(dtype)}", x)
    precise = PRECISE.get(name) or getattr(mpmath, name)
    worst = 0.0
    with mpmath.workdps(40):
        for value, result in zip(x, got, strict=True):
            number = mpmath.mpf(float(value))
            exact = precise(number)
            if info.tiny < abs(exact) < info.max:
                error = abs(mpmath.mpf(float(result)) - exact) / _unit(name, number, exact, info)
                worst = max(worst, float(error))
    assert worst < (NARROW_LIMIT if dtype == "float32" else LIMITS[name])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", vmath.SPECIAL)
def test_edges_are_scipys(built, native_lanes, name, dtype):
    arity = vmath.SPECIAL[name].arity
    with np.errstate(all="ignore"):
        values = np.array(EDGES, dtype)
        xs = [values] if arity == 1 else [v.ravel() for v in np.meshgrid(values, values)]
        xs += [np.full_like(xs[0], v) for v in (1.5, 0.5)][: arity - len(xs)]
        if name == "zeta":  # terms of negative q cancel one another
            xs = [x[xs[1] > -2] for x in xs]
        got = built(f"{name}_{dtype}_{native_lanes(dtype)}", *xs)
        wanted = SCALAR_OPS[name].reference(*xs)
    rtol = 2e-6 if dtype == "float32" else 2e-13
    tiny = np.finfo(dtype).tiny  # SciPy flushes some of what is smaller to 0
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=tiny if name != "j0" else 1e-15)
    if arity == 1 and name != "erfcinv":  # of which SciPy has -0 at 1
        zero = np.isin(wanted, (0, INF, -INF)) & (got == wanted)
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(wanted[zero]))


@pytest.mark.parametrize(("name", "x", "wanted"), BEYOND)
def test_beyond_scipy(built, native_lanes, name, x, wanted):
    got = built(f"{name}_float64_{native_lanes('float64')}", np.array([x]))
    np.testing.assert_allclose(got, wanted, rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", vmath.SPECIAL)
def test_width_does_not_change_a_bit(built, native_lanes, name, dtype):
    rng = np.random.default_rng(3)
    xs = [rng.normal(size=50).astype(dtype) * 3 for _ in range(vmath.SPECIAL[name].arity)]
    xs[0][:20] = np.exp(rng.uniform(-20, 6, 20))
    wide = built(f"{name}_{dtype}_{native_lanes(dtype)}", *xs)
    np.testing.assert_array_equal(wide, built(f"{name}_{dtype}_1", *xs))
