"""The instructions of PTX that compute: functions of registers, for the threads that take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.cuda import ptx_arithmetic as arithmetic
from tests.cuda.ptx_arithmetic import UNSIGNED, kind_of
from tests.cuda.ptx_text import Instruction


class Instructions:
    """A part of the machine, which has the registers: ``get`` gives the values of an operand in the
    threads that take an instruction, whose numbers are ``index``, and ``put`` changes them."""

    index: np.ndarray
    carry: np.ndarray
    registers: dict[str, np.ndarray]
    get: Callable[..., np.ndarray]
    put: Callable[..., None]
    _operands: Callable[..., list[np.ndarray]]

    def _two(self, s: Instruction, function: Any) -> None:
        kind = s.words[-1]
        if kind.endswith("x2"):  # two halves of a register at a time
            halves = [x.view(kind_of(kind[:-2])) for x in self._operands(s, np.uint32)]
            self.put(s.operands[0], np.ascontiguousarray(function(*halves)).view(np.uint32))
            return
        self.put(s.operands[0], function(*self._operands(s)))

    def _add(self, s: Instruction) -> None:
        if "cc" in s.words or s.words[0] == "addc":
            self._with_carry(s)
        else:
            self._two(s, np.add)

    _addc = _add

    def _sub(self, s: Instruction) -> None:
        if "cc" in s.words or s.words[0] == "subc":
            self._with_carry(s)
        else:
            self._two(s, np.subtract)

    _subc = _sub

    def _with_carry(self, s: Instruction) -> None:
        """One word of a longer sum or difference: a - b is a + ~b + 1, which carries."""
        less, taking = s.words[0].startswith("sub"), s.words[0].endswith("c")
        kind = UNSIGNED[int(s.types[-1][1:])]
        a, b = (self.get(o, kind) for o in s.operands[1:3])
        b = ~b if less else b
        more = self.carry[self.index] if taking else np.full(len(a), less)
        part = a + b
        total = part + more.astype(kind)
        if "cc" in s.words:
            self.carry[self.index] = (part < a) | (total < part)
        self.put(s.operands[0], total)

    def _div(self, s: Instruction) -> None:
        if "approx" in s.words or "full" in s.words:
            raise ValueError(f"not exact: {s.text}")
        self._two(s, arithmetic.quotient)

    def _rem(self, s: Instruction) -> None:
        self._two(s, arithmetic.remainder)

    def _times(self, s: Instruction) -> np.ndarray:
        a, b = (self.get(o, kind_of(s.types[-1])) for o in s.operands[1:3])
        if "wide" in s.words:
            wide = np.dtype(f"{a.dtype.kind}{2 * a.itemsize}")
            return a.astype(wide) * b.astype(wide)
        return arithmetic.high(a, b) if "hi" in s.words else a * b

    def _mul(self, s: Instruction) -> None:
        self.put(s.operands[0], self._times(s))

    def _mad(self, s: Instruction) -> None:
        product = self._times(s)
        self.put(s.operands[0], product + self.get(s.operands[3], product.dtype))

    def _fma(self, s: Instruction) -> None:
        if "rn" not in s.words:
            raise ValueError(f"a rounding that is not known: {s.text}")
        self._two(s, arithmetic.fma)

    def _sqrt(self, s: Instruction) -> None:
        if "rn" not in s.words:
            raise ValueError(f"not exact: {s.text}")
        self._two(s, np.sqrt)

    def _rcp(self, s: Instruction) -> None:
        if "rn" not in s.words:
            raise ValueError(f"not exact: {s.text}")
        self._two(s, lambda x: x.dtype.type(1) / x)

    def _neg(self, s: Instruction) -> None:
        self._two(s, np.negative)

    def _abs(self, s: Instruction) -> None:
        self._two(s, np.abs)

    def _not(self, s: Instruction) -> None:
        self._two(s, np.invert)

    def _and(self, s: Instruction) -> None:
        self._two(s, np.bitwise_and)

    def _or(self, s: Instruction) -> None:
        self._two(s, np.bitwise_or)

    def _xor(self, s: Instruction) -> None:
        self._two(s, np.bitwise_xor)

    def _min(self, s: Instruction) -> None:
        self._two(s, lambda a, b: arithmetic.extreme(a, b, s.words))

    _max = _min

    def _copysign(self, s: Instruction) -> None:
        self._two(s, lambda a, b: np.copysign(b, a))

    def _shift(self, s: Instruction) -> None:
        value = self.get(s.operands[1], kind_of(s.types[-1]))
        count = self.get(s.operands[2], np.uint32)
        self.put(s.operands[0], arithmetic.shift(value, count, s.words[0] == "shl"))

    _shl = _shr = _shift

    def _shf(self, s: Instruction) -> None:
        self._two(s, lambda a, b, n: arithmetic.funnel(a, b, n, s.words))

    def _lop3(self, s: Instruction) -> None:
        a, b, c = (self.get(o, np.uint32) for o in s.operands[1:4])
        self.put(s.operands[0], arithmetic.logic3(a, b, c, int(s.operands[4].rstrip("U"), 0)))

    def _prmt(self, s: Instruction) -> None:
        self._two(s, arithmetic.permuted)

    def _bfe(self, s: Instruction) -> None:
        value = self.get(s.operands[1], kind_of(s.types[-1]))
        start, length = (self.get(o, np.uint32).astype(value.dtype) for o in s.operands[2:4])
        left = value.dtype.type(8 * value.itemsize) - length
        self.put(s.operands[0], (value << (left - start)) >> left)

    def _popc(self, s: Instruction) -> None:
        value = self.get(s.operands[1], kind_of(s.types[-1]))
        self.put(s.operands[0], np.bitwise_count(value).astype(np.uint32))

    def _clz(self, s: Instruction) -> None:
        value = self.get(s.operands[1], kind_of(s.types[-1]))
        bits = 8 * value.itemsize
        self.put(s.operands[0], np.array([bits - int(v).bit_length() for v in value], np.uint32))

    def _setp(self, s: Instruction) -> None:
        a, b = (self.get(o, kind_of(s.types[-1])) for o in s.operands[1:3])
        found = arithmetic.compared(s.words[1], a, b)
        both = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}
        if s.words[2] in both:
            other = s.operands[3]
            held = self.registers[other.lstrip("!")][self.index]
            found = both[s.words[2]](found, ~held if other.startswith("!") else held)
        self.put(s.operands[0], found)

    def _selp(self, s: Instruction) -> None:
        kind = kind_of(s.types[-1])
        a, b = (self.get(o, kind) for o in s.operands[1:3])
        self.put(s.operands[0], np.where(self.registers[s.operands[3]][self.index], a, b))

    def _cvt(self, s: Instruction) -> None:
        to, source = s.types
        value = self.get(s.operands[1], kind_of(source))
        if source == "f64" and to == "f32" and "rn" not in s.words:
            raise ValueError(f"a rounding that is not known: {s.text}")
        found = arithmetic.converted(value, kind_of(to), s.words)
        if found.dtype.kind == "i":
            found = found.astype(np.int64) if found.itemsize < 8 else found
        self.put(s.operands[0], found)
