"""The vector mathematics: accuracy in ulp, special values, exactness, and no calls outside."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from symgraph.codegen import llvm, scalar_llvm, vmath
from symgraph.codegen.literals import llvm_type
from symgraph.codegen.writer import ModuleWriter
from symgraph.scalar.table import SCALAR_OPS

DTYPES = ("float32", "float64")
EXACT = ("mod", "floordiv")
# the special functions are tested by test_special_math.py
FUNCTIONS = {n: f for n, f in vmath.FUNCTIONS.items() if n not in vmath.SPECIAL}
NAMES = [name for name in FUNCTIONS if name not in EXACT]
# the largest error promised for float64; 1 otherwise. benchmarks/accuracy measures more.
LIMITS = {"erf": 1.5, "erfc": 4.0}
NARROW_LIMITS = {"erf": 1.2, "erfc": 4.0}
SPECIAL = [
    0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 2.5, 7, 1024, -1074, 1e15,
    5e-324, -5e-324, 1e-310, 2.2250738585072014e-308, 1.7976931348623157e308,
    -1.7976931348623157e308, 709.782712893384, 709.7827128933841, -745.1332191019411,
    -745.1332191019412, 710.4758600739439, 710.475860073944, 1e22, 5319372648326541416707072.0,
    1e300, 1e-5, 1e-200, 26.5, 27.3, 88.72284, -104.0, 128.0, -149.5,
    0.9999999999999999, 1.0000000000000002, 9007199254740993.0,
]  # fmt: skip
PRECISE = {
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "pow": mpmath.power,
}
DOMAINS = {
    "exp": (-745, 709), "exp2": (-1074, 1023), "expm1": (-40, 709), "sigmoid": (-740, 40),
    "softplus": (-740, 40), "log": (0, 10), "log1p": (-1, 10), "log2": (0, 10), "log10": (0, 10),
    "sin": (-1e4, 1e4), "cos": (-1e4, 1e4), "tan": (-1e4, 1e4), "asin": (-1, 1), "acos": (-1, 1),
    "atan": (-20, 20), "sinh": (-710, 710), "cosh": (-710, 710), "tanh": (-20, 20),
    "asinh": (-1e3, 1e3), "acosh": (1, 100), "atanh": (-1, 1), "erf": (-6, 6), "erfc": (-6, 26.5),
    "cbrt": (-10, 10), "pow": (0, 3), "atan2": (-5, 5),
}  # fmt: skip


@pytest.fixture(scope="module")
def built(kernels, native_lanes):
    """Every function, dtype and width in one module, called; "inline" writes the body in place."""
    k = kernels()
    k.module = ModuleWriter(llvm.host().features)
    for name, function in FUNCTIONS.items():
        for dtype in DTYPES:
            for lanes in (1, 4, native_lanes(dtype), 4 * native_lanes(dtype)):
                kinds = [dtype] * function.arity

                def emit(fn, module, lanes, args, name=name, dtype=dtype, kinds=kinds):
                    return scalar_llvm.emit(fn, module, name, dtype, lanes, args, kinds)

                def emit_inline(fn, module, lanes, args, emit=emit):
                    fn.inline_math = True
                    return emit(fn, module, lanes, args)

                symbol = f"{name}_{dtype}_{lanes}"
                if symbol not in k._signatures:
                    k.add(symbol, kinds, dtype, lanes, emit)
            k.add(f"{name}_{dtype}_inline", kinds, dtype, native_lanes(dtype), emit_inline)
    k.build()
    return k


def test_the_table_holds_these_functions():
    assert set(vmath.FUNCTIONS) <= set(SCALAR_OPS)
    for name, function in vmath.FUNCTIONS.items():
        assert function.arity == SCALAR_OPS[name].arity


def _ulps(got, wanted, dtype):
    """Errors in units of the last place of `wanted`, a list of mpmath numbers or floats."""
    info, worst = np.finfo(dtype), 0.0
    for g, w in zip(got, wanted, strict=True):
        _, exponent = mpmath.frexp(mpmath.mpf(w))
        unit = mpmath.ldexp(1, max(exponent - 1, info.minexp) - info.nmant)
        worst = max(worst, float(abs(mpmath.mpf(float(g)) - w) / unit))
    return worst


def _samples(name, dtype, rng, count=600):
    low, high = DOMAINS[name]
    if dtype == "float32":
        low, high = max(low, -80), min(high, 9 if name == "erfc" else 80)
    near = np.exp(rng.uniform(-30, 0, count)) * (rng.choice([-1, 1], count) if low < 0 else 1)
    near = near[(near > low) & (near < high)]
    spread = rng.uniform(low, high, count)
    xs = [np.concatenate([spread, near + (1 if low == 1 else 0)]).astype(dtype)]
    if vmath.FUNCTIONS[name].arity == 2:
        span = 2 if (name, dtype) == ("pow", "float32") else 20  # e**-30 is among the bases
        xs.append(rng.uniform(-span, span, xs[0].size).astype(dtype))
    if name in ("sin", "cos", "tan"):  # near the zeros of both, and huge
        n = np.round(rng.uniform(1, 6e5, 50))
        huge = np.exp(rng.uniform(0, 80 if dtype == "float32" else 700, 50))
        xs[0] = np.concatenate([xs[0], (n * np.pi / 2).astype(dtype), huge.astype(dtype)])
    return xs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_accuracy(built, native_lanes, name, dtype):
    xs = _samples(name, dtype, np.random.default_rng(0))
    precise = PRECISE.get(name) or getattr(mpmath, name)
    limit = (NARROW_LIMITS if dtype == "float32" else LIMITS).get(name, 1.0)
    got = built(f"{name}_{dtype}_{native_lanes(dtype)}", *xs)
    with mpmath.workdps(50):
        wanted = [precise(*(mpmath.mpf(float(v)) for v in row)) for row in zip(*xs, strict=True)]
        assert _ulps(got, wanted, dtype) < limit


def _special_arguments(name, dtype):
    with np.errstate(all="ignore"):
        values = np.array(SPECIAL, dtype)
    if vmath.FUNCTIONS[name].arity == 1:
        return [values]
    return [v.ravel() for v in np.meshgrid(values, values)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_special_values_are_numpys(built, native_lanes, name, dtype):
    xs = _special_arguments(name, dtype)
    got = built(f"{name}_{dtype}_{native_lanes(dtype)}", *xs)
    with np.errstate(all="ignore"):
        # float64 decides for float32: NumPy's own float32 functions are not always as good
        wanted = SCALAR_OPS[name].reference(*(x.astype("float64") for x in xs)).astype(dtype)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got)[number], np.signbit(wanted)[number])
    finite = number & np.isfinite(wanted) & np.isfinite(got)
    edge = np.isfinite(wanted) != np.isfinite(got)  # one place around the largest number
    largest = np.finfo(dtype).max
    assert (np.minimum(abs(got), abs(wanted))[number & edge] == largest).all()
    with np.errstate(all="ignore"):
        off = abs(got - wanted)[finite] / np.spacing(abs(wanted[finite]))
    assert off.max() <= 4  # NumPy's vector functions are allowed as much


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_width_and_inlining_do_not_change_a_bit(built, native_lanes, name, dtype):
    arity = vmath.FUNCTIONS[name].arity
    xs = _samples(name, dtype, np.random.default_rng(1)) if name in DOMAINS else None
    xs = xs or [np.random.default_rng(k).normal(size=100).astype(dtype) * 9 for k in range(arity)]
    xs = [np.append(x, s) for x, s in zip(xs, _special_arguments(name, dtype), strict=True)]
    wanted = built(f"{name}_{dtype}_{native_lanes(dtype)}", *xs)
    for way in (1, 4, 4 * native_lanes(dtype), "inline"):
        np.testing.assert_array_equal(built(f"{name}_{dtype}_{way}", *xs), wanted)


@pytest.fixture(scope="module")
def portable(kernels, native_lanes):
    """The functions as they are written for a processor of which nothing is known."""
    k = kernels()
    assert not k.module.features
    for name, function in FUNCTIONS.items():
        for dtype in DTYPES:
            kinds = [dtype] * function.arity

            def emit(fn, module, lanes, args, name=name, dtype=dtype, kinds=kinds):
                return scalar_llvm.emit(fn, module, name, dtype, lanes, args, kinds)

            k.add(f"{name}_{dtype}", kinds, dtype, native_lanes(dtype), emit)
    k.build()
    return k


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_instructions_of_a_processor_change_no_bit(built, portable, native_lanes, name, dtype):
    """Exponents, tables and special values have instructions of their own in AVX-512."""
    rng = np.random.default_rng(2)
    xs = [np.append(rng.uniform(-30, 30, 300), np.exp(rng.uniform(-80, 80, 300))).astype(dtype)
          for _ in range(vmath.FUNCTIONS[name].arity)]  # fmt: skip
    if name in DOMAINS:
        xs = [np.append(x, s) for x, s in zip(xs, _samples(name, dtype, rng), strict=True)]
    xs = [np.append(x, s) for x, s in zip(xs, _special_arguments(name, dtype), strict=True)]
    wanted = built(f"{name}_{dtype}_{native_lanes(dtype)}", *xs)
    np.testing.assert_array_equal(portable(f"{name}_{dtype}", *xs), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_values(built, dtype):
    k = np.arange(-126, 128).astype(dtype)
    powers = np.ldexp(np.ones((), dtype), k.astype(int))
    np.testing.assert_array_equal(built(f"exp2_{dtype}_4", k), powers)
    np.testing.assert_array_equal(built(f"log2_{dtype}_4", powers), k)
    n = np.arange(0, 11).astype(dtype)
    np.testing.assert_array_equal(built(f"log10_{dtype}_4", np.array(10, dtype) ** n), n)
    squares = built(f"pow_{dtype}_4", np.arange(50).astype(dtype), np.full(50, 2, dtype))
    np.testing.assert_array_equal(squares, np.arange(50).astype(dtype) ** 2)
    whole = np.arange(-100, 101).astype(dtype)
    np.testing.assert_array_equal(built(f"cbrt_{dtype}_4", whole**3), whole)
    x, y = np.array([[np.nan, 1, -1], [0, np.nan, np.inf]], dtype)
    np.testing.assert_array_equal(built(f"pow_{dtype}_4", x, y), [1, 1, 1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradual_underflow(built, dtype):
    """exp steps through the subnormal numbers, each the nearest."""
    x = np.linspace(-103.9, -87.5, 500) if dtype == "float32" else np.linspace(-745, -708.5, 500)
    x = x.astype(dtype)
    with mpmath.workdps(30):
        wanted = [mpmath.exp(mpmath.mpf(float(v))) for v in x]
        assert _ulps(built(f"exp_{dtype}_4", x), wanted, dtype) < 1.0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lanes", (1, 4))
def test_remainder_is_exact(built, dtype, lanes):
    rng, span = np.random.default_rng(3), 600 if dtype == "float64" else 75
    x, y = (np.exp(rng.uniform(-span, span, 400)) * rng.choice([-1, 1], 400) for _ in range(2))
    x, y = x.astype(dtype), y.astype(dtype)
    x[:8] = np.finfo(dtype).max  # the longest way
    y[:8] = np.array([1, -1, 3, 7, 11, 10, 5, -3], dtype) * np.finfo(dtype).smallest_subnormal
    got = built(f"mod_{dtype}_{lanes}", x, y)
    for a, b, r in zip(x, y, got, strict=True):
        exact = Fraction(float(a)) % Fraction(float(b))
        # a negative remainder moved up by a huge divisor has to be rounded
        assert float(r) == float(np.array(float(exact), dtype))
    np.testing.assert_array_equal(got, np.mod(x, y))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_division_has_numpys_special_values(built, name, dtype):
    xs = _special_arguments(name, dtype)
    got = built(f"{name}_{dtype}_4", *xs)
    with np.errstate(all="ignore"):
        wanted = SCALAR_OPS[name].reference(*xs)
    np.testing.assert_array_equal(got, wanted)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got)[number], np.signbit(wanted)[number])


def test_far_zero_of_the_sine(built):
    """The double nearest to a multiple of pi/2: 61 bits cancel."""
    x = np.array([6381956970095103.0 * 2.0**797] * 4)
    with mpmath.workdps(400):
        wanted = [mpmath.cos(mpmath.mpf(float(v))) for v in x]
    assert _ulps(built("cos_float64_4", x), wanted, "float64") < 1.0
    assert math.isclose(built("sin_float64_4", x)[0], 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_symbol_from_outside(dtype, native_lanes):
    for lanes in (1, native_lanes(dtype)):
        module, type_ = ModuleWriter(), llvm_type(dtype, lanes)
        for name in vmath.FUNCTIONS:
            vmath.request(module, name, dtype, lanes)
        fn = module.function("f", [(type_, "x", "")], type_)
        fn.ret(type_, vmath.call(fn, module, "sin", dtype, lanes, ["%x"]))
        assert "@PLT" not in llvm.assembly(module.text())


def test_a_function_is_written_once():
    module = ModuleWriter()
    names = {vmath.request(module, "tanh", "float32", 8) for _ in range(3)}
    assert names == {"sg_tanh_f32_8"}
    assert module.text().count("define internal") == 1
