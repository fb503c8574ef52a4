"""Loops along axes over which windows stride, a whole stride at a time.

    for i in 0 .. n vector { store out[i] = select(i % 2 == 0, x[i // 2], y[i // 2]) }

asks for quotients and remainders in each lane, and chooses in each. Here each lane takes a stride,
of 2 to 4 elements, which are statements of their own, in which it is known which one it is; and
their stores are one (codegen/tuples_llvm.py):

    for i in 0 .. n // 2 vector { store out[2 * i] = x[i]; store out[2 * i + 1] = y[i] }
    for i in 0 .. n % 2 vector { ... as before, at i + n // 2 * 2 }

Where conditions ask for the remainder of the loop around, its rows are done phase by phase, too.
Such are the gradients of poolings and of strided slices, and what repeats elements.
"""

from __future__ import annotations

from collections.abc import Iterable

from symgraph.loops.statements import For, Kernel, Size, Stmt, Store, expressions
from symgraph.lower.borders import atoms, borders, bound, decided
from symgraph.lower.rewriting import around, moved, perfect_nest, position
from symgraph.lower.unrolled import all_turns, reads_before
from symgraph.scalar import (
    Expr,
    as_expr,
    as_size,
    coefficient,
    const,
    evaluate_size,
    postorder,
    var,
)
from symgraph.scalar.polynomial import floordiv, mod

MOST = 4  # elements that are written together
LEAST = 4  # strides of a known row
LONGEST = 600  # nodes of all elements of a stride
J, K, Q = var("_istride"), var("_iwithin"), var("_iphase")


def strides(kernel: Kernel) -> Kernel:
    """The kernel with its innermost loop over strides; itself where that takes none."""
    path = perfect_nest(kernel.body)
    if not path or path[-1].kind != "vector" or not reads_before(path[-1].body):
        return kernel
    loop, nodes = path[-1], _nodes(path[-1].body)
    stride = _stride(nodes, loop.index)
    if not stride or len(nodes) * stride > LONGEST or not _goes_along(kernel, loop):
        return kernel
    count = floordiv(as_expr(loop.extent), const(stride))
    if count.is_const and count.value < LEAST:
        return kernel
    body = moved(loop.body, {loop.index: J * stride + K}, _apart(nodes, loop.index, stride))
    within = For(K, stride, "vector", body)
    body = all_turns(within, [e for e in atoms(_nodes(body)) if _names(e) <= {K}], body)
    loops = [For(J, as_size(count), "vector", _sure(body, J, as_size(count)))]
    rest = as_size(as_expr(loop.extent) - count * stride)
    if rest != 0:
        body = moved(loop.body, {loop.index: loop.index + count * stride})
        loops.append(For(loop.index, rest, "vector", body))
    return kernel._replace(body=_by_phases(kernel, path[:-1], loops))


def _nodes(body: Iterable[Stmt]) -> list[Expr]:
    return postorder([e for s in body for e in expressions(s)])


def _names(e: Expr) -> set[Expr]:
    return {x for x in postorder([e]) if x.op in ("var", "load", "load_if")}


def _sure(body: Iterable[Stmt], index: Expr, extent: Size) -> tuple[Stmt, ...]:
    """The statements without conditions that hold for every turn, or for none."""
    truth = {}
    for e in atoms(_nodes(body)):
        if not _names(e):
            truth[e] = bool(evaluate_size(e, {}))
        elif (found := bound(e, index)) is not None:
            way, at = found
            gap = 0 - at if way == "low" else at - as_expr(extent)
            if gap.is_const and gap.value >= 0:
                truth[e] = True
    return tuple(decided(s, truth) for s in body)


def _parts(nodes: Iterable[Expr], index: Expr) -> list[Expr]:
    """The quotients and remainders of an index."""
    kinds = [e for e in nodes if e.op in ("mod", "floordiv") and e.dtype == "int64"]
    return [e for e in kinds if index in postorder([e])]


def _stride(nodes: Iterable[Expr], index: Expr) -> int:
    """What divides all of them; 0 where it is not one number, or they are of more than the index
    and a number."""
    found = set()
    for e in _parts(nodes, index):
        whole, by = e.args
        if not by.is_const or not 2 <= by.value <= MOST or not (whole - index).is_const:
            return 0
        found.add(int(by.value))
    return found.pop() if len(found) == 1 else 0


def _apart(nodes: Iterable[Expr], index: Expr, stride: int) -> dict[Expr, Expr]:
    """What stands for them where the index is J * stride + K."""
    found = {}
    for e in _parts(nodes, index):
        within, by = e.args[0] - index + K, const(stride)
        found[e] = mod(within, by) if e.op == "mod" else J + floordiv(within, by)
    return found


def _goes_along(kernel: Kernel, loop: For) -> bool:
    """Whether what the loop stores are neighbours."""
    shapes = {p.name: p.shape for p in kernel.params}
    places = [position(s.indices, shapes[s.buffer]) for s in loop.body if isinstance(s, Store)]
    return all(coefficient(at, loop.index) is const(1) for at in places)


# rows ---------------------------------------------------------------------------------------------


def _by_phases(kernel: Kernel, outer_loops: list[For], loops: list[For]) -> tuple[Stmt, ...]:
    """The nest of these loops, its rows phase by phase where conditions ask for that."""

    def cut(outer: list[For], inner: For) -> tuple[Stmt, ...]:
        return _inside(borders(kernel._replace(body=around(outer, (inner,)))).body, len(outer))

    nodes = _nodes(loops[0].body)
    asked = bool(outer_loops) and _chooses(nodes, outer_loops[-1].index)
    stride = _stride(nodes, outer_loops[-1].index) if asked else 0
    if not stride:
        return around(outer_loops, tuple(s for loop in loops for s in cut(outer_loops, loop)))
    *outer, rows = outer_loops
    length = as_expr(rows.extent) + (stride - 1)
    nests = []
    for b in range(stride):
        count = as_size(floordiv(length - b, const(stride)))
        path = [*outer, For(Q, count, "serial", ())]
        phase = [loop._replace(body=_phase(loop.body, rows.index, stride, b, count))
                 for loop in loops]  # fmt: skip
        nests.append((path, tuple(s for loop in phase for s in cut(path, loop))))
    if any(path != nests[0][0] for path, _ in nests):
        return tuple(s for nest in nests for s in around(*nest))
    return around(nests[0][0], tuple(s for _, body in nests for s in body))


def _phase(
    body: tuple[Stmt, ...], index: Expr, stride: int, b: int, count: Size
) -> tuple[Stmt, ...]:
    """The statements at the rows Q * stride + b."""
    instead = {e: _of_phase(e, index, stride, b) for e in _parts(_nodes(body), index)}
    return _sure(moved(body, {index: Q * stride + b}, instead), Q, count)


def _chooses(nodes: list[Expr], index: Expr) -> bool:
    """Whether conditions ask for quotients of the index, or values for remainders."""
    remainders = any(e.op == "mod" for e in _parts(nodes, index))
    return remainders or bool(_parts(postorder(atoms(nodes)), index))


def _of_phase(e: Expr, index: Expr, stride: int, b: int) -> Expr:
    """A quotient or remainder of the index Q * stride + b."""
    shift = int((e.args[0] - index).value) + b
    return const(shift % stride) if e.op == "mod" else Q + shift // stride


def _inside(body: tuple[Stmt, ...], depth: int) -> tuple[Stmt, ...]:
    """What so many loops hold."""
    for _ in range(depth):
        (loop,) = body
        assert isinstance(loop, For)
        body = loop.body
    return body
