"""A cuSOLVER and a cuBLAS that are not there: LAPACK and BLAS of SciPy's behind their names."""

from __future__ import annotations

import ctypes
import re
from ctypes import c_int, c_size_t, c_void_p
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from tests.cuda.fake_library import DTYPES, FakeLibrary, Work, put

LOW = {0: 1, 1: 0}  # cublasFillMode_t as SciPy's argument ``lower``


def _of(module: Any, name: str, dtype: Any) -> Any:
    letter = {v: k for k, v in DTYPES.items()}[dtype].lower()
    return getattr(module, letter + name)


class FakeCublas(FakeLibrary):
    """trsm and geam."""

    def __init__(self, driver: Any) -> None:
        super().__init__(driver)
        self.rooms: dict[int, tuple[int, int]] = {}

    def cublasCreate_v2(self, place: Any) -> int:
        return self.create(place)

    def cublasSetStream_v2(self, made: Any, stream: Any) -> int:
        return self.set_stream(made, stream)

    def cublasSetWorkspace_v2(self, made: c_void_p, room: c_void_p, size: c_size_t) -> int:
        assert self.streams[made.value or 0], "the stream comes first: it takes the memory away"
        self.rooms[made.value or 0] = (room.value or 0, size.value)
        return 0

    def __getattr__(self, name: str) -> Any:
        found = re.fullmatch(r"cublas([SDCZ])(trsm_v2|geam)", name)
        if found is None:
            raise AttributeError(name)
        kind = DTYPES[found[1]]
        ready = {"trsm_v2": self._trsm, "geam": self._geam}[found[2]]
        return self.function(name, lambda *words: ready(kind, *words))

    def _number(self, address: int, dtype: Any) -> Any:
        size = np.dtype(dtype).itemsize
        return np.frombuffer(ctypes.string_at(address, size), dtype)[0]

    def _spoiled(self, made: int) -> None:
        room, size = self.rooms[made]
        self.spoil(room, size, np.uint8)

    def _trsm(
        self, dtype: Any, made: int, side: int, low: int, turned: int, unit: int, m: int, n: int,
        alpha: int, a: int, lda: int, b: int, ldb: int, *_: int,
    ) -> Work:  # fmt: skip
        assert side in (0, 1) and turned in (0, 1, 2) and unit in (0, 1)
        one, order = self._number(alpha, dtype), n if side else m
        left = self.matrix(a, order, order, lda, dtype)
        right = self.matrix(b, m, n, ldb, dtype)

        def work() -> None:
            self._spoiled(made)
            right[...] = _of(blas, "trsm", dtype)(
                one, left, right, side=side, lower=LOW[low], trans_a=turned, diag=unit
            )

        return work

    def _geam(
        self, dtype: Any, made: int, turn_a: int, turn_b: int, m: int, n: int, alpha: int, a: int,
        lda: int, beta: int, b: int, ldb: int, c: int, ldc: int, *_: int,
    ) -> Work:  # fmt: skip
        scales = self._number(alpha, dtype), self._number(beta, dtype)
        left = self.matrix(a, *((n, m) if turn_a else (m, n)), lda, dtype)
        right = self.matrix(b, *((n, m) if turn_b else (m, n)), ldb, dtype)
        out = self.matrix(c, m, n, ldc, dtype)
        assert a != c or not turn_a

        def work() -> None:
            self._spoiled(made)
            x, y = left.T if turn_a else left, right.T if turn_b else right
            out[...] = scales[0] * x + (scales[1] * y if scales[1] else 0)

        return work


