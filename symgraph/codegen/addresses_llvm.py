"""Where the buffers of a program lie: in its arena, in constants, in memory that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symgraph.codegen.writer import Value
from symgraph.loops.memory import ALIGNMENT, LARGE, Plan, nbytes
from symgraph.loops.program import Buffer, Program
from symgraph.scalar import as_expr, as_size
from symgraph.scalar import functions as F

if TYPE_CHECKING:
    from symgraph.codegen.program_llvm import ProgramModule
    from symgraph.codegen.values import Values


class Addresses:
    """The addresses of a program's buffers."""

    def __init__(self, shared: ProgramModule, values: Values, program: Program, plan: Plan) -> None:
        self.shared, self.values, self.fn = shared, values, values.fn
        self.program, self.plan = program, plan
        self.offsets: list[Value] = []

    def find(self) -> dict[str, Value]:
        """The address of each buffer."""
        program, fn = self.program, self.fn
        offset = "0"
        for room in self.plan.slots:
            self.offsets.append(offset)
            rounded = as_size((as_expr(room) + (ALIGNMENT - 1)) // ALIGNMENT * ALIGNMENT)
            size = self.values.uniform(rounded)
            both = offset.isdigit() and size.isdigit()
            offset = str(int(offset) + int(size)) if both else fn.val(f"add i64 {offset}, {size}")
        found: dict[str, Value] = {}
        for b in program.buffers.values():
            if b.role in ("input", "output"):
                found[b.name] = f"%{b.name}"
            elif b.role == "shared":
                cell = self.shared.table.load(fn, "shared", str(b.position))
                found[b.name] = fn.val(f"load ptr, ptr {cell}")
            elif b.role == "constant":
                found[b.name] = self._constant(b)
            elif not b.alias:
                found[b.name] = self._temporary(b)
        for b in program.buffers.values():
            if b.alias:
                home = b.alias
                while program.buffers[home].alias:
                    home = program.buffers[home].alias
                found[b.name] = found[home]
        return found

    def _temporary(self, b: Buffer) -> Value:
        """A slot, or the memory of a result where that is as large."""
        slot, result = self.slot(b.name), self.plan.in_results.get(b.name)
        if result is None:
            return slot
        large = self.values.uniform(F.le(LARGE, as_expr(nbytes(b))))
        return self.fn.val(f"select i1 {large}, ptr %{result}, ptr {slot}")

    def slot(self, name: str) -> Value:
        """The memory that the plan gives to a name."""
        place = self.plan.slot_of.get(name)
        if place is None or self.offsets[place] == "0":
            return "%arena"
        return self.fn.val(f"getelementptr i8, ptr %arena, i64 {self.offsets[place]}")

    def _constant(self, b: Buffer) -> Value:
        if b.data is None:
            return self.shared.table.load(self.fn, "constant", str(b.position))
        text = "".join(f"\\{byte:02X}" for byte in b.data)
        return self.shared.module.constant(f"[{len(b.data)} x i8]", f'c"{text}"')
