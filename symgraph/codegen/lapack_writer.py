"""What every call of LAPACK needs: arguments by address, routines from the table, a batch loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgraph import dtypes
from symgraph.codegen.literals import llvm_type
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer
from symgraph.loops.statements import Size

LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}
_COMPLEX_NAMES = {"orgqr": "ungqr"}  # orthogonal and unitary


class Writer:
    """Writes one Call over a batch of matrices; ``operands`` are the step's (address, buffer)."""

    def __init__(
        self, fn: FunctionWriter, table: Table, values: Values,
        operands: Sequence[tuple[Value, Buffer]], part: tuple[Value, Value] | None = None,
    ) -> None:  # fmt: skip
        """``part``: from which matrix of the batch to which it goes, where that is not all."""
        self.fn, self.table, self.values, self.operands = fn, table, values, operands
        self.part = part
        self.spare: tuple[int, ...] = ()  # operands that are workspaces

    def shape(self, k: int) -> tuple[Size, ...]:
        return self.operands[k][1].shape

    def dtype(self, k: int) -> str:
        return self.operands[k][1].dtype

    # arguments ------------------------------------------------------------------------------------

    def routine(self, name: str, k: int) -> Value:
        """The address of a routine for the dtype of operand k."""
        dtype = self.dtype(k)
        name = _COMPLEX_NAMES.get(name, name) if dtypes.is_complex(dtype) else name
        return self.table.load(self.fn, "blas", LETTERS[dtype] + name)

    def letter(self, text: str) -> Value:
        return self.place("i8", str(ord(text)))

    def place(self, kind: str, value: Value) -> Value:
        slot = self.fn.slot(kind, 1, 8)
        self.fn.raw(f"store {kind} {value}, ptr {slot}")
        return slot

    def integer(self, size: Size) -> Value:
        return self.place("i64", self.values.uniform(size))

    def leading(self, size: Size) -> Value:
        """A leading dimension or a workspace size: at least 1."""
        value = self.values.uniform(size)
        if value.isdigit():
            return self.place("i64", str(max(1, int(value))))
        self.fn.declare("i64", "llvm.smax.i64", ["i64", "i64"])
        return self.place("i64", self.fn.val(f"call i64 @llvm.smax.i64(i64 {value}, i64 1)"))

    def call(self, address: Value, *words: Value) -> None:
        self.fn.raw(f"call void {address}({', '.join(f'ptr {w}' for w in words)})")

    def checked(self, address: Value, info: Value, *words: Value) -> Value:
        """Call a routine whose last argument is info; whether it reported a failure, as i1.

        A 32-bit info fills the low half of the zeroed slot, so the low half is what counts.
        """
        self.fn.raw(f"store i64 0, ptr {info}")
        self.call(address, *words, info)
        return self.fn.fresh(f"icmp ne i32 {self.fn.fresh(f'load i32, ptr {info}')}, 0")

    # the batch ------------------------------------------------------------------------------------

    def batch(
        self, cores: Sequence[int], turn: Callable[[list[Value]], Value | None], guard: int
    ) -> Value:
        """``turn(addresses)`` for each leading index; whether one of them failed, as i1.

        ``cores`` are the axes of each operand that belong to one turn, -1 for a workspace, which
        all share. Nothing is called while operand ``guard`` is empty.
        """
        fn, values = self.fn, self.values
        first = next(k for k, core in enumerate(cores) if core >= 0)
        shape = self.shape(first)
        count = values.uniform(elements(shape[: len(shape) - cores[first]]))
        steps = [
            values.uniform(elements(self.shape(k)[len(self.shape(k)) - core :] if core else ()))
            if core >= 0 else None
            for k, core in enumerate(cores)
        ]  # fmt: skip
        size = values.uniform(elements(self.shape(guard)))
        self.spare = tuple(k for k, core in enumerate(cores) if core < 0)
        begin, end = self.part or ("0", count)

        def one(i: Value, carried: list[Value]) -> list[Value]:
            places = [self.element(k, i, step) for k, step in enumerate(steps)]
            failed = turn(places)
            return [carried[0] if failed is None else fn.fresh(f"or i1 {carried[0]}, {failed}")]

        def some() -> list[Value]:
            with values.inside():
                return fn.loop(begin, end, 1, [("i1", "false")], one)

        if size.isdigit():
            return some()[0] if size != "0" else "false"
        full = fn.val(f"icmp ne i64 {size}, 0")
        return fn.if_(full, some, lambda: ["false"], ["i1"])[0]

    def element(self, k: int, i: Value, step: Value | None) -> Value:
        """The address of matrix number i of an operand."""
        base, buffer = self.operands[k]
        if step is None or i == "0":
            return base
        offset = self.fn.val(f"mul i64 {i}, {step}")
        return self.fn.val(f"getelementptr {llvm_type(buffer.dtype)}, ptr {base}, i64 {offset}")
