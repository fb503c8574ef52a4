"""The loop that both digits examples share: epochs, progress, accuracy, pictures of the graph."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from digits_data import Digits, batches

from symgraph.cli.main import main as symgraph

OUT = Path("out")


def learn(
    title: str, train: Any, predict: Any, data: tuple[Digits, Digits], epochs: int, batch: int
) -> float:
    """Train for some epochs and report; returns the share of held-out images read correctly."""
    known, held_out = data
    print(f"\n{title}: {len(known.labels)} images to learn from, {len(held_out.labels)} held out")
    print(f"  train     {compiled(train)}")
    print(f"  predict   {compiled(predict)}")
    rng = np.random.default_rng(1)
    calls: list[float] = []
    losses: list[float] = []
    for epoch in progress(range(1, epochs + 1)):
        epoch_losses = []
        for part in batches(known, batch, rng):
            start = time.perf_counter()
            epoch_losses.append(float(train(part.images, part.labels)))
            calls.append(time.perf_counter() - start)
        losses.append(float(np.mean(epoch_losses)))
        if not sys.stdout.isatty() and (epoch == 1 or epoch % 10 == 0):
            print(f"  epoch {epoch:3}   loss {losses[-1]:.4f}")
    accuracy = float(np.mean(predict(held_out.images) == held_out.labels))
    print(f"  calls     first {1e3 * calls[0]:.2f} ms, then {1e6 * np.median(calls):.0f} us each")
    print(f"  loss      {losses[0]:.4f} after one epoch, {losses[-1]:.4f} after {epochs}")
    print(f"  accuracy  {accuracy:.4f} on the held-out images")
    return accuracy


def compiled(function: Any) -> str:
    """How long the function took to compile, and whether it came from the disk cache."""
    found = function.statistics
    source = "read from the disk cache" if found["cached"] else "compiled"
    return f"{source} in {1e3 * found['total']:.1f} ms"


def progress(epochs: range) -> Iterable[int]:
    """The epochs, with a progress bar on a terminal where rich is installed."""
    if not sys.stdout.isatty():
        return epochs
    try:
        from rich.progress import track
    except ImportError:
        return counted(epochs)
    return track(epochs, description="  training", transient=True)


def counted(epochs: range) -> Iterator[int]:
    """The epochs, with a counter that stays on one line."""
    for epoch in epochs:
        print(f"\r  epoch {epoch} of {len(epochs)}", end="", flush=True)
        yield epoch
    print("\r" + " " * 30 + "\r", end="")


def draw(file: str, name: str) -> None:
    """Draw the optimized graph of an expression, as the command line does."""
    OUT.mkdir(exist_ok=True)
    for suffix in ("svg", "html"):
        picture = OUT / f"{Path(file).stem}.{suffix}"
        symgraph(["dump", f"{file}:{name}", "--stage", "optimized", "-o", str(picture)])
        print(f"  drawn     {picture}")
