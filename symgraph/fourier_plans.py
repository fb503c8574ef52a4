"""The plans of Fourier transforms (`codegen/fourier/`) that this process has: how a length is taken
apart, and the factors exp(-2 pi i k / n), which are made when a length is first seen.

A transform finds the plans that were asked for last without Python. Plans live until there are so
many that they take MOST bytes: then all are forgotten as soon as no transform is running. That of a
long sequence takes little memory beside it, unless its length has a large prime factor.
"""

from __future__ import annotations

import ctypes
import math
import threading
from typing import Any

import numpy as np

from symgraph import callbacks
from symgraph.codegen.fourier.record import (
    BESIDE,
    BRING,
    BUNDLE,
    BUNDLE_OF_REAL,
    CARRY,
    COLUMNS,
    END,
    ENDS_OF_BUNDLES,
    FORGET,
    GOLDEN,
    KINDS_OF_PLANS,
    LINE,
    LINES,
    LONG,
    NO_MEMORY,
    PASS,
    PLAN,
    PLANS,
    PRIMES,
    RADICES,
    REAL,
    ROW,
    SLOTS,
    at_once,
)
from symgraph.executor import load_codes, parts
from symgraph.runtime.later import Later

_parts = Later("symgraph.codegen.fourier.parts")
_ASK = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
MOST = 1 << 28  # bytes of plans
TABLE = 4096  # numbers up to which all factors between columns and rows lie in a table
#: the ends of the first and the last pass
_ENDS = {BUNDLE: "bb", COLUMNS: "cb", LINES: "bc", BESIDE: "cc", BRING: "cb", CARRY: "bc"}
_RUNNING, _FULL = PLANS.names.index("running"), PLANS.names.index("full")
_records: dict[str, Plans] = {}
_by_address: dict[int, Plans] = {}
_lock = threading.Lock()


