"""Unsigned keys whose order is that of the elements, NaN last, and the words that are sorted.

A word is a key, or, where positions are wanted of elements of at most 32 bits, a key above the
position: no two words are then equal, so that any sorting is stable. A ``wide`` word of a key of
8 or 16 bits has 32.
"""

from __future__ import annotations

from symgraph import dtypes
from symgraph.codegen.literals import ELEMENTS, vector
from symgraph.codegen.writer import FunctionWriter, Value

_INFINITY = {
    "float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF0000000000000,
}  # fmt: skip


class Keys:
    """Keys of a dtype: of its elements by themselves, where -0 comes before 0, or together with
    ``positions``, where the two are one key. ``descending``: the greatest element first."""

    def __init__(self, dtype: str, positions: bool, descending: bool, wide: bool = False) -> None:
        self.dtype, self.positions, self.descending = dtype, positions, descending
        self.kind = ELEMENTS[dtype].kind
        self.bits = 8 if dtype == "bool" else ELEMENTS[dtype].bits
        self.paired = positions and self.bits <= 32
        self.word = 64 if self.paired else max(self.bits, 32) if wide else self.bits

    def encoded(self, fn: FunctionWriter, raw: Value, lanes: int = 1) -> Value:
        """The keys of elements given by their bits."""
        t, top = vector(f"i{self.bits}", lanes), -(1 << self.bits - 1)
        key = raw
        if self.kind == "i":
            key = fn.val(f"xor {t} {raw}, {self._literal(top, lanes)}")
        elif self.kind == "f":
            flags = vector("i1", lanes)
            size = fn.val(f"and {t} {raw}, {self._literal(~top, lanes)}")
            if self.positions:
                zero = fn.val(f"icmp eq {t} {size}, {self._literal(0, lanes)}")
                raw = fn.val(f"select {flags} {zero}, {t} {self._literal(0, lanes)}, {t} {raw}")
            sign = fn.val(f"ashr {t} {raw}, {self._literal(self.bits - 1, lanes)}")
            mask = fn.val(f"or {t} {sign}, {self._literal(top, lanes)}")
            key = fn.val(f"xor {t} {raw}, {mask}")
            limit = self._literal(_INFINITY[self.dtype], lanes)
            strange = fn.val(f"icmp ugt {t} {size}, {limit}")
            key = fn.val(f"select {flags} {strange}, {t} {self._literal(-1, lanes)}, {t} {key}")
        if not self.descending:
            return key
        return fn.val(f"xor {t} {key}, {self._literal(-1, lanes)}")

    def decoded(self, fn: FunctionWriter, key: Value, lanes: int = 1) -> Value:
        """The bits of elements given by their keys."""
        t, top = vector(f"i{self.bits}", lanes), -(1 << self.bits - 1)
        if self.descending:
            key = fn.val(f"xor {t} {key}, {self._literal(-1, lanes)}")
        if self.kind in "bu":
            return key
        if self.kind == "i":
            return fn.val(f"xor {t} {key}, {self._literal(top, lanes)}")
        nan = _INFINITY[self.dtype] | 1 << (dtypes.limits(self.dtype).digits - 1)
        sign = fn.val(f"ashr {t} {key}, {self._literal(self.bits - 1, lanes)}")
        mask = fn.val(f"xor {t} {sign}, {self._literal(-1, lanes)}")
        mask = fn.val(f"or {t} {mask}, {self._literal(top, lanes)}")
        raw = fn.val(f"xor {t} {key}, {mask}")
        strange = fn.val(f"icmp eq {t} {key}, {self._literal(-1, lanes)}")
        words = f"{t} {self._literal(nan, lanes)}, {t} {raw}"
        return fn.val(f"select {vector('i1', lanes)} {strange}, {words}")

    def worded(self, fn: FunctionWriter, key: Value, positions: Value, lanes: int = 1) -> Value:
        """The words of keys at these positions (64-bit integers)."""
        if not self.paired:
            return self._resized(fn, "zext", key, self.bits, self.word, lanes)
        t = vector("i64", lanes)
        wide = fn.val(f"zext {vector(f'i{self.bits}', lanes)} {key} to {t}")
        shift = "32" if lanes == 1 else "splat (i64 32)"
        return fn.val(f"or {t} {fn.val(f'shl {t} {wide}, {shift}')}, {positions}")

    def result(self, fn: FunctionWriter, word: Value, lanes: int = 1) -> Value:
        """What is stored of words: elements, or positions."""
        if not self.paired:
            key = self._resized(fn, "trunc", word, self.word, self.bits, lanes)
            return self.decoded(fn, key, lanes)
        low = str((1 << 32) - 1)
        mask = low if lanes == 1 else f"splat (i64 {low})"
        return fn.val(f"and {vector('i64', lanes)} {word}, {mask}")

    def _resized(
        self, fn: FunctionWriter, op: str, value: Value, bits: int, others: int, lanes: int
    ) -> Value:
        if bits == others:
            return value
        kinds = vector(f"i{bits}", lanes), vector(f"i{others}", lanes)
        return fn.val(f"{op} {kinds[0]} {value} to {kinds[1]}")

    def _literal(self, value: int, lanes: int) -> str:
        return str(value) if lanes == 1 else f"splat (i{self.bits} {value})"
