"""`symgraph tune`: which tile makes matrix products fastest on this machine, measured and kept.

Each candidate differs in one thing from the tile of the table (`codegen/gemm/tiles.py`). The best
one, and what was ahead in each thing put together, are measured again beside the table's; one is
kept if it is ahead by more than noise, in both halves of the rounds, and used by functions compiled
from then on.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import api, config
from symgraph.cli.console import table, write, write_json
from symgraph.cli.problems import SubjectError
from symgraph.codegen import llvm, tuned
from symgraph.codegen.gemm.tiles import NEVER, Tile, tile_for
from symgraph.ops import linalg
from symgraph.records import NamedTuple
from symgraph.runtime.cache import open_cache

SIZES = ((128, 128, 128), (256, 256, 256), (512, 512, 512), (64, 64, 4096), (1024, 1024, 1024))
AHEAD = 1.03  # of the table's speed, from which on a tile is kept
SECONDS = {"one by one": 5.5, "once more": 2.5}  # for each dtype
ROUNDS = 8  # at least
BURST = 2e-3  # seconds of one measurement

# what is tried in the place of the table's, where it is something else
SHAPES = {24: ((6, 4), (7, 3), (5, 4), (8, 2)), 12: ((4, 3), (5, 2), (3, 4))}
OTHERS = {"height": (96, 192, 384, 768), "ahead": (0, 4, 8, 16), "far": (1 << 17, 1 << 19, NEVER)}

Fields = Mapping[str, int]


class Row(NamedTuple):
    """A candidate: what differs from the table's tile, its GFLOP/s by size, and its speed over the
    table's in all rounds, in the even and in the odd ones."""

    fields: dict[str, int]
    rates: tuple[float, ...]
    speed: float
    even: float
    odd: float

    @property
    def sure(self) -> float:
        """How much it is ahead without doubt."""
        return min(self.speed, self.even, self.odd)


def run(arguments: argparse.Namespace) -> int:
    """Measure and keep, or forget."""
    if open_cache() is None:
        raise SubjectError("tune: there is no cache to keep it in", hint="SYMGRAPH_CACHE is 0")
    if arguments.forget:
        return _forget(arguments)
    found: dict[str, Any] = {}
    choice: dict[str, dict[str, Any]] = {}
    for dtype in ("float32", "float64"):
        base = _of_table(dtype)
        rows, best = measured(dtype, base, _progress)
        found[dtype] = {"tile": tuned.words(base, {}), "rows": rows, "chosen": best}
        if best:
            choice[dtype] = tuned.change(base, **best)
    facts = {"measured": time.strftime("%Y-%m-%d"), "threads": config.get("num_threads")}
    # with nothing chosen it is known that the machine was measured
    if not tuned.keep(choice, facts):
        raise SubjectError("tune: the cache cannot be written", hint="symgraph cache dir")
    _report(arguments, found)
    return 0


def _forget(arguments: argparse.Namespace) -> int:
    there = tuned.forget()
    if arguments.json:
        write_json("tune.forget", {"forgotten": there})
    else:
        write("forgotten: tiles are the table's again" if there else "nothing had been chosen")
    return 0


def _of_table(dtype: str) -> Tile:
    host = llvm.instructions()
    return tile_for(dtype, host.vector_bits, host.features)


# measuring ----------------------------------------------------------------------------------------


def candidates(base: Tile) -> list[dict[str, int]]:
    """What differs from the table's tile, one thing at a time; the table's own first."""
    found: list[dict[str, int]] = [{}]
    for rows, vectors in SHAPES.get(base.rows * base.vectors, ()):
        found.append({"rows": rows, "vectors": vectors})
    for name, values in OTHERS.items():
        if name == "ahead" and not base.assembled:  # which LLVM's language does not say
            continue
        found += [{name: x} for x in values if x != getattr(base, name)]
    return found


def measured(
    dtype: str, base: Tile, tell: Callable[[str], None]
) -> tuple[list[Row], dict[str, int]]:
    """All candidates, and what is chosen: what is ahead of the table's tile alone, and what is
    ahead in each thing together, are measured once more, as the best of many is so by chance."""
    rows = _compared(dtype, base, candidates(base), SECONDS["one by one"], tell)
    together: dict[str, int] = {}
    for names in (("rows", "vectors"), ("height",), ("ahead",), ("far",)):
        of = [row for row in rows if tuple(row.fields) == names]
        first = max(of, key=lambda row: row.sure, default=rows[0])
        together |= first.fields if first.sure > 1 else {}
    alone = max(rows, key=lambda row: row.sure).fields
    finalists = [fields for fields in (alone, together) if fields]
    if alone == together:
        finalists = finalists[:1]
    best: dict[str, int] = {}
    if finalists:
        again = _compared(dtype, base, [{}, *finalists], SECONDS["once more"], tell)
        rows = [row for row in rows if row.fields not in finalists] + again[1:]
        best = chosen(again)
    tell("")
    return rows, best


