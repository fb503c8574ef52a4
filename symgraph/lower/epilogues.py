"""Epilogues of matrix products: the loop that follows a product is run on each block of rows as
soon as the block is complete, while it lies in cache and in the thread that made it.

    c = a @ b            for each block of rows:
    y = relu(c + bias)       c[block] = (a @ b)[block];  y[block] = relu(c[block] + bias)

A loop can do so when its outermost turns are rows of the product (or elements) and each reads the
product only at its own row; anything else it may read freely. So biases, activations, their
derivatives, residuals and updates of weights join a product, sums over columns too. What is
computed for an element does not change. Where the product itself is needed for nothing else, and
the loop writes an array like it, the product is made in that array.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph.loops.memory import touched
from symgraph.loops.program import Branch, Buffer, Call, Loop, Phase, Program, Run, Step
from symgraph.loops.statements import For, Let, Store
from symgraph.lower.parallel import single_phase
from symgraph.lower.rewriting import accesses, perfect_nest, place_of, reads
from symgraph.scalar import Expr, as_expr, product

DTYPES = ("float32", "float64")


def join_epilogues(program: Program) -> Program:
    """The program in which loops are run inside the products before them, inner programs too."""
    steps = [_inside(s) for s in program.steps]
    buffers = dict(program.buffers)
    for k in range(len(steps)):
        step = steps[k]
        if isinstance(step, Call) and step.routine == "matmul":
            found = _follower(program, steps, k)
            if found is not None:
                steps[found[0]] = None
                steps[k] = _joined(program, buffers, steps, k, found[1])
    kept = tuple(s for s in steps if s is not None)
    return program._replace(steps=kept, buffers=buffers)


def _inside(step: Step) -> Step | None:
    match step:
        case Loop():
            return step._replace(body=join_epilogues(step.body))
        case Branch():
            then, otherwise = join_epilogues(step.then), join_epilogues(step.otherwise)
            return step._replace(then=then, otherwise=otherwise)
    return step


def _follower(program: Program, steps: Sequence[Step | None], k: int) -> tuple[int, Phase] | None:
    """The number of the first step that needs the product, and its loop, when that can join."""
    call = steps[k]
    assert isinstance(call, Call)
    made = call.buffers[2]
    if program.buffers[made].dtype not in DTYPES:
        return None
    home = _memory(program, made)
    between: set[str] = set()
    for j in range(k + 1, len(steps)):
        step = steps[j]
        if step is None:
            continue
        homes = {_memory(program, b) for b in touched(step)}
        if home not in homes:
            between |= homes
            continue
        if not isinstance(step, Run) or any(not _fixed(program, h) for h in homes & between):
            return None
        phase = single_phase(program, step)
        return (j, phase) if phase is not None and _row_by_row(program, call, phase) else None
    return None


def _fixed(program: Program, home: str) -> bool:
    """Whether nothing writes this memory while the program runs."""
    return program.buffers[home].role in ("input", "constant")


def _row_by_row(program: Program, call: Call, phase: Phase) -> bool:
    """Whether a turn of the loop is a row of the product or an element, and reads no other."""
    if phase.turns is None or phase.private:
        return False
    made = program.buffers[call.buffers[2]]
    rows, all_ = product(made.shape[:-1]), product(made.shape)
    turns = as_expr(phase.turns)
    if turns is not as_expr(rows) and turns is not as_expr(all_):
        return False
    home = _memory(program, made.name)
    operands = {_memory(program, b) for b in call.buffers[:2]}
    params = {
        p.name: p for p, b in zip(phase.kernel.params, phase.buffers, strict=True)
        if _memory(program, b) == home
    }  # fmt: skip
    (loop,) = phase.kernel.body if len(phase.kernel.body) == 1 else (None,)
    if not isinstance(loop, For) or any(p.mode != "in" for p in params.values()):
        return False
    written = {
        _memory(program, b) for p, b in zip(phase.kernel.params, phase.buffers, strict=True)
        if p.mode != "in"
    }  # fmt: skip
    if written & operands:
        return False  # the product still reads them for other rows
    first = [place_of(e) for e in reads(phase.kernel.body) if e.attr in params]
    same = all(as_expr(p.shape[0]) is turns for p in params.values() if p.shape)
    here = {i[0] - loop.index for i in first if i}
    return same and all(i for i in first) and len(here) == 1 and _begins(here)


def _begins(rest: set[Expr]) -> bool:
    (one,) = rest
    return one.op == "var" and one.attr == "_begin"


def _joined(
    program: Program, buffers: dict[str, Buffer], steps: Sequence[Step | None], k: int,
    phase: Phase,
) -> Call:  # fmt: skip
    """The product with its epilogue; they share the memory of the result where that is allowed."""
    call = steps[k]
    assert isinstance(call, Call)
    a, b, c = call.buffers
    target = _shared_memory(program, steps, k, phase)
    if target:
        phase = phase._replace(buffers=tuple(target if x == c else x for x in phase.buffers))
        del buffers[c]
        c = target
    names = dict.fromkeys((a, b, c, *phase.buffers))
    rest = tuple(n for n in names if n not in (a, b, c))
    params = (*call.params, ("epilogue", phase))
    return call._replace(buffers=(a, b, c, *rest), params=params)


def _shared_memory(program: Program, steps: Sequence[Step | None], k: int, phase: Phase) -> str:
    """The array in which the product can be made; empty where it needs memory of its own."""
    call = steps[k]
    assert isinstance(call, Call)
    c = program.buffers[call.buffers[2]]
    views = any(b.alias == c.name for b in program.buffers.values())
    users = [s for s in steps if s is not None and s is not call and c.name in touched(s)]
    if c.role != "temp" or c.alias or users or views or dict(call.params).get("accumulate"):
        return ""
    path = perfect_nest(phase.kernel.body)
    body = path[-1].body if path else ()
    if not body or not all(isinstance(s, Let | Store) for s in body):
        return ""
    stores = [s for s in body if isinstance(s, Store)]
    if body[-len(stores) :] != tuple(stores) or any(
        s.value.op not in ("var", "const") for s in stores
    ):
        return ""
    bound = dict(zip((p.name for p in phase.kernel.params), phase.buffers, strict=True))
    places = {i for name, i in accesses(body) if bound[name] == c.name}
    for s in stores:
        b = program.buffers[bound[s.buffer]]
        fresh = b.role in ("temp", "output") and not b.alias
        alike = b.dtype == c.dtype and b.shape == c.shape and places == {s.indices}
        alone = sum(name == s.buffer for name, _ in accesses(body)) == 1
        once = list(phase.buffers).count(b.name) == 1
        unused = not any(
            b.name in {_memory(program, x) for x in touched(s)} for s in steps[:k] if s
        )
        if fresh and alike and alone and once and unused and b.name not in call.buffers[:2]:
            return b.name
    return ""


def _memory(program: Program, name: str) -> str:
    while program.buffers[name].alias:
        name = program.buffers[name].alias
    return name
