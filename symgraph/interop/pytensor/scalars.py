"""PyTensor's scalar ops, applied to whole tensors.

An operand arrives as it is; most rows first convert all operands to the dtype of the result, which
is what PyTensor's code does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph import api as sg
from symgraph.interop.pytensor.table import (
    SCALAR_OPS,
    Translator,
    Untranslatable,
    row_of,
    scalar,
)
from symgraph.ir.graph import Variable

special = sg.special


def out_dtype(node: Any) -> str:
    """The dtype of the node's first result."""
    return str(node.outputs[0].type.dtype)


def to(x: Any, dtype: str) -> Any:
    """x converted, when that is not its dtype."""
    return x if x.dtype == dtype else sg.cast(x, dtype)


def _with_result_dtype(function: Callable[..., Any]) -> Translator:
    def row(op: Any, node: Any, xs: list[Any]) -> Any:
        dtype = out_dtype(node)
        return function(*(to(x, dtype) for x in xs))

    return row


def _folded(function: Callable[..., Any]) -> Callable[..., Any]:
    def fold(*xs: Any) -> Any:
        result = xs[0]
        for x in xs[1:]:
            result = function(result, x)
        return result

    return fold


def _half_away(x: Any) -> Any:
    whole = sg.trunc(x)
    return sg.where(sg.abs(x - whole) >= 0.5, whole + sg.sign(x), whole)


def _log1mexp(x: Any) -> Any:
    return special.log1mexp(x)


def _clip(x: Any, low: Any, high: Any) -> Any:
    """The lower bound goes first, and one that is NaN does not count."""
    return sg.where(x < low, low, sg.where(x > high, high, x))


_PLAIN: dict[str, Callable[..., Any]] = {
    "Add": _folded(sg.add), "Mul": _folded(sg.multiply), "Sub": sg.subtract,
    "TrueDiv": sg.divide, "IntDiv": sg.floor_divide, "Mod": sg.remainder, "Pow": sg.power,
    "Maximum": _folded(sg.maximum), "Minimum": _folded(sg.minimum),
    "ScalarMaximum": _folded(sg.maximum), "ScalarMinimum": _folded(sg.minimum),
    "AND": _folded(sg.bitwise_and), "OR": _folded(sg.bitwise_or), "XOR": _folded(sg.bitwise_xor),
    "Invert": sg.bitwise_not, "Neg": sg.negative, "Sqr": lambda x: x * x, "Clip": _clip,
    "Reciprocal": sg.reciprocal, "Identity": lambda x: x,
    "Exp": sg.exp, "Exp2": sg.exp2, "Expm1": sg.expm1, "Log": sg.log, "Log2": sg.log2,
    "Log10": sg.log10, "Log1p": sg.log1p, "Sqrt": sg.sqrt, "Sign": sg.sign,
    "Deg2Rad": sg.deg2rad, "Rad2Deg": sg.rad2deg,
    "Sin": sg.sin, "Cos": sg.cos, "Tan": sg.tan, "ArcSin": sg.arcsin, "ArcCos": sg.arccos,
    "ArcTan": sg.arctan, "ArcTan2": sg.arctan2, "Sinh": sg.sinh, "Cosh": sg.cosh,
    "Tanh": sg.tanh, "ArcSinh": sg.arcsinh, "ArcCosh": sg.arccosh, "ArcTanh": sg.arctanh,
    "Floor": sg.floor, "Ceil": sg.ceil, "Trunc": sg.trunc, "RoundHalfToEven": sg.rint,
    "RoundHalfAwayFromZero": _half_away,
    "Sigmoid": sg.sigmoid, "Softplus": sg.softplus, "Log1mexp": _log1mexp,
    "Erf": sg.erf, "Erfc": sg.erfc, "Erfcx": special.erfcx, "Erfinv": special.erfinv,
    "Erfcinv": special.erfcinv, "Owens_t": special.owens_t, "NdtriExp": special.ndtri_exp,
    "Gamma": special.gamma, "GammaLn": special.gammaln, "Psi": special.digamma,
    "TriGamma": special.trigamma, "GammaInc": special.gammainc, "GammaIncC": special.gammaincc,
    "GammaIncInv": special.gammaincinv, "GammaIncCInv": special.gammainccinv,
    "GammaU": special.gammau, "GammaL": special.gammal,
    "J0": special.j0, "J1": special.j1, "Jv": special.jv, "I0": special.i0, "I1": special.i1,
    "Iv": special.iv, "Ive": special.ive, "Kve": special.kve,
    "BetaInc": special.betainc, "BetaIncInv": special.betaincinv, "Hyp2F1": special.hyp2f1,
}  # fmt: skip
for _name, _function in _PLAIN.items():
    scalar(_name)(_with_result_dtype(_function))


def _comparison(name: str, function: Callable[..., Any]) -> None:
    @scalar(name)
    def row(op: Any, node: Any, xs: list[Any]) -> Any:
        return function(*xs)


for _name, _function in {
    "LT": sg.less, "GT": sg.greater, "LE": sg.less_equal, "GE": sg.greater_equal,
    "EQ": sg.equal, "NEQ": sg.not_equal,
}.items():  # fmt: skip
    _comparison(_name, _function)


@scalar("IsNan", "IsInf")
def _class_of(op: Any, node: Any, xs: list[Any]) -> Any:
    (x,) = xs
    if x.dtype[0] in "biu":
        return sg.not_equal(x, x)
    return sg.isnan(x) if type(op).__name__ == "IsNan" else sg.isinf(x)


