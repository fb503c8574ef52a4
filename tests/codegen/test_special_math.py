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
    "j0": [(-8, 8), (8, 100), (100, 1e6), ("log", 1e6, 1e15)],
    "j1": [(-8, 8), (8, 100), (100, 1e6), ("log", 1e-300, 1), ("log", 1e6, 1e15)],
}
LIMIT = 4.0


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


def _error(result, exact, info):
    """The error in units of the last place of the exact value."""
    unit = mpmath.ldexp(1, max(mpmath.frexp(exact)[1] - 1, info.minexp) - info.nmant)
    return float(abs(mpmath.mpf(float(result)) - exact) / unit)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RANGES)
def test_accuracy(built, native_lanes, name, dtype):
    x, info = _samples(name, dtype), np.finfo(dtype)
    got = built(f"{name}_{dtype}_{native_lanes(dtype)}", x)
    precise = PRECISE.get(name) or getattr(mpmath, name)
    worst = 0.0
    with mpmath.workdps(50):
        for value, result in zip(x, got, strict=True):
            number = mpmath.mpf(float(value))
            exact = precise(number)
            if info.tiny < abs(exact) < info.max:
                worst = max(worst, _error(result, exact, info))
    assert worst < (NARROW_LIMIT if dtype == "float32" else LIMIT)


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


@pytest.mark.parametrize("order", (0, 1))
def test_bessel_functions_are_accurate_next_to_their_zeros(built, native_lanes, order):
    """The doubles around a zero: the value there is some 1e-16, and right to its last places."""
    info, worst = np.finfo("float64"), 0.0
    with mpmath.workdps(60):
        zeros = [mpmath.besseljzero(order, k) for k in (1, 2, 3, 4, 5, 7, 12, 30, 100, 1000)]
        # the doubles nearest to a zero between 10 and 1000 and to one far out
        hard = [float(z) for z in zeros]
        x = np.array([y for h in hard for y in (np.nextafter(h, 0), h, np.nextafter(h, 9e9), -h)])
        got = built(f"j{order}_float64_{native_lanes('float64')}", x)
        for value, result in zip(x, got, strict=True):
            exact = mpmath.besselj(order, mpmath.mpf(float(value)))
            worst = max(worst, _error(result, exact, info))
    assert worst < LIMIT


def test_the_float_that_lies_nearest_to_a_zero_of_j0(built, native_lanes):
    """Of all floats 21390802 is nearest: 1e-11 away, where j0 is 2.3e-15."""
    x = np.array([21390802, -21390802, 30.0], "float32")
    got = built(f"j0_float32_{native_lanes('float32')}", x)
    with mpmath.workdps(60):
        for value, result in zip(x, got, strict=True):
            exact = mpmath.besselj(0, mpmath.mpf(float(value)))
            assert _error(result, exact, np.finfo("float32")) < 1


@pytest.mark.parametrize("order", (0, 1))
def test_bessel_functions_of_huge_arguments(built, native_lanes, order):
    """Hankel's expansion has one term there; mpmath reduces the argument with 400 digits."""
    x = np.exp(np.random.default_rng(2).uniform(np.log(1e15), np.log(1.7e308), 60))
    got = built(f"j{order}_float64_{native_lanes('float64')}", x)
    with mpmath.workdps(400):
        for value, result in zip(x, got, strict=True):
            a = mpmath.mpf(float(value))
            phase = a - (1 + 2 * order) * mpmath.pi / 4 + (4 * order - 1) / (8 * a)
            exact = mpmath.sqrt(2 / (mpmath.pi * a)) * mpmath.cos(phase)
            assert _error(result, exact, np.finfo("float64")) < LIMIT


def test_gamma_keeps_subnormal_results(built, native_lanes):
    x = -np.random.default_rng(4).uniform(170.0, 178.0, 200)
    got = built(f"gamma_float64_{native_lanes('float64')}", x)
    with mpmath.workdps(40):
        errors = [_error(g, mpmath.gamma(mpmath.mpf(float(v))), np.finfo("float64"))
                  for v, g in zip(x, got, strict=True)]  # fmt: skip
    assert max(errors) < LIMIT
    assert (abs(got) < 2.3e-308).any() and (got != 0).mean() > 0.8


