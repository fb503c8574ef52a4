"""Random bits from explicit keys: Philox4x32-10, a counter-based generator.

A block of four words is a pure function of a counter (four uint32) and a key (two uint32), so every
element of a draw is computed by itself from its position, inside the loops that use it, and the
same bits come out on every target. Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
as easy as 1, 2, 3", SC 2011 (Random123).

Counter words: position in the draw (two words), block (further words for the same element, and the
attempts of samplers that reject), and a tag that keeps uses of a key and the parts of a composed
draw apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, ShapeError
from symgraph.ir.graph import Constant, Variable, constant
from symgraph.ir.types import Shape, Size
from symgraph.loops.compute import elements
from symgraph.ops.arithmetic import minimum
from symgraph.ops.cast import cast
from symgraph.ops.comparison import bitwise_or, left_shift, less, right_shift, where
from symgraph.ops.creation import iota, tensor
from symgraph.ops.elementwise import Elementwise, elementwise
from symgraph.ops.indexing import getitem
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import ExpandDims
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, functions

__all__ = ["bits", "fold_in", "key", "split"]


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


def numpy_words(*operands: Any) -> Any:
    """The words of the blocks of a counter (operands 0 to 3) and a key (4 and 5), in NumPy."""
    arrays = np.broadcast_arrays(*(np.asarray(x, "uint32") for x in operands))
    low = lambda f: lambda a, b: f(a, np.uint32(b) if isinstance(b, int) else b)  # noqa: E731
    with np.errstate(over="ignore"):
        return _philox(
            low(np.multiply), _numpy_mulhi, np.bitwise_xor, low(np.add), arrays[:4], arrays[4:]
        )


def _word(k: int) -> Elementwise:
    def reference(*operands: Any) -> Any:
        return np.asarray(numpy_words(*operands)[k])

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
_DRAW, SPLIT, _FOLD = 0, 1, 2  # tags
_PART = 4  # the parts of a composed draw follow each other by this in the tag


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
        return constant(seed_words(int(seed)), "uint32")
    seed = as_variable(seed)
    if seed.ndim or not dtypes.is_int(seed.dtype):
        raise DTypeError(
            f"random.key: a seed is a 0-d integer, not {seed.type.text()}",
            hint="as in sg.random.key(0); an array of seeds goes through sg.vmap(sg.random.key)",
        )
    return _pair(*_low_high(seed))


def seed_words(seed: int) -> list[int]:
    """The two words of a seed."""
    if not isinstance(seed, int):
        raise ArgumentError(
            f"a seed is an integer, not {type(seed).__name__}",
            hint="zlib.crc32(text.encode()) makes one of a text",
        )
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
            f"a key is uint32[2], not {key.type.text()}",
            hint="make one by sg.random.key(seed); for many keys use sg.vmap",
        )
    if isinstance(key, Constant):
        return constant(key.data[0]), constant(key.data[1])
    return getitem(key, 0), getitem(key, 1)


def split(key: Any, num: Any = 2) -> Variable:
    """``num`` new keys, uint32[num, 2], independent of each other and of draws by ``key``.

    >>> import symgraph as sg
    >>> sg.random.split(sg.random.key(0), 3).shape
    (3, 2)
    """
    words = Source(_halves(key), *_positions((num,)), SPLIT)
    return _pair(words.word(0), words.word(1))


def two_keys(key: Any) -> tuple[Variable, Variable]:
    """Two new keys, for the two draws that a draw is made of."""
    both = split(key)
    return getitem(both, 0), getitem(both, 1)


def fold_in(key: Any, data: Any) -> Variable:
    """A new key from a key and an integer (a step, a layer): different data, different keys.

    >>> import symgraph as sg
    >>> sg.random.fold_in(sg.random.key(0), 5).type.text()
    'uint32[2]'
    """
    data = as_variable(data)
    if data.ndim or not dtypes.is_int(data.dtype):
        raise DTypeError(f"random.fold_in: data is a 0-d integer, not {data.type.text()}")
    words = Source(_halves(key), *_low_high(data), _FOLD)
    return _pair(words.word(0), words.word(1))


# the bits of a draw -------------------------------------------------------------------------------


def _positions(shape: Shape) -> tuple[Any, Any]:
    """The position of each element in C order, as two words."""
    ndim = len(shape)
    place: Any = as_variable(0)
    for axis in range(ndim):
        place = place + iota(shape[axis], ndim, axis) * elements(shape[axis + 1 :])
    return position_words(place, elements(shape))


def position_words(place: Any, count: Size) -> tuple[Any, Any]:
    """The counter words of positions below ``count``."""
    if isinstance(count, int) and count <= 1 << 32:
        return cast(place, "uint32"), 0
    return _low_high(place)


class Source(NamedTuple):
    """The random words that belong to the elements of a draw."""

    halves: tuple[Variable, Variable]  # of the key
    low: Any  # the position of each element
    high: Any
    tag: int = _DRAW
    block: Any = 0

    def word(self, k: int) -> Variable:
        """Word 0, 1, 2 or 3 of the block, uint32."""
        block = self.block if isinstance(self.block, int) else cast(self.block, "uint32")
        return _WORDS[k](self.low, self.high, block, self.tag, *self.halves)

    def at(self, block: Any) -> Source:
        """The same elements' words in another block, an int or a 0-d tensor."""
        return self._replace(block=block)

    def part(self, number: int) -> Source:
        """Words for another part of a composed draw, independent of those of the other parts."""
        return self._replace(tag=self.tag + number * _PART)

    def unit(self, kind: str, first: int = 0, digits: int = 24) -> Variable:
        """A float in [0, 1): a multiple of 2**-digits from one word or 2**-53 from two."""
        if kind == "float32":
            return cast(right_shift(self.word(first), 32 - digits), kind) * 2.0**-digits
        high = cast(right_shift(self.word(first), 5), kind)
        low = cast(right_shift(self.word(first + 1), 6), kind)
        return (high * 2.0**26 + low) * 2.0**-53

    def inside(self, kind: str, first: int = 0) -> Variable:
        """A float strictly between 0 and 1. float32 uses all 32 bits of a word near 0, since they
        decide how far the tail of a distribution goes, and ends at 1 - 2**-24."""
        if kind == "float32":
            u = (cast(self.word(first), kind) + 0.5) * 2.0**-32
            return minimum(u, 1 - 2.0**-24)
        high = cast(right_shift(self.word(first), 6), kind)
        low = cast(right_shift(self.word(first + 1), 6), kind)
        return (high * 2.0**26 + low + 0.5) * 2.0**-52

    def coarse(self, k: int) -> Variable:
        """A float64 strictly between 0 and 1 from one word, for angles and acceptance."""
        return (cast(self.word(k), "float64") + 0.5) * 2.0**-32


def source(key: Any, shape: Shape) -> Source:
    """The words for the elements of a draw of this shape."""
    return Source(_halves(key), *_positions(shape))


def bits(key: Any, shape: Any = (), dtype: Any = "uint32") -> Variable:
    """Uniformly random bits as an unsigned integer of 8 to 64 bits. Raises DTypeError, ShapeError.

    >>> import symgraph as sg
    >>> sg.random.bits(sg.random.key(0), (2, 3)).type.text()
    'uint32[2, 3]'
    """
    kind = dtypes.as_dtype(dtype)
    if dtypes.kind(kind) != "u":
        raise DTypeError(f"random.bits are unsigned integers (uint8 to uint64), not {kind}")
    words = source(key, tensor(None, "bool", shape).shape)
    if kind == "uint64":
        return bitwise_or(cast(words.word(0), kind), left_shift(cast(words.word(1), kind), 32))
    return words.word(0) if kind == "uint32" else cast(words.word(0), kind)
