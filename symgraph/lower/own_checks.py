"""Checks of indices that the step which uses them makes itself.

A check is a pass over the indices, and then a requirement, before anything uses them. Where they
are many and one step uses them, that step looks at a block of them, still has them in the nearest
cache when it uses them, and leaves out blocks that are wrong; the requirement comes after it. What
it has made until then is memory of its own, so a failed call changes no state either way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symgraph.ir.graph import Apply, Variable
from symgraph.loops.program import Failure
from symgraph.runtime.later import Later

if TYPE_CHECKING:
    from symgraph.lower import scatter_sizes, sparse_rows
    from symgraph.lower.build import Context
else:  # of programs with a scatter or a sparse product
    scatter_sizes = Later("symgraph.lower.scatter_sizes")
    sparse_rows = Later("symgraph.lower.sparse_rows")

Checks = list[tuple[Variable, Failure]]


def take(
    nodes: Sequence[Apply], outputs: Sequence[Variable], requires: dict[Apply, Checks], ctx: Context
) -> dict[Apply, Failure]:
    """The failure for each node that makes its check itself, which ``requires`` loses."""
    if not requires or not ctx.scheduled or ctx.device:
        return {}
    uses = Counter(v for n in nodes for v in dict.fromkeys(n.inputs))
    uses.update(outputs)
    flags = Counter(flag for checks in requires.values() for flag, _ in checks)
    found: dict[Apply, Failure] = {}
    for n in nodes:
        owner = n if _scatters(n, ctx) else _structure(n, uses, ctx)
        checks = requires.get(owner, []) if owner is not None else []
        if owner is None or len(checks) != 1:
            continue
        ((flag, failure),) = checks
        over_all = flag.owner is not None and flag.owner.inputs[0].ndim == 1
        if flags[flag] == 1 and (over_all or owner is not n):
            found[n] = failure
            del requires[owner]
    return found


def _scatters(n: Apply, ctx: Context) -> bool:
    """Whether it is a scatter of single elements that may go in parts."""
    if n.op.name != "scatter" or n.inputs[0].ndim != 1 or n.inputs[1].ndim != 1:
        return False
    return scatter_sizes.parted(n, ctx) is not None


def _structure(n: Apply, uses: Counter[Variable], ctx: Context) -> Apply | None:
    """The check of a sparse matrix that only this product uses."""
    if n.op.name != "sparse_matmul":
        return None
    if n.op.transposed and not sparse_rows.sorts(n, ctx):  # type: ignore[attr-defined]
        return None
    indices, indptr = n.inputs[1].owner, n.inputs[2].owner
    if indices is None or indptr is None:
        return None
    if indices.op.name != "checked_indices" or indptr.op.name != "barrier":
        return None
    alone = uses[n.inputs[1]] == 2 and uses[n.inputs[2]] == 1
    same = indptr.inputs[0] is indices.inputs[1] and indptr.inputs[1] is n.inputs[1]
    return indices if alone and same else None
