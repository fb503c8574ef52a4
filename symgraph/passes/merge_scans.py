"""Loops that read the same rows become one; outputs and inputs of loops that nobody reads go.

A gradient runs the forward loop once more with its carries among the outputs: the same inputs, the
same updates of the carries. Its outputs join those of the first loop. A derivative along a
direction runs the loop with tangents beside the carries; the loop itself is then read off that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

from symgraph.ir.graph import Apply, Graph, Variable, apply, rebuild, toposort
from symgraph.ops.control import Cond, Scan


def merge_scans(graph: Graph) -> Graph:
    """Scans over the same inputs whose carries are updated alike as one scan; then every scan and
    cond without the outputs, carries and inputs that nothing depends on."""
    order = graph.toposort()
    if not any(isinstance(node.op, Scan | Cond) for node in order):
        return graph
    merged = Graph(graph.inputs, _absorbed(_merged(graph.outputs, order)))
    return Graph(graph.inputs, _pruned(merged.outputs))


# merging ------------------------------------------------------------------------------------------


def _merged(outputs: Sequence[Variable], order: Sequence[Apply]) -> list[Variable]:
    new: dict[Variable, Variable] = {}
    groups: dict[object, list[tuple[Apply, Apply]]] = {}
    for node in order:
        fresh = _over(node, [new.get(v, v) for v in node.inputs])
        op = fresh.op
        if isinstance(op, Scan):
            key = (op.carries, op.sequences, op.length, op.reverse, *map(id, fresh.inputs))
            groups.setdefault(key, []).append((node, fresh))
        _replace(new, node, fresh)
    mapping: dict[Variable, Variable] = {}
    for group in groups.values():
        if len(group) > 1:
            _merge(mapping, [fresh for _, fresh in group])
    final = [new.get(v, v) for v in outputs]
    return rebuild(final, mapping) if mapping else final


def _body(scan: Apply) -> Graph:
    assert isinstance(scan.op, Scan)
    return scan.op.body


def _merge(mapping: dict[Variable, Variable], nodes: Sequence[Apply]) -> None:
    """Map the outputs of scans over the same inputs to those of as few scans as possible."""
    rest = list(dict.fromkeys(nodes))
    while len(rest) > 1:
        first, others, rest = rest[0], rest[1:], []
        op: Any = first.op
        outputs = dict.fromkeys(op.body.outputs[op.carries :])
        carries = op.body.outputs[: op.carries]
        members = [(first, op.body.outputs)]
        for node in others:
            inner: Any = node.op
            body = inner.body
            own = rebuild(body.outputs, dict(zip(body.inputs, op.body.inputs, strict=True)))
            if all(a is b for a, b in zip(own, carries, strict=False)):
                outputs.update(dict.fromkeys(own[op.carries :]))
                members.append((node, tuple(own)))
            else:
                rest.append(node)
        if len(members) == 1:
            continue
        body = Graph(op.body.inputs, (*carries, *outputs))
        origins = tuple(dict.fromkeys(o for node, _ in members for o in node.origins))
        whole = apply(op.replace(body=body), first.inputs, origins)
        place = {v: k for k, v in enumerate(outputs, op.carries)}
        for node, own in members:
            for k, out in enumerate(node.outputs):
                target = k if k < op.carries else place[own[k]]
                mapping[out] = whole.outputs[target]


def _absorbed(outputs: list[Variable]) -> list[Variable]:
    """Without the scans that others compute along with more carries."""
    while True:
        scans = [node for node in toposort(outputs) if isinstance(node.op, Scan)]
        found = (_within(a, b) for a, b in permutations(scans, 2))
        mapping = next((m for m in found if m), None)
        if mapping is None:
            return outputs
        outputs = rebuild(outputs, mapping)


def _within(a: Apply, b: Apply) -> dict[Variable, Variable]:
    """The outputs of two scans as those of one, where the carries, sequences and constants of b
    begin with those of a, carries are updated alike, and b does not depend on a; else nothing."""
    p: Any = a.op
    q: Any = b.op
    if p.carries >= q.carries or (p.length, p.reverse) != (q.length, q.reverse):
        return {}
    constants = len(a.inputs) - p.carries - p.sequences
    spans = ((p.carries, 0), (p.sequences, q.carries), (constants, q.carries + q.sequences))
    places = [first + k for count, first in spans for k in range(count)]
    if p.sequences > q.sequences or max(places, default=-1) >= len(b.inputs):
        return {}
    if any(v is not b.inputs[k] for v, k in zip(a.inputs, places, strict=True)):
        return {}
    inner = [q.body.inputs[k] for k in places]
    own = rebuild(p.body.outputs, dict(zip(p.body.inputs, inner, strict=True)))
    if any(own[k] is not q.body.outputs[k] for k in range(p.carries)):
        return {}
    if a in set(toposort(b.inputs)):
        return {}
    rows = dict.fromkeys((*q.body.outputs[q.carries :], *own[p.carries :]))
    body = Graph(q.body.inputs, (*q.body.outputs[: q.carries], *rows))
    whole = apply(q.replace(body=body), b.inputs, tuple(dict.fromkeys((*b.origins, *a.origins))))
    place = {v: whole.outputs[k] for k, v in enumerate(rows, q.carries)}
    mapping: dict[Variable, Variable] = {}
    for node, op, values in ((a, p, own), (b, q, q.body.outputs)):
        mapping.update(zip(node.outputs[: op.carries], whole.outputs, strict=False))
        rest = zip(node.outputs[op.carries :], values[op.carries :], strict=True)
        mapping.update((v, place[o]) for v, o in rest)
    return mapping


# dropping what nobody reads -----------------------------------------------------------------------


def _pruned(outputs: Sequence[Variable]) -> list[Variable]:
    order = toposort(outputs)
    read = set(outputs)
    kept: dict[Apply, tuple[list[int], list[int]]] = {}
    for node in reversed(order):
        alive = [k for k, v in enumerate(node.outputs) if v in read]
        inputs = list(range(len(node.inputs)))
        if isinstance(node.op, Scan):
            alive, inputs = _scan_needs(node.op, alive)
        elif isinstance(node.op, Cond):
            inputs = _cond_needs(node.op, alive)
        kept[node] = alive, inputs
        read.update(node.inputs[k] for k in inputs)
    new: dict[Variable, Variable] = {}
    for node in order:
        alive, inputs = kept[node]
        values = [new.get(node.inputs[k], node.inputs[k]) for k in inputs]
        if len(inputs) == len(node.inputs) and len(alive) == len(node.outputs):
            _replace(new, node, _over(node, values))
        elif isinstance(node.op, Scan | Cond):
            smaller = _smaller_scan if isinstance(node.op, Scan) else _smaller_cond
            fresh = apply(smaller(node.op, alive, inputs), values, node.origins)
            new.update(zip((node.outputs[k] for k in alive), fresh.outputs, strict=True))
        else:  # other ops keep outputs that nobody reads
            _replace(new, node, _over(node, values))
    return [new.get(v, v) for v in outputs]


def _scan_needs(op: Scan, alive: list[int]) -> tuple[list[int], list[int]]:
    """The outputs that must stay (carries may feed each other) and the inputs that they read."""
    body = op.body
    needed = set(alive)
    while True:
        leaves = set(Graph((), [body.outputs[k] for k in sorted(needed)]).leaves())
        carried = {k for k in range(op.carries) if body.inputs[k] in leaves} - needed
        if not carried:
            break
        needed |= carried
    carried = needed & set(range(op.carries))
    inputs = [k for k, v in enumerate(body.inputs) if v in leaves or k in carried]
    return sorted(needed), inputs


def _smaller_scan(op: Scan, alive: list[int], inputs: list[int]) -> Scan:
    body = Graph([op.body.inputs[k] for k in inputs], [op.body.outputs[k] for k in alive])
    carries = sum(k < op.carries for k in inputs)
    sequences = sum(op.carries <= k < op.carries + op.sequences for k in inputs)
    return Scan(body, carries, sequences, op.length, op.reverse)


def _cond_needs(op: Cond, alive: list[int]) -> list[int]:
    used: set[int] = {0}
    for branch in (op.then, op.otherwise):
        leaves = set(Graph((), [branch.outputs[k] for k in alive]).leaves())
        used.update(k + 1 for k, v in enumerate(branch.inputs) if v in leaves)
    return sorted(used)


def _smaller_cond(op: Cond, alive: list[int], inputs: list[int]) -> Cond:
    branches = [
        Graph([b.inputs[k - 1] for k in inputs if k], [b.outputs[k] for k in alive])
        for b in (op.then, op.otherwise)
    ]
    return Cond(*branches)


def _over(node: Apply, inputs: Sequence[Variable]) -> Apply:
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return node
    return apply(node.op, inputs, node.origins)


def _replace(new: dict[Variable, Variable], old: Apply, fresh: Apply) -> None:
    if fresh is not old:
        new.update(zip(old.outputs, fresh.outputs, strict=True))
