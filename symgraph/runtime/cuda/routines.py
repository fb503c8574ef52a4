"""Routines of libraries that work on a GPU's memory: what a Call may become there.

ROUTINES has a function for the name of a `loops.program.Call` that a library knows. Each is
asked once for every set of sizes, and answers with a C function and its words, or None where the
library is not installed or cannot do it: then the host does the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from symgraph.runtime.later import LaterFunctions

MOST_WORDS = 16


class Operand(NamedTuple):
    """A buffer of a call: dtype and sizes."""

    dtype: str
    shape: tuple[int, ...]


class NativeCall(NamedTuple):
    """A C function that returns 0 or the number of an error, and its arguments: integers,
    ("buffer", k) for the address of the call's buffer k, ("stream",), ("workspace",) for the
    address of ``workspace`` bytes on the device. It must neither wait nor allocate, so that it can
    become a part of a graph. ``kept`` lives as long as the function that calls it."""

    address: int
    words: tuple[int | tuple[Any, ...], ...]
    kept: Any = None
    workspace: int = 0


Prepare = Callable[[Any, Sequence[Operand], Mapping[str, Any]], NativeCall | None]

ROUTINES: dict[str, Prepare] = {"matmul": LaterFunctions("symgraph.runtime.cuda.cublaslt").prepare}
