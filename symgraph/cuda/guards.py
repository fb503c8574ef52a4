"""Checks and branches of a program for a GPU without asking the device in between.

A Require would have to wait for its flag before anything else may enter the stream. Instead a small
kernel puts the number of the failure into the word ``_stop``, and every kernel after that begins
with `if _stop == 0`: once something has failed, nothing is done that could read out of range or
change a shared variable, and the host finds the number at the end, or later.

    require flag        ->  check: if _stop == 0 and not flag { _stop = number }
    run kernel          ->  its threads' body inside `if _stop == 0`
    target = source     ->  a kernel that copies under the same condition, where the target is state
    branch pred         ->  both arms, each with a stop word of its own, where they are short and
                            consist of launches: nobody needs to know which one did something

The first check sets the word, so it needs no other beginning; where the first is inside a loop or
an arm, a kernel that sets it to 0 comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgraph import dtypes
from symgraph.loops.compute import elements
from symgraph.loops.launch import launch
from symgraph.loops.program import (
    Branch,
    Buffer,
    Call,
    Copy,
    Failure,
    Loop,
    Program,
    Require,
    Row,
    Run,
    Step,
)
from symgraph.loops.statements import For, If, Kernel, Let, Param, Size, Store
from symgraph.records import NamedTuple
from symgraph.runtime.cuda.routines import CHOOSE
from symgraph.scalar import Expr, as_expr, as_size, const, load, var, variables
from symgraph.scalar import functions as F

STOP = "_stop"
MOST_LAUNCHES = (
    24  # of both arms of a branch; a launch that does nothing takes a microsecond or two
)
_THREADS = 128


class Both(Branch):
    """A branch whose arms are both run, each under its own guard."""

    __slots__ = ()


class Guarded(NamedTuple):
    """A program without checks; ``failures`` are what the numbers in its stop word (from 1) mean.
    With any, the word is the program's last output."""

    program: Program
    failures: tuple[Failure, ...]


def guarded(program: Program) -> Guarded:
    """The program with guards in the place of checks and of branches that are short."""
    guards = _Guards()
    found = guards.top(program)
    return Guarded(found, tuple(guards.failures))


def _requires(program: Program) -> bool:
    return any(isinstance(s, Require) or any(map(_requires, _inner(s))) for s in program.steps)


def _choice_fails(steps: Sequence[Step], k: int) -> bool:
    """Whether a choice begins with this step, of which only some steps set the word."""
    step = steps[k]
    if not (isinstance(step, Call) and step.routine == CHOOSE):
        return False
    count = sum(n for _, n in step.params)
    return any(isinstance(s, Require) for s in steps[k + 1 : k + 1 + count])


def _inner(step: Step) -> tuple[Program, ...]:
    if isinstance(step, Loop):
        return (step.body,)
    return (step.then, step.otherwise) if isinstance(step, Branch) else ()


def launches(program: Program) -> int | None:
    """How many launches a program makes at most, None where that is not known or it has steps that
    a guard cannot keep from doing something."""
    total = 0
    for step in program.steps:
        match step:
            case Run() if launch(step.kernel) is not None:
                total += 1
            case Copy():
                total += 1
            case Loop() if not step.flag and isinstance(step.length, int):
                inner = launches(step.body)
                if inner is None:
                    return None
                total += step.length * inner + len(step.finals)
            case Branch():
                arms = [launches(step.then), launches(step.otherwise)]
                if None in arms:
                    return None
                total += 2 + sum(n for n in arms if n is not None)
            case _:
                return None
    return total


def can_run_both(step: Branch) -> bool:
    """Whether both arms of a branch may be run, each under a guard."""
    found = [launches(p) for p in (step.then, step.otherwise)]
    return None not in found and sum(n for n in found if n is not None) <= MOST_LAUNCHES