class Plans:
    """The plans for real numbers of one dtype, so many sequences at once."""

    def __init__(self, dtype: str, lanes: int) -> None:
        self.key, self.dtype, self.lanes = f"{dtype} {lanes}", np.dtype(dtype), lanes
        self.codes: dict[str, int] = {}
        self.tables: dict[tuple[str, int, int], int] = {}
        self.between: dict[int, list[int]] = {}
        self.words = (ctypes.c_int64 * (len(PLANS.names) + SLOTS))()
        self.words[0] = ctypes.cast(_ask, ctypes.c_void_p).value or 0
        self.address = ctypes.addressof(self.words)
        self.made: dict[int, int] = {}
        self.arrays: list[np.ndarray] = []  # that plans name
        self.loaded: list[Any] = []
        self.bytes = 0

    def plan(self, number: int) -> int:
        """The address of a plan, which is found by itself from now on."""
        address = self.made.get(number)
        if address is None:
            n, kind = divmod(number, KINDS_OF_PLANS)
            turned, kind = kind % 2 == 1, kind // 2 * 2
            if kind in _ENDS:
                words = self._passes(n, kind, turned)
            elif kind == ROW:
                words = self._row(n, turned)
            elif kind == END:
                words = self._codes([ENDS_OF_BUNDLES[n]])
            else:
                words = self._real(n, kind == BUNDLE_OF_REAL, turned)
            address = self.made[number] = self._held(np.array([number, *words], np.int64))
        slot = (number * GOLDEN % 2**64) >> (64 - (SLOTS.bit_length() - 1))
        self.words[len(PLANS.names) + slot] = address
        self.words[_FULL] = self.bytes > MOST
        return address

    def hide(self) -> None:
        """Let nobody find a plan without asking."""
        for k in range(SLOTS):
            self.words[len(PLANS.names) + k] = 0

    def forget(self) -> None:
        """Forget all plans, once they are hidden, unless a transform is running that may have found
        one before. One that begins now has to ask, which waits for this."""
        if self.words[_RUNNING] == 0:
            for held in (self.made, self.tables, self.between, self.arrays):
                held.clear()  # type: ignore[attr-defined]
            self.bytes = self.words[_FULL] = 0

    def _held(self, array: np.ndarray) -> int:
        """The address of an array that is kept, at a line of cache."""
        room = np.empty(array.nbytes + LINE, np.uint8)
        start = -room.ctypes.data % LINE
        held = room[start : start + array.nbytes]
        held[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self.arrays.append(room)
        self.bytes += room.nbytes
        return held.ctypes.data

    def _numbers(self, z: np.ndarray) -> int:
        """A table of complex numbers."""
        return self._held(np.stack([z.real, z.imag], -1).astype(self.dtype))

    def _vectors(self, z: np.ndarray) -> int:
        """A table whose last axis are lanes: the real parts, then the imaginary ones."""
        return self._held(np.stack([z.real, z.imag], -2).astype(self.dtype))

    def _passes(self, n: int, kind: int, turned: bool) -> list[int]:
        found = [1] if kind in (BRING, CARRY) else radices(n)
        if found is None:
            return [-1]
        if not found and kind != BUNDLE:
            found = [1]
        codes = self._codes(_names(found, kind, turned))
        words = [len(found)]
        s, left = (n, 1) if kind == CARRY else (1, n)
        for r, code in zip(found, codes, strict=True):
            m = left // r
            factors = self._table("factors", r, left) if r > 1 else 0
            table = 0 if r in RADICES else self._table("prime", r, r)
            words += [r, s, m, factors, table, code]
            s, left = s * r, m
        assert len(PASS.names) == 6 and len(PLAN.names) == 2
        return words

    def _table(self, what: str, r: int, n: int) -> int:
        """A table that several plans name: made once."""
        if (what, r, n) not in self.tables:
            if what == "factors":
                z = roots(np.arange(n // r)[:, None] * np.arange(1, r), n)
            else:
                half = np.arange(1, r // 2 + 1)
                z = roots(half[:, None] * half, r).conj()
            self.tables[what, r, n] = self._numbers(z)
        return self.tables[what, r, n]

    def _codes(self, names: list[str]) -> list[int]:
        """The addresses of parts."""
        missing = [name for name in dict.fromkeys(names) if name not in self.codes]
        if missing:
            dtype, lanes = self.key.split()

            def text(name: str) -> str:
                made: str = _parts.part_text(dtype, int(lanes), name)
                return made

            objects = parts("transform", self.key, missing, text)
            self.loaded += (made := load_codes([(objects[name], ["part"]) for name in missing]))
            self.codes.update({n: c.address("part") for n, c in zip(missing, made, strict=True)})
        return [self.codes[name] for name in names]

    def _row(self, n: int, turned: bool) -> list[int]:
        lanes, size = self.lanes, self.dtype.itemsize
        words = dict.fromkeys(LONG.names[1:], 0)
        words["length"] = n
        if radices(n) is None:
            self._folded(n, words)
            return list(words.values())
        high = split(n, lanes)
        wide = n // high
        padded = [-(-x // lanes) * lanes for x in (high, wide)]
        number = 2 * lanes * size  # bytes of one number in a bundle
        words["high"], words["wide"] = high, wide
        words["turned_at"] = 2 * max(padded) * number
        words["room"] = words["turned_at"] + padded[0] // lanes * padded[1] * number
        name = at_once(high, wide, lanes, turned)
        if name:
            (words["whole"],) = self._codes([name])
        else:
            self._halves(words, n <= TABLE, turned)
        shift = words["shift"] = n.bit_length() // 2
        if n not in self.between:
            rows, columns = np.arange(high), np.arange(padded[1] if n <= TABLE else lanes)
            near = rows[:, None] * columns.reshape(-1, 1, lanes)
            fine, coarse = np.arange(1 << shift), np.arange(0, n, 1 << shift)
            tables = [0 if n <= TABLE else self._numbers(roots(x, n)) for x in (fine, coarse)]
            self.between[n] = [self._vectors(roots(near, n)), *tables]
        words["near"], words["fine"], words["coarse"] = self.between[n]
        return list(words.values())

    def _halves(self, words: dict[str, int], whole: bool, turned: bool) -> None:
        """The plans of columns and of rows, and what is between."""
        halves = ("of_columns", words["high"], COLUMNS), ("of_rows", words["wide"], LINES)
        passes = [_names(radices(x) or [], kind, turned) for _, x, kind in halves]
        part = "turned_whole" if whole else "turned"
        words["code"], *_ = self._codes([part, *passes[0], *passes[1]])  # at the same time
        for name, x, kind in halves:
            words[name] = self.plan(KINDS_OF_PLANS * x + kind + turned)

    def _folded(self, n: int, words: dict[str, int]) -> None:
        """With the convolution of so many numbers that it does not meet itself."""
        folded = min(k << max(0, (-(-(2 * n - 1) // k) - 1).bit_length()) for k in (1, 3, 5))
        words["folded"] = folded
        inner, back = (self.plan(KINDS_OF_PLANS * folded + ROW + turned) for turned in (0, 1))
        words["inner"], words["inner_back"] = inner, back
        held = (ctypes.c_int64 * len(LONG.names)).from_address(inner)
        words["turned_at"] = held[LONG.names.index("room")]
        words["room"] = words["turned_at"] + 4 * folded * self.dtype.itemsize
        k = np.arange(n, dtype=object if n > 2**30 else np.int64)
        chirp = roots((k * k % (2 * n)).astype(np.int64), 2 * n)
        around = np.zeros(folded, np.complex128)
        around[:n] = chirp.conj()
        around[folded - n + 1 :] = chirp[:0:-1].conj()
        (words["code"],) = self._codes(["product"])
        words["chirp"] = self._numbers(chirp)
        words["filter"] = self._numbers(np.fft.fft(around) / folded)

    def _real(self, n: int, bundle: bool, back: bool) -> list[int]:
        half, lanes = n // 2, self.lanes
        if n % 2:
            return [0, 0, *self._codes(["mirror" if back else "real"])]
        name = ("before" if back else "after") + ("" if bundle else "_row")
        if bundle:
            return [self._numbers(roots(np.arange(half // 2 + 1), n)), 0, *self._codes([name])]
        near = roots(1 + np.arange(lanes), n)
        groups = roots(lanes * np.arange(half // 2 // lanes + 2), n)
        assert len(REAL.names) == 4
        return [self._vectors(near), self._numbers(groups), *self._codes([name])]


def _names(found: list[int], kind: int, turned: bool) -> list[str]:
    """The names of passes."""
    ends = _ENDS[kind].replace("c", "i") if turned else _ENDS[kind]
    last = len(found) - 1
    pairs = [(ends[0] if k == 0 else "b", ends[1] if k == last else "b") for k in range(len(found))]
    forms = [r if r in RADICES else 0 for r in found]
    return [f"{r} {source}{target}" for r, (source, target) in zip(forms, pairs, strict=True)]


def radices(n: int) -> list[int] | None:
    """The radices of the passes of a length; None where a prime factor is too large for one.

    >>> radices(96), radices(16), radices(37)
    ([8, 4, 3], [16], None)
    """
    found = []
    twos = (n & -n).bit_length() - 1
    n >>= twos
    if twos == 4:
        found = [16]
    else:
        eights, rest = divmod(twos, 3)
        if rest == 1 and eights:
            found = [8] * (eights - 1) + [4, 4]
        else:
            found = [8] * eights + [2] * (rest == 1) + [4] * (rest == 2)
    for p in (3, 5, 7, *PRIMES):
        while n % p == 0:
            found.append(p)
            n //= p
    return found if n == 1 else None


def split(n: int, lanes: int) -> int:
    """The rows of the matrix as which a sequence is transformed, so many columns or rows at once:
    the number with which the least is done.

    >>> split(1024, 8), split(96, 8)
    (32, 8)
    """

    def work(high: int) -> float:
        wide = n // high
        up = [-(-x // lanes) * lanes for x in (high, wide)]
        return up[1] * high * math.log2(2 * high) + up[0] * wide * math.log2(2 * wide)

    return min((d for d in range(1, math.isqrt(n) + 1) if n % d == 0), key=lambda d: (work(d), -d))


def roots(k: np.ndarray, n: int) -> np.ndarray:
    """exp(-2 pi i k / n) to the last place: angles are taken in the nearest quarter."""
    k = np.asarray(k, np.int64) % n
    quarter = (8 * k + n) // (2 * n)
    angle = 2 * math.pi * ((4 * k - quarter * n) / (4 * n))
    z = np.cos(angle) - 1j * np.sin(angle)
    return z * np.array([1, -1j, -1, 1j])[quarter % 4]  # type: ignore[no-any-return]


@_ASK
def _ask(address: int, number: int) -> int | None:
    """What a transform calls, in the thread that called the program."""
    try:
        if number == NO_MEMORY:
            raise MemoryError("no memory for a Fourier transform")
        plans = _by_address[address]
        if number == FORGET:
            with _lock:
                plans.hide()
            with _lock:  # which is a barrier between what is written and what is read
                plans.forget()
            return None
        with _lock:
            return plans.plan(number)
    except BaseException as error:
        callbacks.keep(error)
        return None


def record(key: str) -> int:
    """The address of the record of plans for a dtype and a number of lanes.

    >>> record("float64 8") == record("float64 8")
    True
    """
    with _lock:
        found = _records.get(key)
        if found is None:
            dtype, lanes = key.split()
            found = _records[key] = Plans(dtype, int(lanes))
            _by_address[found.address] = found
    return found.address
