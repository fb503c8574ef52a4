"""mode="debug": compiled functions that check every rewrite, every kernel and every result.

CheckedFunction   one native function: its rewrites by value, its kernels against the references
DebugFunction     what the user calls: in the end all outputs and updates against the interpreter

Shared variables take their new values only when every check has passed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph.checking.exactly import exactly
from symgraph.checking.kernels import KernelCheck, Native
from symgraph.checking.noise import (
    INSIDE,
    Memory,
    Noisy,
    Piece,
    at,
    element,
    moves,
    near,
    piece,
    within,
    worst,
)
from symgraph.checking.rewrites import RewriteCheck
from symgraph.errors import DebugError
from symgraph.function import Compiled, Definition, bind_arguments, flat_arguments
from symgraph.ir.graph import Variable, toposort
from symgraph.ir.interpret import Env, bind_sizes
from symgraph.ir.shared import Shared


class CheckedFunction(Compiled):
    """A native function, or a native part of one, with the checks of what the compiler did."""

    def __init__(self, d: Definition, function: Callable[..., Any], native: Native) -> None:
        self.definition, self.function, self.native = d, function, native
        self.statistics = function.statistics  # type: ignore[attr-defined]
        self.checks: list[Callable[..., None]] = []

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        d = self.definition
        with _Trial(d.updates) as trial:
            result = self.function(*args, **keywords)
            with trial.undone():
                arrays = bind_arguments(d, args, keywords)
                self.check(arrays, {s: s.get_value(borrow=True) for s in d.shared})
        return result

    def check(self, arrays: Sequence[np.ndarray], state: Mapping[Shared, np.ndarray]) -> None:
        """Raises DebugError where a rewrite or a kernel is wrong."""
        if not self.checks:
            d = self.definition
            rewrites = RewriteCheck(
                d.graph, d.options.get("exclude", ()), d.options.get("rules", ())
            )
            kernels = KernelCheck(self.definition, rewrites.optimized, self.native)
            self.checks = [rewrites, kernels]
        for one in self.checks:
            one(arrays, state)


class DebugFunction(Compiled):
    """What ``compile(..., mode="debug")`` returns."""

    def __init__(self, d: Definition, compiled: Callable[..., Any]) -> None:
        self.definition, self.compiled = d, compiled
        self.statistics = compiled.statistics  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        d = self.definition
        with _Trial(d.updates) as trial:
            result = self.compiled(*args, **keywords)
            values = [*d.outputs.flatten(result), *(s.get_value() for s in d.updates)]
            with trial.undone():
                self.compare(values, bind_arguments(d, *flat_arguments(d, args, keywords)))
        return result

    def compare(self, values: Sequence[np.ndarray], arrays: Sequence[np.ndarray]) -> None:
        """Raises DebugError where a result is not what the interpreter makes of the graph."""
        d = self.definition
        state = {s: s.get_value(borrow=True) for s in d.shared}
        machine = Noisy(state)
        env: Env = {}
        bind_sizes([*zip(d.arguments, arrays, strict=True), *state.items()], env)
        with np.errstate(all="ignore"):
            expected = machine.run(d.graph, arrays, env)  # which tells sizes that data make
        pairs = zip(d.graph.outputs, values, expected, strict=True)
        for k, (v, got, right) in enumerate(pairs):
            got = np.asarray(got)
            if got.dtype != right.dtype or got.shape != right.shape:
                raise _differs(d, k, v, f"{got.dtype}{list(got.shape)}", str(right.shape))
            good = near(right, got)
            if not good.all():
                order = toposort([v], sized=True)
                part = piece(v, order, lambda x: x.owner is None)
                leaves: Memory = dict(zip(d.arguments, arrays, strict=True))
                given = {x: machine.value(x, leaves) for x in part.given}
                good |= within(right, got, moves(part, state, given, env, INSIDE))
                good |= repaired(part, state, given, env, right, got)
            if not good.all():
                place = worst(good, right, got)
                new = f"{element(got, place)}{at(place)}"
                raise _differs(d, k, v, new, element(right, place))


def repaired(
    part: Piece, state: Mapping[Shared, np.ndarray], given: Memory, env: Env, old: np.ndarray,
    new: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Where the interpreter has no value, or one that is farther from the value over the reals:
    rules may have repaired it, and each of them has been checked."""
    if old.dtype.kind not in "fc":
        return np.zeros(old.shape, bool)
    lost = np.asarray(~np.isfinite(old))
    with np.errstate(all="ignore"):
        true = None if lost.all() else exactly(part, state, given, env)
        return lost if true is None else lost | true.nearer(old, new)


def _differs(d: Definition, k: int, v: Variable, got: str, expected: str) -> DebugError:
    count = len(d.graph.outputs) - len(d.updates)
    what = f"output {k}" if k < count else f"update of {d.updates[k - count].label()}"
    return DebugError(
        f"{d.name}: {what} is {got} in compiled code, {expected} in the interpreter",
        origin=v.origin,
        hint='this is a mistake in symgraph, please report it; mode="interpret" avoids it',
    )


class _Trial:
    """The values of shared variables before a call, and how to go back to them."""

    def __init__(self, updates: Sequence[Shared]) -> None:
        self.updates = updates
        self.before = [s.get_value() for s in updates]

    def __enter__(self) -> _Trial:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            self.restore(self.before)

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """Inside, the variables have the values from before; after it, the new ones again."""
        after = [s.get_value() for s in self.updates]
        self.restore(self.before)
        yield
        self.restore(after)

    def restore(self, values: Sequence[np.ndarray]) -> None:
        """Give the variables these values."""
        for s, value in zip(self.updates, values, strict=True):
            s.set_value(value)
