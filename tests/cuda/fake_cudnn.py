"""A cuDNN that is not there: it takes what the real one takes, and convolves by NumPy.

Images are read where their descriptors' sizes and steps say, weights in the order that theirs
name; every descriptor must have been made here, and be of the right kind.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import c_int, c_size_t, c_void_p
from typing import Any

import numpy as np

from tests.cuda.fake_library import FakeLibrary, Work, int32, put

KINDS = {0: np.float32, 1: np.float64}
FMA = 3

#: by function: (algorithm, deterministic, memory) as the heuristics name them; some do not work
FOUND = {
    "Forward": [(6, 1, 1 << 10), (0, 0, 0), (1, 1, 4096), (0, 1, 0)],
    "BackwardData": [(0, 0, 0), (5, 1, 64), (1, 1, 8192)],
    "BackwardFilter": [(3, 0, 0), (0, 0, 0), (1, 1, 512)],
}


class FakeCudnn(FakeLibrary):
    """``refuses``: there is no algorithm for anything."""

    def __init__(self, driver: Any, refuses: bool = False) -> None:
        super().__init__(driver)
        self.refuses = refuses
        self.made: dict[int, dict[str, Any]] = {}
        self.count = 0
        self.used: list[tuple[str, int, int]] = []  # function, algorithm, arithmetic

    def cudnnCreate(self, place: Any) -> int:
        return self.create(place)

    def cudnnSetStream(self, made: Any, stream: Any) -> int:
        return self.set_stream(made, stream)

    # descriptors ----------------------------------------------------------------------------------

    def _new(self, place: Any, kind: str) -> int:
        self.count += 1
        number = 0x9000 + 16 * self.count
        self.made[number] = {"kind": kind}
        put(place, c_void_p, number)
        return 0

    def cudnnCreateTensorDescriptor(self, place: Any) -> int:
        return self._new(place, "tensor")

    def cudnnCreateFilterDescriptor(self, place: Any) -> int:
        return self._new(place, "filter")

    def cudnnCreateConvolutionDescriptor(self, place: Any) -> int:
        return self._new(place, "convolution")

    def _forget(self, what: c_void_p, kind: str) -> int:
        self._get(what, kind)
        del self.made[what.value or 0]
        return 0

    def cudnnDestroyTensorDescriptor(self, what: c_void_p) -> int:
        return self._forget(what, "tensor")

    def cudnnDestroyFilterDescriptor(self, what: c_void_p) -> int:
        return self._forget(what, "filter")

    def cudnnDestroyConvolutionDescriptor(self, what: c_void_p) -> int:
        return self._forget(what, "convolution")

    def _get(self, what: Any, kind: str) -> dict[str, Any]:
        found = self.made[what if isinstance(what, int) else what.value or 0]
        assert found["kind"] == kind
        return found

    def cudnnSetTensorNdDescriptor(
        self, what: Any, dtype: c_int, count: c_int, sizes: Any, steps: Any
    ) -> int:
        assert count.value in (4, 5)
        self._get(what, "tensor").update(
            dtype=KINDS[dtype.value], sizes=list(sizes)[: count.value],
            steps=list(steps)[: count.value],
        )  # fmt: skip
        return 0

    def cudnnSetFilterNdDescriptor(
        self, what: Any, dtype: c_int, layout: c_int, count: c_int, sizes: Any
    ) -> int:
        assert count.value in (4, 5) and layout.value in (0, 1)
        o, c, *rest = list(sizes)[: count.value]
        shape = (o, *rest, c) if layout.value else (o, c, *rest)
        steps = [int(np.prod(shape[k + 1 :])) for k in range(len(shape))]
        steps = [steps[0], steps[-1], *steps[1:-1]] if layout.value else steps
        found = self._get(what, "filter")
        found.update(dtype=KINDS[dtype.value], sizes=[o, c, *rest], steps=steps)
        return 0

    def cudnnSetConvolutionNdDescriptor(
        self, what: Any, count: c_int, before: Any, stride: Any, dilation: Any, mode: c_int,
        dtype: c_int,
    ) -> int:  # fmt: skip
        assert count.value in (2, 3) and mode.value == 1
        self._get(what, "convolution").update(
            before=list(before), stride=list(stride), dilation=list(dilation),
            dtype=KINDS[dtype.value],
        )  # fmt: skip
        return 0

    def cudnnSetConvolutionGroupCount(self, what: Any, groups: c_int) -> int:
        self._get(what, "convolution")["groups"] = groups.value
        return 0

    def cudnnSetConvolutionMathType(self, what: Any, math: c_int) -> int:
        self._get(what, "convolution")["math"] = math.value
        return 0

    # algorithms -----------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        for word in FOUND:
            if name == f"cudnnGetConvolution{word}Algorithm_v7":
                return lambda *given, word=word: self._search(word, *given)
            if name == f"cudnnGetConvolution{word}WorkspaceSize":
                return lambda *given, word=word: self._size(word, *given)
            if name == f"cudnnConvolution{word}":
                return self.function(name, lambda *given, word=word: self._ready(word, *given))
        raise AttributeError(name)

    def _kinds(self, word: str) -> tuple[str, str, str]:
        return {
            "Forward": ("tensor", "filter", "tensor"), "BackwardData": ("filter", "tensor",
            "tensor"), "BackwardFilter": ("tensor", "tensor", "filter"),
        }[word]  # fmt: skip

    def _check(self, word: str, made: Any, a: Any, b: Any, how: Any, c: Any) -> dict[str, Any]:
        assert (made if isinstance(made, int) else made.value) in self.streams
        for what, kind in zip((a, b, c), self._kinds(word), strict=True):
            self._get(what, kind)
        return self._get(how, "convolution")

    def _search(
        self, word: str, made: Any, a: Any, b: Any, how: Any, c: Any, most: c_int, count: Any,
        rows: Any,
    ) -> int:  # fmt: skip
        found = self._check(word, made, a, b, how, c)
        given = [] if self.refuses else FOUND[word]
        assert most.value >= len(given)
        for row, (number, sure, memory) in zip(rows, given, strict=False):
            row.algorithm, row.status, row.determinism, row.memory = number, 0, sure, memory
            row.math = FMA if found["math"] == FMA else 1
        put(count, c_int, len(given))
        return 0

    def _size(
        self, word: str, made: Any, a: Any, b: Any, how: Any, c: Any, number: c_int, place: Any
    ) -> int:
        self._check(word, made, a, b, how, c)
        put(place, c_size_t, {n: m for n, _, m in FOUND[word]}[number.value])
        return 0

    # the work -------------------------------------------------------------------------------------

    def _view(self, what: int, address: int) -> np.ndarray:
        found = self.made[what]
        dtype, sizes, steps = found["dtype"], found["sizes"], found["steps"]
        flat = self.array(address, 1 + sum((n - 1) * s for n, s in zip(sizes, steps, strict=True)),
                          dtype)  # fmt: skip
        bytes_apart = [s * flat.itemsize for s in steps]
        return np.lib.stride_tricks.as_strided(flat, sizes, bytes_apart)

    def _ready(
        self, word: str, made: int, alpha: int, da: int, a: int, db: int, b: int, how: int,
        number: int, room: int, size: int, beta: int, dc: int, c: int, *_: int,
    ) -> Work:  # fmt: skip
        found = self._check(word, made, da, db, how, dc)
        number, dtype = int32(number), found["dtype"]
        assert {n: m for n, _, m in FOUND[word]}[number] == size
        kind = ctypes.c_float if dtype == np.float32 else ctypes.c_double
        scales = [ctypes.cast(p, ctypes.POINTER(kind))[0] for p in (alpha, beta)]
        assert scales == [1.0, 0.0]
        first, second, out = self._view(da, a), self._view(db, b), self._view(dc, c)
        self.used.append((word, number, found["math"]))

        def work() -> None:
            if size:
                self.driver.at(room, size)[...] = 123
            named = dict(zip({"Forward": "xwy", "BackwardData": "wyx", "BackwardFilter": "xyw"}[
                word], (first, second, out), strict=True))  # fmt: skip
            _convolve(found, word, named["x"], named["w"], named["y"])

        return work


def _convolve(how: dict[str, Any], word: str, x: Any, w: Any, y: Any) -> None:
    """Make one of three arrays from the others."""
    groups = how["groups"]
    if word == "BackwardData":
        x[...] = 0
    if word == "BackwardFilter":
        w[...] = 0
    if word == "Forward":
        y[...] = 0
    own, made = w.shape[1], w.shape[0] // groups
    for g in range(groups):
        xs, ys = x[:, g * own : (g + 1) * own], y[:, g * made : (g + 1) * made]
        ws = w[g * made : (g + 1) * made]
        for at, taps, seen in _places(how, x.shape[2:], w.shape[2:], y.shape[2:]):
            i, j, k = ((slice(None), slice(None), *p) for p in (seen, taps, at))
            if word == "Forward":
                ys[k] += xs[i] @ ws[j].T
            elif word == "BackwardData":
                xs[i] += ys[k] @ ws[j]
            else:
                ws[j] += ys[k].T @ xs[i]


def _places(how: dict[str, Any], sizes: Any, taps: Any, counts: Any) -> Iterator[Any]:
    rows = list(zip(how["stride"], how["dilation"], how["before"], strict=True))
    for n, t, c, (s, d, b) in zip(sizes, taps, counts, rows, strict=True):
        assert (n + 2 * b - (t - 1) * d - 1) // s + 1 == c, "the library counts windows otherwise"
    for at in np.ndindex(*counts):
        for tap in np.ndindex(*taps):
            seen = tuple(i * s + k * d - b for i, k, (s, d, b) in zip(at, tap, rows, strict=True))
            if all(0 <= p < n for p, n in zip(seen, sizes, strict=True)):
                yield at, tap, seen
