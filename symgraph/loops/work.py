"""What a step moves and computes, counted from its loops: bytes and operations on floats.

Bytes are the least that must move: of a buffer each element that a kernel may touch once for
reading and once for writing, however often it is used. Operations: an addition, multiplication,
comparison for minimum or maximum, division or square root counts 1, a fused multiply-add 2, an
exponential or another elementary function 20, a special function 100; what is done to integers
counts nothing. Sizes may be symbolic: the counts are expressions then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symgraph import dtypes
from symgraph.loops.compute import elements
from symgraph.loops.cost import UNKNOWN
from symgraph.loops.memory import nbytes
from symgraph.loops.program import BEGIN, END, Call, Copy, Phase, Program, Run, Step
from symgraph.loops.statements import Fold, For, If, Kernel, Let, Size, Stmt, Store, expressions
from symgraph.records import NamedTuple
from symgraph.scalar import (
    ELEMENTARY,
    Expr,
    as_expr,
    as_size,
    const,
    postorder,
    rebuild,
    substitute,
    sum_of,
    transform,
    var,
    variables,
)
from symgraph.scalar.functions import minimum
from symgraph.scalar.special import LIBRARY, SPECIAL

LIGHT, ELEMENTARY_FUNCTION, SPECIAL_FUNCTION = 1, 20, 100
OPERATIONS: dict[str, int] = dict.fromkeys(
    "add sub mul div abs minimum maximum sqrt floordiv mod".split(), LIGHT
)
OPERATIONS |= {"fma": 2}
OPERATIONS |= dict.fromkeys(ELEMENTARY, ELEMENTARY_FUNCTION)
OPERATIONS |= dict.fromkeys((*SPECIAL, *LIBRARY), SPECIAL_FUNCTION)


class Work(NamedTuple):
    """Bytes moved, operations on floats, and the widest dtype of these ("" without any)."""

    bytes: Size = 0
    flops: Size = 0
    dtype: str = ""


def step_work(program: Program, step: Step) -> Work:
    """The work of one run of a step, without that of programs inside it.

    >>> from symgraph.loops.program import Buffer
    >>> b = {n: Buffer(n, "float32", (8, 8), "temp") for n in "abc"}
    >>> step_work(Program("p", (), (), b, (), (), ()), Call("matmul", ("a", "b", "c"),
    ...     (("ta", False), ("tb", False))))
    Work(bytes=768, flops=1024, dtype='float32')
    """
    match step:
        case Run():
            return kernel_work(step.kernel)
        case Copy():
            return Work(as_size(2 * as_expr(nbytes(program.buffers[step.target]))))
        case Call(routine="matmul"):
            return _product(program, step)
        case Call():
            shapes = [program.buffers[b] for b in step.buffers]
            moved = sum_of(map(nbytes, shapes))
            dtype = shapes[0].dtype if shapes and shapes[0].dtype.startswith("float") else ""
            return Work(moved, _routine(program, step), dtype)
    return Work()


def phase_work(phase: Phase) -> Work:
    """The work of all turns of a phase."""
    whole = {var(BEGIN): const(0), var(END): as_expr(phase.turns or 0)}
    return kernel_work(phase.kernel, whole)


def kernel_work(kernel: Kernel, known: dict[Expr, Expr] | None = None) -> Work:
    """The work of one run of a kernel; ``known`` are sizes that the caller names otherwise."""
    count = _Count(dict(known or {}))
    count.statements(kernel.body, const(1))
    moved = const(0)
    floats = [p.dtype for p in kernel.params if dtypes.is_float(p.dtype)]
    for p in kernel.params:
        whole = count.size(as_expr(elements(p.shape)))
        for accesses in (count.loads.get(p.name), count.stores.get(p.name)):
            if accesses is not None:
                moved = moved + _least(whole, accesses) * dtypes.itemsize(p.dtype)
    widest = max(floats, key=dtypes.itemsize, default="")
    return Work(as_size(moved), as_size(count.flops), widest)


def _least(whole: Expr, accesses: Expr) -> Expr:
    return whole if whole is accesses else minimum(whole, accesses)


class _Count:
    """Counts over a body; ``names`` maps indices and names found in data to typical values."""

    def __init__(self, names: dict[Expr, Expr]) -> None:
        self.names = names
        self.flops: Expr = const(0)
        self.loads: dict[str, Expr] = {}
        self.stores: dict[str, Expr] = {}

    def size(self, e: Expr) -> Expr:
        """A size in terms of the program's sizes alone."""

        def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
            if e.op in ("load", "load_if"):
                return const(UNKNOWN, e.dtype)
            if e.op == "minimum":  # the usual block, not the last
                return next((a for a in args if a.is_const), args[0])
            return rebuild(e, args)

        known = {v: self.names[v] for v in variables(e) if v in self.names}
        found = substitute(e, known) if known else e
        return transform([found], visit)[0]

    def statements(self, body: Sequence[Stmt], turns: Expr) -> None:
        for s in body:
            if isinstance(s, For | Fold):
                extent = self.size(as_expr(s.extent))
                inner = turns * extent
                self.names[s.index] = extent // 2
                self.statements(s.body, inner)
                if isinstance(s, Fold):
                    self.values(s.values, inner)
                    self.flops = self.flops + inner * sum(
                        dtypes.is_float(v.dtype) and s.combiner != "next" for v in s.values
                    )
                    self.names.update({n: const(UNKNOWN, n.dtype) for n in s.names})
                continue
            if isinstance(s, Let):
                self.names[s.name] = const(UNKNOWN, s.name.dtype)
            if isinstance(s, Store):
                self.values([s.value], turns)
                self.stores[s.buffer] = self.stores.get(s.buffer, const(0)) + turns
                continue
            self.values(expressions(s), turns)
            if isinstance(s, If):
                self.statements(s.body, turns)

    def values(self, roots: Iterable[Expr], turns: Expr) -> None:
        each = 0
        for e in postorder(list(roots)):
            if e.op in ("load", "load_if"):
                self.loads[e.attr] = self.loads.get(e.attr, const(0)) + turns
            elif dtypes.is_float(e.dtype):
                each += OPERATIONS.get(e.op, 0)
        if each:
            self.flops = self.flops + turns * each


