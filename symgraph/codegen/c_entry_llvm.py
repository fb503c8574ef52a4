"""The entry of a compiled function for callers in C: addresses in, addresses out, no Python.

    i32 c_entry(ptr table, ptr inputs, ptr shapes, ptr outputs)

``inputs`` and ``outputs`` are arrays of addresses of C-contiguous memory, ``shapes`` holds the
sizes of all inputs' axes, one input after the other. The result is 0, the number of a failure
(negative when a callback raised), or one of the codes of runtime/c_entry.py. The Python entry's
tests on sizes hold here too; nothing else can be tested.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.entry_llvm import STACK_ARENA, Entry, Signature
from symgraph.codegen.tables import Table
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.runtime.c_entry import NAME, NO_MEMORY, WRONG_SIZES
from symgraph.scalar import var


def emit_c_entry(module: ModuleWriter, table: Table, signature: Signature, program: str) -> None:
    """Write the function ``c_entry``; ``program`` is the function it runs."""
    _CEntry(module, table, signature, program, None).write()


class _CEntry(Entry):
    """The parts of the Python entry that know nothing of Python."""

    def head(self, module: ModuleWriter) -> FunctionWriter:
        names = ("table", "inputs", "shapes", "outputs")
        return module.function(NAME, [("ptr", n, "") for n in names], "i32", "", "nounwind")

    def write(self) -> None:
        fn, signature = self.fn, self.signature
        self.context, self.slow = "%table", fn.label("wrong")
        tests: list[Value] = []
        at = 0
        for port in signature.inputs:
            tests += self._bind("%shapes", 8 * at, port)
            at += len(port.shape)
        self._go_on(tests)
        self._shared_sizes()
        self._check_sizes()
        for name, value in self.sizes.items():
            self.values.bind(name, (value, 1))
        self._size_conditions()
        arena, release = self._arena()
        words = [f"ptr {self.context}", f"ptr {arena}"]
        words += [f"i64 {self.sizes[var(s)]}" for s in signature.sizes]
        for array, ports in (("%inputs", signature.inputs), ("%outputs", signature.outputs)):
            words += [f"ptr {self._field('ptr', array, 8 * k)}" for k in range(len(ports))]
        status = fn.fresh(f"call i32 @{self.program}({', '.join(words)})")
        if release:
            release()
        fn.ret("i32", status)
        fn.block(self.slow)
        fn.ret("i32", str(WRONG_SIZES))

    def _arena(self) -> tuple[Value, Callable[[], None] | None]:
        """Memory for temporaries, as in the Python entry."""
        size = self.signature.arena
        if isinstance(size, int) and size <= STACK_ARENA:
            return super()._arena()
        return self._taken_arena(lambda: self.fn.ret("i32", str(NO_MEMORY)))
