"""From what a user names to a Definition: inputs, outputs, defaults, updates, givens.

Everything that is wrong with a call of compile() and can be known without rewriting is told here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgraph.errors import (
    ArgumentError,
    DTypeError,
    ShapeError,
    UnboundVariableError,
    UpdateError,
)
from symgraph.function import Definition
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Constant, Graph, Input, Variable, toposort
from symgraph.ir.shared import Shared
from symgraph.ir.types import same_size
from symgraph.ops import retyping
from symgraph.ops.nests import container_class, parts_of
from symgraph.ops.operands import as_variable
from symgraph.scalar import Expr, variables
from symgraph.structure import Structure


def define(
    inputs: Any, outputs: Any, updates: Any, givens: Any, name: str, unused: str,
    options: Mapping[str, Any],
) -> Definition:  # fmt: skip
    """Check what the user wants and write it as one graph."""
    if isinstance(inputs, Variable) or container_class(inputs) is not None:
        inputs = [inputs]
    into = _named_inputs(inputs)
    out = Structure([] if outputs is None else constants_made(outputs))
    pairs = _update_pairs(updates)
    values = [*out.leaves, *(v for _, v in pairs)]
    replaced = _given_pairs(givens)
    if replaced:
        values = retyping.replaced(values, replaced)
    count = len(out.leaves)
    pairs = [(s, v) for (s, _), v in zip(pairs, values[count:], strict=True)]
    graph = Graph(into.leaves, values)
    leaves = graph.leaves(sized=True)
    if any(isinstance(v, Shared) and v.default_update is not None for v in leaves):
        pairs = _with_defaults(pairs, values)
        graph = Graph(into.leaves, [*values[:count], *(v for _, v in pairs)])
        leaves = graph.leaves(sized=True)
    _check_bound(graph, leaves, set(into.leaves), name)
    if unused != "ignore":
        _check_used(into, graph, leaves)
    shared = dict.fromkeys([v for v in leaves if isinstance(v, Shared)] + [s for s, _ in pairs])
    checks = dict.fromkeys(c for node in graph.sized_toposort() for c in node.checks)
    return Definition(
        name, graph, tuple(shared), tuple(s for s, _ in pairs), tuple(checks), into, out, options
    )


def _named_inputs(inputs: Any) -> Structure:
    if isinstance(inputs, Mapping):
        for key, v in inputs.items():
            if isinstance(v, Input):
                v.name = v.name or str(key)
        inputs = list(inputs.values())
    into = Structure(list(inputs) if not isinstance(inputs, list | tuple) else inputs)
    seen: set[Variable] = set()
    names: set[str] = set()
    for k, v in enumerate(into.leaves):
        if not isinstance(v, Input):
            kind = "a shared variable" if isinstance(v, Shared) else "a constant" if isinstance(
                v, Constant) else "the result of an expression"  # fmt: skip
            raise ArgumentError(
                f"input {k} ({v.label()}) is {kind}, not an input variable",
                hint="inputs come first, then outputs; inputs are made by sg.tensor, sg.vector "
                "...; other variables are replaced by givens",
            )
        if v in seen or (v.name and v.name in names):
            raise ArgumentError(
                f"input {v.label()} is listed twice, or two inputs share its name",
                operands=[
                    (i.label(), i.type.text(), i.origin)
                    for i in (*seen, v)
                    if i is v or i.name == v.name
                ],
                hint="names serve as keywords at the call: give each input its own",
            )
        seen.add(v)
        names.add(v.name or "")
    return into


def constants_made(nest: Any) -> Any:
    """The same nest with numbers and arrays made constants."""
    if container_class(nest) is not None:
        return nest
    if isinstance(nest, dict):
        return {k: constants_made(v) for k, v in nest.items()}
    if isinstance(nest, list | tuple):
        kind = type(nest) if type(nest) in (list, tuple) else tuple
        return kind(constants_made(v) for v in nest)
    return as_variable(nest)


def _pairs(mapping: Any, what: str) -> list[tuple[Any, Any]]:
    if mapping is None:
        return []
    found = list(mapping.items()) if isinstance(mapping, Mapping) else list(mapping)
    for pair in found:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ArgumentError(
                f"{what} are a dict or pairs of old and new, not {pair!r:.60}",
                hint=f"write {what}={{w: new_w}}",
            )
    return [p for old, new in found for p in _part_pairs(old, new, what)]


def _part_pairs(old: Any, new: Any, what: str) -> list[tuple[Any, Any]]:
    """A container and its new value as pairs of their parts, without those that stay."""
    if container_class(old) is None:
        return [(old, new)]
    if container_class(new) is not container_class(old):
        raise ArgumentError(f"{what}: {old!r} cannot become {new!r:.60}")
    pairs = list(zip(parts_of(old), parts_of(new), strict=True))
    return [(a, b) for a, b in pairs if a is not b]


def _update_pairs(updates: Any) -> list[tuple[Shared, Variable]]:
    out: list[tuple[Shared, Variable]] = []
    seen: set[Shared] = set()
    for target, value in _pairs(updates, "updates"):
        if not isinstance(target, Shared):
            made = isinstance(target, Variable) and target.owner is not None
            raise UpdateError(
                f"updates need shared variables as keys, not {target!r}",
                hint="w -= 0.1 makes a new tensor of that name: write updates={w: w - 0.1}"
                if made
                else "sg.shared(value) makes one",
            )
        if target in seen:
            raise UpdateError(f"shared variable {target.label()} is updated twice")
        seen.add(target)
        new = as_variable(value)
        out.append((target, _fitting(target, new)))
    return out


def _fitting(target: Shared, new: Variable) -> Variable:
    operands = [
        ("new value", new.type.text(), new.origin),
        (target.label(), target.type.text(), target.origin),
    ]
    if new.dtype != target.dtype:
        raise UpdateError(
            f"update of {target.label()} ({target.type.text()}) has dtype {new.dtype}",
            operands=operands, hint=f"cast it: value.astype({target.dtype!r})",
        )  # fmt: skip
    same = len(new.shape) == len(target.shape) and all(
        a is b or a == b or not (isinstance(a, int) and isinstance(b, int))
        for a, b in zip(new.shape, target.shape, strict=True)
    )
    if not same:
        raise UpdateError(
            f"update of {target.label()} ({target.type.text()}) has type {new.type.text()}",
            operands=operands,
            hint="sg.broadcast_to(value, w.shape); for an axis that changes: "
            "sg.shared(value, shape=(None,))",
        )
    return new


def _with_defaults(
    pairs: list[tuple[Shared, Variable]], values: Sequence[Variable]
) -> list[tuple[Shared, Variable]]:
    """Add the default updates (random streams) of shared variables that the graph reads."""
    out, seen, start = list(pairs), {s for s, _ in pairs}, list(values)
    while True:
        found = [
            v for v in Graph((), start).leaves(sized=True)
            if isinstance(v, Shared) and v.default_update is not None and v not in seen
        ]  # fmt: skip
        if not found:
            return out
        for s in found:
            assert s.default_update is not None
            seen.add(s)
            out.append((s, s.default_update))
            start.append(s.default_update)


def _given_pairs(givens: Any) -> dict[Variable, Variable]:
    out: dict[Variable, Variable] = {}
    for old, new in _pairs(givens, "givens"):
        if not isinstance(old, Variable):
            raise ArgumentError(
                f"givens replace variables, not {old!r}",
                hint="the key is the variable itself, not its name",
            )
        replacement = as_variable(new)
        if replacement.dtype != old.dtype or replacement.ndim != old.ndim:
            raise DTypeError(
                f"givens: {old.label()} is {old.type.text()}, "
                f"its replacement {replacement.type.text()}",
                hint=f"cast it: value.astype({old.dtype!r})"
                if replacement.ndim == old.ndim
                else "",
            )
        for a, b in zip(old.shape, replacement.shape, strict=True):
            if isinstance(a, int) and isinstance(b, int):
                same_size(a, b, f"givens: sizes of {old.label()} and its replacement differ")
        out[old] = replacement
    return out


def _check_bound(graph: Graph, leaves: list[Variable], inputs: set[Any], name: str) -> None:
    for v in leaves:
        if isinstance(v, Input) and v not in inputs:
            order = graph.sized_toposort()
            if any(made_sizes.belongs_inside(v, n.op) for n in order):
                raise _size_from_inside(v, order, name)
            user = next((n for n in order if any(i is v for i in n.inputs)), None)
            raise UnboundVariableError(
                f"{name}: an output depends on {v.label()}, which is not among the inputs",
                origin=user.origins[0] if user is not None and user.origins else v.origin,
                operands=[(v.label(), v.type.text(), v.origin)],
                hint=f"add {v.label()} to the inputs, or replace it by givens",
            )


def _size_from_inside(v: Input, order: list[Apply], name: str) -> ShapeError:
    """The error for a size that is made of a loop's own variable."""
    makers = (n for n in order if n.op.makes)
    used = (n for n in makers if any(i is v for m in toposort(n.outputs) for i in m.inputs))
    maker = next(used, None)
    return ShapeError(
        f"{name}: a size depends on {v.label()}, which is there only inside of a loop",
        origin=v.origin if maker is None else maker.origin,
        operands=[(v.label(), v.type.text(), v.origin)],
        hint="give it a fixed size, or take sg.where and a fold",
    )


