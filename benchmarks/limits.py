"""What the machine can do, measured: memory bandwidth, fused multiply-adds, first touch of memory.

`python benchmarks/limits.py [--cores 1] [--json FILE]`. The kernels are LLVM text of our own, so
that nothing stands between the figure and the hardware: streams that read, copy with plain and with
non-temporal stores, and chains of independent fused multiply-adds. Each thread works on its part.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import describe, use_cores

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from symgraph.codegen import llvm

CHAINS = 12  # independent accumulators: latency 4 times two or three units
UNROLL = 4  # vectors in a turn of a stream
FOOTPRINTS = tuple(1 << k for k in range(15, 29))  # bytes touched, 32 KiB to 256 MiB


class Kernels(NamedTuple):
    """Native functions: streams (target, source, vectors) and chains (target, turns)."""

    read: Callable[..., None]
    copy: Callable[..., None]
    copy_nontemporal: Callable[..., None]
    fma32: Callable[..., None]
    fma64: Callable[..., None]
    bits: int
    keep: Any


def kernels() -> Kernels:
    """Write and compile the kernels for this host."""
    bits = llvm.host().vector_bits
    vector = f"<{bits // 32} x float>"
    text = "\n".join([
        _stream("read", vector, bits // 8, reads_only=True),
        _stream("copy", vector, bits // 8),
        _stream("copy_nontemporal", vector, bits // 8, hint=", !nontemporal !0"),
        _chains("fma32", "float", bits // 32), _chains("fma64", "double", bits // 64),
        "!0 = !{i32 1}",
    ])  # fmt: skip
    names = ["read", "copy", "copy_nontemporal", "fma32", "fma64"]
    library = llvm.load_orc(llvm.compile_object(text), names)
    kinds = [[ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]] * 3
    kinds += [[ctypes.c_void_p, ctypes.c_int64]] * 2
    made = [
        ctypes.CFUNCTYPE(None, *kind)(library.address(name))
        for name, kind in zip(names, kinds, strict=True)
    ]
    return Kernels(*made, bits, library)


def _stream(name: str, vector: str, size: int, reads_only: bool = False, hint: str = "") -> str:
    """for i < n step UNROLL: target[i] = source[i]; a reader adds into accumulators instead."""
    carried = "".join(
        f"  %s{k} = phi {vector} [ zeroinitializer, %entry ], [ %t{k}, %loop ]\n"
        for k in range(UNROLL * reads_only)
    )
    lines = []
    for k in range(UNROLL):
        lines += [
            f"  %j{k} = add i64 %i, {k}",
            f"  %p{k} = getelementptr {vector}, ptr %b, i64 %j{k}",
            f"  %v{k} = load {vector}, ptr %p{k}, align {size}",
        ]
        if reads_only:
            lines.append(f"  %t{k} = fadd {vector} %s{k}, %v{k}")
        else:
            lines += [
                f"  %q{k} = getelementptr {vector}, ptr %a, i64 %j{k}",
                f"  store {vector} %v{k}, ptr %q{k}, align {size}{hint}",
            ]
    body = "\n".join(lines)
    last = "".join(
        f"  %g{k} = getelementptr {vector}, ptr %a, i64 {k}\n"
        f"  store {vector} %t{k}, ptr %g{k}, align {size}\n"
        for k in range(UNROLL * reads_only)
    )
    return (
        f"define void @{name}(ptr %a, ptr %b, i64 %n) {{\nentry:\n  br label %loop\nloop:\n"
        f"  %i = phi i64 [ 0, %entry ], [ %next, %loop ]\n{carried}{body}\n"
        f"  %next = add i64 %i, {UNROLL}\n  %more = icmp slt i64 %next, %n\n"
        f"  br i1 %more, label %loop, label %done\ndone:\n{last}  ret void\n}}"
    )


def _chains(name: str, element: str, lanes: int) -> str:
    """n turns of CHAINS accumulators: acc = fma(acc, x, y); they are stored at the end."""
    vector = f"<{lanes} x {element}>"
    kind = f"v{lanes}f{32 if element == 'float' else 64}"
    phis = "".join(
        f"  %a{k} = phi {vector} [ %x, %entry ], [ %b{k}, %loop ]\n" for k in range(CHAINS)
    )
    steps = "".join(
        f"  %b{k} = call {vector} @llvm.fma.{kind}({vector} %a{k}, {vector} %x, {vector} %y)\n"
        for k in range(CHAINS)
    )
    stores = "".join(
        f"  %g{k} = getelementptr {vector}, ptr %o, i64 {k}\n"
        f"  store {vector} %b{k}, ptr %g{k}, align 4\n"
        for k in range(CHAINS)
    )
    return (
        f"declare {vector} @llvm.fma.{kind}({vector}, {vector}, {vector})\n"
        f"define void @{name}(ptr %o, i64 %n) {{\nentry:\n  %x = load {vector}, ptr %o, align 4\n"
        f"  %yp = getelementptr {vector}, ptr %o, i64 1\n  %y = load {vector}, ptr %yp, align 4\n"
        f"  br label %loop\nloop:\n  %i = phi i64 [ 0, %entry ], [ %next, %loop ]\n{phis}{steps}"
        f"  %next = add i64 %i, 1\n  %more = icmp slt i64 %next, %n\n"
        f"  br i1 %more, label %loop, label %done\ndone:\n{stores}  ret void\n}}"
    )


def aligned(size: int) -> np.ndarray:
    """Touched bytes that begin at a multiple of 4096."""
    whole = np.ones(size + 4096, np.uint8)
    start = -whole.ctypes.data % 4096
    return whole[start : start + size]


def together(calls: list[Callable[[], None]]) -> float:
    """Seconds from the common start of one thread per call to the end of the last. Each thread is
    bound to a processor, as two of them may else share one for a while."""
    gate = threading.Barrier(len(calls) + 1)
    bind = getattr(os, "sched_setaffinity", lambda *_: None)
    places = sorted(getattr(os, "sched_getaffinity", lambda _: {0})(0))

    def work(k: int, call: Callable[[], None]) -> None:
        bind(0, {places[k % len(places)]})
        gate.wait()
        call()

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(calls)]
    for t in threads:
        t.start()
    gate.wait()
    start = time.perf_counter()
    for t in threads:
        t.join()
    return time.perf_counter() - start


def stream(k: Kernels, kind: str, footprint: int, threads: int, repeats: int = 5) -> float:
    """Bytes per second that the program asks for: a copy of n bytes counts 2 n."""
    reads_only = kind == "read"
    size = footprint // threads // (1 if reads_only else 2) // 4096 * 4096 or 4096
    function, width = getattr(k, kind), k.bits // 8
    parts = [(aligned(size), aligned(size)) for _ in range(threads)]
    turns = max(1, int(2e-2 * 2e10 / (size * threads)))  # about 20 ms

    def work(a: np.ndarray, b: np.ndarray) -> Callable[[], None]:
        at, source, count = a.ctypes.data, b.ctypes.data, size // width
        return lambda: [function(at, source, count) for _ in range(turns)] and None

    calls = [work(a, b) for a, b in parts]
    seconds = [together(calls) for _ in range(repeats + 1)][1:]
    return size * threads * turns * (1 if reads_only else 2) / min(seconds)


def multiply_adds(k: Kernels, dtype: str, threads: int, repeats: int = 5) -> float:
    """Operations per second, a multiplication and an addition counting two."""
    function, turns = (k.fma32, k.fma64)[dtype == "float64"], 1_000_000
    arrays = [np.full(8192, 0.5, dtype) for _ in range(threads)]
    calls = [lambda a=a: function(a.ctypes.data, turns) for a in arrays]
    seconds = min([together(calls) for _ in range(repeats + 1)][1:])
    lanes = k.bits // (32 if dtype == "float32" else 64)
    return 2.0 * lanes * CHAINS * turns * threads / seconds


def first_touch(size: int = 80 << 20, repeats: int = 3) -> float:
    """Seconds until fresh memory of this size has been written once."""
    seconds = []
    for _ in range(repeats):
        with mmap.mmap(-1, size) as fresh:
            start = time.perf_counter()
            ctypes.memset((ctypes.c_char * size).from_buffer(fresh), 1, size)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(threads: int, quick: bool = False) -> dict[str, Any]:
    """All limits. ``bandwidth`` maps bytes touched to the better of both copies there."""
    k = kernels()
    sizes = FOOTPRINTS[::3] if quick else FOOTPRINTS
    repeats = 2 if quick else 5
    largest = FOOTPRINTS[-1]
    out: dict[str, Any] = {
        "threads": threads,
        "fma_float32": multiply_adds(k, "float32", threads, repeats),
        "fma_float64": multiply_adds(k, "float64", threads, repeats),
        "stream_read": stream(k, "read", largest, threads, repeats),
        "stream_plain": stream(k, "copy", largest, threads, repeats),
        "stream_nontemporal": stream(k, "copy_nontemporal", largest, threads, repeats),
        "first_touch_80MB": first_touch(repeats=1 if quick else 3),
        "bandwidth": {},
    }
    for size in sizes:
        found = [stream(k, kind, size, threads, repeats) for kind in ("read", "copy")]
        out["bandwidth"][str(size)] = max(found)
    top = str(largest)
    out["bandwidth"][top] = max(
        out["bandwidth"].get(top, 0.0), out["stream_nontemporal"], out["stream_read"]
    )
    return out


def bandwidth(limits: dict[str, Any], footprint: float) -> float:
    """Bytes per second at a footprint, between the measured ones on a logarithmic scale."""
    sizes = sorted(int(s) for s in limits["bandwidth"])
    rates = [limits["bandwidth"][str(s)] for s in sizes]
    return float(np.interp(np.log(max(footprint, 1)), np.log(sizes), rates))


def least_seconds(limits: dict[str, Any], touched: float, flops: float, dtype: str) -> float:
    """The time that no program can beat here: of moving the bytes or of the arithmetic."""
    moving = touched / bandwidth(limits, touched)
    return max(moving, flops / limits[f"fma_{dtype}"])


def text(limits: dict[str, Any]) -> str:
    """The limits for a reader."""
    giga = {k: v / 1e9 for k, v in limits.items() if k.startswith(("fma", "stream"))}
    steps = ", ".join(
        f"{int(s) / 2**20:.3g} MiB {r / 1e9:.0f}" for s, r in limits["bandwidth"].items()
    )
    return (
        f"threads {limits['threads']}: fused multiply-adds {giga['fma_float32']:.0f} GFLOP/s in "
        f"float32, {giga['fma_float64']:.0f} in float64\n"
        f"streams in memory, GB/s: read {giga['stream_read']:.1f}, copy {giga['stream_plain']:.1f},"
        f" with non-temporal stores {giga['stream_nontemporal']:.1f}\n"
        f"bandwidth by bytes touched, GB/s: {steps}\n"
        f"first touch of 80 MB: {1e3 * limits['first_touch_80MB']:.1f} ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cores", type=int, help="use only so many cores")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and repeats")
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    options = parser.parse_args()
    use_cores(options.cores)
    limits = measure(int(describe()["cores"]), options.quick)
    print(text(limits))
    if options.json:
        Path(options.json).write_text(
            json.dumps({"machine": describe(), "limits": limits}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
