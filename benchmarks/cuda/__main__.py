"""The CUDA target on this machine's GPU, in less than eight minutes: `python -m benchmarks.cuda`.

Rates of copying, elementwise loops, reductions, rows, products; training steps of an MLP, LeNet, a
ResNet block, an LSTM and attention; factorizations, transforms, convolutions; the cost of a launch,
of a small step and of the first call; with NVIDIA's libraries, where installed, and without;
beside CuPy, JAX, PyTorch (with and without torch.compile) and Triton as far as they are installed.
Arguments and results stay on the device. A time is the median of blocks of calls, each block begun
and ended by waiting for the GPU. Results of single kernels are compared with NumPy's first.

The figures go to benchmarks/results/cuda_<device>.json, with date, device and driver, and to the
screen as a table. With --dry-run everything runs with tiny sizes on an emulated device, PyTorch and
JAX, where --peers names them, on the CPU; that says nothing about speed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import symgraph as sg
from benchmarks.cuda import factors, kernels, words
from benchmarks.cuda.models import MODELS
from benchmarks.machine import describe
from symgraph import config
from symgraph.errors import TargetError
from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.array import upload
from symgraph.runtime.cuda.device import Device, device, using

LIMIT = 430.0  # seconds after which nothing more is begun
RESULTS = Path(__file__).parent.parent / "results"
PEERS = ("cupy", "jax", "torch", "triton")
ALONE = "own kernels"  # symgraph without NVIDIA's libraries
Figures = dict[str, dict[str, float | str]]


class Bench:
    """Measures, and keeps what was found: for each work the contenders' figures."""

    def __init__(self, gpu: Device, tiny: bool, peers: Sequence[str], limit: float) -> None:
        self.gpu, self.tiny, self.peers = gpu, tiny, peers
        self.found: dict[str, Figures] = {}
        self.end = time.perf_counter() + limit
        self.with_libraries = tiny or bool(libraries.names())

    @property
    def late(self) -> bool:
        return time.perf_counter() > self.end

    def seconds(self, call: Callable[[], Any], wait: Callable[[], Any]) -> float:
        """The median time of a call in blocks of about 30 ms."""
        self._block(call, wait, 1)
        if self.tiny:
            return self._block(call, wait, 1)
        once = self._block(call, wait, 3)
        count = max(1, min(2000, int(0.03 / max(once, 1e-7))))
        return statistics.median(self._block(call, wait, count) for _ in range(5))

    def _block(self, call: Callable[[], Any], wait: Callable[[], Any], count: int) -> float:
        wait()
        start = time.perf_counter()
        for _ in range(count):
            last = call()
        wait() if wait is not _of_result else last.block_until_ready()
        return (time.perf_counter() - start) / count

    def note(self, part: str, work: str, contender: str, measure: Callable[[], float]) -> None:
        """Keep a figure, or why there is none: one must not cost the others."""
        row = self.found.setdefault(part, {}).setdefault(work, {})
        if self.late:
            row[contender] = "left out: no time"
            return
        try:
            row[contender] = float(f"{measure():.4g}")
            self.gpu.pool.release()
        except LookupError as error:  # there is no such thing to measure
            row[contender] = f"none: {error}"
        except Exception as error:
            row[contender] = f"failed: {type(error).__name__}: {str(error)[:200]}"
        print(f"{part:12s} {work:24s} {contender:14s} {row[contender]}", flush=True)


def _of_result() -> None:
    """Nothing: JAX waits for a result, not for the device."""


def _of_nothing() -> None:
    """A CPU has done what it was asked for."""


def waiting(contender: str, gpu: Device) -> Callable[[], Any]:
    """What waits for all that a contender has begun."""
    if contender.startswith(("torch", "triton")):
        if words.DEVICE == "cpu":
            return _of_nothing
        return importlib.import_module("torch").cuda.synchronize  # type: ignore[no-any-return]
    if contender == "cupy":
        return importlib.import_module("cupy").cuda.get_current_stream().synchronize  # type: ignore[no-any-return]
    return _of_result if contender == "jax" else gpu.synchronize


# parts --------------------------------------------------------------------------------------------


def copies(bench: Bench) -> None:
    """GB/s on the device (bytes read and written) and between host and device."""
    gpu, size = bench.gpu, 1 << (12 if bench.tiny else 29)
    a, b = gpu.pool.take(size), gpu.pool.take(size)
    host = np.ones(min(size, 1 << 26), np.uint8)
    place, driver, stream = host.ctypes.data, gpu.driver, gpu.stream
    works: dict[str, tuple[Callable[[], Any], int]] = {
        "device to device": (lambda: driver.copy(b.address, a.address, size, stream), 2 * size),
        "to the device": (
            lambda: driver.to_device(a.address, place, host.size, stream), host.size),
        "to the host": (lambda: driver.to_host(place, a.address, host.size, stream), host.size),
    }  # fmt: skip
    for name, (call, moved) in works.items():
        bench.note(
            "copy GB/s",
            name,
            "symgraph",
            lambda c=call, m=moved: m / bench.seconds(c, gpu.synchronize) / 1e9,  # type: ignore[misc]
        )


