"""The value of a piece of a graph in a longer floating-point format: what it is over the reals.

Where a formula cancels, rounding moves its value so much that noise (noise.py) says nothing about
what a rule put in its place. float32 is then computed in float64, float64 in the processor's long
double where it has one. Elements that noise of the longer format still moves have no such value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.checking.noise import FACTOR, MOVES, Memory, Noisy, Piece
from symgraph.ir.graph import Apply
from symgraph.ir.interpret import Env, bind_op, holds_size
from symgraph.ir.shared import Shared
from symgraph.records import NamedTuple

DOUBT = 0.01  # relative, above which a value is not known
TRIALS = 4  # evaluations with noise
_LONG = np.dtype("longdouble")
# a format, and what one operation in it may be off, relative
_LONGER: dict[Any, tuple[Any, float]] = {np.dtype("float32"): (np.dtype("float64"), 4e-16)}
if np.finfo(_LONG).eps < 1e-18:
    _LONGER[np.dtype("float64")] = (_LONG, 2e-19)
_FOLDS = frozenset(["sum", "prod", "max", "min"])


class Exact(NamedTuple):
    """Values over the reals, how far they may be off, and where that is little."""

    values: np.ndarray
    doubt: np.ndarray
    known: np.ndarray

    def nearer(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Where ``after`` is surely no farther from the value than ``before``."""
        old, new = (abs(a.astype(self.values.dtype) - self.values) for a in (before, after))
        return np.asarray(new + self.doubt <= old)


def exactly(
    part: Piece, state: Mapping[Shared, np.ndarray], given: Memory, env: Env
) -> Exact | None:
    """The values of a piece from given ones that are taken as exact; None where an op has no
    longer reference."""
    dtype = dtypes.numpy_dtype(part.target.dtype)
    if dtype not in _LONGER or not all(_computable(n, dtype) for n in part.nodes):
        return None
    longer, size = _LONGER[dtype]
    try:
        value = _run(part, state, given, env, longer, None, 0.0)
        noisy = [_run(part, state, given, env, longer, np.random.default_rng(k), size)
                 for k in range(TRIALS)]  # fmt: skip
    except _NoLonger:
        return None
    spread = np.maximum.reduce([abs(n - value) for n in noisy])
    known = np.isfinite(value) & (FACTOR * spread <= DOUBT * abs(value))
    known &= abs(value) >= FACTOR * np.finfo(dtype).tiny
    return Exact(value, FACTOR * spread, known)


class _NoLonger(Exception):
    """A reference that does not compute in the format of its operands."""


def _computable(node: Apply, dtype: Any) -> bool:
    op = node.op
    if op.name == "cast":  # a float that is rounded on purpose is not a number over the reals
        return not dtypes.is_inexact(node.inputs[0].dtype)
    if op.name in MOVES or op.name in _FOLDS:
        return not hasattr(op, "inner")
    if not op.elementwise:
        return False
    return dtype == "float32" or op.name == "power" or isinstance(op.reference, np.ufunc)


def _run(
    part: Piece, state: Mapping[Shared, np.ndarray], given: Memory, env: Env, longer: Any,
    rng: Any, size: float,
) -> np.ndarray:  # fmt: skip
    machine = Noisy(state)
    memory = {v: _long(a, longer) for v, a in given.items()}
    for node in part.nodes:
        inputs = [memory[v] if v in memory else _long(machine.value(v, {}), longer)
                  for v in node.inputs]  # fmt: skip
        op: Any = bind_op(node.op, dict(env)) if holds_size(node.op._values) else node.op
        for v, found in zip(node.outputs, _results(op, inputs), strict=True):
            if v.dtype.startswith("float") and found.dtype != longer:
                if any(i.dtype == longer for i in inputs):
                    raise _NoLonger
                found = found.astype(longer)
            if rng is not None and found.dtype == longer and op.name not in MOVES:
                turn = rng.choice([-1.0, -0.5, 0.5, 1.0], found.shape).astype(longer)
                found = found + found * (turn * size)
            memory[v] = np.asarray(found)
    return memory[part.target]


def _results(op: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    try:
        found = op.reference(*inputs)
    except Exception as error:
        raise _NoLonger from error
    return [np.asarray(a) for a in (found if isinstance(found, tuple | list) else (found,))]


def _long(array: np.ndarray, longer: Any) -> np.ndarray:
    return array.astype(longer) if array.dtype.kind == "f" else array