def _product(program: Program, step: Call) -> Work:
    a, b, c = (program.buffers[x] for x in step.buffers[:3])
    params = dict(step.params)
    inner = a.shape[-2 if params["ta"] else -1]
    each = 8 if c.dtype.startswith("complex") else 2
    flops = as_expr(elements(c.shape)) * as_expr(inner) * each
    written = 2 if params.get("accumulate") else 1
    moved = as_expr(nbytes(a)) + as_expr(nbytes(b)) + as_expr(nbytes(c)) * written
    if "epilogue" in params:
        more = phase_work(params["epilogue"])
        flops, moved = flops + as_expr(more.flops), moved + as_expr(more.bytes)
    narrow = c.dtype in ("float32", "complex64")
    return Work(as_size(moved), as_size(flops), "float32" if narrow else "float64")


def _routine(program: Program, step: Call) -> Size:
    """The leading term of what a matrix routine computes, 0 for others."""
    name = dict(step.params).get("name")
    if step.routine != "lapack" or name not in ("potrf", "getrf", "trsm", "geqrf"):
        return 0
    shape = program.buffers[step.buffers[0]].shape
    if len(shape) < 2:
        return 0
    m, n, batch = as_expr(shape[-2]), as_expr(shape[-1]), as_expr(elements(shape[:-2]))
    cube = n * n * m * batch
    if name == "trsm":
        right = program.buffers[step.buffers[1]].shape
        return as_size(as_expr(elements(right)) * n)
    return as_size({"potrf": cube // 3, "getrf": cube * 2 // 3}.get(name, cube * 4 // 3))
