"""Random numbers from explicit keys: Philox4x32-10, a counter-based generator.

A block of four words is a pure function of a counter (four uint32) and a key (two uint32), so every
element of a draw is computed by itself from its position, inside the loops that use it, and the
same bits come out on every target. Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
as easy as 1, 2, 3", SC 2011 (Random123); normals by Box and Muller, 1958.

Counter words: position in the draw (two words), 0, and a tag that keeps uses of a key apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, ShapeError
from symgraph.ir.graph import Constant, Variable, constant
from symgraph.ir.shared import Shared, shared
from symgraph.ir.types import Size
from symgraph.loops.compute import elements
from symgraph.ops.arithmetic import sqrt
from symgraph.ops.cast import cast
from symgraph.ops.comparison import bitwise_or, left_shift, less, right_shift, where
from symgraph.ops.creation import iota, tensor
from symgraph.ops.elementwise import Elementwise, elementwise
from symgraph.ops.exponential import log
from symgraph.ops.indexing import getitem
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import ExpandDims
from symgraph.ops.trigonometric import cos
from symgraph.scalar import Expr, functions

__all__ = [
    "Stream", "bernoulli", "bits", "fold_in", "key", "normal", "randint", "split", "uniform",
]  # fmt: skip


# the generator ------------------------------------------------------------------------------------

_MULTIPLY = (0xD2511F53, 0xCD9E8D57)
_BUMP = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def _philox(mul: Any, mulhi: Any, xor: Any, add: Any, counter: Any, key: Any) -> Any:
    """The four words of a block, in any arithmetic of uint32."""
    a, b, c, d = counter
    for r in range(_ROUNDS):
        if r:
            key = (add(key[0], _BUMP[0]), add(key[1], _BUMP[1]))
        (k0, k1), (m0, m1) = key, _MULTIPLY
        a, b, c, d = (
            xor(xor(mulhi(c, m1), b), k0), mul(c, m1), xor(xor(mulhi(a, m0), d), k1), mul(a, m0)
        )  # fmt: skip
    return a, b, c, d


def _numpy_mulhi(a: Any, b: int) -> Any:
    return ((a.astype("uint64") * np.uint64(b)) >> np.uint64(32)).astype("uint32")


def _numpy_words(*operands: Any) -> Any:
    arrays = np.broadcast_arrays(*(np.asarray(x, "uint32") for x in operands))
    low = lambda f: lambda a, b: f(a, np.uint32(b) if isinstance(b, int) else b)  # noqa: E731
    with np.errstate(over="ignore"):
        return _philox(
            low(np.multiply), _numpy_mulhi, np.bitwise_xor, low(np.add), arrays[:4], arrays[4:]
        )


def _word(k: int) -> Elementwise:
    def reference(*operands: Any) -> Any:
        return np.asarray(_numpy_words(*operands)[k])

    def lower(*operands: Expr) -> Expr:
        f = functions
        return _philox(f.mul, f.mulhi, f.xor, f.add, operands[:4], operands[4:])[k]  # type: ignore[no-any-return]

    return elementwise(
        f"philox_{k}",
        f"Word {k} of the Philox4x32-10 block of a counter (operands 0 to 3) and a key (4 and 5).",
        dtype=lambda *operands: "uint32", arity=6, reference=reference, lower=lower,
        nondifferentiable="random bits", domain=(0, 100),
    )  # fmt: skip


_WORDS = tuple(_word(k) for k in range(4))
_DRAW, _SPLIT, _FOLD = 0, 1, 2  # tags


# keys ---------------------------------------------------------------------------------------------


def key(seed: Any) -> Variable:
    """A key, uint32[2], from a seed: a Python integer of at most 64 bits or a 0-d integer tensor.

    The same key gives the same numbers: :func:`split` it for each use. Raises DTypeError and
    ArgumentError.

    >>> import symgraph as sg
    >>> sg.random.key(7).eval().tolist()
    [7, 0]
    """
    if isinstance(seed, int | np.integer):
        return constant(_seed_words(int(seed)), "uint32")
    seed = as_variable(seed)
    if seed.ndim or not dtypes.is_int(seed.dtype):
        raise DTypeError(f"random.key: a seed is a 0-d integer, not {seed.type.text()}")
    return _pair(*_low_high(seed))


def _seed_words(seed: int) -> list[int]:
    if not -(1 << 63) <= seed < 1 << 64:
        raise ArgumentError("random.key: a seed has at most 64 bits")
    return [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF]


def _low_high(x: Variable) -> tuple[Variable, Variable]:
    wide = cast(x, "uint64")
    return cast(wide, "uint32"), cast(right_shift(wide, 32), "uint32")


def _pair(low: Variable, high: Variable) -> Variable:
    """The two words along a new last axis."""
    ndim = max(low.ndim, high.ndim)
    first = less(iota(2, ndim + 1), 1)
    low, high = (ExpandDims((v.ndim,))(v) for v in (low, high))
    return where(first, low, high)


def _halves(key: Any) -> tuple[Variable, Variable]:
    key = as_variable(key)
    if key.dtype != "uint32" or key.ndim != 1 or key.shape[0] != 2:
        raise ShapeError(
            f"a key is uint32[2], not {key.type.text()}", hint="make one by sg.random.key(seed)"
        )
    if isinstance(key, Constant):
        return constant(key.data[0]), constant(key.data[1])
    return getitem(key, 0), getitem(key, 1)


def _words(key: Any, low: Any, high: Any, tag: int) -> Callable[[int], Variable]:
    """The words of the blocks at a counter, each made when asked for."""
    halves = _halves(key)
    return lambda k: _WORDS[k](low, high, 0, tag, *halves)


def split(key: Any, num: Any = 2) -> Variable:
    """``num`` new keys, uint32[num, 2], independent of each other and of draws by ``key``.

    >>> import symgraph as sg
    >>> sg.random.split(sg.random.key(0), 3).shape
    (3, 2)
    """
    word = _words(key, *_positions((num,)), _SPLIT)
    return _pair(word(0), word(1))


def fold_in(key: Any, data: Any) -> Variable:
    """A new key from a key and an integer (a step, a layer): different data, different keys.

    >>> import symgraph as sg
    >>> sg.random.fold_in(sg.random.key(0), 5).type.text()
    'uint32[2]'
    """
    data = as_variable(data)
    if data.ndim or not dtypes.is_int(data.dtype):
        raise DTypeError(f"random.fold_in: data is a 0-d integer, not {data.type.text()}")
    word = _words(key, *_low_high(data), _FOLD)
    return _pair(word(0), word(1))


# draws --------------------------------------------------------------------------------------------


def _positions(shape: tuple[Size, ...]) -> tuple[Any, Any]:
    """The position of each element in C order, as two words."""
    ndim = len(shape)
    place: Any = as_variable(0)
    for axis in range(ndim):
        place = place + iota(shape[axis], ndim, axis) * elements(shape[axis + 1 :])
    count = elements(shape)
    if isinstance(count, int) and count <= 1 << 32:
        return cast(place, "uint32"), 0
    return _low_high(place)


def _drawn_shape(shape: Any) -> tuple[Size, ...]:
    return tensor(None, "bool", shape).shape


def bits(key: Any, shape: Any = (), dtype: Any = "uint32") -> Variable:
    """Uniformly random bits as uint32 or uint64. Raises DTypeError, ShapeError.

    >>> import symgraph as sg
    >>> sg.random.bits(sg.random.key(0), (2, 3)).type.text()
    'uint32[2, 3]'
    """
    kind = dtypes.as_dtype(dtype)
    if kind not in ("uint32", "uint64"):
        raise DTypeError(f"random.bits are uint32 or uint64, not {kind}")
    word = _words(key, *_positions(_drawn_shape(shape)), _DRAW)
    if kind == "uint32":
        return word(0)
    return bitwise_or(cast(word(0), kind), left_shift(cast(word(1), kind), 32))


def _unit(word: Callable[[int], Variable], first: int, kind: str) -> Variable:
    """A float in [0, 1), a multiple of 2**-24 from one word or 2**-53 from two."""
    if kind == "float32":
        return cast(right_shift(word(first), 8), kind) * 2.0**-24
    high = cast(right_shift(word(first), 5), kind)
    low = cast(right_shift(word(first + 1), 6), kind)
    return (high * 2.0**26 + low) * 2.0**-53


def _float_kind(dtype: Any, name: str) -> str:
    kind = dtypes.as_dtype(dtype)
    if not dtypes.is_float(kind):
        raise DTypeError(f"random.{name} draws floats, not {kind}")
    return kind


def uniform(
    key: Any, shape: Any = (), dtype: Any = "float64", low: Any = 0.0, high: Any = 1.0
) -> Variable:
    """Floats uniform in [low, high): 53 random bits for float64, 24 for float32 (where rounding of
    low + (high - low) * u may give high itself). low and high are floats or tensors that broadcast.

    >>> import symgraph as sg
    >>> sg.random.uniform(sg.random.key(0), ("n", 3)).type.text()
    'float64[n, 3]'
    """
    kind = _float_kind(dtype, "uniform")
    u = _unit(_words(key, *_positions(_drawn_shape(shape)), _DRAW), 0, kind)
    if all(isinstance(v, int | float) for v in (low, high)):
        if (low, high) == (0, 1):
            return u
        return u * (high - low) + low if low else u * high
    low, high = cast(as_variable(low), kind), cast(as_variable(high), kind)
    return low + (high - low) * u


def normal(
    key: Any, shape: Any = (), dtype: Any = "float64", loc: Any = 0.0, scale: Any = 1.0
) -> Variable:
    """Normally distributed floats with mean ``loc`` and standard deviation ``scale``, by the polar
    form sqrt(-2 log u) cos(2 pi v) of one block for each element.

    >>> import symgraph as sg
    >>> sg.random.normal(sg.random.key(0), (2, 3), "float32").type.text()
    'float32[2, 3]'
    """
    kind = _float_kind(dtype, "normal")
    word = _words(key, *_positions(_drawn_shape(shape)), _DRAW)
    if kind == "float32":
        u = (cast(word(0), kind) + 0.5) * 2.0**-32  # all 32 bits: they decide how far the tail goes
    else:
        u = 1 - _unit(word, 0, kind)  # in (0, 1]
    z = sqrt(-2 * log(u)) * cos(2 * math.pi * _unit(word, 2, kind))
    if _is(scale, 1) and _is(loc, 0):
        return z
    return cast(_as(loc, kind) + _as(scale, kind) * z, kind)


def _is(value: Any, number: int) -> bool:
    return isinstance(value, int | float) and value == number


def _as(value: Any, kind: str) -> Any:
    return value if isinstance(value, int | float) else cast(as_variable(value), kind)


def bernoulli(key: Any, p: Any = 0.5, shape: Any = ()) -> Variable:
    """True with probability p (a float, or a tensor that broadcasts).

    >>> import symgraph as sg
    >>> sg.random.bernoulli(sg.random.key(0), 1.0, 3).eval().tolist()
    [True, True, True]
    """
    return less(uniform(key, shape), p)


def randint(
    key: Any, shape: Any = (), low: int = 0, high: int | None = None, dtype: Any = "int64"
) -> Variable:
    """Integers from low up to and without high, from 64 random bits each (the probabilities differ
    by less than (high - low) / 2**64). Raises ArgumentError for an empty range.

    >>> import symgraph as sg
    >>> sg.random.randint(sg.random.key(0), 2, 5, 6).eval().tolist()
    [5, 5]
    """
    if high is None:
        low, high = 0, low
    kind = dtypes.as_dtype(dtype)
    if not dtypes.is_int(kind):
        raise DTypeError(f"random.randint draws integers, not {kind}")
    if not low < high:
        raise ArgumentError(f"random.randint: no integers from {low} up to {high}")
    dtypes.check_in_range(low, kind)
    dtypes.check_in_range(high - 1, kind)
    offset = cast(bits(key, shape, "uint64") % (high - low), kind)
    return offset + low if low else offset


# streams ------------------------------------------------------------------------------------------


class Stream:
    """Draws that differ at every call of a compiled function, as Theano's RandomStreams.

    Each draw has a key and a counter of its own (shared variables); a function that uses the draw
    adds 1 to the counter, by the counter's ``default_update``.

    >>> import symgraph as sg
    >>> stream = sg.random.Stream(seed=1)
    >>> f = sg.compile([], stream.uniform(3))
    >>> bool((f() == f()).any())
    False
    """

    def __init__(self, seed: int = 0) -> None:
        self.states: list[tuple[Shared, Shared]] = []
        self._seed = _seed_words(seed)

    def seed(self, seed: int) -> None:
        """Start all draws again from another seed."""
        self._seed = _seed_words(seed)
        for position, (own, counter) in enumerate(self.states):
            own.set_value(self._own_key(position))
            counter.set_value(np.uint64(0))

    def _own_key(self, position: int) -> Any:
        words = _numpy_words(position, 0, 0, _SPLIT, *self._seed)
        return np.array([int(words[0]), int(words[1])], "uint32")

    def key(self) -> Variable:
        """A key that is another one at every call."""
        position = len(self.states)
        own = shared(self._own_key(position), f"stream_key_{position}")
        counter = shared(np.uint64(0), f"stream_counter_{position}")
        counter.default_update = counter + 1
        self.states.append((own, counter))
        return fold_in(own, counter)

    def uniform(
        self, shape: Any = (), dtype: Any = "float64", low: Any = 0.0, high: Any = 1.0
    ) -> Variable:
        """As :func:`uniform`, new numbers at every call."""
        return uniform(self.key(), shape, dtype, low, high)

    def normal(
        self, shape: Any = (), dtype: Any = "float64", loc: Any = 0.0, scale: Any = 1.0
    ) -> Variable:
        """As :func:`normal`, new numbers at every call."""
        return normal(self.key(), shape, dtype, loc, scale)

    def bernoulli(self, p: Any = 0.5, shape: Any = ()) -> Variable:
        """As :func:`bernoulli`, new numbers at every call."""
        return bernoulli(self.key(), p, shape)

    def randint(
        self, shape: Any = (), low: int = 0, high: int | None = None, dtype: Any = "int64"
    ) -> Variable:
        """As :func:`randint`, new numbers at every call."""
        return randint(self.key(), shape, low, high, dtype)
