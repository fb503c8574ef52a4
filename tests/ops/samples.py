"""One row for each op: how it is called, what it means in NumPy, and arrays to try it on.

``ELEMENTWISE`` maps the rows of ops.elementwise to NumPy functions; the operands come from the
row's own domain, in every dtype. ``SAMPLES`` are calls of public functions with the op they show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.special

from symgraph.ops import (
    arithmetic,
    cast,
    comparison,
    creation,
    moments,
    nn,
    random,
    reductions,
    special,
    stable_forms,
)
from symgraph.ops.alternatives import ComputedAs
from symgraph.ops.operands import as_variable
from symgraph.scalar import var

INF, NAN = float("inf"), float("nan")


class Sample(NamedTuple):
    """``build`` on variables must mean ``reference`` on arrays, for the ``arrays``.

    ``grad``: the derivative by every float operand is compared with central differences.
    ``symbolic``: the same holds where every size is a name.
    """

    op: str
    build: Callable[..., Any]
    reference: Callable[..., Any]
    arrays: tuple[Any, ...]
    grad: bool = True
    symbolic: bool = True


def array(*shape: int, seed: int = 0, low: float = -3.0, high: float = 3.0) -> Any:
    """Random float64 numbers, the same ones each time."""
    return np.random.default_rng(seed).uniform(low, high, shape)


def ints(*shape: int, seed: int = 0, low: int = -9, high: int = 9, dtype: str = "int64") -> Any:
    """Random integers, the same ones each time."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


# elementwise rows ---------------------------------------------------------------------------------


def _float(function: Any) -> Any:
    """A function of scipy in the dtype of the operand."""
    return lambda x: np.asarray(function(x)).astype(x.dtype)


def _rounded_div(x: Any) -> Any:
    return np.true_divide(1, x, dtype=x.dtype)


def _clip(x: Any, lo: Any, hi: Any) -> Any:
    return np.minimum(np.maximum(x, lo), hi)


_NUMPY = """less less_equal equal not_equal logical_and logical_or logical_xor logical_not
bitwise_and bitwise_or bitwise_xor invert left_shift right_shift isnan isinf isfinite add subtract
multiply negative square divide floor_divide remainder sqrt absolute sign copysign floor ceil trunc
rint minimum maximum exp exp2 expm1 log log1p log2 log10 logaddexp sin cos tan sinh cosh tanh
where"""
ELEMENTWISE: dict[str, Callable[..., Any]] = {name: getattr(np, name) for name in _NUMPY.split()}
ELEMENTWISE |= {
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "power": np.power,
    "reciprocal": _rounded_div, "rsqrt": lambda x: _rounded_div(np.sqrt(x)),
    "clip": _clip, "sigmoid": _float(scipy.special.expit), "erf": _float(scipy.special.erf),
    "softplus": lambda x: np.logaddexp(x, np.zeros_like(x)), "erfc": _float(scipy.special.erfc),
    "relu": lambda x: np.maximum(x, np.zeros_like(x)), "stop_gradient": np.array,
}  # fmt: skip
ELEMENTWISE |= {f"philox_{k}": random._WORDS[k].reference for k in range(4)}


# reductions ---------------------------------------------------------------------------------------

A, B = array(2, 3), array(3, 4, 2, seed=1)
ZEROS = np.array([[0.0, 2.0, -3.0], [0.0, 0.0, 5.0], [1.5, 2.0, 4.0]])
TIES = np.array([[1.0, 3.0, 3.0], [-1.0, -1.0, -1.0]])
SPECIAL = np.array([[1.0, NAN, INF], [-INF, 2.0, -INF], [NAN, NAN, 0.0]])


def _ties_apart(x: Any) -> Any:
    return x + np.arange(x.size).reshape(x.shape)


def _lse(x: Any, axis: Any) -> Any:
    return scipy.special.logsumexp(x, axis=axis)