class _Guards:
    """``set`` says whether the stop word of the whole program has a value yet."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.known: dict[str, Kernel] = {}
        self.set = False
        self.number = 0

    def top(self, program: Program) -> Program:
        fails = _requires(program)
        if not fails:
            return self._program(program, False, ("shared",), ())
        found = self._program(program, False, ("shared",), ())
        stop = Buffer(STOP, "int32", (1,), "output", len(program.outputs))
        return found._replace(outputs=(*found.outputs, STOP), buffers={**found.buffers, STOP: stop})

    def _program(
        self, program: Program, guarded: bool, state: tuple[str, ...], more: tuple[str, ...]
    ) -> Program:
        """``guarded``: the stop word is an input; ``state``: roles of buffers that must not change
        once something has failed; ``more``: inputs beside the program's own."""
        buffers = dict(program.buffers)
        for k, name in enumerate(more):
            position = len(program.inputs) + k
            buffers[name] = Buffer(name, "int32", (1,), "input", position)
        whole = _Whole(program, buffers, state)
        steps: list[Step] = []
        for k, step in enumerate(program.steps):
            if not (guarded or more or self.set) and _choice_fails(program.steps, k):
                steps.append(Run(_reset(), (STOP,)))
                self.set = True
            steps += self._step(whole, step, guarded or (not more and self.set))
        return program._replace(
            inputs=(*program.inputs, *more), buffers=whole.buffers, steps=tuple(steps)
        )

    def _step(self, whole: _Whole, step: Step, on: bool) -> Iterator[Step]:
        if any(map(_requires, _inner(step))) and not self.set:
            yield Run(_reset(), (STOP,))
            self.set = on = True
        match step:
            case Require():
                yield self._check(step, on)
                self.set = True
            case Run() if on and launch(step.kernel) is not None:
                yield step._replace(kernel=self._kernel(step.kernel), buffers=(*step.buffers, STOP))
            case Copy() if on and whole.is_state(step.target):
                yield self._copy(whole, step.target, step.source)
            case Loop():
                yield from self._loop(whole, step, on)
            case Branch():
                yield from self._branch(whole, step, on)
            case _:
                yield step

    # checks and kernels ---------------------------------------------------------------------------

    def _check(self, step: Require, on: bool) -> Run:
        self.failures.append(step.failure)
        number = const(len(self.failures), "int32")
        flag, word = load("flag", (), "bool"), load(STOP, (const(0),), "int32")
        if on:
            value = F.select(F.eq(word, const(0, "int32")), F.select(flag, word, number), word)
        else:
            value = F.select(flag, const(0, "int32"), number)
        params = (Param("flag", "bool", (), "in"), _stop("inout" if on else "out"))
        kernel = _single(f"check{len(self.failures)}", params, Store(STOP, (const(0),), value))
        return Run(kernel, (step.flag, STOP), step.failure.origins)

    def _kernel(self, kernel: Kernel) -> Kernel:
        """The kernel that does nothing when the stop word is not 0."""
        found = self.known.get(kernel.name)
        if found is None:
            bound = launch(kernel)
            assert bound is not None
            on = F.eq(load(STOP, (const(0),), "int32"), const(0, "int32"))
            block = bound.block._replace(body=(If(on, bound.block.body),))
            grid = bound.grid._replace(body=(*bound.grid.body[:-1], block))
            found = self.known[kernel.name] = kernel._replace(
                name=f"{kernel.name}_if", params=(*kernel.params, _stop("in")), body=(grid,)
            )
        return found

    def _copy(self, whole: _Whole, target: str, source: str) -> Run:
        b = whole.buffers[target]
        kernel = _copying(b, f"copy{len(self.known)}")
        known = self.known.setdefault(f"copy {b.dtype} {kernel.params[0].shape}", kernel)
        return Run(known, (source, target, STOP))

    # inner programs -------------------------------------------------------------------------------

    def _loop(self, whole: _Whole, step: Loop, on: bool) -> Iterator[Step]:
        if not on:
            yield step._replace(body=self._program(step.body, False, (), ()))
            return
        body = self._program(step.body, True, _GIVEN, (STOP,))
        count = len(step.body.inputs)
        rows = (*step.rows[:count], Row(STOP), *step.rows[count:])
        finals, late = [], []
        for target, row in step.finals:
            if whole.is_state(target):
                held = whole.room(target)
                late.append(self._copy(whole, target, held))
                target = held
            finals.append((target, row))
        yield step._replace(body=body, rows=rows, finals=tuple(finals))
        yield from late

    def _branch(self, whole: _Whole, step: Branch, on: bool) -> Iterator[Step]:
        if _requires(step.then) or _requires(step.otherwise) or not can_run_both(step):
            more = (STOP,) if on else ()
            arms = [self._program(p, on, _GIVEN if on else (), more)
                    for p in (step.then, step.otherwise)]  # fmt: skip
            yield step._replace(then=arms[0], otherwise=arms[1], inputs=(*step.inputs, *more))
            return
        self.number += 1
        words = [f"_not_then{self.number}", f"_not_otherwise{self.number}"]
        for name in words:
            whole.buffers[name] = Buffer(name, "int32", (1,), "temp")
        yield Run(_arms(on), (step.pred, *words, *((STOP,) if on else ())))
        then = self._program(step.then, True, _GIVEN, (STOP, _OTHER))
        otherwise = self._program(step.otherwise, True, _GIVEN, (_OTHER, STOP))
        yield Both(step.pred, then, otherwise, (*step.inputs, *words), step.outputs)


