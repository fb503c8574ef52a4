"""What follows a matrix product, done with its sums while they are in registers.

    c = a b;  for i { for j { y[i, j] = maximum(c[i, j] + bias[j], 0) } }

A loop over all elements of a product that needs of it only the element of its turn becomes part of
the product's kernel: biases, simple activations and their derivatives, residuals, scaled updates.
Where nothing else reads the product it is not stored at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.loops.memory import touched
from symgraph.loops.program import Call, Program, Run, Step
from symgraph.loops.statements import For, Kernel, Let, Param, Stmt, Store, expressions
from symgraph.lower.cuda.frame import LOADS, memory
from symgraph.lower.turns import accesses
from symgraph.scalar import Expr, as_expr, node, postorder, rebuild, transform

# for each element of a thread this is written out once: only what takes an instruction or two
_CHEAP = frozenset(
    "const var load add sub mul neg abs minimum maximum fma sign copysign lt le eq ne and or xor"
    " not select cast bitcast isnan isinf isfinite".split()
)
MOST = 40  # nodes of what is done with an element


def finished(program: Program) -> Program:
    """The program whose products have, as the parameter ``follower``, the loop that joins them; its
    buffers come after those of the product."""
    steps: list[Step | None] = list(program.steps)
    for k, step in enumerate(steps):
        if not (isinstance(step, Call) and step.routine == "matmul"):
            continue
        params = dict(step.params)
        if params.get("accumulate") or program.buffers[step.buffers[2]].dtype != "float32":
            continue
        j = _follower(program, steps, k)
        run = steps[j] if j is not None else None
        if j is None or not isinstance(run, Run):
            continue
        kept = _is_needed(program, steps, step.buffers[2], (k, j))
        more = (*step.params, ("follower", run), ("kept", kept))
        others = tuple(b for b in run.buffers if b != step.buffers[2])
        buffers = (*step.buffers[:3], *dict.fromkeys(others))
        steps[j] = Call("matmul", buffers, more, (*step.origins, *run.origins))
        steps[k] = None
    return program._replace(steps=tuple(s for s in steps if s is not None))


def _follower(program: Program, steps: Sequence[Step | None], k: int) -> int | None:
    """The number of the first step that needs the product, if it can join it there."""
    call = steps[k]
    assert isinstance(call, Call)
    made = call.buffers[2]
    homes = {memory(program, b) for b in call.buffers[:2]}
    home = memory(program, made)
    if program.buffers[made].alias or program.buffers[made].role != "temp":
        return None
    for j in range(k + 1, len(steps)):
        step = steps[j]
        if step is None:
            continue
        if home in {memory(program, b) for b in touched(step)}:
            return j if isinstance(step, Run) and _joins(program, step, made, homes) else None
        if not isinstance(step, Run) or homes & written(program, step):
            return None  # the operands must still be there
    return None


def written(program: Program, step: Run) -> set[str]:
    """The memory that a kernel writes."""
    pairs = zip(step.kernel.params, step.buffers, strict=True)
    return {memory(program, b) for p, b in pairs if p.mode != "in"}


def _is_needed(
    program: Program, steps: Sequence[Step | None], made: str, but: tuple[int, int]
) -> bool:
    home = memory(program, made)
    return any(
        s is not None and n not in but and home in {memory(program, b) for b in touched(s)}
        for n, s in enumerate(steps)
    )


def _joins(program: Program, run: Run, made: str, operands: set[str]) -> bool:
    """Whether each turn of a loop is for one element of the product."""
    if operands & written(program, run) or run.buffers.count(made) != 1:
        return False
    name = run.kernel.params[run.buffers.index(made)].name
    if memory(program, made) in written(program, run):
        return False
    loops, body = _nest(run.kernel)
    shape = program.buffers[made].shape
    if not loops or not all(isinstance(s, Let | Store) for s in body) or len(loops) != len(shape):
        return False
    nodes = postorder([e for s in body for e in expressions(s)])
    if len(nodes) > MOST or any(e.op not in _CHEAP for e in nodes):
        return False
    reads = [e for e in nodes if e.op in LOADS and e.attr == name]
    places = {e.args for e in reads}
    if len(places) != 1 or any(e.op != "load" for e in reads):
        return False
    extents = {s.index: as_expr(s.extent) for s in loops}
    (place,) = places
    if len(set(place)) != len(extents) or any(i not in extents for i in place):
        return False
    if any(extents[i] is not as_expr(n) for i, n in zip(place, shape, strict=True)):
        return False
    return _apart(program, run, loops)


def _nest(kernel: Kernel) -> tuple[list[For], tuple[Stmt, ...]]:
    body = kernel.body
    loops: list[For] = []
    while len(body) == 1 and isinstance(body[0], For):
        loops.append(body[0])
        body = body[0].body
    return loops, body


def _apart(program: Program, run: Run, loops: Sequence[For]) -> bool:
    """Whether every turn of all loops writes what no other touches."""
    places = [i for a in accesses((loops[0],)) if a.written for i in [a.indices]]
    indices = {s.index for s in loops}
    if any({i for i in place if i in indices} != indices for place in places):
        return False
    pairs = list(zip(run.kernel.params, run.buffers, strict=True))
    home = {p.name: memory(program, b) for p, b in pairs}
    wrote = {home[p.name] for p, _ in pairs if p.mode != "in"}
    touches = accesses((loops[0],))
    for h in wrote:
        same = [a for a in touches if home[a.buffer] == h]
        if len({a.indices for a in same}) > 1 or len({a.buffer for a in same}) > 1:
            return False
    return True


class Follower:
    """The loop that joins a product, as what is done with each sum; ``params`` are its parameters
    but the product, which is ``kept`` as the first of them where others read it."""

    def __init__(self, run: Run, made: str, kept: bool) -> None:
        self.loops, self.body = _nest(run.kernel)
        pairs = list(zip(run.kernel.params, run.buffers, strict=True))
        (self.old,) = (p for p, b in pairs if b == made)
        self.params: list[Param] = []
        self.buffers: list[str] = []
        self.names: dict[str, str] = {}
        for p, b in [(self.old, made)] * kept + [(p, b) for p, b in pairs if p is not self.old]:
            name = f"q{len(self.params)}"
            self.params.append(p._replace(name=name, mode="out" if p is self.old else p.mode))
            self.buffers.append(b)
            self.names[p.name] = name
        self.kept = self.names[self.old.name] if kept else ""
        reads = [e for s in self.body for e in postorder(expressions(s)) if e.op in LOADS]
        self.place = next(e.args for e in reads if e.attr == self.old.name)

    def __call__(self, at: tuple[Expr, ...], total: Expr) -> tuple[Stmt, ...]:
        known: dict[Expr, Expr] = dict(zip(self.place, at, strict=True))
        out: list[Stmt] = [Store(self.kept, at, total)] if self.kept else []

        def value(root: Expr) -> Expr:
            def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
                if e in known:
                    return known[e]
                if e.op in LOADS and e.attr == self.old.name:
                    return total
                if e.op in LOADS:
                    return node(e.op, args, e.dtype, self.names[e.attr])
                return rebuild(e, args)

            return transform([root], visit)[0]

        for s in self.body:
            if isinstance(s, Let):
                known[s.name] = value(s.value)
            elif isinstance(s, Store):
                at_store = tuple(value(i) for i in s.indices)
                out.append(Store(self.names[s.buffer], at_store, value(s.value)))
        return tuple(out)
