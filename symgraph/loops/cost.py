"""What a kernel will cost, in picoseconds of one thread: an estimate for choices, no promise.

An element of a vector loop costs the sum of its operations at the speed of full registers (a
multiplication of floats 10 ps, an exponential 300, doubles twice as much), or of its loads and
stores from a near cache (40 ps for four bytes); a turn of a scalar loop costs a nanosecond more for
each operation. Measured on one processor of 2024 and rounded; others differ by a factor of 2.

Sizes may be symbolic: the cost is an expression then, which the program evaluates when it runs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from symgraph import dtypes
from symgraph.loops.compute import elements
from symgraph.loops.program import ENDLESS as NO_END
from symgraph.loops.program import Branch, Call, Copy, Loop, Program, Run, Step
from symgraph.loops.statements import Fold, For, If, Kernel, Let, Size, Stmt, expressions, walk
from symgraph.scalar import (
    ELEMENTARY,
    Expr,
    as_expr,
    as_size,
    const,
    depends,
    postorder,
    rebuild,
    substitute,
    sum_of,
    transform,
)
from symgraph.scalar.special import LIBRARY, SPECIAL

# picoseconds of a float32 in a full register, by operation; everything else is _LIGHT
_LIGHT, _HEAVY, _SPECIAL, _LIBRARY = 10, 300, 2_000, 30_000
_COST = dict.fromkeys(ELEMENTARY, _HEAVY) | {
    "var": 0, "const": 0, "cast": 20, "div": 100, "sqrt": 100, "mod": 400, "floordiv": 400,
    "pow": 700, "erf": 500, "erfc": 700, "sin": 400, "cos": 400, "tan": 500, "atan2": 500,
}  # fmt: skip
_COST |= dict.fromkeys(SPECIAL, _SPECIAL) | dict.fromkeys(LIBRARY, _LIBRARY)
# how much more of the same a complex operand is, beside two parts; a root and quotients to scale by
_COMPLEX = {"abs": 30, "mul": 3, "div": 4, "sqrt": 4} | dict.fromkeys(ELEMENTARY, 2)
_MEMORY, _SCATTERED = 40, 400  # of four neighbouring bytes, of one element somewhere
_SCALAR_TURN, _TURN = 300, 20  # of an operation on one element, of a loop's own counting
_PRODUCT, _CALL, _PROGRAM_TURN = 20, 50_000, 2_000  # of a multiply-add, a routine, a loop's turn
AWAKE = 4  # threads that are awake take part in work that is so much less than what wakes them
UNKNOWN = 16  # turns that are reckoned for a loop whose length is found in the data
ENDLESS = 1 << 14  # turns that are reckoned for a loop whose end nobody knows


def is_slow(e: Expr) -> bool:
    """Whether an expression holds a function that takes as long as an exponential, or longer.

    >>> from symgraph.scalar import functions as F
    >>> from symgraph.scalar import var
    >>> is_slow(F.log(var("x", "float64")) + 1), is_slow(F.sqrt(var("x", "float64")))
    (True, False)
    """
    return any(_COST.get(n.op, _LIGHT) >= _HEAVY for n in postorder([e]))


def kernel_cost(kernel: Kernel) -> Size:
    """Picoseconds of one run of a kernel."""
    return body_cost(kernel.body)


def body_cost(body: Sequence[Stmt], lane: Expr | None = None) -> Size:
    """Picoseconds of statements; ``lane`` is the index of the vector loop around them."""
    known, total = 0, const(0)
    for s in reversed(body):
        names = s.names if isinstance(s, Fold) else (s.name,) if isinstance(s, Let) else ()
        for name in names:  # a length that is found in the data
            if depends(total, name):
                total = substitute(total, {name: const(UNKNOWN)})
        cost = _statement(s, lane)
        if isinstance(cost, int):
            known += cost
        else:
            total = total + cost
    return as_size(total + known)


@functools.lru_cache(maxsize=512)  # asked for a kernel, for each of its loops, for its phases
def _statement(s: Stmt, lane: Expr | None) -> Size:
    if isinstance(s, For) and (block := _block(s)) is not None:
        whole, rest = (s._replace(body=_with_length(s.body, block[0], n)) for n in (block[1], 0))
        once = _statement(whole._replace(extent=1), lane)
        others = as_expr(_statement(rest._replace(extent=1), lane))
        return as_size(as_expr(once) + (_turns(s.extent) - 1) * others)
    if isinstance(s, For | Fold):
        inner = s.index if s.kind == "vector" and lane is None else lane
        turn = as_expr(body_cost(s.body, inner)) + (2 if inner is s.index else _TURN)
        if isinstance(s, Fold):
            turn = turn + _values(s.values, inner) + len(s.names) * _operation("add", inner)
        if depends(turn, s.index):  # loops inside grow from turn to turn
            turn = substitute(turn, {s.index: as_expr(s.extent) // 2})
        return as_size(_turns(s.extent) * turn)
    if isinstance(s, If):
        return as_size(as_expr(body_cost(s.body, lane)) + _values([s.cond], lane))
    stores = len(getattr(s, "indices", ())) and 1
    values = [e for e in expressions(s) if e not in getattr(s, "indices", ())]
    return _values(values, lane) + stores * _MEMORY


def _block(s: For) -> tuple[Expr, Expr] | None:
    """The length ``minimum(n - c * index, c)`` of a loop inside, with the n that the lengths of all
    turns add up to."""
    for x in walk(s.body):
        if not isinstance(x, For | Fold) or not isinstance(x.extent, Expr):
            continue
        for e in postorder([x.extent]):
            if e.op == "minimum":
                for one, other in (e.args, e.args[::-1]):
                    n = one + s.index * other
                    if depends(one, s.index) and not depends(n, s.index):
                        return e, n
    return None


def _with_length(body: Sequence[Stmt], length: Expr, size: Expr | int) -> tuple[Stmt, ...]:
    """The statements with other extents of loops."""
    at = {length: as_expr(size)}

    def visit(s: Stmt) -> Stmt:
        if isinstance(s, For | Fold):
            extent = s.extent
            if isinstance(extent, Expr):
                extent = as_size(substitute(extent, at))
            return s._replace(extent=extent, body=tuple(map(visit, s.body)))
        return s._replace(body=tuple(map(visit, s.body))) if isinstance(s, If) else s

    return tuple(map(visit, body))


def _turns(extent: Size) -> Expr:
    """The extent, with the usual length of a block for that of a block that may be the last."""

    def visit(e: Expr, args: tuple[Expr, ...]) -> Expr:
        if e.op == "minimum":
            return next((a for a in args if a.is_const), args[0])
        if e.op in ("load", "load_if"):
            return const(UNKNOWN, e.dtype)
        return rebuild(e, args)

    return transform([as_expr(extent)], visit)[0]


def _values(roots: Iterable[Expr], lane: Expr | None) -> int:
    """The cost of values, each node once; indices cost nothing."""
    total = 0
    done: set[Expr] = set()
    stack = list(roots)
    while stack:
        e = stack.pop()
        if e in done:
            continue
        done.add(e)
        if e.op in ("load", "load_if"):
            total += _access(e.args[e.op == "load_if" :], lane, e.dtype)
            stack.extend(e.args[:1] if e.op == "load_if" else ())
        else:
            cost = _operation(e.op, lane) * (dtypes.itemsize(e.dtype) + 3) // 4
            more = e.args and dtypes.is_complex(e.args[-1].dtype)
            total += cost * (_COMPLEX.get(e.op, 1) if more else 1)
            stack.extend(e.args)
    return total


def _operation(op: str, lane: Expr | None) -> int:
    cost = _COST.get(op, _LIGHT)
    if lane is not None or not cost:
        return cost
    return max(_SCALAR_TURN, 8 * cost)


def _access(indices: tuple[Expr, ...], lane: Expr | None, dtype: str) -> int:
    near = _MEMORY * (dtypes.itemsize(dtype) + 3) // 4
    if lane is None:
        return max(near, _SCALAR_TURN)
    moving = [k for k, i in enumerate(indices) if depends(i, lane)]
    if not moving:
        return _LIGHT
    return near if moving == [len(indices) - 1] else max(near, _SCATTERED)


def program_cost(program: Program) -> Size:
    """Picoseconds of one run of a program in one thread, roughly."""
    return sum_of(_step_cost(program, step) for step in program.steps)


def _step_cost(program: Program, step: Step) -> Size:
    match step:
        case Run():
            return kernel_cost(step.kernel)
        case Loop():
            return as_size(loop_turns(step) * as_expr(turn_cost(step)))
        case Branch():
            both = as_expr(program_cost(step.then)) + as_expr(program_cost(step.otherwise))
            return as_size((both + 1) // 2)
        case Call(routine="matmul"):
            a, _, c = (program.buffers[b].shape for b in step.buffers[:3])
            inner = a[-2 if dict(step.params)["ta"] else -1]
            return as_size(as_expr(elements(c)) * as_expr(inner) * _PRODUCT)
        case Call():
            return sum((_touch(program, b) for b in step.buffers), _CALL)
        case Copy():
            return _touch(program, step.target)
    return 0


def _touch(program: Program, buffer: str) -> Size:
    return as_size(as_expr(elements(program.buffers[buffer].shape)) * 1_000)


def turn_cost(step: Loop) -> Size:
    """Picoseconds of one turn of a loop of a program."""
    return as_size(as_expr(program_cost(step.body)) + _PROGRAM_TURN)


def loop_turns(step: Loop) -> Expr:
    """How many turns a loop of a program may have; a few where only its flag ends it."""
    return const(ENDLESS) if step.length == NO_END else as_expr(step.length)
