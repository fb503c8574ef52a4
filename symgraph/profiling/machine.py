"""What this machine can do at best: bytes and operations per second, for one thread and for all.

Measured once, in about half a second, and kept in the disk cache: streams that read and copy at
several footprints, and chains of independent fused multiply-adds, in LLVM text of our own.
"""

from __future__ import annotations

import ctypes
import functools
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph import config
from symgraph.codegen import llvm
from symgraph.executor import cached_object, load_code
from symgraph.runtime.cache import Key, open_cache

CHAINS = 12  # independent accumulators: latency 4 times two or three units
UNROLL = 4  # vectors in a turn of a stream
FOOTPRINTS = (1 << 15, 1 << 18, 1 << 21, 1 << 24, 1 << 27)  # bytes touched
SPAN, REPEATS = 4e-3, 3  # seconds of one measurement, of which the best counts
VERSION = "2"


def limits() -> dict[str, Any]:
    """For "1" and for the number of threads: ``bandwidth`` by bytes touched, ``float32`` and
    ``float64`` operations per second (a multiplication and an addition counting two)."""
    return _limits(config.get("num_threads"))


@functools.cache
def _limits(threads: int) -> dict[str, Any]:
    cache = open_cache()
    key = Key("limits", {
        "host": llvm.host_fingerprint(), "threads": str(threads), "version": VERSION,
    })  # fmt: skip
    found = cache.get(key) if cache is not None else None
    if found is not None:
        return dict(found.meta)
    measured: dict[str, Any] = {"threads": threads}
    for n in sorted({1, threads}):
        measured[str(n)] = _measure(n)
    one, all_ = measured["1"], measured[str(threads)]
    for dtype in ("float32", "float64"):  # a busy machine may say otherwise
        all_[dtype] = max(all_[dtype], one[dtype])
    for size, rate in one["bandwidth"].items():
        all_["bandwidth"][size] = max(all_["bandwidth"][size], rate)
    if cache is not None:
        cache.put(key, measured, {"object": b""})
    return measured


def of_threads(found: dict[str, Any], threads: int) -> dict[str, Any]:
    """The limits for a number of threads, or for one where they were not measured."""
    row: dict[str, Any] = found.get(str(threads)) or found["1"]
    return row


def bandwidth(row: dict[str, Any], footprint: float) -> float:
    """Bytes per second at a footprint, between the measured ones on a logarithmic scale.

    >>> row = {"bandwidth": {"1024": 100.0, "4096": 50.0}}
    >>> round(bandwidth(row, 2048))
    75
    """
    sizes = sorted(int(s) for s in row["bandwidth"])
    rates = [row["bandwidth"][str(s)] for s in sizes]
    return float(np.interp(math.log(max(footprint, 1)), np.log(sizes), rates))


def least_seconds(row: dict[str, Any], moved: float, flops: float, dtype: str) -> float:
    """The time that no program can beat here: of moving the bytes or of the arithmetic."""
    peak: float = row.get(dtype) or row["float64"]
    return max(moved / bandwidth(row, moved), flops / peak)


# measuring ----------------------------------------------------------------------------------------


