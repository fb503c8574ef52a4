"""A Program as one LLVM function: buffers get addresses, steps become calls.

    i32 name(ptr table, ptr arena, i64 sizes..., ptr inputs..., ptr outputs...)

In a function with a profile (profile_llvm.py) the frame of the call comes after the arena.

The result is 0, or the number of the failure (counted from 1) that stopped it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from symgraph import config, dtypes
from symgraph.codegen import lanes_llvm as choices
from symgraph.codegen import llvm, team_llvm
from symgraph.codegen.addresses_llvm import Addresses
from symgraph.codegen.library_llvm import library_functions
from symgraph.codegen.share_llvm import Sharing, between, context_of, typed
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.memory import Plan, nbytes, plan
from symgraph.loops.program import (
    INTERRUPTED,
    Branch,
    Buffer,
    Call,
    Copy,
    Failure,
    Loop,
    Phase,
    Program,
    Require,
    Run,
    Step,
)
from symgraph.loops.statements import Fold, For, Kernel, unnamed, walk
from symgraph.runtime.later import Later
from symgraph.scalar import var
from symgraph.scalar.special import SPECIAL

if TYPE_CHECKING:
    from symgraph.codegen import (
        apart_llvm,
        blas_llvm,
        fourier_llvm,
        gemm_llvm,
        kernel_llvm,
        lapack_llvm,
        loops_llvm,
        profile_llvm,
        sort_llvm,
        tuned,
    )
    from symgraph.loops import work
else:
    apart_llvm = Later("symgraph.codegen.apart_llvm")
    blas_llvm = Later("symgraph.codegen.blas_llvm")
    fourier_llvm = Later("symgraph.codegen.fourier_llvm")
    gemm_llvm = Later("symgraph.codegen.gemm_llvm")
    kernel_llvm = Later("symgraph.codegen.kernel_llvm")
    lapack_llvm = Later("symgraph.codegen.lapack_llvm")
    loops_llvm = Later("symgraph.codegen.loops_llvm")
    profile_llvm = Later("symgraph.codegen.profile_llvm")
    sort_llvm = Later("symgraph.codegen.sort_llvm")
    tuned = Later("symgraph.codegen.tuned")
    work = Later("symgraph.loops.work")

SHORT = 2000  # characters of a kernel without loops that is compiled at the quick level


class ProgramModule:
    """What the programs of one function share: the table, the failures, and the kernels by name.

    Every kernel is a module of its own, called through the table: equal kernels of other functions,
    and those that an edit of the model did not touch, come from the disk cache.
    """

    plan: Plan

    def __init__(
        self, module: ModuleWriter, vector_bits: int, features: str = "", parallel_from: int = 0,
        profile: profile_llvm.Profiler | None = None,
        made: Callable[[llvm.Module], None] | None = None,
    ) -> None:  # fmt: skip
        self.profile, self.told = profile, made
        self.module, self.vector_bits, self.features = module, vector_bits, features
        self.parallel_from = parallel_from  # nanoseconds
        self.table = Table()
        self.sharing = Sharing(module, self.table, 1000 * parallel_from)
        self.failures: list[Failure] = []
        self.unmade = 0  # the number of the failure of steps that lack parts
        self.kernels: dict[str, llvm.Module] = {}
        self.texts: dict[Any, list[str]] = {}  # of kernels but for the names of their sizes
        self.callbacks: list[Any] = []
        self.programs = 0

    def kernel(self, kernel: Kernel) -> str:
        """The name of a kernel in the table; its module is written at first sight."""
        if kernel.name not in self.kernels:
            alike = unnamed(kernel)
            if alike not in self.texts:
                self.texts[alike] = [self._text(kernel)]
            self.keep(kernel.name, *self.texts[alike])
        return kernel.name

    def _text(self, kernel: Kernel) -> str:
        module = ModuleWriter(self.features)
        kernel_llvm.emit_kernel(module, kernel, self.vector_bits)
        text = module.text()
        # one element: the quick level does as well, and takes a millisecond less
        loops = any(isinstance(s, For | Fold) for s in walk(kernel.body))
        return llvm.ONE_BLOCK + text if not loops and len(text) < SHORT else text

    def keep(self, name: str, module: llvm.Module) -> None:
        """A kernel is written; who wants to know is told."""
        self.kernels[name] = module
        if self.told is not None:
            self.told(module)

    def phases(self, step: Run) -> list[str]:
        """The names of a kernel's phases in the table, each a module, compiled at the same time.
        Those that call special functions share one with these, which take longer than all else."""
        name = step.kernel.name
        symbols = [f"kernel{k}" for k in range(len(step.phases))]
        sharing = [choices.calls(p.kernel, SPECIAL) for p in step.phases]
        homes = [f"{name}_{k}" if k and not c else name for k, c in enumerate(sharing)]
        if name not in self.kernels:
            alike = tuple(unnamed(p.kernel) for p in step.phases)
            modules = {home: ModuleWriter(self.features) for home in homes}
            if alike not in self.texts:
                for home, symbol, phase in zip(homes, symbols, step.phases, strict=True):
                    kernel_llvm.emit_kernel(modules[home], phase.kernel, self.vector_bits, symbol)
                self.texts[alike] = [module.text() for module in modules.values()]
            for home, text in zip(modules, self.texts[alike], strict=True):
                self.keep(home, text)
        return [f"{home}/{symbol}" for home, symbol in zip(homes, symbols, strict=True)]

    def gemm(
        self, fn: FunctionWriter, dtype: str, images: str = "", columns: int = 0
    ) -> gemm_llvm.Product | None:
        """The module of matrix products of a dtype, None where BLAS makes them. ``images`` is the
        operand of a convolution that lies in images; its result has so many ``columns``."""
        if dtype not in gemm_llvm.DTYPES or (not images and config.get("matmul") == "blas"):
            return None
        features = frozenset(w[1:] for w in self.features.split(",") if w[:1] == "+")
        tile = tuned.tile_for(dtype, self.vector_bits, features).of_images(images, columns)
        name = f"convolution {tile.key}" if images else f"matmul_{dtype}"
        self.keep(name, gemm_llvm.module(tile))
        address = self.table.load(fn, "kernel", name)
        return gemm_llvm.Product(address, self.table.load(fn, "parts", tile.key))

    def sort(self, rows: Buffer, positions: bool, descending: bool) -> list[str]:
        """The names of the modules that sort rows like these, as `sort_llvm.modules` has them."""
        features = frozenset(w[1:] for w in self.features.split(",") if w[:1] == "+")
        kind = rows.dtype, positions, descending, self.vector_bits, features
        texts = sort_llvm.modules(*kind, rows.shape[-1])
        for name, text in texts.items():
            if name not in self.kernels:
                self.keep(name, text)
        return list(texts)

    def _kernels_of(self, program: Program) -> None:
        """Write the kernels first: other threads compile them, which takes longer than all else."""
        for step in program.steps:
            if isinstance(step, Run):
                self.phases(step) if step.phases else self.kernel(step.kernel)
            elif isinstance(step, Call) and (after := dict(step.params).get("epilogue")):
                self.kernel(after.kernel)
            for inner in _programs(step):
                self._kernels_of(inner)

    def emit(
        self, program: Program, stops: bool = True, parent: int = -1, alone: bool = False
    ) -> str:
        """Write the function of a program (and of the programs inside it); returns its name.
        ``stops``: a signal may end it, as nothing has been changed that its caller would see;
        ``parent``: the row of the profile under which it runs; ``alone``: one thread does all of
        it. ``plan`` is then its memory's."""
        if not self.programs:
            self._kernels_of(program)
        name = f"program{self.programs}"
        self.programs += 1
        function = ProgramFunction(self, program, name, stops, parent, alone)
        function.write()
        self.plan = function.plan
        return name


