"""Every scalar operation, dtype and width against its NumPy meaning."""

from __future__ import annotations

import numpy as np
import pytest

from symgraph.codegen import scalar_llvm, vmath
from symgraph.codegen.literals import ELEMENTS, constant
from symgraph.codegen.writer import FunctionWriter, ModuleWriter
from symgraph.dtypes import is_complex, is_narrow
from symgraph.scalar.special import LIBRARY
from symgraph.scalar.table import SCALAR_OPS

# narrow ones: test_narrow_llvm.py; complex ones: tests/loops/test_complexes.py
DTYPES = tuple(d for d in ELEMENTS if not is_narrow(d) and not is_complex(d))
FLOATS = ("float32", "float64")
INTS = tuple(d for d in DTYPES if "int" in d)
SIGNED = tuple(d for d in INTS if d.startswith("i"))
ARITHMETIC = (*INTS, *FLOATS)
WIDTHS = (1, 8, 16)

# operation: the dtypes that NumPy defines it for
DEFINED = {
    **dict.fromkeys(("add", "mul", "minimum", "maximum", "abs", "lt", "le", "eq", "ne"), DTYPES),
    **dict.fromkeys(("sub", "neg", "floordiv", "mod", "sign"), ARITHMETIC),
    **dict.fromkeys(("and", "or", "xor", "not"), ("bool", *INTS)),
    **dict.fromkeys(("shl", "shr", "ipow"), INTS),
    **dict.fromkeys(("div", "copysign", "sqrt", "rint"), FLOATS),
    **dict.fromkeys(("floor", "ceil", "trunc"), ARITHMETIC),
    **dict.fromkeys(("isnan", "isinf", "isfinite"), DTYPES),
    "mulhi": ("uint32",),
}
COMPLEX = {"real", "imag", "conj", "complex"}  # none is left when code is generated
TESTED_ELSEWHERE = {*vmath.FUNCTIONS, *LIBRARY, *COMPLEX, "fma", "select", "cast", "bitcast"}
CASES = [(op, d) for op, dtypes in DEFINED.items() for d in dtypes]


def test_every_operation_of_the_table_is_tested():
    assert set(SCALAR_OPS) == set(DEFINED) | TESTED_ELSEWHERE


