"""Routines of libraries that work on a GPU's memory: what a Call may become there.

ROUTINES has a function for the name of a `loops.program.Call` that a library knows. Each is
asked once for every set of sizes, and answers with C functions and their words, or None where the
library is not installed or cannot do it: then the host does the step or, of a choice, other steps
are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symgraph.records import NamedTuple
from symgraph.runtime.later import LaterFunctions

MOST_WORDS = 16


class Operand(NamedTuple):
    """A buffer of a call: dtype and sizes."""

    dtype: str
    shape: tuple[int, ...]


class NativeCall(NamedTuple):
    """A C function that returns 0 or the number of an error, and its arguments: integers,
    ("buffer", k, offset) for an address in the call's buffer k, ("stream",), ("workspace", offset)
    for one in ``workspace`` bytes on the device, which the calls of a program share. It must not
    allocate; unless it also never waits it is not ``captured``, and cannot be a part of a graph.
    ``kept`` lives as long as the function that calls it."""

    address: int
    words: tuple[int | tuple[Any, ...], ...]
    kept: Any = None
    workspace: int = 0
    captured: bool = True


Prepare = Callable[[Any, Sequence[Operand], Mapping[str, Any]], Sequence[NativeCall] | None]


def _of(module: str) -> Prepare:
    found: Prepare = LaterFunctions(f"symgraph.runtime.cuda.{module}").prepare
    return found


def _small(device: Any, operands: Sequence[Operand], params: Mapping[str, Any]) -> Any:
    """Nothing to call, where matrices have at most so many rows: the steps beside are kernels."""
    return [] if operands[0].shape[-1] <= params["rows"] else None


ROUTINES: dict[str, Prepare] = {
    "matmul": _of("cublaslt"), "cublas": _of("cublas"), "cusolver": _of("cusolver"),
    "cudnn": _of("cudnn"), "cufft": _of("cufft"), "small": _small,
}  # fmt: skip

#: what is never a step for the host
ALONE = ("cublas", "cusolver", "cudnn", "cufft", "small")
#: not a routine: a call with params ``first`` and ``second``, numbers of the steps that follow; the
#: first are done where libraries know all their calls, the second where not
CHOOSE = "choose"
