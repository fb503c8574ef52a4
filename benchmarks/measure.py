"""Timing several contenders of one workload fairly in one process.

Blocks of calls of all contenders take turns, in another order each round, so that a disturbance of
the machine hits all of them alike; the median over the rounds is what counts. Before each block
comes a rest: the threads of OpenBLAS and OpenMP go on spinning after their last task, and whoever
comes next would have to share the processors with them.
"""

from __future__ import annotations

import contextlib
import math
import signal
import statistics
import time
import timeit
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

REST = 0.12  # seconds; threads of OpenBLAS spin for about 0.1


class Timed(NamedTuple):
    """A call to time: ``finish(call(*args))``; ``finish`` waits for asynchronous results."""

    call: Callable[..., Any]
    args: tuple[Any, ...] = ()
    finish: Callable[[Any], Any] | None = None

    def run(self) -> Any:
        result = self.call(*self.args)
        return result if self.finish is None else self.finish(result)

    def timer(self) -> timeit.Timer:
        """A timer whose loop holds nothing but the call."""
        names = [f"a{k}" for k in range(len(self.args))]
        space = {
            "call": self.call,
            "finish": self.finish,
            **dict(zip(names, self.args, strict=True)),
        }
        call = f"call({', '.join(names)})"
        return timeit.Timer(call if self.finish is None else f"finish({call})", globals=space)


class Result(NamedTuple):
    """Seconds per call over the rounds, and seconds from the formula to the first result."""

    median: float
    best: float
    spread: float
    first: float
    rounds: list[float]


def first_call(
    build: Callable[..., Timed], args: Sequence[np.ndarray], patience: float
) -> tuple[Timed, Any, float]:
    """Build a contender and call it once: the timed call, its result, the seconds it took.

    Raises TimeoutError when that takes more than ``patience`` seconds: compilers have formulas
    that they do not come to an end with.
    """
    start = time.perf_counter()
    with _at_most(patience):
        timed = build(*args)
        result = leaves(timed.run())
    return timed, result, time.perf_counter() - start


class _GiveUp(BaseException):
    """No Exception, as compilers catch those of their passes and go on."""


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    def give_up(number: int, frame: object) -> None:
        raise _GiveUp

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again: what a callback raises is lost
    try:
        yield
    except _GiveUp:
        raise TimeoutError(f"no result after {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def compare(
    contenders: Mapping[str, Timed], first: Mapping[str, float], rounds: int, block: float
) -> dict[str, Result]:
    """Time all contenders in ``rounds`` rounds of blocks that last at least ``block`` seconds."""
    names = list(contenders)
    timers = {name: contenders[name].timer() for name in names}
    counts = {name: _calls(timers[name], block) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for k in range(len(names)):
            name = names[(k + turn) % len(names)]
            time.sleep(REST)
            timers[name].timeit(1)  # brings this contender's data and threads back
            seconds[name].append(timers[name].timeit(counts[name]) / counts[name])
    return {name: _result(seconds[name], first[name]) for name in names}


def _calls(timer: timeit.Timer, block: float) -> int:
    """How many calls fill a block."""
    time.sleep(REST)
    count = 1
    while True:
        elapsed = timer.timeit(count)
        if elapsed >= block or count >= 10_000_000:
            return count
        count = max(count * 2, int(count * block / max(elapsed, 1e-9)))


def _result(seconds: list[float], first: float) -> Result:
    median = statistics.median(seconds)
    low, high = np.percentile(seconds, [25, 75])
    return Result(median, min(seconds), float(high - low) / median, first, seconds)


# agreement ----------------------------------------------------------------------------------------


def leaves(result: Any) -> list[np.ndarray]:
    """The arrays of a result, in order, as NumPy arrays of their own."""
    if isinstance(result, dict):
        return [a for v in result.values() for a in leaves(v)]
    if isinstance(result, list | tuple):
        return [a for v in result for a in leaves(v)]
    detach = getattr(result, "detach", None)
    return [np.array(result if detach is None else detach())]


def disagreement(result: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> str:
    """What is wrong with a result beside the wanted one; empty when they agree."""
    if len(result) != len(wanted):
        return f"{len(result)} results, not {len(wanted)}"
    for k, (a, b) in enumerate(zip(result, wanted, strict=True)):
        if a.shape != b.shape:
            return f"result {k} has shape {a.shape}, not {b.shape}"
        if a.dtype.kind not in "fc":
            if not np.array_equal(a, b):
                return f"result {k} differs"
            continue
        parts = 2 if a.dtype.kind == "c" else 1
        wide = b.astype(np.complex128 if parts == 2 else np.float64)
        scale = float(np.max(np.abs(b), initial=1e-30))
        tolerance = 1e-3 if min(a.itemsize, b.itemsize) == 4 * parts else 1e-9
        error = float(np.max(np.abs(a - wide), initial=0.0)) / scale
        if not error <= tolerance:
            return f"result {k} is off by {error:.2g} of the largest value"
    return ""


def summary(ratios: Sequence[float]) -> str:
    """How many of the best peers' times over ours are level or better, and their mean."""
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    level = sum(r > 0.97 for r in ratios)
    return f"{level} of {len(ratios)} level or ahead, geometric mean {mean:.2f}"
