"""What PTX instructions compute, by NumPy; fused multiply-add by the processor itself."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.codegen import llvm

UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}
SIGNED = {8: np.int8, 16: np.int16, 32: np.int32, 64: np.int64}
FLOAT = {32: np.float32, 64: np.float64}


def kind_of(name: str) -> Any:
    """The NumPy type of a PTX type."""
    if name == "pred":
        return np.bool_
    return {"u": UNSIGNED, "b": UNSIGNED, "s": SIGNED, "f": FLOAT}[name[0]][int(name[1:])]


_FMA = """
define void @fma{bits}(ptr %a, ptr %b, ptr %c, ptr %out, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %pa = getelementptr {type}, ptr %a, i64 %i
  %pb = getelementptr {type}, ptr %b, i64 %i
  %pc = getelementptr {type}, ptr %c, i64 %i
  %po = getelementptr {type}, ptr %out, i64 %i
  %x = load {type}, ptr %pa
  %y = load {type}, ptr %pb
  %z = load {type}, ptr %pc
  %r = call {type} @llvm.fma.f{bits}({type} %x, {type} %y, {type} %z)
  store {type} %r, ptr %po
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}
declare {type} @llvm.fma.f{bits}({type}, {type}, {type})
"""


@functools.cache
def _fma_of(bits: int) -> Any:
    text = _FMA.format(bits=bits, type="float" if bits == 32 else "double")
    library = llvm.load_orc(llvm.compile_object(text), [f"fma{bits}"])
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_int64)
    return kind(library.address(f"fma{bits}")), library


def fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a b + c, rounded once."""
    a, b, c = (np.ascontiguousarray(x) for x in np.broadcast_arrays(a, b, c))
    out = np.empty_like(a)
    function, _ = _fma_of(8 * a.itemsize)
    if a.size:
        function(a.ctypes.data, b.ctypes.data, c.ctypes.data, out.ctypes.data, a.size)
    return out


