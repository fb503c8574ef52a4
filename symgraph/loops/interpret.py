"""The meaning of kernels and programs, statement by statement: the oracle of the code generators.

Slow on purpose, but not hopeless: the iterations of a ``vector`` loop are independent, so NumPy
evaluates them together. Fresh memory is filled with NaN and odd integers, and every access is
checked, so that a read of something unwritten or outside a buffer does not pass unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import CODES, ShapeError, SymgraphError, VerifyError
from symgraph.loops.combining import combine, reduce, start
from symgraph.loops.narrow import widen
from symgraph.loops.program import (
    Branch,
    Buffer,
    Call,
    Copy,
    Loop,
    Program,
    Require,
    Row,
    Run,
    Step,
)
from symgraph.loops.statements import (
    Alloc,
    Barrier,
    Fold,
    For,
    If,
    Kernel,
    Let,
    Size,
    Stmt,
    Store,
    walk,
)
from symgraph.loops.threads import run_grid
from symgraph.scalar import Expr, evaluate_size, postorder, variables
from symgraph.scalar.walk import element, evaluate_in_order

Routine = Callable[..., None]
Sizes = Mapping[str, int]


def run_kernel(
    kernel: Kernel, buffers: Mapping[str, np.ndarray], sizes: Sizes, order: str = "forward"
) -> None:
    """Run a kernel on arrays given by parameter name; "out" parameters are written in place.
    ``order`` is that of blocks and threads (loops/threads.py).

    Raises VerifyError for arrays that do not fit their parameters and for an access out of range.
    """
    for p in kernel.params:
        shape = tuple(evaluate_size(s, sizes) for s in p.shape)
        if str(buffers[p.name].dtype) != p.dtype or buffers[p.name].shape != shape:
            raise VerifyError(
                f"{kernel.name}: {p.name} is {p.dtype}{list(shape)}, "
                f"given {buffers[p.name].dtype}{list(buffers[p.name].shape)}"
            )
    kernel = widen(kernel)  # which says what arithmetic of narrow floats means
    machine = _Kernel(dict(buffers), {n: np.int64(sizes[n]) for n in kernel.sizes}, order)
    with np.errstate(all="ignore"):
        try:
            machine.block(kernel.body, False)
        except IndexError as error:
            raise VerifyError(f"{kernel.name}: {error}") from error


def fresh(dtype: str, shape: Sequence[int]) -> np.ndarray:
    """New memory with contents that no program should depend on."""
    kind = dtypes.numpy_dtype(dtype)
    if dtypes.is_inexact(dtype):
        return np.full(shape, np.nan, kind)
    count = int(np.prod(shape, dtype=np.int64))
    raw = np.frombuffer(b"\xa5" * (count * kind.itemsize), "uint8").copy()
    return (raw & 1 if kind.kind == "b" else raw).view(kind).reshape(shape)


class _Kernel:
    """Runs statements. ``env`` binds names to scalars, or to arrays with one element for each
    iteration while a vector loop runs (``wide``)."""

    def __init__(
        self, buffers: dict[str, np.ndarray], env: dict[str, Any], order: str = "forward"
    ) -> None:
        self.buffers, self.env, self.order = buffers, env, order
        self.orders: dict[Expr, list[Expr]] = {}
        self.joint: dict[int, bool] = {}

    def fork(self) -> _Kernel:
        """The same memory, with names and memory of its own from now on."""
        found = _Kernel(dict(self.buffers), dict(self.env), self.order)
        found.orders, found.joint = self.orders, self.joint
        return found

    def value(self, e: Expr) -> Any:
        order = self.orders.get(e)
        if order is None:
            order = self.orders[e] = postorder([e])
        return evaluate_in_order(order, self.env, self.buffers)

    def size(self, size: Size) -> int:
        return size if isinstance(size, int) else int(self.value(size))

    def block(self, body: tuple[Stmt, ...], wide: bool) -> None:
        for s in body:
            self.statement(s, wide)

    def statement(self, s: Stmt, wide: bool) -> None:
        match s:
            case For():
                self._for(s, wide)
            case Fold():
                self._fold(s, wide)
            case Let():
                self.env[s.name.attr] = self.value(s.value)
            case If():
                if self.value(s.cond):
                    self.block(s.body, wide)
            case Store():
                self._store(s)
            case Alloc():
                self.buffers[s.buffer] = fresh(s.dtype, [self.size(n) for n in s.shape])
            case Barrier():
                pass

    def _for(self, s: For, wide: bool) -> None:
        if s.kind == "grid":
            run_grid(self, s, self.order)
            return
        extent = self.size(s.extent)
        if s.kind == "vector" and not wide and self._jointly(s):
            if extent:
                self.env[s.index.attr] = np.arange(extent)
                self.block(s.body, True)
            return
        turns = range(extent)
        for k in reversed(turns) if s.kind == "apart" else turns:  # in any order
            self.env[s.index.attr] = np.int64(k)
            self.block(s.body, wide)

    def _jointly(self, s: For | Fold) -> bool:
        """Whether all iterations can be evaluated together: no branch, no memory of their own, no
        loop whose length differs between them."""
        known = self.joint.get(id(s))
        if known is None:
            own = {s.index}
            known = True
            for inner in walk(s.body):
                match inner:
                    case Let():
                        own.add(inner.name)
                    case For() | Fold():
                        extent = inner.extent
                        known &= isinstance(extent, int) or not own & set(variables(extent))
                        own.update(getattr(inner, "names", ()))
                    case If() | Alloc() | Barrier():
                        known = False
            self.joint[id(s)] = known
        return known

    def _fold(self, s: Fold, wide: bool) -> None:
        extent = self.size(s.extent)
        if s.combiner == "next":
            self._recurrence(s, extent, wide)
            return
        carried = start(s)
        if s.kind == "vector" and not wide and extent and self._jointly(s):
            self.env[s.index.attr] = np.arange(extent)
            self.block(s.body, True)
            values = [np.broadcast_to(self.value(v), extent) for v in s.values]
            carried = combine(s.combiner, carried, reduce(s.combiner, values))
        else:
            for k in range(extent):
                self.env[s.index.attr] = np.int64(k)
                self.block(s.body, wide)
                carried = combine(s.combiner, carried, [self.value(v) for v in s.values])
        self.bind(s.names, carried)

    def bind(self, names: Sequence[Expr], values: Sequence[Any]) -> None:
        """Let names stand for values, as numbers of their dtypes."""
        for name, v in zip(names, values, strict=True):
            self.env[name.attr] = np.asarray(v).astype(dtypes.numpy_dtype(name.dtype))[()]

    def _recurrence(self, s: Fold, extent: int, wide: bool) -> None:
        values = [self.value(v) for v in s.starts]
        for k in range(extent + 1):
            self.bind(s.names, values)
            if k < extent:
                self.env[s.index.attr] = np.int64(k)
                self.block(s.body, wide)
                values = [self.value(v) for v in s.values]

    def _store(self, s: Store) -> None:
        buffer = self.buffers[s.buffer]
        indices = [self.value(i) for i in s.indices]
        element(s.buffer, buffer, indices)  # the range check
        buffer[tuple(indices)] = self.value(s.value)


# programs -----------------------------------------------------------------------------------------


def run_program(
    program: Program,
    inputs: Mapping[str, np.ndarray] | Sequence[np.ndarray],
    sizes: Sizes,
    shared: Sequence[np.ndarray] = (),
    constants: Sequence[np.ndarray] = (),
    routines: Mapping[str, Routine] | None = None,
    run: Callable[[Kernel, Mapping[str, np.ndarray], Sizes], None] = run_kernel,
) -> list[np.ndarray]:
    """The outputs of a program.

    ``inputs`` are given by buffer name or in order. ``shared`` arrays are updated in place;
    ``constants`` are the large ones by number. ``routines[name](params, *arrays)`` is what a Call
    means: it writes to the arrays that the routine writes. ``run`` is what runs a kernel.

    Raises ShapeError for a check, the error of a Require, VerifyError for a malformed program.
    """
    for left, right, what in program.checks:
        a, b = evaluate_size(left, sizes), evaluate_size(right, sizes)
        if a != b:
            raise ShapeError(f"{what}: {a} and {b}")
    if not isinstance(inputs, Mapping):
        inputs = dict(zip(program.inputs, inputs, strict=True))
    machine = _Machine(sizes, shared, constants, routines or {}, run)
    memory = machine.run(program, dict(inputs))
    return [memory[name] for name in program.outputs]


class _Machine:
    def __init__(
        self, sizes: Sizes, shared: Sequence[np.ndarray], constants: Sequence[np.ndarray],
        routines: Mapping[str, Routine], run: Callable[..., None],
    ) -> None:  # fmt: skip
        self.sizes, self.shared, self.constants = sizes, shared, constants
        self.routines, self.run_kernel = routines, run

    def shape(self, buffer: Buffer) -> tuple[int, ...]:
        return tuple(evaluate_size(s, self.sizes) for s in buffer.shape)

    def run(self, program: Program, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run with memory for the inputs (of inner programs also the outputs); gives all memory."""
        memory: dict[str, np.ndarray] = {}
        for name, b in program.buffers.items():
            chain = [b]
            while chain[-1].alias and chain[-1].name not in given:
                chain.append(program.buffers[chain[-1].alias])
            own = chain[-1].name
            if own not in memory:
                memory[own] = self._memory(chain[-1], given)
            if name != own:
                memory[name] = memory[own].reshape(self.shape(b))
            if memory[name].shape != self.shape(b) or str(memory[name].dtype) != b.dtype:
                raise VerifyError(
                    f"{program.name}: buffer {name} is {b.dtype}{list(self.shape(b))}, "
                    f"given {memory[name].dtype}{list(memory[name].shape)}"
                )
        for step in program.steps:
            self._step(step, memory)
        return memory

    def _memory(self, b: Buffer, given: dict[str, np.ndarray]) -> np.ndarray:
        if b.name in given:
            return np.ascontiguousarray(given[b.name]).reshape(np.shape(given[b.name]))
        if b.role == "constant":
            if b.data is None:
                return self.constants[b.position]
            return np.frombuffer(b.data, dtypes.numpy_dtype(b.dtype)).reshape(self.shape(b))
        if b.role == "shared":
            return self.shared[b.position]
        if b.role == "input":
            raise VerifyError(f"input {b.name} is not given")
        return fresh(b.dtype, self.shape(b))

    def _step(self, step: Step, memory: dict[str, np.ndarray]) -> None:
        match step:
            case Run():
                pairs = zip(step.kernel.params, step.buffers, strict=True)
                given = {p.name: self._view(memory[b], p.dtype, p.shape) for p, b in pairs}
                self.run_kernel(step.kernel, given, self.sizes)
            case Call():
                params = {k: self._param(v) for k, v in step.params}
                self.routines[step.routine](params, *(memory[b] for b in step.buffers))
            case Copy():
                source = memory[step.source]
                memory[step.target][...] = source.reshape(memory[step.target].shape)
            case Loop():
                self._loop(step, memory)
            case Branch():
                body = step.then if memory[step.pred] else step.otherwise
                names_ = (*body.inputs, *body.outputs)
                self._inside(body, [memory[b] for b in (*step.inputs, *step.outputs)], names_)
            case Require():
                if not memory[step.flag]:
                    f = step.failure
                    error = CODES.get(f.code, SymgraphError)
                    raise error(f.what, hint=f.hint, origin=next(iter(f.origins), None))

    def _param(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self._param, value))
        return evaluate_size(value, self.sizes) if isinstance(value, Expr) else value

    def _view(self, array: np.ndarray, dtype: str, shape: Sequence[Size]) -> np.ndarray:
        """The same memory under the parameter's shape and dtype: schedules merge axes and move
        elements as words, and legal kernels see complex numbers as pairs."""
        held = str(array.dtype)
        pairs = dtypes.is_complex(held) and dtype == dtypes.real_of(held)
        if pairs or dtypes.WORDS.get(held) == dtype:
            array = array.reshape(-1).view(dtypes.numpy_dtype(dtype))
        wanted = tuple(evaluate_size(s, self.sizes) for s in shape)
        if array.shape == wanted or array.size != np.prod(wanted, dtype=object):
            return array
        return array.reshape(wanted)

    def _loop(self, step: Loop, memory: dict[str, np.ndarray]) -> None:
        names = (*step.body.inputs, *step.body.outputs)
        length = evaluate_size(step.length, self.sizes)
        turns = 0
        while turns < length and (not step.flag or memory[step.flag]):
            self._inside(step.body, [self._row(r, turns, memory) for r in step.rows], names)
            turns += 1
        for target, row in step.finals:
            memory[target][...] = self._row(row, turns, memory)

    def _inside(self, body: Program, arrays: Sequence[np.ndarray], names: Sequence[str]) -> None:
        """Run an inner program on this memory."""
        given = dict(zip(names, arrays, strict=True))
        after = self.run(body, dict(given))
        for name in body.outputs:
            if after[name] is not given[name] and not np.shares_memory(after[name], given[name]):
                given[name][...] = after[name]

    def _row(self, row: Row, t: int, memory: dict[str, np.ndarray]) -> np.ndarray:
        if t == 0 and row.first:
            return memory[row.first]
        whole = memory[row.buffer]
        if row.step == 0 and not row.rows:
            return whole
        k = evaluate_size(row.start, self.sizes) + row.step * t
        k = k % row.modulo if row.modulo else k
        if not 0 <= k < len(whole):
            raise VerifyError(f"row {k} of {row.buffer}, which has {len(whole)}")
        return whole[k : k + 1].reshape(whole.shape[1:])