def chosen(rows: Sequence[Row]) -> dict[str, int]:
    """What is kept of measured rows: nothing unless it is ahead by more than noise.

    >>> chosen([Row({}, (10.0,), 1, 1, 1), Row({"height": 384}, (11.0,), 1.1, 1.09, 1.11)])
    {'height': 384}
    >>> chosen([Row({}, (10.0,), 1, 1, 1), Row({"height": 384}, (11.0,), 1.1, 0.99, 1.2)])
    {}
    """
    best = max(rows, key=lambda row: row.sure)
    return best.fields if best.sure > AHEAD else {}


def _compared(
    dtype: str, base: Tile, which: Sequence[dict[str, int]], seconds: float,
    tell: Callable[[str], None],
) -> list[Row]:  # fmt: skip
    """Measure candidates in turns, the table's tile first, in bursts of every size."""
    calls = []
    for n, fields in enumerate(which):
        tell(f"{dtype}: compiling {n + 1} of {len(which)}")
        calls.append(_product(dtype, base, fields))
    pairs = [_operands(dtype, *size) for size in SIZES]
    counts = [_count(calls[0], pair) for pair in pairs]
    for call in calls:  # what each size needs is compiled now
        for pair in pairs:
            call(*pair)
    times: list[list[list[float]]] = [[[] for _ in pairs] for _ in which]
    start = time.perf_counter()
    rounds, order = 0, list(enumerate(calls))
    shuffle = random.Random(0).shuffle
    while rounds < ROUNDS or time.perf_counter() - start < seconds:
        gone = time.perf_counter() - start
        tell(f"{dtype}: {len(which)} tiles, {min(99, 100 * gone / seconds):.0f}%")
        for k, (pair, count) in enumerate(zip(pairs, counts, strict=True)):
            shuffle(order)  # as what came before has left its marks on caches and clocks
            _burst(order[0][1], pair, count)
            for n, call in order:
                call(*pair)
                times[n][k].append(_burst(call, pair, count))
        rounds += 1
    return [_row(fields, times[0], own) for fields, own in zip(which, times, strict=True)]


def _product(dtype: str, base: Tile, fields: Fields) -> Callable[..., Any]:
    """A compiled product with a tile, past the cache."""
    a, b = (api.tensor(name, dtype=dtype, shape=(None, None)) for name in "ab")
    choice = {dtype: tuned.change(base, **fields)} if fields else {}
    with config.change(cache=False), tuned.trying(choice):
        made: Callable[..., Any] = api.compile([a, b], linalg.matmul(a, b))
    return made


def _operands(dtype: str, m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


def _count(call: Callable[..., Any], pair: tuple[np.ndarray, np.ndarray]) -> int:
    """How many calls last a burst."""
    call(*pair)
    return max(1, round(BURST / min(_burst(call, pair, 1) for _ in range(3))))


def _burst(call: Callable[..., Any], pair: tuple[np.ndarray, np.ndarray], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call(*pair)
    return (time.perf_counter() - start) / count


def _row(fields: dict[str, int], base: list[list[float]], own: list[list[float]]) -> Row:
    """Medians by size; speeds are geometric means over the sizes."""

    def speed(first: int, step: int) -> float:
        logs = [
            math.log(statistics.median(b[first::step]) / statistics.median(o[first::step]))
            for b, o in zip(base, own, strict=True)
        ]
        return math.exp(statistics.fmean(logs))

    rates = tuple(
        2e-9 * m * k * n / statistics.median(o) for (m, k, n), o in zip(SIZES, own, strict=True)
    )
    return Row(fields, rates, speed(0, 1), speed(0, 2), speed(1, 2))


# telling ------------------------------------------------------------------------------------------


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{'symgraph: ' + text if text else ''}")
        sys.stderr.flush()


def _report(arguments: argparse.Namespace, found: Mapping[str, Any]) -> None:
    if arguments.json:
        tiles = {
            dtype: {**each, "rows": [row._asdict() for row in each["rows"]]}
            for dtype, each in found.items()
        }
        write_json("tune", {"sizes": SIZES, "threads": config.get("num_threads"), "tiles": tiles})
        return
    head = ["tile", *("x".join(map(str, dict.fromkeys(size))) for size in SIZES), "of the table's"]
    for dtype, each in found.items():
        rows = []
        for row in each["rows"]:
            name = tuned.words(_of_table(dtype), row.fields)
            rates = [f"{rate:.0f}" for rate in row.rates]
            rows.append([name, *rates, f"{row.speed:.3f}"])
        write(f"{dtype}, GFLOP/s by size")
        write(table(head, rows, right=range(1, len(head))))
        best = each["chosen"]
        if best:
            write(f"kept: {tuned.words(_of_table(dtype), best)}\n")
        else:
            write(f"kept: the table's, as nothing is ahead by more than {AHEAD - 1:.0%}\n")