def _measure(threads: int) -> dict[str, Any]:
    code = _kernels()
    bits = llvm.host().vector_bits
    row: dict[str, Any] = {"bandwidth": {}}
    for dtype, name, lanes in (("float32", "fma32", bits // 32), ("float64", "fma64", bits // 64)):
        chain = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address(name))
        turns = 1 << 17
        parts = [_aligned(1 << 16) for _ in range(threads)]
        for p in parts:
            p.view(dtype)[:] = 0.5
        calls = [functools.partial(chain, p.ctypes.data, turns) for p in parts]
        row[dtype] = 2.0 * lanes * CHAINS * turns * threads / _together(calls)
    for footprint in FOOTPRINTS:
        row["bandwidth"][str(footprint)] = max(
            _stream_rate(code, kind, footprint, threads, bits // 8) for kind in ("read", "copy")
        )
    return row


def _stream_rate(code: Any, kind: str, footprint: int, threads: int, width: int) -> float:
    """Bytes per second that the program asks for: a copy of n bytes counts 2 n."""
    kinds = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    function = ctypes.CFUNCTYPE(None, *kinds)(code.address(kind))
    each = 1 if kind == "read" else 2
    size = max(4096, footprint // threads // each // 4096 * 4096)
    turns = max(1, int(SPAN * 1.5e10 / (size * each)))
    parts = [(_aligned(4096 if each == 1 else size), _aligned(size)) for _ in range(threads)]
    calls = [
        functools.partial(function, a.ctypes.data, b.ctypes.data, size // width, turns)
        for a, b in parts
    ]
    return size * each * turns * threads / _together(calls)


def _together(calls: Sequence[Callable[[], None]]) -> float:
    """The best of some times from the common start of all calls to the end of the last."""
    seconds = []
    for _ in range(REPEATS):
        if len(calls) == 1:
            start = time.perf_counter()
            calls[0]()
            seconds.append(time.perf_counter() - start)
            continue
        gate = threading.Barrier(len(calls) + 1)
        workers = [threading.Thread(target=lambda c=c: (gate.wait(), c())) for c in calls]
        for w in workers:
            w.start()
        gate.wait()
        start = time.perf_counter()
        for w in workers:
            w.join()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _aligned(size: int) -> np.ndarray:
    """Touched bytes that begin at a multiple of 4096."""
    whole = np.ones(size + 4096, np.uint8)
    start = -whole.ctypes.data % 4096
    return whole[start : start + size]


def _kernels() -> Any:
    bits = llvm.host().vector_bits
    vector = f"<{bits // 32} x float>"
    text = "\n".join([
        _stream("read", vector, bits // 8, reads_only=True), _stream("copy", vector, bits // 8),
        _chains("fma32", "float", bits // 32), _chains("fma64", "double", bits // 64),
    ])  # fmt: skip
    blob = cached_object("runtime", {"module": text}, lambda: text)
    return load_code(blob, ["read", "copy", "fma32", "fma64"])


def _stream(name: str, vector: str, size: int, reads_only: bool = False) -> str:
    """``turns`` times: for i < n step UNROLL: target[i] = source[i]; a reader adds up instead."""
    own = range(UNROLL * reads_only)
    outer = "".join(
        f"  %o{k} = phi {vector} [zeroinitializer, %entry], [%t{k}, %next]\n" for k in own
    )
    inner = "".join(f"  %s{k} = phi {vector} [%o{k}, %turn], [%t{k}, %loop]\n" for k in own)
    lines = []
    for k in range(UNROLL):
        lines += [
            f"  %j{k} = add i64 %i, {k}",
            f"  %p{k} = getelementptr {vector}, ptr %b, i64 %j{k}",
            f"  %v{k} = load volatile {vector}, ptr %p{k}, align {size}",
        ]
        if reads_only:
            lines.append(f"  %t{k} = fadd {vector} %s{k}, %v{k}")
        else:
            lines += [
                f"  %q{k} = getelementptr {vector}, ptr %a, i64 %j{k}",
                f"  store volatile {vector} %v{k}, ptr %q{k}, align {size}",
            ]
    stored = "".join(
        f"  %g{k} = getelementptr {vector}, ptr %a, i64 {k}\n"
        f"  store {vector} %t{k}, ptr %g{k}, align {size}\n" for k in own
    )  # fmt: skip
    body = "\n".join(lines)
    return (
        f"define void @{name}(ptr %a, ptr %b, i64 %n, i64 %turns) {{\nentry:\n  br label %turn\n"
        f"turn:\n  %r = phi i64 [0, %entry], [%r1, %next]\n{outer}  br label %loop\n"
        f"loop:\n  %i = phi i64 [0, %turn], [%i1, %loop]\n{inner}{body}\n"
        f"  %i1 = add i64 %i, {UNROLL}\n  %more = icmp slt i64 %i1, %n\n"
        f"  br i1 %more, label %loop, label %next\n"
        f"next:\n  %r1 = add i64 %r, 1\n  %again = icmp slt i64 %r1, %turns\n"
        f"  br i1 %again, label %turn, label %done\ndone:\n{stored}  ret void\n}}"
    )


def _chains(name: str, element: str, lanes: int) -> str:
    """n turns of CHAINS accumulators: acc = fma(acc, x, y); they are stored at the end."""
    vector = f"<{lanes} x {element}>"
    kind = f"v{lanes}f{32 if element == 'float' else 64}"
    every = range(CHAINS)
    phis = "".join(f"  %a{k} = phi {vector} [%x, %entry], [%b{k}, %loop]\n" for k in every)
    steps = "".join(
        f"  %b{k} = call {vector} @llvm.fma.{kind}({vector} %a{k}, {vector} %x, {vector} %y)\n"
        for k in every
    )
    stores = "".join(
        f"  %g{k} = getelementptr {vector}, ptr %o, i64 {k}\n"
        f"  store {vector} %b{k}, ptr %g{k}, align 4\n" for k in every
    )  # fmt: skip
    return (
        f"declare {vector} @llvm.fma.{kind}({vector}, {vector}, {vector})\n"
        f"define void @{name}(ptr %o, i64 %n) {{\nentry:\n  %x = load {vector}, ptr %o, align 4\n"
        f"  %yp = getelementptr {vector}, ptr %o, i64 1\n  %y = load {vector}, ptr %yp, align 4\n"
        f"  br label %loop\nloop:\n  %i = phi i64 [0, %entry], [%next, %loop]\n{phis}{steps}"
        f"  %next = add i64 %i, 1\n  %more = icmp slt i64 %next, %n\n"
        f"  br i1 %more, label %loop, label %done\ndone:\n{stores}  ret void\n}}"
    )
