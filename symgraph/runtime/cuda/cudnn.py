"""Convolutions by cuDNN, through ctypes, where NVIDIA's library is installed.

    y   (x, w, y)   cudnnConvolutionForward
    x   (w, y, x)   cudnnConvolutionBackwardData
    w   (x, y, w)   cudnnConvolutionBackwardFilter

Images are dense, with the channels after the batch or, for ``last``, at the end; weights are
(outputs, inputs, *sizes), or (outputs, *sizes, inputs). The library knows as much padding after an
axis as before it: what windows see does not depend on the former, so it is enough that the number
of windows comes out the same. Of the algorithms that the library's heuristics name, the first is
taken that gives the same result each time; for IEEE arithmetic it must also be a sum of products,
neither Winograd's nor Fourier's.

Numbers are those of cudnn_graph_v9.h, cudnn_ops_v9.h and cudnn_cnn_v9.h of cuDNN 9.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from ctypes import byref, c_float, c_int, c_size_t, c_void_p
from typing import Any

from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.cublas import address, scalar
from symgraph.runtime.cuda.routines import NativeCall

KINDS = {"float32": 0, "float64": 1}  # cudnnDataType_t
CHANNELS_FIRST, CHANNELS_LAST = 0, 1  # cudnnTensorFormat_t
CORRELATION = 1  # cudnnConvolutionMode_t
MATH = {"ieee": 3, "tf32": 0}  # cudnnMathType_t: fused multiply-adds; tensor cores for float32
DETERMINISTIC = 1  # cudnnDeterminism_t
MOST_ROOM = 256 << 20  # bytes of memory for an algorithm's work
MOST_FOUND = 8


class _Found(ctypes.Structure):
    """cudnnConvolutionFwdAlgoPerf_t, and those of the gradients, which look the same."""

    _fields_ = [
        ("algorithm", c_int), ("status", c_int), ("time", c_float), ("memory", c_size_t),
        ("determinism", c_int), ("math", c_int), ("reserved", c_int * 3),
    ]  # fmt: skip


#: by what is made: the function, the one that names algorithms, and of these those that are sums of
#: products: implicit and explicit GEMM and direct ones; ALGO_1 of both gradients
_FUNCTIONS: dict[str, tuple[str, tuple[int, ...]]] = {
    "y": ("Forward", (0, 1, 2, 3)), "x": ("BackwardData", (1,)), "w": ("BackwardFilter", (1,)),
}  # fmt: skip


def cudnn(device: Any) -> int | None:
    """The handle of cuDNN."""

    def make(lib: Any) -> int:
        return libraries.on_stream(lib, device, "cudnnCreate", "cudnnSetStream")

    return libraries.handle(device, "cudnn", make)


def prepare(
    device: Any, operands: Sequence[Any], params: Mapping[str, Any]
) -> list[NativeCall] | None:
    """A convolution or a gradient of it; None where there is no library, or it cannot do this one:
    other dtypes or arithmetic, nothing to compute, negative padding, windows that it would place
    elsewhere, no algorithm that is deterministic."""
    kind, mode = str(params["kind"]), str(params["mode"])
    named = dict(zip([n for n in "xwy" if n != kind] + [kind], operands, strict=True))
    double = operands[0].dtype == "float64"
    known = operands[0].dtype in KINDS and (double or mode in MATH)
    large = any(math.prod(o.shape) > 2**31 - 1 for o in operands)
    if not known or large or any(0 in o.shape for o in operands):
        return None
    made = cudnn(device)
    if made is None:
        return None
    try:
        return [_Maker(made, named, params, "ieee" if double else mode).call(kind)]
    except libraries.Refused:
        return None


def _integers(values: Sequence[int]) -> Any:
    return (c_int * len(values))(*values)


class _Maker:
    """Descriptors of one convolution, which live as long as this."""

    def __init__(
        self, made: int, named: Mapping[str, Any], params: Mapping[str, Any], mode: str
    ) -> None:
        self.lib, self.made, self.mode = libraries.library("cudnn"), made, mode
        self.descriptors: list[tuple[str, c_void_p]] = []
        self.last, self.groups = bool(params["last"]), int(params["groups"])
        self.stride, self.before, self.dilation = (
            list(params[n]) for n in ("stride", "before", "dilation")
        )
        self.dtype = named["x"].dtype
        shapes = {n: self._plain(o.shape, n == "w") for n, o in named.items()}
        self._same_windows(shapes)
        if len(self.stride) == 1:  # the library wants two axes
            shapes = {n: (*s[:2], 1, s[2]) for n, s in shapes.items()}
            self.stride, self.before, self.dilation = (
                [one, *v]
                for one, v in zip((1, 0, 1), (self.stride, self.before, self.dilation), strict=True)
            )
        self.held = {n: self._weights(s) if n == "w" else self._images(s)
                     for n, s in shapes.items()}  # fmt: skip
        self.windows = self._windows()

    def _do(self, name: str, *words: Any) -> None:
        libraries.do(self.lib, name, *words)

    def _plain(self, shape: Sequence[int], weights: bool) -> tuple[int, ...]:
        """(batch or outputs, channels, *sizes), as the library counts axes in any case."""
        return (shape[0], shape[-1], *shape[1:-1]) if self.last else tuple(shape)

    def _same_windows(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        rows = zip(shapes["x"][2:], shapes["w"][2:], shapes["y"][2:], self.stride, self.before,
                   self.dilation, strict=True)  # fmt: skip
        for size, taps, count, stride, before, dilation in rows:
            room = size + 2 * before - (taps - 1) * dilation - 1
            if before < 0 or room < 0 or room // stride + 1 != count:
                raise libraries.Refused("padding")

    def _made(self, what: str) -> c_void_p:
        found = c_void_p()
        self._do(f"cudnnCreate{what}Descriptor", byref(found))
        self.descriptors.append((what, found))
        return found

    def __del__(self) -> None:
        for what, one in self.descriptors:
            getattr(self.lib, f"cudnnDestroy{what}Descriptor")(one)

    def _images(self, shape: tuple[int, ...]) -> c_void_p:
        n, c, *sizes = shape
        steps = [1] * len(shape)
        order = (0, *range(2, len(shape)), 1) if self.last else tuple(range(len(shape)))
        for after, axis in zip(reversed(order[1:]), reversed(order[:-1]), strict=True):
            steps[axis] = steps[after] * shape[after]
        found = self._made("Tensor")
        self._do("cudnnSetTensorNdDescriptor", found, c_int(KINDS[self.dtype]), c_int(len(shape)),
                 _integers([n, c, *sizes]), _integers(steps))  # fmt: skip
        return found

    def _weights(self, shape: tuple[int, ...]) -> c_void_p:
        found = self._made("Filter")
        layout = CHANNELS_LAST if self.last else CHANNELS_FIRST
        self._do("cudnnSetFilterNdDescriptor", found, c_int(KINDS[self.dtype]), c_int(layout),
                 c_int(len(shape)), _integers(shape))  # fmt: skip
        return found

    def _windows(self) -> c_void_p:
        found = self._made("Convolution")
        self._do(
            "cudnnSetConvolutionNdDescriptor", found, c_int(len(self.stride)),
            _integers(self.before), _integers(self.stride), _integers(self.dilation),
            c_int(CORRELATION), c_int(KINDS[self.dtype]),
        )  # fmt: skip
        self._do("cudnnSetConvolutionGroupCount", found, c_int(self.groups))
        self._do("cudnnSetConvolutionMathType", found, c_int(MATH[self.mode]))
        return found

    def call(self, kind: str) -> NativeCall:
        """The call that makes y, or the gradient x or w."""
        name, plain = _FUNCTIONS[kind]
        given = [n for n in "xwy" if n != kind]
        if kind == "x":
            given = ["w", "y"]
        first, second = (self.held[n] for n in given)
        whole = c_void_p(self.made), first, second, self.windows, self.held[kind]
        algorithm, room = self._algorithm(name, plain, whole)
        one, zero = scalar(self.dtype, 1.0), scalar(self.dtype, 0.0)
        order = [*(n for n in "xwy" if n != kind), kind]
        places = {n: ("buffer", k, 0) for k, n in enumerate(order)}
        words = (
            self.made, ctypes.addressof(one), _word(first), places[given[0]], _word(second),
            places[given[1]], _word(self.windows), algorithm, ("workspace", 0),
            room, ctypes.addressof(zero), _word(self.held[kind]), places[kind],
        )  # fmt: skip
        function = address("cudnn", f"cudnnConvolution{name}")
        return NativeCall(function, words, (one, zero, self), max(1, room))

    def _algorithm(
        self, name: str, plain: Sequence[int], whole: tuple[Any, ...]
    ) -> tuple[int, int]:
        """The first algorithm that will do, and the bytes that it works in."""
        count, found = c_int(), (_Found * MOST_FOUND)()
        search = f"cudnnGetConvolution{name}Algorithm_v7"
        self._do(search, *whole, c_int(MOST_FOUND), byref(count), found)
        for row in found[: count.value]:
            if row.status or row.determinism != DETERMINISTIC:
                continue
            if self.mode == "ieee" and row.algorithm not in plain:
                continue
            if self.mode != "ieee":  # the heuristics say with which units it is fast
                self._do("cudnnSetConvolutionMathType", self.windows, c_int(row.math))
            size, number = c_size_t(), int(row.algorithm)
            try:
                asked = f"cudnnGetConvolution{name}WorkspaceSize"
                self._do(asked, *whole, c_int(number), byref(size))
            except libraries.Refused:
                continue
            if size.value <= MOST_ROOM:
                return number, size.value
        raise libraries.Refused("no algorithm")


def _word(x: c_void_p) -> int:
    return int(x.value or 0)
