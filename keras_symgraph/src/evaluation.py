"""Values of graphs whose leaves have values: op by op in NumPy, or compiled.

Eager use of Keras makes small graphs that are looked at once, for which compiling would take longer
than all else. So their nodes are computed by the references of their ops, each node once. A graph
that comes again and again is compiled when what its runs have cost is what compiling costs, which
is never more than twice the least (Karlin et al., "Competitive snoopy caching", 1988). The cost is
counted in elements and nodes, not measured: equal programs give equal bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symgraph as sg
from keras_symgraph.src.modes import is_tracing
from symgraph import Apply, Constant, Input, Op, Shared, Variable

Known = Callable[[Variable], "np.ndarray | None"]
_NARROW = ("float16", "bfloat16")


class Unknown(Exception):
    """A leaf without a value: ``variable`` has none while a function is traced."""

    def __init__(self, variable: Variable) -> None:
        super().__init__(repr(variable))
        self.variable = variable


def evaluate(wanted: Sequence[Variable], known: Known) -> dict[Variable, np.ndarray]:
    """The values of the variables and of all that they are made of; ``known`` tells values that
    need not be computed. Raises Unknown for a leaf without a value.
    """
    memory: dict[Variable, np.ndarray] = {}
    order = _order(wanted, known, memory)
    with np.errstate(all="ignore"):
        if any(_is_sized_by_data(node) for node in order):
            _by_compiler(wanted, memory)
        elif not _repeated(order, wanted, memory):
            for node in order:
                memory.update(zip(node.outputs, _computed(node, memory), strict=True))
    return memory


class _Seen:
    """A graph that has been computed before: what that has cost, and its function in the end."""

    __slots__ = ("cost", "function", "kept")

    def __init__(self, kept: Any) -> None:
        self.cost, self.function, self.kept = 0, None, kept


_seen: dict[Any, Any] = {}
_MOST_SEEN = 4096
PRICE = 300_000_000  # elements that NumPy goes through in the time that a compilation takes
_NODE, _LOOP = 5_000, 10_000_000  # what a node, and one with a graph inside, cost beside them


def _repeated(
    order: list[Apply], wanted: Sequence[Variable], memory: dict[Variable, np.ndarray]
) -> bool:
    """Compute by a compiled function if the graph has come often enough; whether it has."""
    leaves, key, constants = _form(order, wanted, memory)
    seen = _seen.get(key)
    if seen is None:
        if len(_seen) >= _MOST_SEEN:
            _seen.clear()
        seen = _seen[key] = _Seen(constants)
    if seen.function is None:
        seen.cost += sum(map(_cost, order))
        if seen.cost < PRICE:
            return False
        inputs = [sg.Input(v.type) for v in leaves]
        seen.function = sg.compile(
            inputs,
            list(wanted),
            givens=list(zip(leaves, inputs, strict=True)),
            on_unused_input="ignore",
            name="eager",
        )
    memory.update(zip(wanted, seen.function(*(memory[v] for v in leaves)), strict=True))
    return True


def _cost(node: Apply) -> int:
    sizes = [math.prod(map(int, v.shape)) for v in (*node.inputs, *node.outputs)]
    return max(sizes, default=0) + (_LOOP if hasattr(node.op, "inner") else _NODE)


def _form(
    order: list[Apply], wanted: Sequence[Variable], memory: dict[Variable, np.ndarray]
) -> tuple[list[Variable], Any, list[Constant]]:
    """The leaves in order of use, what equal graphs have in common, and the constants in it."""
    leaves: list[Variable] = []
    constants: list[Constant] = []
    number: dict[Variable, int] = {}
    rows: list[Any] = []
    for node in order:
        for v in node.inputs:
            if v in number:
                continue
            number[v] = len(number)
            if isinstance(v, Constant):
                constants.append(v)
                rows.append(id(v))
            else:
                leaves.append(v)
                rows.append(v.type)
        rows.append((node.op, *[number[v] for v in node.inputs]))
        number.update({v: len(number) + k for k, v in enumerate(node.outputs)})
    rows.append(tuple(number.get(v, -1) for v in wanted))
    return leaves, tuple(rows), constants


def _leaf(v: Variable) -> np.ndarray:
    if isinstance(v, Constant):
        return v.data
    if isinstance(v, Input) and v.default is not None:
        return v.default  # type: ignore[no-any-return]
    if isinstance(v, Shared) and not is_tracing():
        return v.get_value()
    raise Unknown(v)


def _makers(node: Apply) -> list[Apply]:
    """The nodes that make the sizes of which the parameters of a node speak.

    Raises Unknown where one is a size of an input that has no value.
    """
    if not node.op._values:
        return []
    found: dict[Apply, None] = {}
    for _, maker in sg.node_sizes(node):
        if maker is None:
            raise Unknown(node.outputs[0])
        found[maker] = None
    return list(found)


def _is_sized_by_data(node: Apply) -> bool:
    return bool(
        node.op.makes
        or any(type(n) is not int for v in node.outputs for n in v.shape)
        or (node.op._values and any(maker is not None for _, maker in sg.node_sizes(node)))
    )


def _order(
    wanted: Sequence[Variable], known: Known, memory: dict[Variable, np.ndarray]
) -> list[Apply]:
    """The nodes to be computed, producers first; values of leaves and of known ones are noted."""
    order: list[Apply] = []
    done: set[Apply] = set()
    stack: list[Any] = list(reversed(wanted))

    def visit(node: Apply) -> None:
        if node not in done:
            done.add(node)
            stack.append(node)
            stack.extend(reversed(node.inputs))
            for maker in _makers(node):  # the compiler wants the node even where its value is known
                visit(maker)

    while stack:
        top = stack.pop()
        if isinstance(top, Apply):
            order.append(top)
            continue
        if top in memory:
            continue
        value = known(top)
        if value is None and top.owner is None:
            value = _leaf(top)
        if value is not None:
            memory[top] = value
        else:
            visit(top.owner)
    return order


def _computed(node: Apply, memory: dict[Variable, np.ndarray]) -> list[np.ndarray]:
    op: Op = node.op
    arrays = [memory[v] for v in node.inputs]
    if hasattr(op, "inner"):
        return _one_node(node, arrays)
    if op.widens:
        arrays = [a.astype("float32") if a.dtype.name in _NARROW else a for a in arrays]
    found = op.reference(*arrays)
    results = list(found) if isinstance(found, tuple | list) else [found]
    return [
        np.asarray(r) if np.asarray(r).dtype.name == v.dtype else np.asarray(r).astype(v.dtype)
        for v, r in zip(node.outputs, results, strict=True)
    ]


def _one_node(node: Apply, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """A node with graphs inside, such as a loop."""
    function = sg.compile(
        inputs := [sg.Input(v.type) for v in node.inputs],
        list(sg.graph_replace(node.outputs, dict(zip(node.inputs, inputs, strict=True)))),
        mode="interpret",
        on_unused_input="ignore",
    )
    return list(function(*arrays))


def _by_compiler(wanted: Sequence[Variable], memory: dict[Variable, np.ndarray]) -> None:
    """A graph in which sizes depend on data: the compiler's interpreter knows how to bind them."""
    places = [v for v in memory if not isinstance(v, Constant)]
    inputs = [sg.Input(v.type) for v in places]
    function = sg.compile(
        inputs,
        list(wanted),
        givens=list(zip(places, inputs, strict=True)),
        mode="interpret",
        on_unused_input="ignore",
    )
    found = function(*(memory[v] for v in places))
    memory.update(zip(wanted, found, strict=True))