SAMPLES: list[Sample] = [
    Sample("sum", lambda x: reductions.sum(x), np.sum, (A,)),
    Sample("sum", lambda x: reductions.sum(x, (0, 2)), lambda x: np.sum(x, (0, 2)), (B,)),
    Sample(
        "sum",
        lambda x: reductions.sum(x, -1, keepdims=True),
        lambda x: np.sum(x, -1, keepdims=True),
        (B,),
    ),
    Sample("sum", lambda x: reductions.sum(x, 0), lambda x: np.sum(x, 0), (np.ones((0, 3)),)),
    Sample("sum", lambda x: reductions.sum(x, 1), lambda x: np.sum(x, 1), (np.ones((0, 3)),)),
    Sample("sum", lambda x: reductions.sum(x), np.sum, (np.array(2.5),)),
    Sample("sum", lambda x: reductions.sum(x), np.sum, (ints(5, dtype="int8"),)),
    Sample("sum", lambda x: reductions.sum(x), np.sum, (ints(5, low=0, dtype="uint8"),)),
    Sample("sum", lambda x: reductions.sum(x), np.sum, (A > 0,)),
    Sample(
        "sum",
        lambda x: reductions.sum(x, dtype="float32"),
        lambda x: np.sum(x, dtype="float32"),
        (ints(4),),
    ),
    Sample("computed_as", lambda x: ComputedAs()(x * x, arithmetic.square(x)), np.square, (A,)),
    Sample("prod", lambda x: reductions.prod(x, 1), lambda x: np.prod(x, 1), (ZEROS,)),
    Sample("prod", lambda x: reductions.prod(x), np.prod, (A,)),
    Sample("prod", lambda x: reductions.prod(x, 0), lambda x: np.prod(x, 0), (np.ones((0, 3)),)),
    Sample("prod", lambda x: reductions.prod(x), np.prod, (ints(4, dtype="uint8"),)),
    Sample("max", lambda x: reductions.max(x, 0), lambda x: np.max(x, 0), (A,)),
    Sample("max", lambda x: reductions.max(x), np.max, (B,)),
    Sample("max", lambda x: reductions.max(x, 1), lambda x: np.max(x, 1), (SPECIAL,), grad=False),
    Sample("max", lambda x: reductions.max(x, 1), lambda x: np.max(x, 1), (TIES,), grad=False),
    Sample("max", lambda x: reductions.max(x), np.max, (A > 9,)),
    Sample("max", lambda x: reductions.max(x), np.max, (ints(5, dtype="int8"),)),
    Sample(
        "greatest",
        lambda x: reductions.greatest(x, 1),
        lambda x: np.max(x, 1, keepdims=True, initial=-INF),
        (SPECIAL,),
        grad=False,
    ),
    Sample(
        "greatest",
        lambda x: reductions.greatest(x, 0),
        lambda x: np.full((1, 3), -INF),
        (np.ones((0, 3)),),
    ),
    Sample(
        "greatest",
        lambda x: reductions.greatest(x, (0, 2)),
        lambda x: np.max(x, (0, 2), keepdims=True),
        (B,),
    ),
    Sample("min", lambda x: reductions.min(x, (0, 2)), lambda x: np.min(x, (0, 2)), (B,)),
    Sample("min", lambda x: reductions.min(x, 1), lambda x: np.min(x, 1), (SPECIAL,), grad=False),
    Sample("min", lambda x: reductions.min(x), np.min, (A > -9,)),
    Sample("min", lambda x: reductions.min(x, 1), lambda x: np.min(x, 1), (np.ones((0, 3)),)),
    Sample("argmax", lambda x: reductions.argmax(x), np.argmax, (B,)),
    Sample("argmax", lambda x: reductions.argmax(x, 1), lambda x: np.argmax(x, 1), (SPECIAL,)),
    Sample(
        "argmax",
        lambda x: reductions.argmax(x, 1, keepdims=True),
        lambda x: np.argmax(x, 1, keepdims=True),
        (TIES,),
    ),
    Sample("argmax", lambda x: reductions.argmax(x), np.argmax, (np.array(3.0),)),
    Sample("argmin", lambda x: reductions.argmin(x, 0), lambda x: np.argmin(x, 0), (B,)),
    Sample("argmin", lambda x: reductions.argmin(x, 1), lambda x: np.argmin(x, 1), (SPECIAL,)),
    Sample("argmin", lambda x: reductions.argmin(x), np.argmin, (A > 0,)),
    Sample("all", lambda x: reductions.all(x, 0), lambda x: np.all(x, 0), (A > 0,)),
    Sample("all", lambda x: reductions.all(x), np.all, (np.ones((0,)),)),
    Sample("all", lambda x: reductions.all(x), np.all, (SPECIAL,)),
    Sample("any", lambda x: reductions.any(x, 1), lambda x: np.any(x, 1), (A > 2,)),
    Sample("any", lambda x: reductions.any(x), np.any, (np.ones((0,)),)),
    Sample("sum", reductions.count_nonzero, np.count_nonzero, (ZEROS,)),
    Sample("sum", lambda x: moments.mean(x, 1), lambda x: np.mean(x, 1), (A,)),
    Sample("sum", moments.mean, np.mean, (ints(4, dtype="int8"),)),
    Sample("sum", moments.mean, np.mean, (A.astype("float32"),)),
    Sample("sum", lambda x: moments.var(x, 0), lambda x: np.var(x, 0), (A,)),
    Sample("sum", lambda x: moments.var(x, 0, ddof=1), lambda x: np.var(x, 0, ddof=1), (A,)),
    Sample(
        "sum", lambda x: moments.var(x, keepdims=True), lambda x: np.var(x, keepdims=True), (B,)
    ),
    Sample("sum", lambda x: moments.std(x, (0, 1)), lambda x: np.std(x, (0, 1)), (B,)),
    Sample("max", lambda x: reductions.logsumexp(x, 0), lambda x: _lse(x, 0), (A,)),
    Sample("max", lambda x: reductions.logsumexp(x), lambda x: _lse(x, None), (1000 * A,)),
    Sample(
        "max",
        lambda x: reductions.logsumexp(x, 1),
        lambda x: _lse(x, 1),
        (np.array([[-INF, -INF], [-INF, 0.0], [INF, 1.0], [NAN, 1.0]]),),
        grad=False,
    ),
]


