"""The grammar of kernels and programs, checked: run in tests and under SYMGRAPH_VERIFY=1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import CODES, VerifyError
from symgraph.loops.compute import COMBINERS, elements
from symgraph.loops.launch import check_launch, needs_launch
from symgraph.loops.program import Branch, Call, Copy, Loop, Program, Require, Row, Run, Step
from symgraph.loops.running import running
from symgraph.loops.statements import Alloc, Fold, For, If, Kernel, Let, Size, Stmt, Store
from symgraph.scalar import SCALAR_OPS, Expr, as_expr, as_size, postorder
from symgraph.scalar.expr import result_dtype

KINDS = ("serial", "apart", "vector", "grid", "block", "warp", "tensor")
ROLES = ("input", "output", "shared", "constant", "temp")
MODES = ("in", "out", "inout")


def verify_kernel(kernel: Kernel) -> None:
    """Check one kernel: every name bound, every access to a buffer of its dtype and rank, stores
    only where they are allowed, known combiners and kinds, dtypes that fit.

    Raises VerifyError naming the kernel and what is wrong.
    """
    _KernelVerifier(kernel).check()


class _KernelVerifier:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.buffers: dict[str, tuple[str, int, bool]] = {}  # dtype, rank, may be written
        self.bound: set[tuple[str, str]] = {(n, "int64") for n in kernel.sizes}
        self.sound: set[Expr] = set()

    def fail(self, what: str) -> None:
        raise VerifyError(f"kernel {self.kernel.name}: {what}")

    def check(self) -> None:
        for p in self.kernel.params:
            if p.name in self.buffers:
                self.fail(f"parameter {p.name} is there twice")
            if p.mode not in MODES or p.dtype not in dtypes.ALL:
                self.fail(f"parameter {p.name} has mode {p.mode!r} and dtype {p.dtype!r}")
            self.buffers[p.name] = (p.dtype, len(p.shape), p.mode != "in")
            for s in p.shape:
                self.size(s)
        self.block(self.kernel.body)
        if needs_launch(self.kernel):
            check_launch(self.kernel, self.fail)

    def block(self, body: Sequence[Stmt]) -> None:
        """Names and memory made in a body end with it."""
        bound, buffers = set(self.bound), dict(self.buffers)
        for s in body:
            self.statement(s)
        self.bound, self.buffers = bound, buffers

    def statement(self, s: Stmt) -> None:
        match s:
            case For():
                self._loop(s.index, s.extent, s.kind)
                self.bound.add((s.index.attr, "int64"))
                self.block(s.body)
                self.bound.discard((s.index.attr, "int64"))
            case Fold():
                self._fold(s)
            case Let():
                self.value(s.value, s.name.dtype, f"let {s.name}")
                self.bind(s.name)
            case If():
                self.value(s.cond, "bool", "if")
                self.block(s.body)
            case Store():
                self._access(s.buffer, s.value.dtype, s.indices, "store")
                if not self.buffers[s.buffer][2]:
                    self.fail(f"store to {s.buffer}, which is only read")
                for e in (*s.indices, s.value):
                    self.value(e)
            case Alloc():
                if s.buffer in self.buffers or s.dtype not in dtypes.ALL:
                    self.fail(f"alloc {s.buffer}: the name is taken, or {s.dtype!r} is no dtype")
                for n in s.shape:
                    self.size(n)
                self.buffers[s.buffer] = (s.dtype, len(s.shape), True)

    def _loop(self, index: Expr, extent: Size, kind: str) -> None:
        self.size(extent)
        if kind not in KINDS:
            self.fail(f"loop over {index} of unknown kind {kind!r}")
        if index.op != "var" or index.dtype != "int64":
            self.fail(f"the index {index} is no int64 variable")
        if (index.attr, "int64") in self.bound:
            self.fail(f"the index {index} is bound already")

    def _fold(self, s: Fold) -> None:
        self._loop(s.index, s.extent, s.kind)
        if s.combiner == "next":
            self._recurrence(s)
            return
        if s.combiner not in COMBINERS:
            self.fail(f"unknown combiner {s.combiner!r}")
        if not len(s.names) == len(s.values) == COMBINERS[s.combiner]:
            self.fail(f"{s.combiner} carries {COMBINERS[s.combiner]} values, not {len(s.values)}")
        outside, buffers = set(self.bound), dict(self.buffers)
        self.bound.add((s.index.attr, "int64"))
        for inner in s.body:
            self.statement(inner)
        for name, v in zip(s.names, s.values, strict=True):
            self.value(v, name.dtype, f"fold {name}")
        self.bound, self.buffers = outside, buffers
        for name in s.names:
            self.bind(name)

    def _recurrence(self, s: Fold) -> None:
        if not len(s.names) == len(s.values) == len(s.starts):
            self.fail("next has a start and a value for each name")
        if s.kind not in ("serial", "tensor") and running(s) is None:
            self.fail("next is serial unless it is a running fold")
        for name, v in zip(s.names, s.starts, strict=True):
            self.value(v, name.dtype, f"start of {name}")
        outside, buffers = set(self.bound), dict(self.buffers)
        for name in s.names:
            self.bind(name)
        self.bound.add((s.index.attr, "int64"))
        for inner in s.body:
            self.statement(inner)
        for name, v in zip(s.names, s.values, strict=True):
            self.value(v, name.dtype, f"fold {name}")
        self.bound, self.buffers = outside, buffers
        for name in s.names:
            self.bind(name)

    def bind(self, name: Expr) -> None:
        if name.op != "var":
            self.fail(f"{name} is no name")
        if any(n == name.attr for n, _ in self.bound):
            self.fail(f"{name} is bound already")
        self.bound.add((name.attr, name.dtype))

    # expressions

    def size(self, size: Size) -> None:
        if isinstance(size, Expr):
            self.value(size, "int64", "a size")
        elif size < 0:
            self.fail(f"negative size {size}")

    def value(self, root: Expr, dtype: str = "", what: str = "") -> None:
        if dtype and root.dtype != dtype:
            self.fail(f"{what} is {dtype}, its value {root} is {root.dtype}")
        for e in postorder([root]):
            if e.op == "var":
                if (e.attr, e.dtype) not in self.bound:
                    self.fail(f"{e}: {e.dtype} is not bound")
            elif e.op in ("load", "load_if"):
                indices = e.args[e.op == "load_if" :]
                self._access(e.attr, e.dtype, indices, "load")
                if e.op == "load_if" and e.args[0].dtype != "bool":
                    self.fail(f"the condition of {e} is {e.args[0].dtype}")
            elif e not in self.sound:
                self._node(e)
                self.sound.add(e)

    def _access(self, buffer: str, dtype: str, indices: Sequence[Expr], what: str) -> None:
        if buffer not in self.buffers:
            self.fail(f"{what}: unknown buffer {buffer}")
        kind, rank, _ = self.buffers[buffer]
        if kind != dtype:
            self.fail(f"{what} of {dtype} at {buffer}, which holds {kind}")
        if rank != len(indices):
            self.fail(f"{what} with {len(indices)} indices at {buffer}, which has rank {rank}")
        for i in indices:
            if i.dtype != "int64":
                self.fail(f"{what}: the index {i} of {buffer} is {i.dtype}")

    def _node(self, e: Expr) -> None:
        if e.dtype not in dtypes.ALL:
            self.fail(f"{e} has the unknown dtype {e.dtype}")
        if e.op == "const":
            if e.args or not isinstance(e.attr, bool | int | float | complex):
                self.fail(f"malformed constant {e}")
            return
        row = SCALAR_OPS.get(e.op)
        if row is None:
            self.fail(f"unknown scalar operation {e.op}")
            return
        kinds = [a.dtype for a in e.args]
        if len(kinds) != row.arity:
            self.fail(f"{e.op} takes {row.arity} operands, not {len(kinds)}")
        if e.op == "select":
            good = kinds == ["bool", e.dtype, e.dtype]
        elif e.op == "bitcast":
            good = dtypes.itemsize(kinds[0]) == dtypes.itemsize(e.dtype)
        else:
            attr = row.result == "attr"
            result = e.dtype if attr else result_dtype(row.result, kinds[0])
            good = len(set(kinds)) == 1 and result == e.dtype
        if not good:
            self.fail(f"{e.op} of {', '.join(kinds)} does not give {e.dtype}: {e}")


# programs -----------------------------------------------------------------------------------------


def verify_program(program: Program) -> None:
    """Check a program, its kernels and inner programs: buffers exist and fit, nothing is read
    before it is written, only memory that may be written is.

    Raises VerifyError naming the program and what is wrong.
    """
    _ProgramVerifier(program, set()).check()


class _ProgramVerifier:
    def __init__(self, program: Program, sound: set[Kernel]) -> None:
        self.program, self.sound = program, sound
        self.buffers = program.buffers
        self.written: set[str] = set()

    def fail(self, what: str) -> None:
        raise VerifyError(f"program {self.program.name}: {what}")

    def check(self) -> None:
        names = [*self.program.inputs, *self.program.outputs]
        for name, b in self.buffers.items():
            if name != b.name or b.role not in ROLES or b.dtype not in dtypes.ALL:
                self.fail(f"malformed buffer {name}: {b}")
            self._alias(name)
            for s in b.shape:
                self.size(s)
            if b.role in ("input", "shared", "constant"):
                self.written.add(self.memory(name))
        for n in names:
            self.known(n)
        for left, right, _ in self.program.checks:
            self.size(left)
            self.size(right)
        for step in self.program.steps:
            self.step(step)
        for n in self.program.outputs:
            if self.memory(n) not in self.written:
                self.fail(f"output {n} is never written")

    def _alias(self, name: str) -> None:
        seen = [name]
        while self.buffers[seen[-1]].alias:
            target = self.buffers[seen[-1]].alias
            if target not in self.buffers or target in seen:
                self.fail(f"the alias of {seen[-1]} is missing or goes in a circle")
            seen.append(target)
        a, b = self.buffers[name], self.buffers[seen[-1]]
        counts = elements(a.shape), elements(b.shape)
        if a.dtype != b.dtype or (
            all(isinstance(c, int) for c in counts) and counts[0] != counts[1]
        ):
            self.fail(f"{name} is another view of {b.name}, but of other dtype or size")

    def memory(self, name: str) -> str:
        while self.buffers[name].alias:
            name = self.buffers[name].alias
        return name

    def known(self, name: str) -> None:
        if name not in self.buffers:
            self.fail(f"unknown buffer {name}")

    def reads(self, name: str) -> None:
        self.known(name)
        if self.memory(name) not in self.written:
            self.fail(f"{name} is read before it is written")

    def writes(self, name: str) -> None:
        self.known(name)
        if self.buffers[self.memory(name)].role in ("input", "constant"):
            self.fail(f"{name} is written, but it is an {self.buffers[self.memory(name)].role}")
        self.written.add(self.memory(name))

    def size(self, size: Size) -> None:
        if isinstance(size, Expr):
            for e in postorder([size]):
                if e.op in ("load", "load_if") or e.dtype not in ("int64", "bool"):
                    self.fail(f"{size} is not a size")
                if e.op == "var" and e.attr not in self.program.sizes:
                    self.fail(f"the size {e} is not among the program's sizes")

    def fits(self, name: str, dtype: str, shape: Sequence[Size], what: str) -> None:
        """Whether a buffer can stand for a parameter (sizes are compared where both are known)."""
        b = self.buffers[name]
        pairs = zip(b.shape, shape, strict=False)
        differ = any(isinstance(m, int) and isinstance(n, int) and m != n for m, n in pairs)
        if b.dtype != dtype or len(b.shape) != len(shape) or differ:
            self.fail(f"{what}: {name} is {b.dtype}{_sizes(b.shape)}, not {dtype}{_sizes(shape)}")

    def _fits_flat(self, name: str, dtype: str, shape: Sequence[Size], what: str) -> None:
        """As fits, but neighbouring axes may be merged, as schedules do."""
        b = self.buffers[name]
        m, n = elements(b.shape), elements(shape)
        pairs = dtypes.is_complex(b.dtype) and dtype == dtypes.real_of(b.dtype)
        if pairs:  # as legal kernels see complex numbers
            m = as_size(as_expr(m) * 2)
        differ = isinstance(m, int) and isinstance(n, int) and m != n
        words = dtypes.WORDS.get(b.dtype) == dtype  # as kernels see what they only move
        if differ or not (pairs or words or b.dtype == dtype):
            self.fail(f"{what}: {name} is {b.dtype}{_sizes(b.shape)}, not {dtype}{_sizes(shape)}")

    # steps

    def step(self, step: Step) -> None:
        match step:
            case Run():
                self._run(step)
            case Call():
                if not step.buffers and step.routine != "choose":
                    self.fail(f"call of {step.routine} without buffers")
                made = int(dict(step.params).get("results", 1))  # they come last
                if step.routine == "python":
                    made = len(step.buffers) - len(dict(step.params)["graph"].inputs)
                first = len(step.buffers) - made
                for name in step.buffers[: max(0, first)]:
                    self.known(name)
                for name in step.buffers[max(0, first) :]:
                    self.writes(name)
            case Copy():
                self.reads(step.source)
                self.known(step.target)
                if self.buffers[step.source].dtype != self.buffers[step.target].dtype:
                    self.fail(f"copy {step.target} = {step.source} between dtypes")
                self.writes(step.target)
            case Loop():
                self._loop(step)
            case Branch():
                self._branch(step)
            case Require():
                self.reads(step.flag)
                self.fits(step.flag, "bool", (), "require")
                if step.failure.code not in CODES:
                    self.fail(f"require with the unknown code {step.failure.code}")

    def _run(self, step: Run) -> None:
        kernel = step.kernel
        if kernel not in self.sound:
            verify_kernel(kernel)
            self.sound.add(kernel)
        if len(kernel.params) != len(step.buffers):
            self.fail(f"{kernel.name} takes {len(kernel.params)} buffers, not {len(step.buffers)}")
        for n in kernel.sizes:
            if n not in self.program.sizes:
                self.fail(f"{kernel.name} reads the size {n}, which the program does not")
        pairs = list(zip(kernel.params, step.buffers, strict=True))
        for p, name in pairs:
            self.known(name)
            self._fits_flat(name, p.dtype, p.shape, f"{kernel.name}, parameter {p.name}")
            if p.mode != "out":
                self.reads(name)
        for p, name in pairs:
            if p.mode != "in":
                self.writes(name)

    def _inner(self, body: Program, names: Sequence[str], skip: Sequence[int] = ()) -> None:
        _ProgramVerifier(body, self.sound).check()
        inputs, outputs = len(body.inputs), len(body.outputs)
        if len(names) != inputs + outputs:
            self.fail(f"{body.name} has {inputs} inputs and {outputs} outputs, given {len(names)}")
        for n in body.sizes:
            if n not in self.program.sizes:
                self.fail(f"{body.name} reads the size {n}, which the program does not")
        for k, name in enumerate(names[:inputs]):
            self.known(name)
            if k not in skip:
                self.reads(name)
        for name in names[inputs:]:
            self.writes(name)

    def _loop(self, step: Loop) -> None:
        self.size(step.length)
        if step.flag:
            self.reads(step.flag)
            self.fits(step.flag, "bool", (), "loop")
        body = step.body
        if step.apart:
            self._apart(step)
        made = {
            self.memory(r.buffer) for r in step.rows[len(body.inputs) :] if r.buffer in self.buffers
        }
        for r in (*step.rows, *(r for _, r in step.finals)):
            self.size(r.start)
            self.known(r.buffer)
            if r.first:
                self.reads(r.first)
        carried = [k for k, r in enumerate(step.rows) if self.memory(r.buffer) in made]
        self._inner(body, [r.buffer for r in step.rows], carried)
        for name, r in zip((*body.inputs, *body.outputs), step.rows, strict=True):
            inside = body.buffers[name]
            self._row(r, inside.dtype, inside.shape)
        for target, r in step.finals:
            self.known(target)
            self._row(r, self.buffers[target].dtype, self.buffers[target].shape)
            self.writes(target)

    def _apart(self, step: Loop) -> None:
        """Threads share the turns: nothing in them fails, or asks for what is not there."""
        body = step.body
        if step.flag or step.finals or any(r.first or r.modulo for r in step.rows):
            self.fail(
                "a loop whose turns stand apart has a flag, finals, or rows of several buffers"
            )
        read = {self.memory(r.buffer) for r in step.rows[: len(body.inputs)]}
        if read & {self.memory(r.buffer) for r in step.rows[len(body.inputs) :]}:
            self.fail("a loop whose turns stand apart reads what it writes")
        self._cannot_fail(step)

    def _cannot_fail(self, step: Loop) -> None:
        body = step.body
        names = zip((*body.inputs, *body.outputs), step.rows, strict=True)
        rows = {name for name, row in names if row.rows}
        for inner in body.steps:
            if isinstance(inner, Call) and inner.routine in ("matmul", "convolution"):
                if inner.buffers[1] in rows:
                    self.fail(f"{inner.buffers[1]}, right in a product, is another in each turn")
            elif isinstance(inner, Loop) and not inner.flag:
                self._cannot_fail(inner)
            elif not isinstance(inner, Run):
                self.fail("a loop whose turns stand apart has more than kernels and products")

    def _row(self, row: Row, dtype: str, shape: Sequence[Size]) -> None:
        whole = row.step == 0 and not row.rows
        b = self.buffers[row.buffer]
        if not whole and not b.shape:
            self.fail(f"{row.buffer} has no rows")
        self.fits(row.buffer, dtype, shape if whole else (b.shape[0], *shape), "loop")
        if row.first:
            self.fits(row.first, dtype, shape, "loop, first")

    def _branch(self, step: Branch) -> None:
        self.reads(step.pred)
        self.fits(step.pred, "bool", (), "branch")
        names = (*step.inputs, *step.outputs)
        for body in (step.then, step.otherwise):
            self._inner(body, names)
            for name, inside in zip(names, (*body.inputs, *body.outputs), strict=True):
                self.fits(name, body.buffers[inside].dtype, body.buffers[inside].shape, body.name)


def _sizes(shape: Sequence[Any]) -> str:
    return f"[{', '.join(map(str, shape))}]" if shape else ""