def single(bench: Bench) -> None:
    """GB/s and TFLOP/s of single kernels."""
    for name, work in kernels.works(bench.tiny).items():
        arrays = work.arrays()
        part = "GB/s" if work.unit == "GB/s" else "TFLOP/s"
        scale = work.amount / (1e9 if part == "GB/s" else 1e12)

        def own(by_library: bool) -> float:
            inputs = [sg.tensor(f"x{k}", dtype="float32", shape=a.shape)
                      for k, a in enumerate(arrays)]  # fmt: skip
            with config.change(products=work.products, libraries=by_library):
                f = sg.compile(inputs, work.formula(kernels.Symgraph, *inputs), target="cuda")
            given = [upload(bench.gpu, a) for a in arrays]
            _compare(f.on_device(*given).numpy(), work, arrays)
            return scale / bench.seconds(lambda: f.on_device(*given), bench.gpu.synchronize)

        bench.note(part, name, "symgraph", lambda: own(True))
        if work.unit == "FLOP/s" and bench.with_libraries:
            bench.note(part, name, ALONE, lambda: own(False))
        for peer, make in kernels.PEERS.items():
            if peer.split(".")[0] in bench.peers:
                bench.note(part, name, peer, lambda m=make, p=peer: scale / bench.seconds(  # type: ignore[misc]
                    m(work, arrays), waiting(p, bench.gpu)))  # fmt: skip
        if "triton" in bench.peers and name in ("x*y+1", "softmax"):
            made = importlib.import_module("benchmarks.cuda.triton_kernels").calls(name, arrays)
            bench.note(part, name, "triton", lambda c=made: scale / bench.seconds(  # type: ignore[misc]
                c, waiting("triton", bench.gpu)))  # fmt: skip


def _compare(found: np.ndarray, work: kernels.Work, arrays: list[np.ndarray]) -> None:
    """Raise where a result is not NumPy's; of large products a few rows are enough."""
    wide = [a.astype("float64") for a in arrays] if arrays[0].size < 1 << 25 else arrays
    if work.unit == "FLOP/s":
        wide, found = [wide[0][:64], wide[1]], found[:64]
    wanted = np.asarray(work.formula(kernels.Numpy(np), *wide))
    scale = float(np.abs(wanted).max())
    np.testing.assert_allclose(found, wanted, rtol=work.rtol, atol=work.rtol * scale)


def training(bench: Bench) -> None:
    """Microseconds of training steps."""
    for name, make in MODELS.items():
        model = make(bench.tiny)

        def own(contender: str) -> float:
            with config.change(libraries=contender != ALONE):
                step, f = words.in_symgraph(model, lambda a: upload(bench.gpu, a))
            first = float(step().numpy())
            spent = bench.seconds(step, bench.gpu.synchronize)
            if not float(step().numpy()) < first:
                raise RuntimeError("the training step does not lower its loss")
            row = bench.found["step us"][name]
            if contender != ALONE:
                row["kernels"] = float(f.statistics["kernels"])
            return 1e6 * spent

        bench.note("step us", name, "symgraph", lambda: own("symgraph"))
        if bench.with_libraries:
            bench.note("step us", name, ALONE, lambda: own(ALONE))
        for peer, build in (
            ("torch", lambda m=model: words.in_torch(m, False)),  # type: ignore[misc]
            ("torch.compile", lambda m=model: words.in_torch(m, True)),  # type: ignore[misc]
            ("jax", lambda m=model: words.in_jax(m)),  # type: ignore[misc]
        ):
            if peer.split(".")[0] in bench.peers:
                bench.note("step us", name, peer, lambda b=build, p=peer: 1e6 * bench.seconds(  # type: ignore[misc]
                    b(), waiting(p, bench.gpu)))  # fmt: skip


def routines(bench: Bench) -> None:
    """Milliseconds of linear algebra, Fourier transforms and convolutions."""
    for name, work in factors.works(bench.tiny).items():

        def own(by_library: bool) -> float:
            arrays = work.arrays()
            inputs = [sg.tensor(f"x{k}", dtype=str(a.dtype), shape=a.shape)
                      for k, a in enumerate(arrays)]  # fmt: skip
            with config.change(libraries=by_library):
                f = sg.compile(inputs, work.call(factors.Symgraph, *inputs), target="cuda")
            given = [upload(bench.gpu, a) for a in arrays]
            _agree(f.on_device(*given).numpy(), factors.reference(work))
            return 1e3 * bench.seconds(lambda: f.on_device(*given), bench.gpu.synchronize)

        bench.note("ms", name, "symgraph", lambda: own(True))
        if bench.with_libraries:
            bench.note("ms", name, ALONE, lambda: own(False))
        for peer, make in factors.PEERS.items():
            if peer in bench.peers:
                bench.note("ms", name, peer, lambda m=make, p=peer: 1e3 * bench.seconds(  # type: ignore[misc]
                    m(work), waiting(p, bench.gpu)))  # fmt: skip