_GIVEN = ("input", "output")  # roles of what an inner program is given
_OTHER = "_other"


class _Whole:
    """A program while it gets its guards."""

    def __init__(self, program: Program, buffers: dict[str, Buffer], state: tuple[str, ...]):
        self.program, self.buffers, self.state = program, buffers, state

    def is_state(self, name: str) -> bool:
        """Whether a buffer must not change once something has failed."""
        while self.buffers[name].alias:
            name = self.buffers[name].alias
        return self.buffers[name].role in self.state

    def room(self, like: str) -> str:
        """A new temporary of the type of a buffer."""
        name = f"_held{len(self.buffers)}"
        b = self.buffers[like]
        self.buffers[name] = Buffer(name, b.dtype, b.shape, "temp")
        return name


# kernels ------------------------------------------------------------------------------------------


def _stop(mode: str) -> Param:
    return Param(STOP, "int32", (1,), mode)


def _single(name: str, params: tuple[Param, ...], *stores: Store) -> Kernel:
    """A kernel whose first thread does some stores."""
    block, thread = var("_block"), var("_thread")
    first = If(F.eq(thread, const(0)), stores)
    return Kernel(name, params, (), (For(block, 1, "grid", (For(thread, 32, "block", (first,)),)),))


def _reset() -> Kernel:
    return _single("reset", (_stop("out"),), Store(STOP, (const(0),), const(0, "int32")))


def _arms(on: bool) -> Kernel:
    """The stop words of two arms: of the one that is not taken 1, of both that of the program."""
    zero, one, pred = const(0, "int32"), const(1, "int32"), load("pred", (), "bool")
    word = load(STOP, (const(0),), "int32") if on else zero
    values = [F.select(pred, zero, one), F.select(pred, one, zero)]
    values = [F.select(F.eq(word, zero), v, word) for v in values] if on else values
    params = (Param("pred", "bool", (), "in"), Param("then", "int32", (1,), "out"),
              Param("otherwise", "int32", (1,), "out"))  # fmt: skip
    stores = [Store(n, (const(0),), v) for n, v in zip(("then", "otherwise"), values, strict=True)]
    name = "arms_if" if on else "arms"
    return _single(name, (*params, *((_stop("in"),) if on else ())), *stores)


def _copying(b: Buffer, name: str) -> Kernel:
    """A kernel that copies a buffer's bytes, in words of its items' size, where nothing failed."""
    size = dtypes.itemsize(b.dtype)
    dtype = f"uint{8 * min(size, 8)}"
    count: Size = as_size(as_expr(elements(b.shape)) * (size // min(size, 8)))
    block, thread, turn = var("_block"), var("_thread"), var("_turn")
    on = F.eq(load(STOP, (const(0),), "int32"), const(0, "int32"))
    inside = F.and_(on, F.lt(turn, as_expr(count)))
    copied = Store("target", (turn,), load("source", (turn,), dtype))
    body = (Let(turn, block * _THREADS + thread), If(inside, (copied,)))
    blocks = as_size((as_expr(count) + (_THREADS - 1)) // _THREADS)
    params = (Param("source", dtype, (count,), "in"), Param("target", dtype, (count,), "out"),
              _stop("in"))  # fmt: skip
    sizes = tuple(v.attr for v in variables(count)) if isinstance(count, Expr) else ()
    grid = For(block, blocks, "grid", (For(thread, _THREADS, "block", body),))
    return Kernel(name, params, sizes, (grid,))
