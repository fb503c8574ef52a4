"""The CUDA target on this machine's GPU, in a few minutes: `python -m benchmarks.cuda`.

Rates of copying, elementwise loops, reductions, softmax and products with arguments on the device,
an MLP's training step, the cost of a launch and of the first call. Times are the medians of events
on the stream, of blocks of calls for what is short. Every result is compared with NumPy's first.
The figures go to benchmarks/results/cuda_<device>.json.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import symgraph as sg
from benchmarks.machine import describe
from symgraph.errors import TargetError
from symgraph.runtime.cuda.array import upload
from symgraph.runtime.cuda.device import Device, device

LIMIT = 450.0  # seconds for everything
RESULTS = Path(__file__).parent.parent / "results"
MEGA = 1 << 20
_rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape, dtype="float32")


def seconds(gpu: Device, work: Callable[[], Any], block: int = 20, blocks: int = 7) -> float:
    """The median time of one call, by events around blocks of them."""
    driver, found = gpu.driver, []
    work()
    gpu.synchronize()
    start, end = driver.event(), driver.event()
    for _ in range(blocks):
        driver.record(start, gpu.stream)
        for _ in range(block):
            work()
        driver.record(end, gpu.stream)
        found.append(driver.elapsed(start, end) / 1000 / block)
    driver.destroy_event(start)
    driver.destroy_event(end)
    return statistics.median(found)


def measured(
    gpu: Device, f: Any, arrays: list[np.ndarray], expected: Callable[[], Any], rtol: float = 1e-4,
    block: int = 20,
) -> float:  # fmt: skip
    """Seconds of a call on arrays of the device, after its result has been compared."""
    given = [upload(gpu, a) for a in arrays]
    wanted = expected()
    np.testing.assert_allclose(f.on_device(*given).numpy(), wanted, rtol=rtol,
                               atol=rtol * float(np.abs(wanted).max()))  # fmt: skip
    return seconds(gpu, lambda: f.on_device(*given), block)


def copies(gpu: Device) -> dict[str, float]:
    """GB/s on the device (bytes read and written) and between host and device."""
    size = 1 << 29
    a, b = gpu.pool.take(size), gpu.pool.take(size)
    host = np.ones(64 * MEGA, np.uint8)
    inside = seconds(gpu, lambda: gpu.driver.copy(b.address, a.address, size, gpu.stream))
    place = host.ctypes.data
    up = seconds(gpu, lambda: gpu.driver.to_device(a.address, place, host.size, gpu.stream), 3)
    down = seconds(gpu, lambda: gpu.driver.to_host(place, a.address, host.size, gpu.stream), 3)
    return {"device GB/s": 2 * size / inside / 1e9, "to device GB/s": host.size / up / 1e9,
            "to host GB/s": host.size / down / 1e9}  # fmt: skip


def elementwise(gpu: Device) -> dict[str, float]:
    """GB/s of x * y + 1 and of a long chain of functions."""
    x, y = sg.vector("x", dtype="float32"), sg.vector("y", dtype="float32")
    a, b = normal(64 * MEGA), normal(64 * MEGA)
    plain = sg.compile([x, y], x * y + 1, target="cuda")
    chain = sg.compile([x, y], sg.tanh(x) * sg.exp(-y * y) + sg.sin(x + y), target="cuda")
    first = measured(gpu, plain, [a, b], lambda: a * b + 1)
    second = measured(gpu, chain, [a, b], lambda: np.tanh(a) * np.exp(-b * b) + np.sin(a + b))
    moved = 3 * a.nbytes / 1e9
    return {"x*y+1 GB/s": moved / first, "tanh exp sin GB/s": moved / second}


def reductions(gpu: Device) -> dict[str, float]:
    """GB/s that are read by sums of everything, of rows and of columns, and by softmax."""
    x = sg.matrix("x", dtype="float32")
    a = normal(16384, 4096)
    wide = a.astype("float64")
    cases: dict[str, tuple[Any, Callable[[], Any], int]] = {
        "sum": (x.sum(), lambda: wide.sum(), 1),
        "rows": (x.sum(axis=1), lambda: wide.sum(axis=1), 1),
        "columns": (x.sum(axis=0), lambda: wide.sum(axis=0), 1),
        "softmax": (sg.nn.softmax(x, axis=1), lambda: _softmax(wide), 2),
    }
    found = {}
    for name, (y, expected, passes) in cases.items():
        f = sg.compile([x], y, target="cuda")
        found[f"{name} GB/s"] = passes * a.nbytes / measured(gpu, f, [a], expected) / 1e9
    return found


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def products(gpu: Device) -> dict[str, float]:
    """TFLOP/s of float32 products in IEEE arithmetic."""
    x, y = sg.matrix("x", dtype="float32"), sg.matrix("y", dtype="float32")
    f = sg.compile([x, y], x @ y, target="cuda")
    found = {}
    for n in (512, 2048, 4096):
        a, b = normal(n, n), normal(n, n)
        spent = measured(gpu, f, [a, b], lambda a=a, b=b: a @ b, 1e-4, 5)  # type: ignore[misc]
        found[f"{n} TFLOP/s"] = 2 * n**3 / spent / 1e12
    return found


def training(gpu: Device) -> dict[str, float]:
    """Microseconds of a training step of an MLP 784-512-512-10 on batches of 256."""
    x, t = sg.matrix("x", dtype="float32"), sg.vector("t", dtype="int64")
    sizes = (784, 512, 512, 10)
    weights = [sg.shared(normal(m, n) / np.float32(np.sqrt(m)), f"w{m}")
               for m, n in itertools.pairwise(sizes)]  # fmt: skip
    h = x
    for w in weights[:-1]:
        h = sg.maximum(h @ w, 0)
    chances = sg.nn.log_softmax(h @ weights[-1], axis=1)
    loss = -sg.mean(sg.take_along_axis(chances, t[:, None], axis=1))
    slopes = sg.grad(loss, weights)
    updates = {w: w - 0.01 * g for w, g in zip(weights, slopes, strict=True)}
    f = sg.compile([x, t], loss, updates=updates, target="cuda")
    batch = [upload(gpu, normal(256, 784)), upload(gpu, _rng.integers(0, 10, 256))]
    first = float(f(*batch))
    spent = seconds(gpu, lambda: f.on_device(*batch), 50)
    if not float(f(*batch)) < first:
        raise RuntimeError("the training step does not lower its loss")
    return {"step us": spent * 1e6, "kernels": float(f.statistics["kernels"])}


def launches(gpu: Device) -> dict[str, float]:
    """Microseconds of small calls: on the stream, as the host sees them, with NumPy in and out."""
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], x + 1, target="cuda")
    small = normal(16)
    given = upload(gpu, small)
    on_stream = seconds(gpu, lambda: f.on_device(given), 500)
    start = time.perf_counter()
    for _ in range(1000):
        f.on_device(given)
    host = (time.perf_counter() - start) / 1000
    gpu.synchronize()
    start = time.perf_counter()
    for _ in range(1000):
        f(small)
    whole = (time.perf_counter() - start) / 1000
    return {"stream us": on_stream * 1e6, "host us": host * 1e6, "numpy us": whole * 1e6}


def first_call(gpu: Device) -> dict[str, float]:
    """Milliseconds from an expression nobody has compiled before to its result."""
    x = sg.vector("x", dtype="float32")
    number = float(time.time() % 1)
    start = time.perf_counter()
    f = sg.compile([x], sg.nn.softmax(sg.tanh(x) * number), target="cuda")
    compiled = time.perf_counter()
    f(normal(1000))
    return {
        "compile ms": 1e3 * (compiled - start),
        "call ms": 1e3 * (time.perf_counter() - compiled),
    }


PARTS = (first_call, launches, copies, elementwise, reductions, products, training)


def main() -> int:
    """Run everything that fits the time; write what was found."""
    try:
        gpu = device()
    except TargetError as error:
        print(error.report())
        return 2
    p = gpu.driver.properties
    known: dict[str, Any] = {"gpu": p.name, "capability": list(p.capability),
                             "driver": gpu.driver.kind, **describe()}  # fmt: skip
    print(known)
    begin = time.perf_counter()
    for part in PARTS:
        if time.perf_counter() - begin > LIMIT:
            known[part.__name__] = "left out: no time"
            continue
        try:
            known[part.__name__] = {k: round(v, 3) for k, v in part(gpu).items()}
        except Exception as error:  # one part must not cost the figures of the others
            known[part.__name__] = f"failed: {error}"
        print(part.__name__, known[part.__name__], flush=True)
        gpu.pool.release()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"cuda_{p.name.replace(' ', '_')}.json"
    path.write_text(json.dumps(known, indent=2) + "\n")
    print(path)
    return int(any(isinstance(v, str) and v.startswith("failed") for v in known.values()))


if __name__ == "__main__":
    sys.exit(main())
