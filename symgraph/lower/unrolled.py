"""Short loops whose number of turns is known, with all turns in one.

    for i { for c in 0 .. 2 vector { store out[i, c] = select(c < 1, a[i], b[i]) } }

fills a part of a register and chooses in each lane. Here the lanes take a row each, and each column
is a statement of its own, in which it is known which one it is:

    for i vector { store out[i, 0] = a[i]; store out[i, 1] = b[i] }

Up to four stores are then written as one (codegen/tuples_llvm.py); more of them only where the
processor stores elements of many places at once, and there is something to choose. Rows one below
the other, as `stack` makes them, go the same way: all of them at once, along their columns.
"""

from __future__ import annotations

from symgraph.loops.statements import For, Kernel, Let, Stmt, Store, expressions
from symgraph.lower.borders import atoms, decided, moving
from symgraph.lower.rewriting import around, independent, moved, perfect_nest, place_of, reads
from symgraph.scalar import Expr, as_expr, coefficient, const, evaluate_size, postorder, var

TOGETHER = 4  # columns that are read and written together
MOST = 16  # turns
LEAST = 16  # elements in the other direction
LONGEST = 200  # nodes of all turns


def unrolled(kernel: Kernel, scatters: bool) -> Kernel:
    """The kernel with all turns of such a loop in one; itself where it is not one nest around Lets
    and Stores with one. ``scatters``: the processor can store elements of many places at once."""
    path = perfect_nest(kernel.body)
    if len(path) < 2 or path[-1].kind != "vector" or path[-2].kind != "serial":
        return kernel
    if not reads_before(path[-1].body):
        return kernel
    columns, rows = _choices(path, path[-1]), _choices(path, path[0])
    if _has_columns(kernel, path, columns, scatters):
        loops = [*path[:-2], path[-2]._replace(kind="vector")]
        body = all_turns(path[-1], columns, path[-1].body)
    elif rows and _has_rows(path):
        loops = path[1:]
        body = all_turns(path[0], rows, path[-1].body)
    else:
        return kernel
    if len(postorder([e for s in body for e in expressions(s)])) > LONGEST:
        return kernel
    return kernel._replace(body=around(loops, body))


def reads_before(body: tuple[Stmt, ...]) -> bool:
    """Whether turns do not need each other, and nothing that is stored is read after it."""
    stored: set[str] = set()
    for s in body:
        if not isinstance(s, Let | Store) or any(e.attr in stored for e in reads((s,))):
            return False
        if isinstance(s, Store):
            stored.add(s.buffer)
    return independent(body)


def _choices(path: list[For], loop: For) -> list[Expr]:
    """The conditions that only depend on the turn of a loop."""
    nodes = postorder([e for s in path[-1].body for e in expressions(s)])
    indices = {p.index for p in path}
    return [
        e for e in atoms(nodes)
        if moving(e, indices) == {loop.index} and not any(x.op == "var" and x is not loop.index
                                                          for x in postorder([e]))
    ]  # fmt: skip


def _has_columns(kernel: Kernel, path: list[For], choices: list[Expr], scatters: bool) -> bool:
    """Whether the innermost loop stores whole rows of a few elements, one after another."""
    rows, loop = path[-2:]
    if not isinstance(loop.extent, int) or not 2 <= loop.extent <= MOST or _is_short(rows):
        return False
    shapes = {p.name: p.shape for p in kernel.params}
    stores = [s for s in loop.body if isinstance(s, Store)]
    if any(s.indices[-2:] != (rows.index, loop.index) for s in stores):
        return False
    if any(shapes[s.buffer][-1] != loop.extent for s in stores):
        return False
    if not choices:  # four that are read together fill a small register as they are
        across = any(loop.index not in postorder(place_of(e)[-1:]) for e in reads(loop.body))
        return loop.extent < TOGETHER + across and _near(kernel, rows, loop)
    return loop.extent <= TOGETHER or scatters


def _near(kernel: Kernel, rows: For, loop: For) -> bool:
    """Whether lanes of rows read neighbours, the same element, or their elements of such rows."""
    shapes = {p.name: p.shape for p in kernel.params}
    for e in reads(loop.body):
        at = place_of(e)
        if rows.index not in postorder(at) or coefficient(at[-1], rows.index) is const(1):
            continue
        if at[-2:] != (rows.index, loop.index) or shapes[e.attr][-1] != loop.extent:
            return False
        if any(rows.index in postorder([i]) for i in at[:-2]):
            return False
    return True


def _has_rows(path: list[For]) -> bool:
    """Whether the outermost loop has a few turns, each of which stores a row of its own."""
    rows = path[0]
    if not isinstance(rows.extent, int) or not 2 <= rows.extent <= MOST or _is_short(path[-1]):
        return False
    stores = [s for s in path[-1].body if isinstance(s, Store)]
    return all(rows.index in s.indices for s in stores)  # not what one turn leaves for the next


def _is_short(loop: For) -> bool:
    return isinstance(loop.extent, int) and loop.extent < LEAST


def all_turns(loop: For, choices: list[Expr], body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """What all turns compute, and then what they store, each buffer's elements side by side."""
    lets: list[Stmt] = []
    stores: list[tuple[int, Store]] = []
    for c in range(int(as_expr(loop.extent).value)):
        truth = {e: bool(evaluate_size(e, {loop.index.attr: c})) for e in choices}
        stands: dict[Expr, Expr] = {loop.index: const(c)}
        for k, s in enumerate(body):
            (s,) = moved((decided(s, truth),), stands)
            assert isinstance(s, Let | Store)
            own = s.value
            if isinstance(s, Let) or own.op not in ("var", "const"):
                name = s.name.attr if isinstance(s, Let) else f"_element{k}"
                own = var(f"{name}_{c}", s.value.dtype)
                lets.append(Let(own, s.value))
            if isinstance(s, Let):
                stands[s.name] = own
            else:
                stores.append((k, s._replace(value=own)))
    return (*lets, *(s for _, s in sorted(stores, key=lambda found: found[0])))