@pytest.mark.parametrize("name", ("digamma", "lgamma", "trigamma"))
def test_left_of_zero(built, native_lanes, name):
    """digamma and lgamma relative to a term of their reflection: they have zeros there."""
    x = np.concatenate([-np.random.default_rng(6).uniform(0, 60, 150), [-1e-300, -5e-324, -1e-17]])
    got = built(f"{name}_float64_{native_lanes('float64')}", x)
    info = np.finfo("float64")
    with mpmath.workdps(40), np.errstate(over="ignore"):
        for value, result in zip(x, got, strict=True):
            number = mpmath.mpf(float(value))
            exact = PRECISE.get(name, getattr(mpmath, name, None))(number)
            if abs(exact) > info.max:
                assert np.isinf(result)
                continue
            term = {"digamma": mpmath.digamma, "lgamma": lambda v: 1 + mpmath.loggamma(v)}.get(name)
            size = max(abs(exact), abs(term(1 - number)) if term else 0)
            unit = mpmath.ldexp(1, mpmath.frexp(size)[1] - 1 - info.nmant)
            assert abs(mpmath.mpf(float(result)) - exact) < LIMIT * unit


@pytest.mark.parametrize(
    ("name", "ends", "sign"),
    [
        ("erfinv", (0.5, 0.8, 0.999), 1), ("erfcinv", (0.2, 1e-16, 1.0), -1),
        ("ndtri", (0.1, 0.5, 0.9, 5e-17), 1), ("ndtr", (-2.83, -39.0, 0.0), 1),
        ("erfcx", (2.0, 28.0, 0.0), -1), ("k0", (1.0, 1.5), -1), ("k1", (1.0, 1.5), -1),
        ("i0", (15.0, 1.0), 1), ("i1", (15.0, 1.0), 1), ("trigamma", (1.0, 3.0), -1),
        ("digamma", (1.0, 3.0), 1), ("gamma", (3.0, 170.0), 1),
    ],
)  # fmt: skip
def test_pieces_join_monotonically(built, native_lanes, name, ends, sign):
    """In steps of 16 places across the ends of the fits no function turns back."""
    lanes = native_lanes("float64")
    for end in ends:
        step = 16 * np.spacing(abs(end) or 1.0)
        x = end + step * np.arange(-200, 201)
        y = built(f"{name}_float64_{lanes}", x)
        finite = np.isfinite(y)
        assert (sign * np.diff(y[finite]) >= 0).all()


def test_ndtr_where_roundings_meet(built, native_lanes):
    """At the first, 2 h + 1 is just above 32 and the result just above a power of two: with a
    rounded divisor and quotient it was 4.19 ulp off. The second was the
    worst of ten million then."""
    x = np.array([-22.003622796752897, -2.6963105577603415, -21.99, -22.01])
    got = built(f"ndtr_float64_{native_lanes('float64')}", x)
    with mpmath.workdps(40):
        errors = [_error(g, mpmath.ncdf(mpmath.mpf(float(v))), np.finfo("float64"))
                  for v, g in zip(x, got, strict=True)]  # fmt: skip
    assert max(errors) < LIMIT
    assert errors[0] < 2.5


def test_inverses_invert(built, native_lanes):
    lanes = native_lanes("float64")
    p = np.exp(np.random.default_rng(8).uniform(np.log(1e-300), np.log(0.5), 300))
    x = built(f"ndtri_float64_{lanes}", p)
    back = built(f"ndtr_float64_{lanes}", x)
    # a place of x is x^2 places of p
    assert (abs(back / p - 1) < 4e-16 * (2 + x * x)).all()
    np.testing.assert_array_equal(built(f"ndtri_float64_{lanes}", np.array([0.0, 0.5, 1.0, 2.0])),
                                  [-INF, 0.0, INF, NAN])  # fmt: skip
    subnormal = built(f"erfcinv_float64_{lanes}", np.array([5e-324, 1e-310]))
    np.testing.assert_allclose(subnormal, [27.213293210812946, 26.644806559364763], rtol=4e-16)