@scalar("Abs")
def _abs(op: Any, node: Any, xs: list[Any]) -> Any:
    return xs[0] if xs[0].dtype == "bool" else sg.abs(xs[0])


@scalar("Cast")
def _cast(op: Any, node: Any, xs: list[Any]) -> Any:
    (x,) = xs
    dtype = out_dtype(node)
    if x.dtype.startswith("complex") and not dtype.startswith("complex"):
        raise Untranslatable("a complex number as a real one")
    return to(x, dtype)


@scalar("Switch")
def _switch(op: Any, node: Any, xs: list[Any]) -> Any:
    test, a, b = xs
    dtype = out_dtype(node)
    return sg.where(to(test, "bool"), to(a, dtype), to(b, dtype))


@scalar("Second")
def _second(op: Any, node: Any, xs: list[Any]) -> Any:
    a, b = xs
    return sg.broadcast_to(to(b, out_dtype(node)), sg.broadcast_shapes(a.shape, b.shape))


@scalar("MulWithoutZeros")
def _mul_without_zeros(op: Any, node: Any, xs: list[Any]) -> Any:
    a, b = (to(x, out_dtype(node)) for x in xs)
    return sg.where(a == 0, b, sg.where(b == 0, a, a * b))


@scalar("PolyGamma")
def _polygamma(op: Any, node: Any, xs: list[Any]) -> Any:
    n, x = xs
    return special.polygamma(n, to(x, out_dtype(node)))


@scalar("XlogX")
def _xlogx(op: Any, node: Any, xs: list[Any]) -> Any:
    x = to(xs[0], out_dtype(node))
    return sg.where(x == 0, 0.0 * x, x * sg.log(x))


@scalar("XlogY0")
def _xlogy0(op: Any, node: Any, xs: list[Any]) -> Any:
    x, y = (to(v, out_dtype(node)) for v in xs)
    return sg.where(x == 0, 0.0 * x, x * sg.log(y))


@scalar("Real")
def _real(op: Any, node: Any, xs: list[Any]) -> Any:
    return sg.real(xs[0])


@scalar("Imag")
def _imag(op: Any, node: Any, xs: list[Any]) -> Any:
    return sg.imag(xs[0])


@scalar("Angle")
def _angle(op: Any, node: Any, xs: list[Any]) -> Any:
    return sg.angle(xs[0])


@scalar("Conj")
def _conj(op: Any, node: Any, xs: list[Any]) -> Any:
    return sg.conj(xs[0])


@scalar("Complex")
def _complex(op: Any, node: Any, xs: list[Any]) -> Any:
    part = "float32" if out_dtype(node) == "complex64" else "float64"
    return sg.complex(*(to(x, part) for x in xs))


@scalar("Composite")
def _composite(op: Any, node: Any, xs: list[Any]) -> Any:
    """The scalar graph of a composite, over the tensors."""
    outputs = _inside(op, xs)
    return outputs if len(outputs) > 1 else outputs[0]


def _inside(op: Any, xs: list[Any]) -> tuple[Variable, ...]:
    """The outputs of the scalar graph that an op holds."""
    values: dict[Any, Variable] = dict(zip(op.fgraph.inputs, xs, strict=True))

    def value(v: Any) -> Variable:
        return values[v] if v in values else sg.constant(v.data)

    for inner in op.fgraph.toposort():
        found = scalar_result(inner.op, inner, [value(v) for v in inner.inputs])
        results = found if isinstance(found, tuple) else (found,)
        for v, x in zip(inner.outputs, results, strict=True):
            values[v] = to(x, v.type.dtype)
    return tuple(value(v) for v in op.fgraph.outputs)


@scalar("ScalarLoop")
def _loop(op: Any, node: Any, xs: list[Any]) -> Any:
    """A loop of its own for each element, all in step: each turn changes the elements whose loops
    go on."""
    shape = sg.broadcast_shapes(*(x.shape for x in xs))
    types = [v.type.dtype for v in op.fgraph.inputs]
    steps, *given = xs
    given = [to(x, dtype) for x, dtype in zip(given, types, strict=True)]
    count = len(op.fgraph.outputs) - bool(op.is_while)
    fixed = given[count:]
    first = tuple(sg.broadcast_to(x, shape) for x in given[:count])
    going = sg.broadcast_to(to(steps, "int64") > 0, shape)

    def turn(state: Any) -> Any:
        k, going, values, done = state
        found = _inside(op, [*values, *fixed])
        new = tuple(sg.where(going, x, old) for x, old in zip(found, values, strict=False))
        if op.is_while:
            done = sg.where(going, found[count], done)
            going = going & ~done
        return k + 1, going & (k + 1 < steps), new, done

    begin = (sg.constant(np.int64(0)), going, first, sg.zeros(shape, "bool"))
    _, _, last, done = sg.while_loop(lambda state: sg.any(state[1]), turn, begin)
    found = (*last, done) if op.is_while else tuple(last)
    return found if len(found) > 1 else found[0]


def scalar_result(op: Any, node: Any, xs: list[Any]) -> Any:
    """What a scalar op makes of tensors; ``node`` tells the dtypes of the results."""
    row = row_of(op, SCALAR_OPS)
    if row is None:
        raise Untranslatable(f"the scalar op {type(op).__name__} has no row in the table")
    return row(op, node, xs)