def _values(dtype: str, rng: np.random.Generator) -> np.ndarray:
    """Random values, small ones and the extremes."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype in FLOATS:
        special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -0.5, 1.5, -2.5, 3, -7, 1e30]
        return np.array([*special, *rng.normal(size=20) * 10], dtype)
    info = np.iinfo(dtype)
    special = [0, 1, 2, 3, 5, 7, 8, 31, 63, info.max, info.max - 1, info.min, info.min + 1]
    special += [] if info.min == 0 else [-1, -2, -3, -7, -64]
    wide = rng.integers(info.min, info.max, 20, dtype, endpoint=True)
    return np.concatenate([np.array(special, dtype), wide])


def _operands(op: str, dtype: str) -> list[np.ndarray]:
    values = _values(dtype, np.random.default_rng(0))
    if SCALAR_OPS[op].arity == 1:
        return [values]
    return [v.ravel() for v in np.meshgrid(values, values)]


def _same(got: np.ndarray, wanted: np.ndarray) -> None:
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)
    if wanted.dtype.kind == "f":
        number = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(wanted[number]))


def _result(op: str, dtype: str) -> str:
    return "bool" if SCALAR_OPS[op].result == "bool" else dtype


@pytest.fixture(scope="module")
def built(kernels):
    """All cases in one module: a module per case would take most of the time."""
    k = kernels()
    for op, dtype in CASES:
        arity, result = SCALAR_OPS[op].arity, _result(op, dtype)
        for lanes in WIDTHS:

            def emit(fn, module, lanes, args, op=op, dtype=dtype, arity=arity, result=result):
                kinds = [dtype] * arity
                return scalar_llvm.emit(fn, module, op, result, lanes, args, kinds)

            k.add(f"{op}_{dtype}_{lanes}", [dtype] * arity, result, lanes, emit)
    k.build()
    return k


@pytest.mark.parametrize("lanes", WIDTHS)
@pytest.mark.parametrize("op", DEFINED)
def test_agrees_with_numpy(built, op, lanes):
    for dtype in DEFINED[op]:
        xs = _operands(op, dtype)
        with np.errstate(all="ignore"):
            wanted = SCALAR_OPS[op].reference(*xs).astype(_result(op, dtype))
        got = built(f"{op}_{dtype}_{lanes}", *xs)
        if op in ("minimum", "maximum"):  # which of 0 and -0 is smaller is left open
            got, wanted = got + dtype_zero(dtype), wanted + dtype_zero(dtype)
        _same(got, wanted)


def dtype_zero(dtype: str) -> np.generic:
    return np.zeros((), dtype)[()]


def test_fma_rounds_once(kernels):
    k = kernels()
    for dtype in FLOATS:
        k.add(
            dtype, [dtype] * 3, dtype, 4,
            lambda fn, m, w, a, d=dtype: scalar_llvm.emit(fn, m, "fma", d, w, a, [d] * 3),
        )  # fmt: skip
    k.build()
    for dtype in FLOATS:
        e = np.finfo(dtype).eps
        x = np.array([1 + e, 3, 1 + e, np.inf], dtype)
        z = np.array([-(1 + 2 * e), 1, -1, -np.inf], dtype)
        _same(k(dtype, x, x, z), np.array([e * e, 10, 2 * e + e * e, np.nan], dtype))


def test_literal_operands_take_the_short_way_and_agree(kernels):
    """Constant divisors, counts and exponents have code of their own."""
    k, values, rng = kernels(), {}, np.random.default_rng(1)
    literals = {"floordiv": (0, 1, 2, 7, 8, -1, -3, -8), "mod": (0, 1, 2, 7, 8, -1, -3, -8)}
    literals |= dict.fromkeys(("shl", "shr"), (0, 3, 7, 8, 40, 100))
    literals["ipow"] = (0, 1, 2, 3, 10)
    for op, numbers in literals.items():
        for dtype in INTS:
            info = np.iinfo(dtype)
            for number in (n for n in numbers if info.min <= n <= info.max):
                name = f"{op}_{dtype}_{number}"

                def emit(fn, module, lanes, args, op=op, dtype=dtype, number=number):
                    two = [*args, constant(dtype, lanes, number)]
                    return scalar_llvm.emit(fn, module, op, dtype, lanes, two, [dtype] * 2)

                k.add(name, [dtype], dtype, 8, emit)
                values[name] = (op, _values(dtype, rng), np.array(number, dtype))
    k.build()
    for name, (op, x, number) in values.items():
        with np.errstate(all="ignore"):
            _same(k(name, x), SCALAR_OPS[op].reference(x, number))


def test_every_quotient_of_narrow_integers(kernels):
    """By a value and by a constant: nothing is rounded to the next integer."""
    k, cases = kernels(), []
    for op in ("floordiv", "mod"):
        for dtype in ("int8", "uint8", "int16", "uint16"):
            info = np.iinfo(dtype)
            every = np.arange(info.min, info.max + 1).astype(dtype)
            some = every if every.size < 300 else np.unique(
                np.array([1, 2, 3, 7, 10, 100, 255, 256, 1000, 32767, info.max, info.min, -1, -7])
                .clip(info.min, info.max).astype(dtype))  # fmt: skip

            def by_value(fn, module, lanes, args, op=op, dtype=dtype):
                return scalar_llvm.emit(fn, module, op, dtype, lanes, args, [dtype] * 2)

            k.add(f"{op}_{dtype}", [dtype] * 2, dtype, 16, by_value)
            pairs = np.repeat(every, some.size), np.tile(some, every.size)
            cases.append((f"{op}_{dtype}", op, pairs))
            for number in some[:: max(1, some.size // 12)]:

                def by_constant(fn, module, lanes, args, op=op, dtype=dtype, number=number):
                    two = [*args, constant(dtype, lanes, int(number))]
                    return scalar_llvm.emit(fn, module, op, dtype, lanes, two, [dtype] * 2)

                name = f"{op}_{dtype}_{number}"
                k.add(name, [dtype], dtype, 16, by_constant)
                cases.append((name, op, (every, number)))
    k.build()
    for name, op, operands in cases:
        given = [x for x in operands if np.ndim(x)]
        with np.errstate(all="ignore"):
            _same(k(name, *given), SCALAR_OPS[op].reference(*operands))


def test_power_with_negative_exponent(kernels):
    k = kernels()
    k.add(
        "p", ["int32"] * 2, "int32", 4,
        lambda fn, m, w, a: scalar_llvm.emit(fn, m, "ipow", "int32", w, a, ["int32"] * 2),
    )  # fmt: skip
    k.build()
    x = np.array([1, -1, -1, 2, 0, -3], "int32")
    n = np.array([-3, -3, -2, -1, -1, -5], "int32")
    _same(k("p", x, n), np.array([1, -1, 1, 0, 0, 0], "int32"))


# conversions --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def casts(kernels):
    k = kernels()
    for source in DTYPES:
        for target in DTYPES:
            for lanes in (1, 8):

                def emit(fn, module, lanes, args, source=source, target=target):
                    return scalar_llvm.emit(fn, module, "cast", target, lanes, args, [source])

                k.add(f"{source}_{target}_{lanes}", [source], target, lanes, emit)
    k.build()
    return k


@pytest.mark.parametrize("lanes", (1, 8))
@pytest.mark.parametrize("source", DTYPES)
def test_cast(casts, source, lanes):
    for target in DTYPES:
        x = _values(source, np.random.default_rng(2))
        if source in FLOATS and target not in (*FLOATS, "bool"):
            x = x[np.isfinite(x) & (abs(x) < 127) & (x >= (-128 if target in SIGNED else 0))]
        with np.errstate(all="ignore"):
            wanted = x.astype(target)
        _same(casts(f"{source}_{target}_{lanes}", x), wanted)


@pytest.mark.parametrize("source", FLOATS)
def test_cast_of_floats_out_of_range(casts, source):
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], source)
    for target in ("int32", "int64"):
        info = np.iinfo(target)
        wanted = np.array([0, info.max, info.min, info.max, info.min], target)
        _same(casts(f"{source}_{target}_8", x), wanted)
    got = casts(f"{source}_uint64_8", x)
    assert got[0] == 0 and got[1] == got[3] == np.iinfo("uint64").max
    wrapped = np.array([-1.0, -2.9, 255.0, 256.0, 300.5], source)
    _same(casts(f"{source}_uint8_8", wrapped), np.array([255, 254, 255, 0, 44], "uint8"))


def test_bitcast_and_select(kernels):
    k = kernels()
    for source, target in (("float32", "uint32"), ("int64", "float64"), ("bool", "uint8")):
        k.add(
            f"to_{target}", [source], target, 8,
            lambda f, m, w, a, s=source, t=target: scalar_llvm.emit(f, m, "bitcast", t, w, a, [s]),
        )  # fmt: skip
    for dtype in DTYPES:
        k.add(
            f"select_{dtype}", ["bool", dtype, dtype], dtype, 8,
            lambda fn, m, w, a, d=dtype: scalar_llvm.emit(fn, m, "select", d, w, a, ["bool", d, d]),
        )  # fmt: skip
    k.build()
    f = np.array([1.5, -0.0, np.inf], "float32")
    _same(k("to_uint32", f), f.view("uint32"))
    i = np.array([1, -1, 1 << 62])
    assert k("to_float64", i).tobytes() == i.tobytes()
    _same(k("to_uint8", np.array([True, False])), np.array([1, 0], "uint8"))
    c = np.array([True, False, True])
    for dtype in DTYPES:
        a, b = np.array([1, 1, 0], dtype), np.array([0, 0, 1], dtype)
        _same(k(f"select_{dtype}", c, a, b), np.where(c, a, b))


def test_any_nonzero_byte_of_memory_is_true(kernels):
    k = kernels()
    k.add("keep", ["bool"], "bool", 8, lambda fn, m, w, a: a[0])
    k.build()
    x = np.array([0, 1, 2, 255], "uint8").view("bool")
    assert k("keep", x).view("uint8").tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_splat_fills_all_lanes(kernels, dtype):
    k = kernels()

    def emit(fn, module, lanes, args):
        first = fn.fresh(f"extractelement {scalar_llvm.llvm_type(dtype, lanes)} {args[0]}, i64 0")
        return scalar_llvm.splat(fn, first, dtype, lanes)

    k.add("first", [dtype], dtype, 4, emit)
    k.build()
    x = np.array([1, 0, 1, 0], dtype)
    _same(k("first", x), np.full(4, x[0]))


def test_undefined_operation_is_refused():
    fn, module = FunctionWriter("f", []), ModuleWriter()
    with pytest.raises(ValueError, match="shl is not defined for float64"):
        scalar_llvm.emit(fn, module, "shl", "float64", 1, ["1.0", "1.0"], ["float64"] * 2)
    with pytest.raises(ValueError, match="sub is not defined for bool"):
        scalar_llvm.emit(fn, module, "sub", "bool", 1, ["true", "true"], ["bool"] * 2)