def high(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The upper half of a product."""
    bits = 8 * a.itemsize
    if bits < 64:
        wide = (SIGNED if a.dtype.kind == "i" else UNSIGNED)[2 * bits]
        return (a.astype(wide) * b.astype(wide) >> bits).astype(a.dtype)
    full = [int(x) * int(y) >> 64 for x, y in zip(a, b, strict=True)]
    return np.array([v & (1 << 64) - 1 for v in full], np.uint64).view(a.dtype)


def quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b: integers towards zero; a divisor of 0 gives all bits set."""
    if a.dtype.kind == "f":
        return a / b
    zero = b == 0
    d = np.where(zero, b.dtype.type(1), b)
    q = a // d
    if a.dtype.kind == "i":
        q = q + ((a - q * d != 0) & ((a < 0) != (d < 0))).astype(a.dtype)
    return np.where(zero, np.array(-1).astype(a.dtype), q)


def remainder(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The remainder of the division towards zero."""
    return a - quotient(a, b) * b


def shift(a: np.ndarray, count: np.ndarray, left: bool) -> np.ndarray:
    """Shifts by the width or more give 0, or the sign."""
    bits = 8 * a.itemsize
    most = np.minimum(count.astype(np.int64), bits - 1).astype(a.dtype)
    found = a << most if left else a >> most
    if a.dtype.kind == "i" and not left:
        return found
    return np.where(count >= bits, a.dtype.type(0), found)


def funnel(low: np.ndarray, up: np.ndarray, count: np.ndarray, words: tuple[str, ...]
           ) -> np.ndarray:  # fmt: skip
    """32 bits out of 64 that are shifted."""
    n = np.minimum(count, 32) if "clamp" in words else count & np.uint32(31)
    both = up.astype(np.uint64) << np.uint64(32) | low.astype(np.uint64)
    if "l" in words:
        return (both << n.astype(np.uint64) >> np.uint64(32)).astype(np.uint32)
    return (both >> n.astype(np.uint64)).astype(np.uint32)


def logic3(a: np.ndarray, b: np.ndarray, c: np.ndarray, table: int) -> np.ndarray:
    """The bitwise function of three operands that a table of 8 bits gives."""
    out = np.zeros_like(a)
    for k in range(8):
        if table >> k & 1:
            terms = [x if k >> s & 1 else ~x for x, s in ((a, 2), (b, 1), (c, 0))]
            out |= terms[0] & terms[1] & terms[2]
    return out


def permuted(a: np.ndarray, b: np.ndarray, control: np.ndarray) -> np.ndarray:
    """prmt in its default mode: four bytes picked out of eight."""
    both = b.astype(np.uint64) << np.uint64(32) | a.astype(np.uint64)
    out = np.zeros_like(a)
    for k in range(4):
        pick = control >> np.uint32(4 * k) & np.uint32(15)
        byte = both >> (pick & np.uint32(7)).astype(np.uint64) * np.uint64(8) & np.uint64(255)
        sign = np.where(byte & np.uint64(128), np.uint64(255), np.uint64(0))
        byte = np.where(pick & np.uint32(8), sign, byte)
        out |= (byte << np.uint64(8 * k)).astype(np.uint32)
    return out


def extreme(a: np.ndarray, b: np.ndarray, words: tuple[str, ...]) -> np.ndarray:
    """min and max: the number where the other is NaN, but for ``.NaN``; -0 is below 0."""
    least = words[0] == "min"
    if a.dtype.kind != "f":
        return np.minimum(a, b) if least else np.maximum(a, b)
    if "NaN" in words:
        found = np.minimum(a, b) if least else np.maximum(a, b)
    else:
        found = np.fmin(a, b) if least else np.fmax(a, b)
    zero = (a == 0) & (b == 0)
    sign = np.signbit(a) | np.signbit(b) if least else np.signbit(a) & np.signbit(b)
    return np.where(zero, np.where(sign, a.dtype.type(-0.0), a.dtype.type(0.0)), found)


_COMPARE: dict[str, Callable[..., np.ndarray]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "lo": np.less, "ls": np.less_equal, "hi": np.greater,
    "hs": np.greater_equal,
}  # fmt: skip


def compared(word: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """setp: of floats ``ne`` is false with NaN, the words with u at the end are true."""
    strange = (a != a) | (b != b)
    if word == "num":
        return ~strange
    if word == "nan":
        return strange
    if a.dtype.kind == "f":
        if word.endswith("u") and word[:-1] in _COMPARE:
            return strange | _COMPARE[word[:-1]](a, b)
        return ~strange & _COMPARE[word](a, b)
    return _COMPARE[word](a, b)


_ROUND = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def converted(a: np.ndarray, to: Any, words: tuple[str, ...]) -> np.ndarray:
    """cvt: floats to integers saturate, NaN gives 0 (in 64 bits the sign alone)."""
    kind = np.dtype(to)
    mode = next((w for w in words if w in _ROUND), None)
    if a.dtype.kind == "f" and mode is not None:
        a = _ROUND[mode](a)
    if a.dtype.kind == "f" and kind.kind in "iu":
        info = np.iinfo(kind)
        low, up = a <= float(info.min), a >= float(info.max)
        strange = np.isnan(a)
        inside = np.where(low | up | strange, 0, a).astype(kind)
        found = np.where(low, info.min, np.where(up, info.max, inside)).astype(kind)
        none = np.uint64(1 << 63).astype(kind) if kind.itemsize == 8 else kind.type(0)
        return np.where(strange, none, found)
    if "sat" in words and kind.kind in "iu":
        info = np.iinfo(kind)
        a = np.clip(a, max(info.min, np.iinfo(a.dtype).min), min(info.max, np.iinfo(a.dtype).max))
    if a.dtype.kind == "f" and "sat" in words:
        a = np.clip(np.nan_to_num(a), 0, 1)
    return a.astype(kind)


# tensor cores: fragments of a warp, as the PTX manual lays them out -------------------------------


def fragments_product(a: np.ndarray, b: np.ndarray, c: np.ndarray, kind: str) -> np.ndarray:
    """mma of whole warps: registers by thread in, sums by thread out."""
    lane = np.arange(32)
    group, pair = lane // 4, lane % 4
    a, b, c = (x.reshape(-1, 32, x.shape[1]) for x in (a, b, c))
    left, right, sums = (np.zeros((len(a), *shape)) for shape in ((16, 16), (16, 8), (16, 8)))
    for k in range(4):
        rows, first = group + 8 * (k % 2), k // 2
        if kind == "tf32":
            left[:, rows, pair + 4 * first] = _tf32(a[:, :, k])
        else:
            for half in (0, 1):
                left[:, rows, 2 * pair + 8 * first + half] = _half(a[:, :, k], half, kind)
        sums[:, group + 8 * (k // 2), 2 * pair + k % 2] = c[:, :, k]
    for k in range(2):
        if kind == "tf32":
            right[:, pair + 4 * k, group] = _tf32(b[:, :, k])
        else:
            for half in (0, 1):
                right[:, 2 * pair + 8 * k + half, group] = _half(b[:, :, k], half, kind)
    total = (left @ right + sums).astype(np.float32)
    out = [total[:, group + 8 * (k // 2), 2 * pair + k % 2] for k in range(4)]
    return np.stack(out, axis=2).reshape(-1, 4)


def _tf32(x: np.ndarray) -> np.ndarray:
    """The upper 19 bits of a float32."""
    return (x & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)


def _half(x: np.ndarray, half: int, kind: str) -> np.ndarray:
    """The lower or upper 16 bits as a number."""
    bits = (x >> np.uint32(16 * half)).astype(np.uint16)
    if kind == "f16":
        return bits.view(np.float16).astype(np.float64)
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