# creation and conversion --------------------------------------------------------------------------


def _named(size: str) -> Any:
    return var(size)


SAMPLES += [
    Sample("cast", lambda x: cast.cast(x, "int32"), lambda x: x.astype("int32"), (A,)),
    Sample("cast", lambda x: cast.cast(x, "uint8"), lambda x: x.astype("uint8"), (ints(6),)),
    Sample("cast", lambda x: cast.cast(x, "bool"), lambda x: x.astype("bool"), (SPECIAL,)),
    Sample(
        "cast",
        lambda x: cast.cast(cast.cast(x, "float32"), "float64"),
        lambda x: x.astype("float32").astype("float64"),
        (A,),
        grad=False,
    ),
    Sample(
        "iota", lambda x: x + creation.arange(3), lambda x: x + np.arange(3), (A,), symbolic=False
    ),
    Sample("iota", lambda: creation.arange(2, 9, 3), lambda: np.arange(2, 9, 3), ()),
    Sample("iota", lambda: creation.arange(9, 2, -2), lambda: np.arange(9, 2, -2), ()),
    Sample("iota", lambda: creation.arange(5, 2), lambda: np.arange(5, 2), ()),
    Sample("iota", lambda: creation.arange(0.5, 3.0, 0.3), lambda: np.arange(0.5, 3.0, 0.3), ()),
    Sample(
        "iota",
        lambda: creation.arange(3, dtype="float32"),
        lambda: np.arange(3, dtype="float32"),
        (),
    ),
    Sample(
        "iota",
        lambda x: creation.arange(0, x.shape[0], 2),
        lambda x: np.arange(0, x.shape[0], 2),
        (array(5),),
    ),
    Sample(
        "iota",
        lambda x: creation.arange(x.shape[0], 0, -2),
        lambda x: np.arange(x.shape[0], 0, -2),
        (array(4),),
    ),
    Sample(
        "iota",
        lambda x: creation.arange(7, x.shape[0]),
        lambda x: np.arange(7, x.shape[0]),
        (array(4),),
    ),
    Sample("iota", lambda: creation.linspace(0, 1, 7), lambda: np.linspace(0, 1, 7), ()),
    Sample(
        "iota",
        lambda: creation.linspace(2, 1, 4, endpoint=False),
        lambda: np.linspace(2, 1, 4, endpoint=False),
        (),
    ),
    Sample("iota", lambda: creation.linspace(2, 3, 1), lambda: np.linspace(2, 3, 1), ()),
    Sample("iota", lambda: creation.linspace(2, 3, 0), lambda: np.linspace(2, 3, 0), ()),
    Sample(
        "iota",
        lambda a, b: creation.linspace(a, b, 5),
        lambda a, b: np.linspace(a, b, 5),
        (np.array(1.0), np.array(4.0)),
    ),
    Sample(
        "iota",
        lambda x: creation.linspace(0, 1, x.shape[0]),
        lambda x: np.linspace(0, 1, x.shape[0]),
        (array(5),),
    ),
    Sample("iota", lambda: creation.eye(3, 4, 1), lambda: np.eye(3, 4, 1), ()),
    Sample(
        "iota", lambda: creation.eye(3, k=-1, dtype=bool), lambda: np.eye(3, k=-1, dtype=bool), ()
    ),
    Sample("iota", lambda x: creation.eye(x.shape[0]), lambda x: np.eye(x.shape[0]), (array(3),)),
    Sample("iota", lambda: creation.identity(2), lambda: np.identity(2), ()),
    Sample("iota", lambda: creation.tri(3, 2), lambda: np.tri(3, 2), ()),
    Sample("iota", lambda x: creation.tril(x, 1), lambda x: np.tril(x, 1), (array(2, 3, 4),)),
    Sample("iota", lambda x: creation.triu(x, -1), lambda x: np.triu(x, -1), (array(4, 3),)),
    Sample("broadcast_to", lambda x: creation.zeros_like(x), np.zeros_like, (ints(3),)),
    Sample(
        "broadcast_to",
        lambda x: creation.ones_like(x, "int8"),
        lambda x: np.ones_like(x, "int8"),
        (A,),
    ),
    Sample(
        "broadcast_to",
        lambda x: creation.full((2, 3), x),
        lambda x: np.full((2, 3), x),
        (array(3),),
        symbolic=False,
    ),
    Sample("broadcast_to", lambda: creation.zeros((2, 0)), lambda: np.zeros((2, 0)), ()),
    Sample("size_value", lambda x: x * as_variable(x.shape[0]), lambda x: x * x.shape[0], (A,)),
    Sample(
        "size_value",
        lambda x: x / (x.shape[0] + 1),
        lambda x: x / np.float32(x.shape[0] + 1),
        (array(4).astype("float32"),),
        grad=False,
    ),
]