def _agree(found: np.ndarray, wanted: np.ndarray) -> None:
    """Raise where a result is not NumPy's, but for signs of factors."""
    if found.ndim == 2 and np.allclose(found, np.triu(found)):
        found, wanted = np.abs(found), np.abs(wanted)
    found = found[: len(wanted)]
    np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-3 * float(np.abs(wanted).max()))


def launches(bench: Bench) -> None:
    """Microseconds of small calls: as the host sees them, with waiting, with NumPy in and out; of a
    chain of launches, each."""
    x = sg.vector("x", dtype="float32")
    small = np.ones(16, "float32")
    given = upload(bench.gpu, small)
    f = sg.compile([x], x + 1, target="cuda")
    chain: Any = x
    length = 3 if bench.tiny else 100
    for _ in range(length):
        chain = sg.cumsum(chain)  # which is not fused with the next
    many = sg.compile([x], chain, target="cuda")
    wait = bench.gpu.synchronize
    works: dict[str, Callable[[], float]] = {
        "call": lambda: bench.seconds(lambda: f.on_device(given), wait),
        "call and wait": lambda: bench.seconds(
            lambda: f.on_device(given).block_until_ready(), wait),
        "NumPy in and out": lambda: bench.seconds(lambda: f(small), wait),
        "launch in a chain": lambda: bench.seconds(lambda: many.on_device(given), wait) / length,
    }  # fmt: skip
    for name, measure in works.items():
        bench.note("launch us", name, "symgraph", lambda m=measure: 1e6 * m())  # type: ignore[misc]
    if "torch" in bench.peers:
        torch: Any = importlib.import_module("torch")
        t = torch.ones(16, device=words.DEVICE)
        wait = waiting("torch", bench.gpu)
        bench.note("launch us", "call", "torch", lambda: 1e6 * bench.seconds(lambda: t + 1, wait))


def first_call(bench: Bench) -> None:
    """Milliseconds from an expression that nobody has compiled before to its result."""
    x = sg.vector("x", dtype="float32")
    y = sg.nn.softmax(sg.tanh(x) * float(time.time() % 1))
    array = np.ones(40 if bench.tiny else 1000, "float32")

    def whole() -> float:
        start = time.perf_counter()
        sg.compile([x], y, target="cuda")(array)
        return 1e3 * (time.perf_counter() - start)

    bench.note("first ms", "new program", "symgraph", whole)
    bench.note("first ms", "known program", "symgraph", whole)


PARTS = (first_call, launches, copies, single, training, routines)


# the report ---------------------------------------------------------------------------------------


def table(found: dict[str, Figures]) -> str:
    """The figures as a table in Markdown, a row for each work."""
    names = dict.fromkeys(n for part in found.values() for row in part.values() for n in row)
    lines = [f"| | | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for part, works in found.items():
        for work, row in works.items():
            cells = [_cell(row.get(n, "")) for n in names]
            lines.append(f"| {part} | {work} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float | str) -> str:
    return value.split(":")[0] if isinstance(value, str) else f"{value:.4g}"


def installed() -> list[str]:
    return [p for p in PEERS if importlib.util.find_spec(p) is not None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything that fits the time; write what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="tiny, on an emulated device")
    parser.add_argument("--peers", nargs="*", choices=PEERS, help="with these, if installed")
    parser.add_argument("--no-peers", action="store_true", help="symgraph alone")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the results")
    given = parser.parse_args(arguments)
    if given.dry_run:
        emulated: Any = importlib.import_module("tests.cuda.fake_driver")
        words.DEVICE = "cpu"
        with using(emulated.FakeDriver(1 << 28)) as gpu:
            return _measured(Bench(gpu, True, given.peers or (), given.limit), given.out)
    try:
        gpu = device()
    except TargetError as error:
        print(error.report())
        return 2
    wanted = PEERS if given.peers is None else given.peers
    peers = [] if given.no_peers else [p for p in installed() if p in wanted]
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would take most of it
    return _measured(Bench(gpu, False, peers, given.limit), given.out)


def _measured(bench: Bench, folder: Path) -> int:
    p = bench.gpu.driver.properties
    begin = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cuda_{p.name.replace(' ', '_')}.json"
    machine = describe()
    for part in PARTS:
        part(bench)  # what there is by now is kept, whatever becomes of the next part
        about: dict[str, Any] = {
            "gpu": p.name, "capability": list(p.capability), "memory": p.memory,
            "driver": bench.gpu.driver.kind, "libraries": libraries.names(),
            "peers": list(bench.peers), "dry": bench.tiny,
            "seconds": round(time.perf_counter() - begin, 1), **machine,
        }  # fmt: skip
        path.write_text(json.dumps({"about": about, "figures": bench.found}, indent=2) + "\n")
    print(f"\n{table(bench.found)}\n\n{about}\n{path}")
    rows = [row for part in bench.found.values() for row in part.values()]
    return int(any(str(v).startswith("failed") for row in rows for v in row.values()))


if __name__ == "__main__":
    sys.exit(main())