def check_told(d: Definition) -> None:
    """Every size that the graph speaks of is the size of an axis of an input or shared variable."""
    leaves = [*d.arguments, *d.shared]
    told = {s for v in leaves for s in v.shape if isinstance(s, Expr) and s.op == "var"}
    order = d.graph.sized_toposort()
    told |= {getattr(n.op, n.op.makes) for n in order if n.op.makes}
    places: list[tuple[Any, str, Any]] = [(v.shape, v.label(), v.origin) for v in leaves]
    places += [((n.op._values, *(o.shape for o in n.outputs)), n.op.name, n.origin) for n in order]
    for held, what, origin in places:
        lost = next((s for s in _sizes_in(held) if s not in told), None)
        if lost is not None:
            name = "a size" if str(lost).startswith("?") else f"the size {lost}"
            raise UnboundVariableError(
                f"{d.name}: {what} depends on {name}, which is not the size of any input",
                origin=origin,
                hint="add an input or shared variable with an axis of just this size",
            )


def _sizes_in(value: Any) -> list[Expr]:
    if isinstance(value, Expr):
        return variables(value)
    return [s for v in value for s in _sizes_in(v)] if isinstance(value, tuple) else []


def _check_used(inputs: Structure, graph: Graph, leaves: list[Variable]) -> None:
    """Every input is read, or has the size of an axis that is named and read."""
    reached = set(leaves) | set(graph.outputs)
    if all(v in reached for v in inputs.leaves):
        return
    told = {s for v in reached if v.owner is None for s in v.shape}
    order = graph.sized_toposort()
    held = [(n.op._values, *(v.shape for v in n.outputs)) for n in order]
    wanted = {s for values in held for s in _sizes_in(values)}
    reached |= {v for v in inputs.leaves if any(s in wanted and s not in told for s in v.shape)}
    lost = []
    for whole, places in inputs.containers:  # of which one part is enough
        parts = [inputs.leaves[k] for k in places]
        if not any(v in reached for v in parts):
            lost.append(getattr(whole, "name", None) or type(whole).__name__)
        reached.update(parts)
    lost += [v.label() for v in inputs.leaves if v not in reached]
    if lost:
        raise ArgumentError(
            f"no output depends on the input{'s' * (len(lost) > 1)} {', '.join(lost)}",
            hint='remove it, or pass on_unused_input="ignore"',
        )
