"""The first and the last step of a loop: values that only one of them makes or reads.

* The last row of a stacked state is the carry after the loop: ``h[-1]`` needs no rows. So nothing
  is stacked where only the last state is wanted.
* A sequence that is zero but for the row of the first step, and is only added to a carry, is added
  to what the carry begins with: the derivative of ``h[-1]`` runs back so.
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
    source = node.inputs[0].owner if op.name == "slice" else None
    if source is None or not isinstance(source.op, Scan):
        return None
    scan: Any = source.op
    k = node.inputs[0].index - scan.carries
    last = 0 if scan.reverse else as_size(as_expr(scan.length) - 1)
    if k < 0 or not is_one(op.size[0]) or op.start[0] != last:
        return None
    value = scan.body.outputs[scan.carries + k]
    for j, v in enumerate(scan.body.outputs[: scan.carries]):
        if v is value:
            row = ExpandDims((0,))(source.outputs[j])
            start, step = (0, *op.start[1:]), (1, *op.step[1:])
            return op.replace(start=start, step=step)(row)  # type: ignore[no-any-return]
    return None


# the first step -----------------------------------------------------------------------------------


def _first_rows(scan: Apply) -> Sequence[Variable] | None:
    loop = Loop(scan)
    if loop.length == 0:
        return None
    count = readers(loop)
    place = {v: k for k, v in enumerate(loop.states)}
    changed = False
    for r, row in reversed(list(enumerate(loop.rows))):
        value = _single_row(loop.sequences[r], loop)
        if value is None or count[row] != 1:
            continue
        sums = [n for n in loop.order if any(v is row for v in n.inputs)]
        if not sums or sums[0].op.name != "add" or sums[0].output.type != row.type:
            continue
        a, b = sums[0].inputs
        state = b if a is row else a
        if state not in place or count[state] != 1 or state.type != row.type:
            continue
        k = place[state]
        begin = loop.start[k] + Reshape(loop.start[k].shape)(value)
        if begin.type != loop.start[k].type:
            continue
        loop.start[k] = begin
        loop.replace({sums[0].output: state})
        del loop.rows[r], loop.sequences[r]
        changed = True
    return loop.node().outputs if changed else None


def _single_row(sequence: Variable, loop: Loop) -> Variable | None:
    """The row of the first step, where all others are zero."""
    node = sequence.owner
    if node is None or node.op.name != "embed":
        return None
    op: Any = node.op
    first: Size = as_size(as_expr(loop.length) - 1) if loop.op.reverse else 0
    x = node.inputs[0]
    if op.start[0] != first or not is_one(x.shape[0]) or x.shape[1:] != sequence.shape[1:]:
        return None
    return x