class ProgramFunction:
    """The function of one program."""

    def __init__(
        self, shared: ProgramModule, program: Program, name: str, stops: bool, parent: int,
        alone: bool,
    ) -> None:  # fmt: skip
        self.shared, self.program, self.name, self.alone = shared, program, name, alone
        self.parallel_from = apart_llvm.NEVER if alone else shared.parallel_from
        self.stops, self.parent, self.profile = stops, parent, shared.profile
        params = [("ptr", "table", ""), ("ptr", "arena", "")]
        params += [("ptr", "profile", "")] * (self.profile is not None)
        params += [("i64", f"n{k}", "") for k in range(len(program.sizes))]
        params += [("ptr", b, "") for b in (*program.inputs, *program.outputs)]
        attributes = "nounwind"
        self.fn = shared.module.function(name, params, "i32", "internal", attributes)
        self.values = Values(self.fn, shared.module, {}, {}, set())
        for k, size in enumerate(program.sizes):
            self.values.bind(var(size), (f"%n{k}", 1))
        self.plan = plan(program, name == "program0")
        self.addresses = Addresses(shared, self.values, program, self.plan)
        self.pointers: dict[str, Value] = {}
        self.inner: dict[int, list[str]] = {}
        self.rows: dict[int, int] = {}

    def write(self) -> None:
        changes = [_changes_state(self.program, s) for s in self.program.steps]
        safe = changes.index(True) if True in changes else len(changes)
        for k, step in enumerate(self.program.steps):  # inner programs are functions of their own
            inner = _programs(step)
            row = self.rows[k] = self._row_of(step)
            if inner:
                stops = self.stops and k < safe
                self.inner[k] = [self.shared.emit(p, stops, row, self.alone) for p in inner]
            if isinstance(step, Loop) and step.apart and self.profile is None and not self.alone:
                self.inner[k].append(self.shared.emit(step.body, stops=False, alone=True))
        if self.parent >= 0:  # what has gone by since the last mark is the loop's own
            self._mark(self.parent, count=0)
        self.pointers = self.addresses.find()
        stops = self.stops
        for k, step in enumerate(self.program.steps):
            self.stops = stops and k < safe
            self._step(k, step)
            if self.rows[k] >= 0 and not (isinstance(step, Run) and len(step.phases) > 1):
                self._mark(self.rows[k], work.step_work(self.program, step))
        self.fn.ret("i32", "0")

    # profile --------------------------------------------------------------------------------------

    def _row_of(self, step: Step) -> int:
        """The row of a step, -1 where nothing is counted: a check is part of the step after it."""
        profile = self.profile
        if profile is None or isinstance(step, Require):
            return -1
        kind = {"Run": "kernel"}.get(type(step).__name__, type(step).__name__.lower())
        origins = tuple(getattr(step, "origins", ()))
        name, shared = kind, False
        match step:
            case Run():
                name, shared = step.kernel.name, any(p.turns is not None for p in step.phases)
            case Call():
                params = dict(step.params)
                name = str(params.get("name", step.routine))
                if step.routine == "matmul":
                    name = _product_name(self.program, step)
                shared = step.routine in ("matmul", "fourier")
                if step.routine == "lapack":  # many matrices
                    shared = any(len(self.program.buffers[b].shape) > 2 for b in step.buffers)
                if "epilogue" in params:
                    origins += profile.lines_of(params["epilogue"].kernel.name)
            case Copy():
                name = f"{step.source} to {step.target}"
            case Loop():
                origins = tuple(dict.fromkeys(o for s in step.body.steps
                                              for o in getattr(s, "origins", ())))  # fmt: skip
        dtype = work.step_work(self.program, step).dtype
        return profile.row(profile_llvm.Row(kind, name, self.parent, origins, dtype, shared))

    def _mark(self, row: int, done: work.Work | None = None, count: int = 1) -> None:
        if self.profile is None:
            return
        moved, flops = (self.values.uniform(x) for x in (done.bytes, done.flops)) if done else "00"
        self.profile.mark(
            self.fn, self.shared.module, self.shared.table, row,
            count=count, moved=moved, flops=flops,
        )  # fmt: skip

    # steps ----------------------------------------------------------------------------------------

    def _step(self, k: int, step: Step) -> None:
        match step:
            case Run():
                self._run(k, step)
            case Call(routine="python"):
                self._python(step)
            case Call(routine="lapack"):
                self._lapack(step)
            case Call(routine="fourier"):
                self._fourier(step)
            case Call(routine="sort"):
                operands = [(self.pointers[b], self.program.buffers[b]) for b in step.buffers]
                names = self.shared.sort(operands[0][1], **dict(step.params))
                table, least = self.shared.table, self.shared.parallel_from
                sort_llvm.emit_sort(self.fn, table, self.values, names, operands, least)
            case Call(routine="convolution"):
                self._convolution(step)
            case Call():
                self._matmul(step)
            case Copy():
                target, source = self.pointers[step.target], self.pointers[step.source]
                size = nbytes(self.program.buffers[step.target])
                self.shared.sharing.copy(self.fn, self.values, target, source, size)
            case Loop():
                loops_llvm.emit_loop(self, step, self.inner[k], self.addresses.slot(f"#{k}"))
            case Branch():
                self._branch(step, self.inner[k], self.addresses.slot(f"#{k}"))
            case Require():
                self._require(step)

    def _run(self, k: int, step: Run) -> None:
        if not step.phases:
            words = self._arguments(step.kernel, step.buffers, step.kernel.sizes)
            self.fn.raw(f"call void {self._address(step.kernel)}({typed(words)})")
            return
        for phase, name in zip(step.phases, self.shared.phases(step), strict=True):
            self._phase(phase, self.shared.table.load(self.fn, "kernel", name))
            if self.profile is not None and len(step.phases) > 1:
                self._mark_phase(k, step, phase)

    def _mark_phase(self, k: int, step: Run, phase: Phase) -> None:
        """A phase has a row of its own; the last one counts a call of its kernel."""
        assert self.profile is not None
        done = work.phase_work(phase)
        name = f"{step.kernel.name} phase {step.phases.index(phase) + 1}"
        shared = phase.turns is not None
        row = profile_llvm.Row("phase", name, self.rows[k], step.origins, done.dtype, shared)
        self._mark(self.profile.row(row), done)
        if phase is step.phases[-1]:
            self._mark(self.rows[k])

    def _address(self, kernel: Kernel) -> Value:
        return self.shared.table.load(self.fn, "kernel", self.shared.kernel(kernel))

    def _arguments(
        self, kernel: Kernel, buffers: Sequence[str], sizes: Sequence[str]
    ) -> list[tuple[str, Value]]:
        """What a kernel takes: the addresses of its buffers, sizes, library functions."""
        words = [("ptr", self.pointers[b]) for b in buffers]
        words += [("i64", self.values.uniform(var(s))) for s in sizes]
        for name in library_functions(kernel):
            words.append(("ptr", self.shared.table.load(self.fn, "special", name)))
        return words

    def _phase(self, phase: Phase, address: Value) -> None:
        """A kernel's work, or a part of it: by the team of threads where it is large."""
        kernel = phase.kernel
        if phase.turns is None:
            words = self._arguments(kernel, phase.buffers, kernel.sizes)
            self.fn.raw(f"call void {address}({typed(words)})")
            return
        words = self._arguments(kernel, phase.buffers, kernel.sizes[:-2])
        if self.alone:
            whole = between(phase, words, "0", self.values.uniform(phase.turns))
            self.fn.raw(f"call void {address}({typed(whole)})")
            return
        self.shared.sharing.phase(self.fn, self.values, phase, address, words, self.poll)

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
        self.shared.failures.append(Failure("python", "", "", step.origins))
        status = fn.fresh(f"call i32 {address}(ptr {buffers}, ptr {held})")
        self._raise_if(status, len(self.shared.failures))

    def check_made(self, status: Value, step: Call) -> None:
        """Where parts or plans could not be made, say so; the first step speaks for all."""
        if not self.shared.unmade:
            self.shared.failures.append(Failure("python", "", "", step.origins))
            self.shared.unmade = len(self.shared.failures)
        self._raise_if(status, self.shared.unmade)

    def _raise_if(self, status: Value, failure: int) -> None:
        """Where it is not 0 an exception waits."""
        number = str(-failure)
        bad = self.fn.fresh(f"icmp ne i32 {status}, 0")
        self.fn.if_(bad, lambda: self.fn.ret("i32", number), likely=False)

    def _matmul(self, step: Call) -> None:
        params, fn, table = dict(step.params), self.fn, self.shared.table
        flags = params["ta"], params["tb"], params.get("accumulate", False)
        operands = [(self.pointers[b], self.program.buffers[b]) for b in step.buffers[:3]]
        dtype, pairs = operands[0][1].dtype, params.get("pairs", False)
        kernel = self.shared.gemm(fn, dtypes.real_of(dtype) if pairs else dtype)
        if kernel is None:
            blas_llvm.emit_product(fn, table, self.values, operands, *flags)
            return
        least = self.parallel_from
        after = self._epilogue(params["epilogue"], operands[2][1]) if "epilogue" in params else None
        words = kernel, operands, *flags, least, after
        self.check_made(gemm_llvm.emit_product(fn, table, self.values, *words), step)

    def _convolution(self, step: Call) -> None:
        params, table = dict(step.params), self.shared.table
        operands = [self.pointers[b] for b in step.buffers[:5]]
        dtype = self.program.buffers[step.buffers[4]].dtype
        kernel, least = self.convolving(params, dtype), self.parallel_from
        made = self.program.buffers[step.buffers[4]]
        after = self._epilogue(params["epilogue"], made) if "epilogue" in params else None
        if "before" in params:
            words = operands, params, least, after, self._epilogue(params["before"][0], made)
            before = words[-1]._replace(scale=self.values.uniform(params["before"][1]))
        else:
            before = None
        status = gemm_llvm.emit_convolution(
            self.fn, table, self.values, kernel, operands, params, least, after, before
        )
        self.check_made(status, step)

    def convolving(self, params: dict[str, Any], dtype: str) -> gemm_llvm.Product:
        """The products of a convolution with these parameters."""
        columns = params["n"] if isinstance(params["n"], int) else 0
        found = self.shared.gemm(self.fn, dtype, params["images"], columns)
        assert found is not None
        return found

    def _epilogue(self, phase: Phase, product: Buffer) -> gemm_llvm.Epilogue:
        """A loop that a product runs on the rows that it has made."""
        kernel = phase.kernel
        words = self._arguments(kernel, phase.buffers, kernel.sizes[:-2])
        context = team_llvm.pack(self.fn, context_of(self._address(kernel), words))
        turns = self.values.uniform(phase.turns or 0)
        rows = self.values.uniform(elements(product.shape[:-1]))
        width = self.values.uniform(product.shape[-1])
        matrices = self.values.uniform(elements(product.shape[:-2]))
        scale = "1" if turns == rows else "0" if turns == matrices else width
        return gemm_llvm.Epilogue(f"@{self.shared.sharing.body(phase)}", context, scale)

    def _fourier(self, step: Call) -> None:
        fn, shared = self.fn, self.shared
        operands = [(self.pointers[b], self.program.buffers[b]) for b in step.buffers]
        dtype, bits = fourier_llvm.part_of(operands[0][1].dtype), shared.vector_bits
        name = f"fourier_{dtype}"
        if name not in shared.kernels:
            shared.keep(name, fourier_llvm.module(dtype, bits))
        words = {k: v for k, v in step.params if k != "graph"}
        status = fourier_llvm.emit_transform(
            fn, shared.table, self.values, name, operands, **words, vector_bits=bits,
            least=self.parallel_from,
        )  # fmt: skip
        self.check_made(status, step)

    def _lapack(self, step: Call) -> None:
        """Where a routine fails the op's reference is called back, which raises, or the call stops
        with a failure."""
        operands = [(self.pointers[b], self.program.buffers[b]) for b in step.buffers]
        failed = lapack_llvm.emit_call(self.fn, self.shared, self.values, step, operands)
        params = dict(step.params)
        if "graph" in params:
            with self.values.inside():
                self.fn.if_(failed, lambda: self._python(step), likely=False)
        elif "failure" in params:
            self.shared.failures.append(params["failure"])
            number = str(len(self.shared.failures))
            self.fn.if_(failed, lambda: self.fn.ret("i32", number), likely=False)

    def _require(self, step: Require) -> None:
        flag = self.fn.fresh(f"load i8, ptr {self.pointers[step.flag]}")
        bad = self.fn.val(f"icmp eq i8 {flag}, 0")
        self.shared.failures.append(step.failure)
        number = str(len(self.shared.failures))
        self.fn.if_(bad, lambda: self.fn.ret("i32", number), likely=False)

    # inner programs -------------------------------------------------------------------------------

    def call_program(self, name: str, inner: Program, arena: Value, pointers: list[Value]) -> Value:
        """Call the function of an inner program; the i32 is its status."""
        words = ["ptr %table", f"ptr {arena}", *["ptr %profile"] * (self.profile is not None)]
        words += [f"i64 {self.values.uniform(var(s))}" for s in inner.sizes]
        words += [f"ptr {p}" for p in pointers]
        return self.fn.fresh(f"call i32 @{name}({', '.join(words)})")

    def stop_on(self, status: Value) -> None:
        """Return a status that is not 0."""
        bad = self.fn.fresh(f"icmp ne i32 {status}, 0")
        self.fn.if_(bad, lambda: self.fn.ret("i32", status), likely=False)

    # signals --------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Stop where a signal's handler has raised (the team looks every 30 ms at most)."""
        if self.stops:
            raised = team_llvm.poll(self.fn, self.shared.table)
            stop = self.fn.fresh(f"icmp ne i32 {raised}, 0")
            self.fn.if_(stop, lambda: self.fn.ret("i32", str(INTERRUPTED)), likely=False)

    def _branch(self, step: Branch, names: list[str], arena: Value) -> None:
        flag = self.fn.fresh(f"load i8, ptr {self.pointers[step.pred]}")
        pointers = [self.pointers[b] for b in (*step.inputs, *step.outputs)]

        def arm(name: str, inner: Program) -> list[Value]:
            with self.values.inside():
                return [self.call_program(name, inner, arena, pointers)]

        (status,) = self.fn.if_(
            self.fn.val(f"icmp ne i8 {flag}, 0"),
            lambda: arm(names[0], step.then),
            lambda: arm(names[1], step.otherwise),
            ["i32"],
        )
        self.stop_on(status)


