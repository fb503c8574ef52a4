"""Loops of programs: their turns one after another, or by several threads where they stand apart.

The function of the body is called with the addresses that a turn gives to its inputs and outputs,
and with memory for its temporaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from symgraph import dtypes
from symgraph.codegen.apart_llvm import NEVER, Held, place, rounded, share_turns
from symgraph.codegen.share_llvm import memcpy
from symgraph.codegen.writer import Value
from symgraph.loops.compute import elements
from symgraph.loops.cost import loop_turns, turn_cost
from symgraph.loops.memory import nbytes, plan
from symgraph.loops.program import ENDLESS, Buffer, Call, Loop, Row
from symgraph.loops.statements import Size
from symgraph.runtime.later import Later
from symgraph.scalar import as_expr, as_size, var

if TYPE_CHECKING:
    from symgraph.codegen import gemm_llvm
    from symgraph.codegen.program_llvm import ProgramFunction
else:
    gemm_llvm = Later("symgraph.codegen.gemm_llvm")

POLL = 1_000_000_000  # picoseconds of a loop's work between two polls for signals


def emit_loop(outer: ProgramFunction, step: Loop, names: Sequence[str], arena: Value) -> None:
    """A loop in the function of a program. ``names`` are the functions of its body: the usual one,
    and that of threads where its turns stand apart."""
    loop = _Loop(outer, step)
    if len(names) == 1:
        loop.turns(names[0], arena)
    else:
        loop.shared_turns(names[0], names[1], arena)


class _Loop:
    def __init__(self, outer: ProgramFunction, step: Loop) -> None:
        self.outer, self.step = outer, step
        self.fn, self.values = outer.fn, outer.values

    # by several threads ---------------------------------------------------------------------------

    def shared_turns(self, name: str, alone: str, arena: Value) -> None:
        """The turns by the team, each by the function ``alone``; one after another where that does
        not take part."""
        outer, values, body = self.outer, self.values, self.step.body
        self._prepare()
        rows = [self._held(row) for row in self.step.rows]
        room = values.uniform(rounded(plan(body).total()))
        sizes = [values.uniform(var(s)) for s in body.sizes]
        sharing = outer.shared.sharing
        done = share_turns(self.fn, values, sharing, self.step, alone, room, sizes, rows)

        def one_thread() -> None:
            with values.inside():
                self.turns(name, arena)

        self.fn.if_(self.fn.fresh(f"icmp ne i32 {done}, 0"), outer.poll, one_thread)

    def _prepare(self) -> None:
        """Have the parts of products made that threads will want, who cannot ask for them. None of
        the products is done here: but for the number of matrices they are those of a turn, and
        memory of its own begins where lines of cache do, as nowhere does."""
        waiting = [(self.step, self.outer.pointers)]
        while waiting:
            loop, outside = waiting.pop()
            body = loop.body
            names = zip((*body.inputs, *body.outputs), loop.rows, strict=True)
            where = {n: outside.get(r.buffer, "null") for n, r in names if not r.rows}
            for inner in body.steps:
                if isinstance(inner, Call):
                    buffers = [body.buffers[b] for b in inner.buffers]
                    self._without_matrices(
                        inner, buffers, [where.get(b.name, "null") for b in buffers]
                    )
                elif isinstance(inner, Loop):
                    waiting.append((inner, where))

    def _without_matrices(self, call: Call, buffers: list[Buffer], pointers: list[Value]) -> None:
        """A product of no matrices."""
        outer = self.outer
        params, table = dict(call.params), outer.shared.table
        if call.routine == "convolution":
            kernel = outer.convolving(params, buffers[4].dtype)
            words = self.fn, table, self.values, kernel, pointers[:5], {**params, "batch": 0}
            outer.check_made(gemm_llvm.emit_convolution(*words, NEVER), call)
            return
        product = outer.shared.gemm(self.fn, buffers[0].dtype)
        if product is not None:
            buffers[2] = buffers[2]._replace(shape=(0, *buffers[2].shape[-2:]))
            operands = list(zip(pointers[:3], buffers[:3], strict=True))
            flags = params["ta"], params["tb"], params.get("accumulate", False)
            status = gemm_llvm.emit_product(
                self.fn, table, self.values, product, operands, *flags, NEVER
            )
            outer.check_made(status, call)

    # one after another ----------------------------------------------------------------------------

    def turns(self, name: str, arena: Value) -> None:
        """All turns by the function of that name."""
        outer, step, values = self.outer, self.step, self.values
        length = values.uniform(step.length)
        rows = [self._held(row) for row in step.rows]
        finals = [(target, self._held(row)) for target, row in step.finals]
        mask = self._poll_mask()

        def turn(t: Value, _: list[Value]) -> list[Value]:
            with values.inside():
                pointers = [self._row(held, t) for held in rows]
                outer.stop_on(outer.call_program(name, step.body, arena, pointers))
                self._poll_at(t, mask)
            return []

        turns = length
        if step.flag:
            turns = self._while(step.flag, length, turn)
        else:
            self.fn.loop(0, length, 1, [], turn)
        for target, held in finals:
            if target in outer.pointers:
                size = values.uniform(nbytes(outer.program.buffers[target]))
                memcpy(self.fn, outer.pointers[target], self._row(held, turns), size)

    def _while(self, flag: str, length: Value, turn: Callable[..., Any]) -> Value:
        """Turns as long as the flag holds, at most ``length``; returns how many there were."""
        fn = self.fn

        def goes_on(carried: list[Value]) -> Value:
            held = fn.fresh(f"load i8, ptr {self.outer.pointers[flag]}")
            below = fn.fresh(f"icmp slt i64 {carried[0]}, {length}")
            return fn.fresh(f"select i1 {below}, i1 {fn.fresh(f'icmp ne i8 {held}, 0')}, i1 false")

        def body(carried: list[Value]) -> list[Value]:
            turn(carried[0], [])
            return [fn.fresh(f"add nsw i64 {carried[0]}, 1")]

        (turns,) = fn.while_([("i64", "0")], goes_on, body)
        return turns

    def _poll_mask(self) -> Value:
        """Which bits of a turn's number must be ones for a poll: about one in a millisecond. Empty
        for a loop that is short."""
        cost = turn_cost(self.step)
        whole = as_size(loop_turns(self.step) * as_expr(cost))
        short = isinstance(whole, int) and whole < POLL and self.step.length != ENDLESS
        if not self.outer.stops or short:
            return ""
        fn = self.fn
        if isinstance(cost, int):
            return str((1 << max(0, (POLL // max(cost, 1)).bit_length() - 1)) - 1)
        fn.declare("i64", "llvm.umax.i64", ["i64", "i64"])
        fn.declare("i64", "llvm.ctlz.i64", ["i64", "i1"])
        one = fn.val(f"call i64 @llvm.umax.i64(i64 {self.values.uniform(cost)}, i64 1)")
        turns = fn.val(f"or i64 {fn.val(f'udiv i64 {POLL}, {one}')}, 1")
        high = fn.val(f"sub i64 63, {fn.val(f'call i64 @llvm.ctlz.i64(i64 {turns}, i1 true)')}")
        return fn.val(f"sub i64 {fn.val(f'shl i64 1, {high}')}, 1")

    def _poll_at(self, t: Value, mask: Value) -> None:
        if mask:
            low = self.fn.val(f"and i64 {t}, {mask}")
            ask = self.fn.val(f"icmp eq i64 {low}, {mask}")
            self.fn.if_(ask, self.outer.poll, likely=False)

    # rows -----------------------------------------------------------------------------------------

    def _held(self, row: Row) -> Held:
        size: Size = 0
        if row.rows:
            buffer = self.outer.program.buffers[row.buffer]
            size = as_size(as_expr(elements(buffer.shape[1:])) * dtypes.itemsize(buffer.dtype))
        uniform = self.values.uniform
        return Held(row, self.outer.pointers[row.buffer], uniform(size), uniform(row.start))

    def _row(self, held: Held, t: Value) -> Value:
        """The address that step t gives to one input or output of the body."""
        found, first = place(self.fn, held, t), held.row.first
        if not first:
            return found
        begins = self.fn.val(f"icmp eq i64 {t}, 0")
        return self.fn.val(f"select i1 {begins}, ptr {self.outer.pointers[first]}, ptr {found}")
