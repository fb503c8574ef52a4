"""A Program as one LLVM function: buffers get addresses, steps become calls.

    i32 name(ptr table, ptr arena, i64 sizes..., ptr inputs..., ptr outputs...)

The result is 0, or the number of the failure (counted from 1) that stopped it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph import dtypes
from symgraph.codegen import blas_llvm, lapack_llvm
from symgraph.codegen.kernel_llvm import emit_kernel
from symgraph.codegen.library_llvm import library_functions
from symgraph.codegen.sort_llvm import emit_sort
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.memory import ALIGNMENT, nbytes, plan
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
from symgraph.loops.statements import Kernel, Size
from symgraph.scalar import as_expr, as_size, var


class ProgramModule:
    """What the programs of one function share: the table, the failures, and the kernels by name.

    Every kernel is a module of its own, called through the table: equal kernels of other functions,
    and those that an edit of the model did not touch, come from the disk cache.
    """

    def __init__(self, module: ModuleWriter, vector_bits: int, features: str = "") -> None:
        self.module, self.vector_bits, self.features = module, vector_bits, features
        self.table = Table()
        self.failures: list[Failure] = []
        self.kernels: dict[str, str] = {}
        self.callbacks: list[Any] = []
        self.programs = 0

    def kernel(self, kernel: Kernel) -> str:
        """The name of a kernel in the table; its module is written at first sight."""
        if kernel.name not in self.kernels:
            module = ModuleWriter(self.features)
            emit_kernel(module, kernel, self.vector_bits)
            self.kernels[kernel.name] = module.text()
        return kernel.name

    def emit(self, program: Program) -> str:
        """Write the function of a program (and of the programs inside it); returns its name."""
        name = f"program{self.programs}"
        self.programs += 1
        _Function(self, program, name).write()
        return name


class _Function:
    def __init__(self, shared: ProgramModule, program: Program, name: str) -> None:
        self.shared, self.program, self.name = shared, program, name
        params = [("ptr", "table", ""), ("ptr", "arena", "")]
        params += [("i64", f"n{k}", "") for k in range(len(program.sizes))]
        params += [("ptr", b, "") for b in (*program.inputs, *program.outputs)]
        attributes = "nounwind"
        self.fn = shared.module.function(name, params, "i32", "internal", attributes)
        self.values = Values(self.fn, shared.module, {}, {}, set())
        for k, size in enumerate(program.sizes):
            self.values.bind(var(size), (f"%n{k}", 1))
        self.plan = plan(program)
        self.pointers: dict[str, Value] = {}
        self.inner: dict[int, list[str]] = {}

    def write(self) -> None:
        for k, step in enumerate(self.program.steps):  # inner programs are functions of their own
            inner = _programs(step)
            if inner:
                self.inner[k] = [self.shared.emit(p) for p in inner]
        self._addresses()
        for k, step in enumerate(self.program.steps):
            self._step(k, step)
        self.fn.ret("i32", "0")

    # buffers --------------------------------------------------------------------------------------

    def _addresses(self) -> None:
        program, fn = self.program, self.fn
        offsets: list[Value] = []
        offset = "0"
        for size in self.plan.slots:
            offsets.append(offset)
            rounded = as_size((as_expr(size) + (ALIGNMENT - 1)) // ALIGNMENT * ALIGNMENT)
            room = self.values.uniform(rounded)
            both = offset.isdigit() and room.isdigit()
            offset = str(int(offset) + int(room)) if both else fn.val(f"add i64 {offset}, {room}")
        self.offsets = offsets
        for b in program.buffers.values():
            if b.role in ("input", "output"):
                self.pointers[b.name] = f"%{b.name}"
            elif b.role == "shared":
                cell = self.shared.table.load(fn, "shared", str(b.position))
                self.pointers[b.name] = fn.val(f"load ptr, ptr {cell}")
            elif b.role == "constant":
                self.pointers[b.name] = self._constant(b)
            elif not b.alias:
                self.pointers[b.name] = self._slot(self.plan.slot_of.get(b.name))
        for b in program.buffers.values():
            if b.alias:
                home = b.alias
                while program.buffers[home].alias:
                    home = program.buffers[home].alias
                self.pointers[b.name] = self.pointers[home]

    def _slot(self, slot: int | None) -> Value:
        if slot is None or self.offsets[slot] == "0":
            return "%arena"
        return self.fn.val(f"getelementptr i8, ptr %arena, i64 {self.offsets[slot]}")

    def _constant(self, b: Buffer) -> Value:
        if b.data is None:
            return self.shared.table.load(self.fn, "constant", str(b.position))
        text = "".join(f"\\{byte:02X}" for byte in b.data)
        return self.shared.module.constant(f"[{len(b.data)} x i8]", f'c"{text}"')

    # steps ----------------------------------------------------------------------------------------

    def _step(self, k: int, step: Step) -> None:
        match step:
            case Run():
                self._run(step)
            case Call(routine="python"):
                self._python(step)
            case Call(routine="lapack"):
                self._lapack(step)
            case Call(routine="sort"):
                operands = [(self.pointers[b], self.program.buffers[b]) for b in step.buffers]
                emit_sort(self.fn, self.shared.module, self.values, step, operands)
            case Call():
                operands = [(self.pointers[b], self.program.buffers[b]) for b in step.buffers]
                blas_llvm.emit_call(self.fn, self.shared.table, self.values, step, operands)
            case Copy():
                size = nbytes(self.program.buffers[step.target])
                self._memcpy(self.pointers[step.target], self.pointers[step.source], size)
            case Loop():
                self._loop(step, self.inner[k][0], self._slot(self.plan.slot_of.get(f"#{k}")))
            case Branch():
                self._branch(step, self.inner[k], self._slot(self.plan.slot_of.get(f"#{k}")))
            case Require():
                self._require(step)

    def _run(self, step: Run) -> None:
        kernel = step.kernel
        address = self.shared.table.load(self.fn, "kernel", self.shared.kernel(kernel))
        words = [f"ptr {self.pointers[b]}" for b in step.buffers]
        words += [f"i64 {self.values.uniform(var(s))}" for s in kernel.sizes]
        for name in library_functions(kernel):
            words.append(f"ptr {self.shared.table.load(self.fn, 'special', name)}")
        self.fn.raw(f"call void {address}({', '.join(words)})")

    def _python(self, step: Call) -> None:
        """Call ``i32 f(ptr buffers, ptr sizes)`` of the executor, which runs the graph in NumPy.

        Not 0 says that it raised; the exception waits in the executor. The program then returns the
        number of the failure, which knows the user's line, with a minus.
        """
        fn, sizes = self.fn, self.program.sizes
        graph = dict(step.params)["graph"]
        address = self.shared.table.load(fn, "python", str(len(self.shared.callbacks)))
        self.shared.callbacks.append((graph, sizes))
        buffers = fn.slot("ptr", max(1, len(step.buffers)), 8)
        for k, b in enumerate(step.buffers):
            place = fn.val(f"getelementptr ptr, ptr {buffers}, i64 {k}")
            fn.raw(f"store ptr {self.pointers[b]}, ptr {place}")
        held = fn.slot("i64", max(1, len(sizes)), 8)
        for k, name in enumerate(sizes):
            place = fn.val(f"getelementptr i64, ptr {held}, i64 {k}")
            fn.raw(f"store i64 {self.values.uniform(var(name))}, ptr {place}")
        status = fn.fresh(f"call i32 {address}(ptr {buffers}, ptr {held})")
        self.shared.failures.append(Failure("python", "", "", step.origins))
        number = str(-len(self.shared.failures))
        bad = fn.fresh(f"icmp ne i32 {status}, 0")
        fn.if_(bad, lambda: fn.ret("i32", number), likely=False)

    def _lapack(self, step: Call) -> None:
        """Where a routine fails the op's reference is called back, which raises, or the call stops
        with a failure."""
        operands = [(self.pointers[b], self.program.buffers[b]) for b in step.buffers]
        failed = lapack_llvm.emit_call(self.fn, self.shared.table, self.values, step, operands)
        params = dict(step.params)
        if "graph" in params:
            with self.values.inside():
                self.fn.if_(failed, lambda: self._python(step), likely=False)
        elif "failure" in params:
            self.shared.failures.append(params["failure"])
            number = str(len(self.shared.failures))
            self.fn.if_(failed, lambda: self.fn.ret("i32", number), likely=False)

    def _memcpy(self, target: Value, source: Value, size: Size) -> None:
        name = "llvm.memcpy.p0.p0.i64"
        self.fn.declare("void", name, ["ptr", "ptr", "i64", "i1"])
        count = self.values.uniform(size)
        self.fn.raw(f"call void @{name}(ptr {target}, ptr {source}, i64 {count}, i1 false)")

    def _require(self, step: Require) -> None:
        flag = self.fn.fresh(f"load i8, ptr {self.pointers[step.flag]}")
        bad = self.fn.val(f"icmp eq i8 {flag}, 0")
        self.shared.failures.append(step.failure)
        number = str(len(self.shared.failures))
        self.fn.if_(bad, lambda: self.fn.ret("i32", number), likely=False)

    # inner programs -------------------------------------------------------------------------------

    def _call_program(
        self, name: str, inner: Program, arena: Value, pointers: list[Value]
    ) -> Value:
        words = ["ptr %table", f"ptr {arena}"]
        words += [f"i64 {self.values.uniform(var(s))}" for s in inner.sizes]
        words += [f"ptr {p}" for p in pointers]
        return self.fn.fresh(f"call i32 @{name}({', '.join(words)})")

    def _stop_on(self, status: Value) -> None:
        bad = self.fn.fresh(f"icmp ne i32 {status}, 0")
        self.fn.if_(bad, lambda: self.fn.ret("i32", status), likely=False)

    def _loop(self, step: Loop, name: str, arena: Value) -> None:
        length = self.values.uniform(step.length)
        rows = [(row, self._row_bytes(row), self.values.uniform(row.start)) for row in step.rows]
        finals = [(t, r, self._row_bytes(r), self.values.uniform(r.start)) for t, r in step.finals]

        def turn(t: Value, _: list[Value]) -> list[Value]:
            with self.values.inside():
                pointers = [self._row(row, size, start, t) for row, size, start in rows]
                self._stop_on(self._call_program(name, step.body, arena, pointers))
            return []

        turns = length
        if step.flag:
            turns = self._while(step.flag, length, turn)
        else:
            self.fn.loop(0, length, 1, [], turn)
        for target, row, size, start in finals:
            if target in self.pointers:
                source = self._row(row, size, start, turns)
                self._memcpy(self.pointers[target], source, nbytes(self.program.buffers[target]))

    def _while(self, flag: str, length: Value, turn: Callable[..., Any]) -> Value:
        """Turns as long as the flag holds, at most ``length``; returns how many there were."""
        fn = self.fn

        def goes_on(carried: list[Value]) -> Value:
            held = fn.fresh(f"load i8, ptr {self.pointers[flag]}")
            below = fn.fresh(f"icmp slt i64 {carried[0]}, {length}")
            return fn.fresh(f"select i1 {below}, i1 {fn.fresh(f'icmp ne i8 {held}, 0')}, i1 false")

        def body(carried: list[Value]) -> list[Value]:
            turn(carried[0], [])
            return [fn.fresh(f"add nsw i64 {carried[0]}, 1")]

        (turns,) = fn.while_([("i64", "0")], goes_on, body)
        return turns

    def _row_bytes(self, row: Row) -> Value:
        if not row.rows:
            return "0"
        buffer = self.program.buffers[row.buffer]
        count = as_size(as_expr(elements(buffer.shape[1:])) * dtypes.itemsize(buffer.dtype))
        return self.values.uniform(count)

    def _row(self, row: Row, size: Value, start: Value, t: Value) -> Value:
        """The address that step t gives to one input or output of the body."""
        base = self.pointers[row.buffer]
        if not row.rows:
            return base
        fn = self.fn
        moved = fn.val(f"mul i64 {t}, {row.step}")
        index = fn.val(f"add i64 {moved}, {start}")
        if row.modulo:
            index = fn.val(f"urem i64 {index}, {row.modulo}")
        place = fn.val(f"getelementptr i8, ptr {base}, i64 {fn.val(f'mul i64 {index}, {size}')}")
        if not row.first:
            return place
        begins = fn.val(f"icmp eq i64 {t}, 0")
        return fn.val(f"select i1 {begins}, ptr {self.pointers[row.first]}, ptr {place}")

    def _branch(self, step: Branch, names: list[str], arena: Value) -> None:
        flag = self.fn.fresh(f"load i8, ptr {self.pointers[step.pred]}")
        pointers = [self.pointers[b] for b in (*step.inputs, *step.outputs)]

        def arm(name: str, inner: Program) -> list[Value]:
            with self.values.inside():
                return [self._call_program(name, inner, arena, pointers)]

        (status,) = self.fn.if_(
            self.fn.val(f"icmp ne i8 {flag}, 0"),
            lambda: arm(names[0], step.then),
            lambda: arm(names[1], step.otherwise),
            ["i32"],
        )
        self._stop_on(status)


def _programs(step: Step) -> list[Program]:
    match step:
        case Loop():
            return [step.body]
        case Branch():
            return [step.then, step.otherwise]
    return []
