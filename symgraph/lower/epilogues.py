"""Epilogues of matrix products: the loop that follows a product is run on each block of rows as
soon as the block is complete, while it lies in cache and in the thread that made it.

    c = a @ b            for each block of rows:
    y = relu(c + bias)       c[block] = (a @ b)[block];  y[block] = relu(c[block] + bias)

A loop can do so when its outermost turns are rows of the product (or elements) and each reads the
product only at its own row; anything else it may read freely. So biases, activations, their
derivatives, residuals and updates of weights join a product, sums over columns too, and what goes
over whole rows several times, as the softmax of attention does. What is
computed for an element does not change. Where the product itself is needed for nothing else, and
the loop writes an array like it, the product is made in that array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from symgraph.ir.types import Size
from symgraph.loops.memory import owner_of
from symgraph.loops.program import PRODUCTS, Branch, Buffer, Call, Loop, Phase, Program, Run, Step
from symgraph.loops.statements import Fold, For, Let, Stmt, Store, walk
from symgraph.lower.parallel import SinglePhases
from symgraph.lower.rewriting import accesses, perfect_nest, place_of, reads
from symgraph.lower.users import Steps
from symgraph.runtime.later import Later
from symgraph.scalar import Expr, as_expr, product

if TYPE_CHECKING:
    from symgraph.lower import short_rows
else:
    short_rows = Later("symgraph.lower.short_rows")

DTYPES = ("float32", "float64")
SUMS = 2  # the parameter ``adds`` of a convolution that is a sum over images


def join_epilogues(program: Program, scatters: bool = False) -> Program:
    """The program in which loops are run inside the products before them, inner programs too.
    ``scatters``: the processor can store elements of many places at once."""
    return _join(program, scatters, SinglePhases())


def _join(program: Program, scatters: bool, single: SinglePhases) -> Program:
    steps = Steps(program, [_inside(s, scatters, single) for s in program.steps])
    buffers = dict(program.buffers)
    views: dict[str, list[str]] = {}
    for b in buffers.values():
        if b.alias:
            views.setdefault(b.alias, []).append(b.name)
    for k in range(len(steps)):
        call = steps[k]
        if not isinstance(call, Call) or call.routine not in PRODUCTS:
            continue
        if call.routine == "convolution":
            steps[k] = call = _with_leader(program, steps, k, call, single)
        found = _follower(program, steps, k, single)
        if found is not None:
            steps[found[0]] = None
            target = _shared_memory(program, steps, k, found[1], views)
            if target:
                _make_in(buffers, views, call.buffers[PRODUCTS[call.routine]], target)
            steps[k] = _joined(program, call, found[1], target, scatters)
    return program._replace(steps=steps.kept(), buffers=buffers)


def _inside(step: Step, scatters: bool, single: SinglePhases) -> Step:
    match step:
        case Loop() if not step.apart:
            return step._replace(body=_join(step.body, scatters, single))
        case Branch():
            then, otherwise = (_join(p, scatters, single) for p in (step.then, step.otherwise))
            return step._replace(then=then, otherwise=otherwise)
    return step


def _follower(
    program: Program, steps: Steps, k: int, single: SinglePhases
) -> tuple[int, Phase] | None:
    """The number of the first step that needs the product, and its loop, when that can join."""
    call = steps[k]
    assert isinstance(call, Call)
    made = call.buffers[PRODUCTS[call.routine]]
    params = dict(call.params)
    if call.routine == "convolution" and params["adds"] == SUMS:
        return None
    last = call.routine == "convolution" and params["images"] == "a" and params["c"][1] == 1
    if last and params["groups"] > 1:
        return None  # a row is complete with the last group
    if program.buffers[made].dtype not in DTYPES:
        return None
    j = steps.next_user(steps.memory(made), k)
    step = steps[j] if j is not None else None
    if j is None or not isinstance(step, Run):
        return None
    for memory in steps.memories(j):
        between = steps.next_user(memory, k)
        if between is not None and between < j and not _fixed(program, memory):
            return None
    phase = single.of(program, step)
    return (j, phase) if phase is not None and _row_by_row(program, call, phase) else None


def _fixed(program: Program, home: str) -> bool:
    """Whether nothing writes this memory while the program runs."""
    return program.buffers[home].role in ("input", "constant")


def _row_by_row(program: Program, call: Call, phase: Phase) -> bool:
    """Whether a turn of the loop is a matrix of the products, a row or an element, and reads no
    other."""
    if phase.turns is None or phase.private:
        return False
    made = program.buffers[call.buffers[PRODUCTS[call.routine]]]
    shape, turns = made.shape, as_expr(phase.turns)
    if all(turns is not as_expr(product(x)) for x in (shape, shape[:-1], shape[:-2])):
        return False
    home = owner_of(program.buffers, made.name)
    operands = {owner_of(program.buffers, b) for b in call.buffers[:2]}
    named = zip(phase.kernel.params, phase.buffers, strict=True)
    homes = {p.name: owner_of(program.buffers, b) for p, b in named}
    params = {p.name: p for p in phase.kernel.params if homes[p.name] == home}
    (loop,) = phase.kernel.body if len(phase.kernel.body) == 1 else (None,)
    if not isinstance(loop, For) or any(p.mode != "in" for p in params.values()):
        return False
    written = {homes[p.name] for p in phase.kernel.params if p.mode != "in"}
    if written & operands:
        return False  # the product still reads them for other rows
    first = [place_of(e) for e in reads(phase.kernel.body) if e.attr in params]
    same = all(as_expr(p.shape[0]) is turns for p in params.values() if p.shape)
    here = {i[0] - loop.index for i in first if i}
    return same and all(i for i in first) and len(here) == 1 and _begins(here)


def _begins(rest: set[Expr]) -> bool:
    (one,) = rest
    return one.op == "var" and one.attr == "_begin"


def _make_in(buffers: dict[str, Buffer], views: dict[str, list[str]], c: str, target: str) -> None:
    """Let the result of a product, and what is another view of it, lie in ``target``."""
    old = buffers.pop(c)
    if old.alias:
        buffers[c] = old._replace(alias=target)
    for name in views.get(c, ()):
        buffers[name] = buffers[name]._replace(alias=target)


def _joined(program: Program, call: Call, phase: Phase, target: str, scatters: bool) -> Call:
    """The product with its epilogue; they share the memory of ``target``, where there is one."""
    at = PRODUCTS[call.routine]
    operands, c, more = call.buffers[:at], call.buffers[at], call.buffers[at + 1 :]
    home = owner_of(program.buffers, c)
    if target:
        held = tuple(target if owner_of(program.buffers, x) == home else x for x in phase.buffers)
        phase = phase._replace(buffers=held)
        c = c if program.buffers[c].alias else target
    folds = any(isinstance(s, Fold) for s in walk(phase.kernel.body))
    # a single product may have a few columns, such as classes; attention has many keys
    if scatters and folds and len(program.buffers[c].shape) == 2:
        phase = phase._replace(kernel=short_rows.short_rows(phase.kernel))
    rest = dict.fromkeys(x for x in (*more, *phase.buffers) if x not in (*operands, c))
    params = (*call.params, ("epilogue", phase))
    return call._replace(buffers=(*operands, c, *rest), params=params)


def _with_leader(program: Program, steps: Steps, k: int, call: Call, single: SinglePhases) -> Call:
    """The convolution at step k, with the loop before it where that lays out its images: for one
    image at a time, just before it is used and by the thread that uses it."""
    run = steps[k - 1] if k else None
    params = dict(call.params)
    if not isinstance(run, Run) or params["adds"] == SUMS or not params["images"]:
        return call
    images = steps.memory(call.buffers["ab".index(params["images"])])
    phase = single.of(program, run)
    used = any(user not in (k - 1, k) for user in steps.users(images))
    if phase is None or phase.private or used or program.buffers[images].role != "temp":
        return call
    per = _turns_of_image(program, phase, images, 1 if params["groups"] == 1 else 2)
    if per == 0:
        return call
    steps[k - 1] = None
    more = tuple(x for x in dict.fromkeys(phase.buffers) if x not in call.buffers)
    params_ = (*call.params, ("before", (phase, per)))
    return call._replace(buffers=(*call.buffers, *more), params=params_)


def _turns_of_image(program: Program, phase: Phase, images: str, axes: int) -> Size:
    """How many turns of a loop make what lies at one index of the first axes; 0 where that is not
    known, or the loop makes anything else."""
    (loop,) = phase.kernel.body if len(phase.kernel.body) == 1 else (None,)
    if not isinstance(loop, For) or phase.turns is None:
        return 0
    turns, shape = as_expr(phase.turns), program.buffers[images].shape
    written = [(p, b) for p, b in zip(phase.kernel.params, phase.buffers, strict=True)
               if p.mode != "in"]  # fmt: skip
    places = {i[0] - loop.index for name, i in accesses(phase.kernel.body)
              if i and any(p.name == name for p, _ in written)}  # fmt: skip
    own = all(owner_of(program.buffers, b) == images and p.shape and as_expr(p.shape[0]) is turns
              for p, b in written)  # fmt: skip
    if not own or len(places) != 1 or not _begins(places):
        return 0
    for j in range(axes, len(shape)):
        if as_expr(product(shape[:j])) is turns:
            return product(shape[axes:j])
    return 0


def _shared_memory(
    program: Program, steps: Steps, k: int, phase: Phase, views: Mapping[str, Sequence[str]]
) -> str:
    """The array in which the product can be made; empty where it needs memory of its own."""
    call = steps[k]
    assert isinstance(call, Call)
    c = program.buffers[steps.memory(call.buffers[PRODUCTS[call.routine]])]
    viewed = call.routine == "matmul" and c.name in views
    used = any(user != k for user in steps.users(c.name))
    if c.role != "temp" or used or viewed or dict(call.params).get("accumulate"):
        return ""
    path = perfect_nest(phase.kernel.body)
    body = path[-1].body if path else ()
    bound = dict(zip((p.name for p in phase.kernel.params), phase.buffers, strict=True))
    shapes = {p.name: p.shape for p in phase.kernel.params}
    read = {name for name, x in bound.items() if steps.memory(x) == c.name}
    forms = {shapes[name] for name in read}
    stored = dict.fromkeys(s.buffer for s in walk(body) if isinstance(s, Store))
    for name in (n for n in stored if n in bound):  # the others are rooms of the kernel's own
        b = program.buffers[bound[name]]
        fresh = b.role in ("temp", "output") and not b.alias
        alike = b.dtype == c.dtype and product(b.shape) == product(c.shape)
        alike = alike and forms == {shapes[name]} and _written_after(body, read, name)
        once = list(phase.buffers).count(b.name) == 1
        first = next(iter(steps.users(b.name)), k)
        if fresh and alike and once and first >= k and b.name not in call.buffers:
            return b.name
    return ""


def _written_after(body: tuple[Stmt, ...], read: set[str], written: str) -> bool:
    """Whether elements of an array are written when nothing needs those of the others any more, or
    only the same element, in the same turn of a loop."""
    if all(isinstance(s, Let | Store) for s in body):
        return _same_turn(body, read, written)
    done = False
    for s in body:
        reads_here = any(name in read for name, _ in accesses((s,)))
        if done and reads_here:
            return False
        if any(isinstance(x, Store) and x.buffer == written for x in walk((s,))):
            inner = s.body if isinstance(s, For) else ()
            if reads_here and not _same_turn(inner, read, written):
                return False
            done = True
    return done


def _same_turn(body: tuple[Stmt, ...], read: set[str], written: str) -> bool:
    """The same for a loop of single values, each of which is stored once."""
    stores = [s for s in body if isinstance(s, Store)]
    if not stores or not all(isinstance(s, Let | Store) for s in body):
        return False
    if body[-len(stores) :] != tuple(stores) or any(
        s.value.op not in ("var", "const") for s in stores
    ):
        return False
    places = {i for name, i in accesses(body) if name in read}
    own = [i for name, i in accesses(body) if name == written]
    return len(own) == 1 and places == set(own)