# functions made of several ops --------------------------------------------------------------------


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return -np.take_along_axis(scipy.special.log_softmax(logits, -1), labels[..., None], -1)[..., 0]


def _norm(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def _gelu(x: Any) -> Any:
    return x * scipy.special.ndtr(x)


LABELS = np.array([2, 0])
SAMPLES += [
    Sample("exp", nn.softmax, lambda x: scipy.special.softmax(x, -1), (A,)),
    Sample(
        "exp", lambda x: nn.softmax(x, (0, 1)), lambda x: scipy.special.softmax(x, (0, 1)), (B,)
    ),
    Sample("exp", nn.softmax, lambda x: scipy.special.softmax(x, -1), (1000 * A,), grad=False),
    Sample("log", nn.log_softmax, lambda x: scipy.special.log_softmax(x, -1), (A,)),
    Sample(
        "log",
        lambda x: nn.log_softmax(x, 0),
        lambda x: scipy.special.log_softmax(x, 0),
        (1000 * A,),
        grad=False,
    ),
    Sample("in_range", nn.softmax_cross_entropy, _cross_entropy, (A, LABELS)),
    Sample("in_range", nn.softmax_cross_entropy, _cross_entropy, (300 * A, LABELS), grad=False),
    Sample(
        "in_range",
        lambda x, y: nn.softmax_cross_entropy(x, y, 0),
        lambda x, y: _cross_entropy(x.T, y),
        (A, np.array([1, 0, 1], "int32")),
    ),
    Sample(
        "equal", lambda y: nn.one_hot(y, 4), lambda y: np.eye(4)[y], (np.array([[1, 3], [0, 2]]),)
    ),
    Sample(
        "softplus",
        nn.binary_cross_entropy_with_logits,
        lambda x, t: np.logaddexp(0, x) - x * t,
        (A, array(2, 3, low=0, high=1)),
    ),
    Sample("erfc", nn.gelu, _gelu, (A,)),
    Sample(
        "tanh",
        lambda x: nn.gelu(x, True),
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        (A,),
    ),
    Sample("sigmoid", nn.silu, lambda x: x * scipy.special.expit(x), (A,)),
    Sample("where", nn.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), (A,)),
    Sample("expm1", nn.elu, lambda x: np.where(x > 0, x, np.expm1(x)), (A,)),
    Sample("minimum", nn.relu6, lambda x: np.clip(x, 0, 6), (3 * A,)),
    Sample("softplus", nn.log_sigmoid, scipy.special.log_expit, (A,)),
    Sample("sum", nn.layer_norm, _norm, (A,)),
    Sample("hypot", stable_forms.hypot, np.hypot, (A, array(2, 3, seed=5))),
    Sample(
        "sqrt",
        stable_forms.hypot,
        np.hypot,
        (np.array([0.0, 1e300, INF]), np.array([0.0, 1e300, 1.0])),
        False,
    ),
    Sample("cbrt", arithmetic.cbrt, np.cbrt, (A,)),
    Sample("power", lambda x: x**2, lambda x: x**2, (A,)),
    Sample("rint", lambda x: arithmetic.round(x, 1), lambda x: np.round(x, 1), (A,)),
    Sample(
        "rint", lambda x: arithmetic.round(x, -1), lambda x: np.round(x, -1), (ints(5, high=99),)
    ),
    Sample("clip", lambda x: arithmetic.clip(x, -1, 1), lambda x: np.clip(x, -1, 1), (A,)),
    Sample(
        "clip", lambda x: arithmetic.clip(x, None, 2), lambda x: np.clip(x, None, 2), (ints(5),)
    ),
    Sample("less", comparison.greater, np.greater, (A, array(3, seed=3))),
    Sample("less_equal", comparison.greater_equal, np.greater_equal, (ints(4), ints(4, seed=1))),
    Sample(
        "where", lambda c, a, b: comparison.where(c, a, b), np.where, (A[0] > 0, A, array(2, 1))
    ),
    Sample(
        "stop_gradient", lambda x: x + special.stop_gradient(x), lambda x: 2 * x, (A,), grad=False
    ),
]
