"""What derivatives are taken of: the graph as the compiler's rules repair it.

The rules are a third of the compiler, and are loaded only for a graph that may have something for
them. What they made of one is kept in the disk cache as rows of new nodes (`ir/replay.py`), so that
another process has it without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgraph import dtypes
from symgraph.ir import replay
from symgraph.ir.graph import Apply, Constant, Variable, toposort
from symgraph.ir.operators import LANGUAGE
from symgraph.ops.settled import is_inside, is_settled, mark_of, marked
from symgraph.runtime.cache import Key, open_cache
from symgraph.runtime.collecting import uncollected
from symgraph.runtime.sources import compiler_digest

# What rules repair is made with these; a graph without them need not load the rules.
_SHARP = frozenset(
    """exp exp2 expm1 log log2 log10 log1p sqrt cbrt power sin cos tan asin acos atan sinh cosh tanh
    sigmoid softplus erf erfc prod""".split()
)


@uncollected()  # what is loaded and made stays
def repaired(outputs: Sequence[Variable], fixed: Sequence[Variable]) -> list[Variable]:
    """The outputs as the compiler repairs them, so that derivatives are those of stable forms; the
    ``fixed`` variables stay in them."""
    if "repaired" not in LANGUAGE or not _may_be_sharp(list(_names(outputs))):
        return list(outputs)
    return [v if v.type == y.type else y
            for v, y in zip(_kept(outputs, fixed), outputs, strict=True)]  # fmt: skip


def _kept(outputs: Sequence[Variable], fixed: Sequence[Variable]) -> Sequence[Variable]:
    """What the rules make of the outputs, from the disk cache or made now and kept there."""
    work, cache = LANGUAGE["repaired"], open_cache()
    if cache is None:
        return work(outputs, fixed)  # type: ignore[no-any-return]
    held = replay.Numbering(outputs)
    graph = replay.signature(held, [v for v in fixed if v.owner is not None])
    if graph is None:
        return work(outputs, fixed)  # type: ignore[no-any-return]
    key = Key("repaired", {"graph": graph, "compiler": compiler_digest()})
    found = cache.get(key)
    after = replay.followed(held, found.meta, marked) if found is not None else None
    if after is None:
        after = list(work(outputs, fixed))
        rows = replay.written(held, after, mark_of)
        if rows is not None:
            cache.put_later(key, rows, {})
    return after


def _may_be_sharp(names: Sequence[str]) -> bool:
    """Whether a rule may find something: two fractions, or two means of which one is of squares."""
    means = names.count("mean") > 1 and "square" in names
    return means or names.count("divide") > 1 or not _SHARP.isdisjoint(names)


def _names(outputs: Sequence[Variable]) -> Iterator[str]:
    """What all operations on floats are called, of those inside loops and choices too; but for
    stable formulas of the library, unless something else reads a part of them."""
    for node in toposort(outputs):
        if not any(map(is_settled, node.outputs)):
            if any(dtypes.is_inexact(v.dtype) for v in node.outputs):
                yield _name(node)
            yield from (_name(v.owner) for v in node.inputs if v.owner and is_inside(v))
        inner = getattr(node.op, "inner", None)
        for graph in inner() if callable(inner) else ():
            yield from _names(graph.outputs)


def _name(node: Apply) -> str:
    """The name of the operation; a fraction of a number is a "mean", x * x a "square"."""
    name = node.op.name
    if name == "multiply" and node.inputs[0] is node.inputs[1]:
        return "square"
    if name == "divide" and _is_number(node.inputs[1]):
        return "mean"
    return name


def _is_number(v: Variable) -> bool:
    """Whether v is a constant or a size, cast or laid out."""
    while v.owner is not None and v.owner.op.name in ("cast", "expand_dims", "broadcast_to"):
        (v,) = v.owner.inputs
    return isinstance(v, Constant) or (v.owner is not None and v.owner.op.name == "size_value")
