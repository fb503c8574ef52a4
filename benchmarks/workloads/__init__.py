"""The workloads, one file per family; each file's ``WORKLOADS`` is a list of :class:`Workload`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from peers import Contender

FAMILIES = (
    "calls", "elementwise", "rows", "sums", "sorting", "dense", "batched", "tables", "sparse",
    "images", "training", "networks", "attention", "recurrent", "states", "densities", "simulation",
    "fourier",
)  # fmt: skip
LARGE = "large"  # the family whose graphs are large; only its first calls are measured


class Workload(NamedTuple):
    """Arrays, and for each contender a function that takes them and returns the call to time.

    ``moved`` are the bytes that any program must read and write (None: the arguments and results
    once each), ``flops`` the additions and multiplications that it must do (0: not known, as where
    elementary functions take the time); the share of the limit is computed from them.
    """

    name: str
    what: str
    args: Callable[[], tuple[np.ndarray, ...]]
    contenders: Mapping[str, Contender]
    moved: float | None = None
    flops: float = 0.0


def all_workloads() -> list[Workload]:
    return [w for f in FAMILIES for w in family(f)]


def family(name: str) -> list[Workload]:
    """The workloads of a file."""
    held: list[Workload] = importlib.import_module(f"workloads.{name}").WORKLOADS
    return held


def workload(name: str) -> Workload:
    """The workload of a name; large ones take a moment to import."""
    held = family(LARGE) if name.startswith(f"{LARGE}.") else all_workloads()
    return next(w for w in held if w.name == name)


def arrays(
    *shapes: tuple[int, ...], dtype: str = "float64"
) -> Callable[[], tuple[np.ndarray, ...]]:
    """A function that makes normally distributed arrays of these shapes, always the same ones."""

    def make() -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(0)
        return tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)

    return make
