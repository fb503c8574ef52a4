"""What a loop's body computes of constants and sequences alone is computed before the loop.

Of the constants alone: once instead of at each step. Of the rows of sequences: for all steps at
once where that is faster than step by step, which holds for products with a matrix that stays the
same (one large product instead of many small ones: the x @ w of a recurrent network) and for
functions of a few numbers, which fill no vector by themselves. Theano called these
scan_push_out_non_seq and scan_push_out_seq.

Elementwise steps in between stay in the body, where they fuse with what reads them. A larger
product may add its terms in another order than a small one: rounding may differ, not accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.ir.graph import Apply, Graph, Variable, apply, rebuild
from symgraph.ops.shape import Transpose
from symgraph.passes.scan_parts import (
    DEAR,
    PRODUCTS,
    Loop,
    batches,
    is_literal,
    movable,
    over_scans,
    routine,
    size_of,
    spread_from,
    tiny,
)

VIEWS = frozenset(
    "expand_dims squeeze reshape transpose broadcast_to slice flip cast diagonal iota".split()
)
GROWTH = 16  # how many times as large as its operands a product of all steps may be


def scan_before(graph: Graph) -> Graph:
    """Scans whose invariant parts and products of sequences are computed before the loop."""
    return over_scans(graph, _moved)


def _moved(scan: Apply) -> Sequence[Variable] | None:
    loop = Loop(scan)
    if loop.length in (0, 1):
        return None
    changes = [_turn(loop), _hoist(loop), _batch(loop)]
    copies = _copies(loop)
    if not any(changes) and not copies:
        return None
    states, count = len(loop.states), len(loop.stacked)
    loop.stacked = [v for k, v in enumerate(loop.stacked) if k not in copies]
    out = loop.node().outputs
    rest = iter(out[states:])
    return [*out[:states], *(copies[k] if k in copies else next(rest) for k in range(count))]


def _copies(loop: Loop) -> dict[int, Variable]:
    """The stacked outputs that are rows of a sequence: all of them are the sequence."""
    sequence = dict(zip(loop.rows, loop.sequences, strict=True))
    return {k: sequence[v] for k, v in enumerate(loop.stacked) if v in sequence}


# invariants ---------------------------------------------------------------------------------------


def _hoist(loop: Loop) -> bool:
    """Replace the dear values of constants alone by constants of the scan."""
    changing = spread_from([*loop.states, *loop.rows], loop.order)
    stuck = spread_from(
        (v for node in loop.order if not movable(node) for v in node.outputs), loop.order
    )
    fixed = {
        v for node in loop.order for v in node.outputs
        if v not in changing and v not in stuck and not is_literal(v)
    }  # fmt: skip
    if not fixed:
        return False
    wanted: dict[Variable, None] = {}
    for node in loop.order:
        if node.outputs[0] in fixed:
            continue
        whole = not hasattr(node.op, "lower")  # reads its operands from memory
        for v in node.inputs:
            found = v if whole and v in fixed and _moves(v) else _core(v, fixed)
            if found is not None and _pays(found):
                wanted[found] = None
    wanted.update({v: None for v in loop.stacked + loop.new if v in fixed and _pays(v)})
    if not wanted:
        return False
    outside = rebuild(list(wanted), loop.outer_of())
    pairs = zip(wanted, outside, strict=True)
    loop.replace({v: loop.add_constant(o) for v, o in pairs})
    return True


def _core(v: Variable, fixed: set[Variable]) -> Variable | None:
    """What a fixed value is a view of; None when that is an input."""
    while v in fixed and v.owner is not None and v.owner.op.name in VIEWS and v.owner.inputs:
        v = v.owner.inputs[0]
    return v if v in fixed else None


def _moves(v: Variable) -> bool:
    return v.owner is not None and v.owner.op.name != "reshape"


def _pays(v: Variable) -> bool:
    """Whether reading a value costs no more than what it is computed from."""
    below = [i for node in _below(v) for i in node.inputs if i.owner is None]
    dear = any(node.op.name in DEAR or not hasattr(node.op, "lower") for node in _below(v))
    return dear or v.ndim <= max((i.ndim for i in below), default=0)


def _below(v: Variable) -> list[Apply]:
    return Graph((), [v]).toposort()


def _turn(loop: Loop) -> bool:
    """Let products with a transposed matrix that stays the same, such as the weights in a recurrent
    layer's gradient, read it as it was turned before the loop: each would turn it for itself."""
    outer = loop.outer_of()
    turned: dict[Variable, Variable] = {}
    found: dict[Variable, Variable] = {}
    for node in loop.order:
        op: Any = node.op
        if op.name != "matmul" or not op.tb or node.inputs[1] not in outer:
            continue
        x, u = node.inputs
        if u.ndim != 2:
            continue
        if u not in turned:
            turned[u] = loop.add_constant(apply(Transpose((1, 0)), [outer[u]], node.origins).output)
        product = apply(op.replace(tb=False), [x, turned[u]], node.origins)
        found[node.outputs[0]] = product.output
    if found:
        loop.replace(found)
    return bool(found)


# products of sequences ----------------------------------------------------------------------------


def _batch(loop: Loop) -> bool:
    """Replace products of rows with what stays the same by rows of one product."""
    moving = spread_from(loop.states, loop.order)
    on_rows = spread_from(loop.rows, loop.order) - moving
    stuck: set[Variable] = set()
    wanted: dict[Variable, None] = {}
    for node in loop.order:
        out = node.outputs[0]
        if not movable(node) or not batches(node) or any(v in stuck for v in node.inputs):
            stuck.update(node.outputs)
        elif out in on_rows and _dear(node, on_rows):
            wanted[out] = None
    if not wanted:
        return False
    found = loop.over_steps(list(wanted), {})
    if found is None:
        return False
    loop.replace({v: loop.add_row(s) for v, s in zip(wanted, found, strict=True)})
    return True


def _dear(node: Apply, on_rows: set[Variable]) -> bool:
    """Whether all steps at once are cheaper than one after the other."""
    if node.op.name in DEAR:
        return tiny(node.output)
    if routine(node) not in PRODUCTS:
        return False
    varying = [v for v in node.inputs if v in on_rows]
    if len(varying) != 1 or (node.op.name != "matmul" and node.inputs[0] is not varying[0]):
        return False
    out, row = size_of(node.output), size_of(varying[0])
    return out is None or row is None or out <= GROWTH * row