def _changes_state(program: Program, step: Step) -> bool:
    """Whether a step writes to a shared variable."""

    def shared(name: str) -> bool:
        while program.buffers[name].alias:
            name = program.buffers[name].alias
        return program.buffers[name].role == "shared"

    match step:
        case Run():
            pairs = zip(step.kernel.params, step.buffers, strict=True)
            return any(p.mode != "in" and shared(b) for p, b in pairs)
        case Copy():
            return shared(step.target)
        case Call():
            return shared(step.buffers[-1])
        case Loop():
            made = [r.buffer for r in step.rows[len(step.body.inputs) :]]
            return any(map(shared, [*made, *(t for t, _ in step.finals)]))
        case Branch():
            return any(map(shared, step.outputs))
    return False


def _product_name(program: Program, step: Call) -> str:
    """A matrix product by its sizes: rows, summed, columns."""
    a, _, c = (program.buffers[b].shape for b in step.buffers[:3])
    inner = a[-2 if dict(step.params)["ta"] else -1]
    sizes = ("?" if str(s).startswith("?") else str(s) for s in (c[-2], inner, c[-1]))
    return f"matmul({', '.join(sizes)})"


def _programs(step: Step) -> list[Program]:
    match step:
        case Loop():
            return [step.body]
        case Branch():
            return [step.then, step.otherwise]
    return []
