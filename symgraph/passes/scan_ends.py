"""The first and the last step of a loop: values that only one of them makes or reads.

* The last row of a stacked state is the carry after the loop: ``h[-1]`` needs no rows. So nothing
  is stacked where only the last state is wanted.
* A sequence that is zero but for the row of the first step, and is only added to a carry, is added
  to what the carry begins with: the derivative of ``h[-1]`` runs back so.

Both look through the loop over segments that ``checkpoint`` makes around a loop, and through what
joins its rows: the steps that were left over run in a loop behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph.ir.graph import Apply, Graph, Variable, apply
from symgraph.ir.types import Size
from symgraph.ops.control import Scan
from symgraph.ops.shape import ExpandDims, Reshape, is_one
from symgraph.passes.scan_parts import Loop, over_scans, readers
from symgraph.scalar import as_expr, as_size


def scan_ends(graph: Graph) -> Graph:
    """The last rows of states as carries, and cotangents of the last row as initial carries."""
    return over_scans(_last_rows(graph), _first_rows)


# the last row -------------------------------------------------------------------------------------


def _last_rows(graph: Graph) -> Graph:
    order = graph.toposort()
    if not any(isinstance(node.op, Scan) for node in order):
        return graph
    new: dict[Variable, Variable] = {}
    for node in order:
        inputs = [new.get(v, v) for v in node.inputs]
        if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
            node_ = apply(node.op, inputs, node.origins)
            new.update(zip(node.outputs, node_.outputs, strict=True))
        else:
            node_ = node
        found = _final(node_)
        if found is not None:
            new[node.outputs[0]] = found
    if not new:
        return graph
    return Graph(graph.inputs, [new.get(v, v) for v in graph.outputs])


def _final(node: Apply) -> Variable | None:
    """The carry of which a slice reads the last row."""
    op: Any = node.op
    if op.name != "slice" or not is_one(op.size[0]):
        return None
    row = _row(node.inputs[0], op.start[0])
    if row is None:
        return None
    start, step = (0, *op.start[1:]), (1, *op.step[1:])
    return op.replace(start=start, step=step)(ExpandDims((0,))(row))  # type: ignore[no-any-return]


def _row(source: Variable, at: Size) -> Variable | None:
    """A row of stacked values that a loop, or a loop of loops over segments, also carries."""
    node = source.owner
    if node is None:
        return None
    op: Any = node.op
    if isinstance(op, Scan):
        return _carried(node, source.index, at, ())
    if op.name == "concatenate" and op.axis == 0:  # segments, and the steps that were left
        last = node.inputs[-1]
        before = as_expr(source.shape[0]) - last.shape[0]
        return _row(last, as_size(as_expr(at) - before)) if _is_last(at, source) else None
    if op.name != "reshape":
        return None
    inner = node.inputs[0]
    if inner.owner is None or not isinstance(inner.owner.op, Scan) or not _joins(inner, source):
        return None
    if at != 0 and not _is_last(at, source):
        return None
    outside, inside = (0 if at == 0 else as_size(as_expr(n) - 1) for n in inner.shape[:2])
    return _carried(inner.owner, inner.index, outside, (inside,))


def _joins(x: Variable, y: Variable) -> bool:
    """Whether y is x with its first two axes as one."""
    return x.ndim == y.ndim + 1 and x.shape[2:] == y.shape[1:]


def _is_last(at: Size, source: Variable) -> bool:
    return as_size(as_expr(source.shape[0]) - 1) == at


def _carried(scan: Apply, index: int, at: Size, inside: tuple[Size, ...]) -> Variable | None:
    """The carry after a loop that equals what output ``index`` stacked in the last step, if ``at``
    is that step: of a stack of stacks the rows ``inside``."""
    op: Any = scan.op
    if index < op.carries or at != (0 if op.reverse else as_size(as_expr(op.length) - 1)):
        return None
    value: Variable | None = op.body.outputs[index]
    if inside:
        made = value.owner  # type: ignore[union-attr]
        if made is None or not isinstance(made.op, Scan):
            return None
        value = _carried(made, value.index, inside[0], inside[1:])  # type: ignore[union-attr]
    for j, v in enumerate(op.body.outputs[: op.carries]):
        if v is value:
            return scan.outputs[j]
    return None


# the first step -----------------------------------------------------------------------------------

_NOTHING = "zeros"  # what is known of a sequence that has no row but zeros


def _first_rows(scan: Apply) -> Sequence[Variable] | None:
    loop = Loop(scan)
    if loop.length == 0:
        return None
    changed = False
    for r in reversed(range(len(loop.rows))):
        changed |= _into_start(loop, r) or _into_start_of_segments(loop, r)
    return loop.node().outputs if changed else None


def _into_start(loop: Loop, r: int) -> bool:
    """Take out a row that only the first step adds to a carry, or none does."""
    value = _lone(loop.sequences[r], loop.op.reverse)
    found = None if value is None else _added(loop, loop.rows[r])
    if found is None:
        return False
    total, k = found
    if value is not _NOTHING and not _begin(loop, k, value):
        return False
    loop.replace({total.output: loop.states[k]})
    del loop.rows[r], loop.sequences[r]
    return True


def _into_start_of_segments(loop: Loop, r: int) -> bool:
    """The same through the loop over the steps of a segment that is the body."""
    sequence, row = loop.sequences[r], loop.rows[r]
    node = sequence.owner
    if node is None or node.op.name != "reshape" or not _joins(sequence, node.inputs[0]):
        return False
    value = _lone(node.inputs[0], loop.op.reverse)
    users = [n for n in loop.order if any(v is row for v in n.inputs)]
    if value is None or readers(loop)[row] != 1 or len(users) != 1:
        return False
    if not isinstance(users[0].op, Scan) or users[0].op.reverse != loop.op.reverse:
        return False
    inner = Loop(users[0])
    place = next((j for j, v in enumerate(inner.sequences) if v is row), None)
    found = None if place is None else _added(inner, inner.rows[place])
    if place is None or found is None:
        return False
    total, k = found
    if value is not _NOTHING:
        outer = next((j for j, v in enumerate(loop.states) if v is inner.start[k]), None)
        if outer is None or readers(loop)[loop.states[outer]] != 1:
            return False
        if not _begin(loop, outer, value):
            return False
    inner.replace({total.output: inner.states[k]})
    del inner.rows[place], inner.sequences[place]
    loop.replace(dict(zip(users[0].outputs, inner.node().outputs, strict=True)))
    del loop.rows[r], loop.sequences[r]
    return True


def _added(loop: Loop, row: Variable) -> tuple[Apply, int] | None:
    """The sum of a row and a state that are read nowhere else, and the number of the state."""
    count = readers(loop)
    sums = [n for n in loop.order if any(v is row for v in n.inputs)]
    if count[row] != 1 or not sums or sums[0].op.name != "add":
        return None
    if sums[0].output.type != row.type:
        return None
    a, b = sums[0].inputs
    state = b if a is row else a
    for k, v in enumerate(loop.states):
        if v is state and count[state] == 1 and state.type == row.type:
            return sums[0], k
    return None


def _begin(loop: Loop, k: int, value: Any) -> bool:
    """Add a value to what carry k begins with; False where the types do not allow it."""
    begin = loop.start[k] + Reshape(loop.start[k].shape)(value)
    if begin.type != loop.start[k].type:
        return False
    loop.start[k] = begin
    return True


def _lone(sequence: Variable, reverse: bool) -> Any:
    """The row of the first step, where all others are zero; _NOTHING where that is zero too."""
    node = sequence.owner
    if node is None:
        return None
    op: Any = node.op
    first: Any = as_expr(sequence.shape[0]) - 1 if reverse else as_expr(0)
    if op.name == "slice":  # of what a loop before or behind this one reads too
        inner = node.inputs[0].owner
        if inner is None or not _whole_rows(op) or op.size[1:] != node.inputs[0].shape[1:]:
            return None
        first = first + op.start[0]
        node, op = inner, inner.op
    if op.name != "embed" or not _whole_rows(op):
        return None
    x = node.inputs[0]
    if not is_one(x.shape[0]) or x.shape[1:] != sequence.shape[1:]:
        return None
    away = as_size(as_expr(op.start[0]) - first)
    if away == 0:
        return x
    beyond = away if reverse else -away  # rows behind the last one, or before the first
    outside = isinstance(beyond, int) and beyond > 0
    return _NOTHING if outside and node.output is not sequence else None


def _whole_rows(op: Any) -> bool:
    return all(t == 1 for t in op.step) and all(k == 0 for k in op.start[1:])