class FakeCusolver(FakeLibrary):
    """The dense factorizations. ``stuck``: iterations do not converge."""

    def __init__(self, driver: Any, stuck: bool = False) -> None:
        super().__init__(driver)
        self.stuck = stuck
        self.rooms: dict[tuple[Any, ...], int] = {}

    def cusolverDnCreate(self, place: Any) -> int:
        return self.create(place)

    def cusolverDnSetStream(self, made: Any, stream: Any) -> int:
        return self.set_stream(made, stream)

    def __getattr__(self, name: str) -> Any:
        found = re.fullmatch(r"cusolverDn([SDCZ])([a-z]+)(_bufferSize)?", name)
        if found is None:
            raise AttributeError(name)
        letter, routine = found[1], found[2]
        wrong = {True: ("orgqr", "syevd"), False: ("ungqr", "heevd")}[letter in "CZ"]
        if routine in wrong:
            raise AttributeError(name)
        if found[3]:
            return lambda *words: self._room(letter, routine, *words)
        ready = getattr(self, f"_{routine}")
        return self.function(name, lambda *words: ready(letter, *words))

    def _room(self, letter: str, routine: str, made: c_void_p, *words: Any) -> int:
        """The elements of work: other ones for each set of arguments."""
        assert made.value in self.streams
        *given, place = words
        values = tuple(w.value for w in given)
        count = COUNTS[routine]
        assert len(values) == count, f"{routine}_bufferSize takes {count} arguments between"
        size = self.rooms[letter, routine, values] = 40 + sum(v or 0 for v in values)
        put(place, c_int, size)
        return 0

    def _work(self, letter: str, routine: str, given: tuple[Any, ...], at: int, size: int) -> None:
        assert self.rooms[letter, routine, given] == size
        self.spoil(at, size, DTYPES[letter])

    def _potrf(
        self, letter: str, made: int, low: int, n: int, a: int, lda: int, work: int, size: int,
        info: int, *_: int,
    ) -> Work:  # fmt: skip
        held, word = self.matrix(a, n, n, lda, DTYPES[letter]), self.array(info, 1, np.int32)

        def run() -> None:
            self._work(letter, "potrf", (low, n, None, lda), work, size)
            factor = _of(lapack, "potrf", DTYPES[letter])
            held[...], word[0] = factor(held.copy(), lower=LOW[low], clean=0)

        return run

    def _getrf(
        self, letter: str, made: int, m: int, n: int, a: int, lda: int, work: int, pivots: int,
        info: int, *_: int,
    ) -> Work:  # fmt: skip
        held, word = self.matrix(a, m, n, lda, DTYPES[letter]), self.array(info, 1, np.int32)
        places = self.array(pivots, min(m, n), np.int32)
        size = self.rooms[letter, "getrf", (m, n, None, lda)]

        def run() -> None:
            self._work(letter, "getrf", (m, n, None, lda), work, size)
            held[...], found, word[0] = _of(lapack, "getrf", DTYPES[letter])(held.copy())
            places[...] = found + 1

        return run

    def _geqrf(
        self, letter: str, made: int, m: int, n: int, a: int, lda: int, tau: int, work: int,
        size: int, info: int, *_: int,
    ) -> Work:  # fmt: skip
        dtype = DTYPES[letter]
        held, word = self.matrix(a, m, n, lda, dtype), self.array(info, 1, np.int32)
        scales = self.array(tau, min(m, n), dtype)

        def run() -> None:
            self._work(letter, "geqrf", (m, n, None, lda), work, size)
            held[...], scales[...], _, word[0] = _of(lapack, "geqrf", dtype)(held.copy())

        return run

    def _orgqr(
        self, letter: str, made: int, m: int, n: int, k: int, a: int, lda: int, tau: int,
        work: int, size: int, info: int, *_: int,
    ) -> Work:  # fmt: skip
        dtype, name = DTYPES[letter], "ungqr" if letter in "CZ" else "orgqr"
        assert m >= n >= k
        held, word = self.matrix(a, m, n, lda, dtype), self.array(info, 1, np.int32)
        scales = self.array(tau, k, dtype)

        def run() -> None:
            self._work(letter, name, (m, n, k, None, lda, None), work, size)
            held[...], _, word[0] = _of(lapack, name, dtype)(held.copy(), scales)

        return run

    _ungqr = _orgqr

    def _syevd(
        self, letter: str, made: int, job: int, low: int, n: int, a: int, lda: int, w: int,
        work: int, size: int, info: int, *_: int,
    ) -> Work:  # fmt: skip
        dtype, name = DTYPES[letter], "heevd" if letter in "CZ" else "syevd"
        held, word = self.matrix(a, n, n, lda, dtype), self.array(info, 1, np.int32)
        values = self.array(w, n, np.empty(0, dtype).real.dtype)

        def run() -> None:
            self._work(letter, name, (job, low, n, None, lda, None), work, size)
            found, vectors, status = _of(lapack, name, dtype)(
                held.copy(), compute_v=job, lower=LOW[low]
            )
            values[...], held[...] = found, vectors if job else 12345
            word[0] = 3 if self.stuck else status

        return run

    _heevd = _syevd

    def _gesvd(
        self, letter: str, made: int, job: int, job_v: int, m: int, n: int, a: int, lda: int,
        s: int, u: int, ldu: int, v: int, ldv: int, work: int, size: int, more: int, info: int,
    ) -> Work:  # fmt: skip
        dtype, which = DTYPES[letter], chr(job)
        assert m >= n and job == job_v and which in "NSA"
        held, word = self.matrix(a, m, n, lda, dtype), self.array(info, 1, np.int32)
        values = self.array(s, n, np.empty(0, dtype).real.dtype)
        assert ldu >= m and ldv >= n
        if which != "N":
            left = self.matrix(u, m, m if which == "A" else n, ldu, dtype)
            right = self.matrix(v, n, n, ldv, dtype)

        def run() -> None:
            self._work(letter, "gesvd", (m, n), work, size)
            with_factors = int(which != "N")
            found = _of(lapack, "gesvd", dtype)(
                held.copy(), compute_uv=with_factors, full_matrices=int(which == "A")
            )
            held[...] = 12345
            values[...], word[0] = found[1], 3 if self.stuck else found[3]
            if with_factors:
                left[...], right[...] = found[0], found[2]

        return run


#: arguments of NAME_bufferSize between the handle and the place of the result
COUNTS = {"potrf": 4, "getrf": 4, "geqrf": 4, "orgqr": 6, "ungqr": 6, "syevd": 6, "heevd": 6,
          "gesvd": 2}  # fmt: skip
