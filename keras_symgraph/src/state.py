"""What a traced function does to variables: collected, forked for branches, and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src import tree
from keras.src.backend.common.dtypes import result_type
from keras.src.backend.common.stateless_scope import StatelessScope, get_stateless_scope

import symgraph as sg
from keras_symgraph.src.tensor import Tensor, node_of, tracing, wrap
from symgraph import Variable


class Collecting(StatelessScope):  # type: ignore[misc]
    """A stateless scope that remembers which variables were assigned."""

    def __init__(self) -> None:
        super().__init__(collect_losses=True)  # else what layers add to the loss is lost
        self.changed: dict[int, Any] = {}

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Keep the new value of a variable."""
        self.changed[id(update[0])] = update[0]
        super().add_update(update)

    def get_current_value(self, variable: Any) -> Any:
        """The value of a variable here; None for one that has no value yet."""
        found = self.state_mapping.get(id(variable))
        if found is None and (found := variable._value) is not None:
            self.state_mapping[id(variable)] = found
        return found


class Branch:
    """What one alternative of a choice returned and which variables it changed."""

    def __init__(self, function: Callable[[], Any]) -> None:
        scope = get_stateless_scope()
        before = dict(scope.state_mapping) if scope is not None else {}
        added: dict[int, tuple[Any, Any]] = {}
        if scope is None:
            self.result = function()
        else:
            original = scope.add_update

            def add_update(update: tuple[Any, Any]) -> None:
                added[id(update[0])] = update
                original(update)

            scope.add_update = add_update
            try:
                self.result = function()
            finally:
                scope.add_update = original
                scope.state_mapping = before
        self.updates = {k: (v, new) for k, (v, new) in added.items()}


def choose(
    branches: list[Callable[[], Any]], select: Callable[[list[list[Variable]]], list[Variable]]
) -> Any:
    """Trace all branches, each from the same state, and select one's results and state changes:
    ``select`` takes the nodes of each branch and gives the nodes of the choice."""
    with tracing():
        made = [Branch(f) for f in branches]
    changed = {k: v for b in made for k, (v, _) in b.updates.items()}
    flat = [tree.flatten(b.result) for b in made]
    if len({len(f) for f in flat}) != 1:
        raise ValueError(
            "The branches of a condition must return the same structure. Received: "
            + ", ".join(str(tree.map_structure(type, b.result)) for b in made)
        )
    places = [k for k in range(len(flat[0])) if not all(f[k] is None for f in flat)]
    rows: list[list[Variable]] = []
    for b, f in zip(made, flat, strict=True):
        new = [b.updates[k][1] if k in b.updates else v.value for k, v in changed.items()]
        rows.append([node_of(x) for x in (*(f[k] for k in places), *new)])
    columns = [_common(list(column)) for column in zip(*rows, strict=True)]
    found = select([list(row) for row in zip(*columns, strict=True)]) if columns else []
    results: list[Any] = list(flat[0])
    for k, node in zip(places, found, strict=False):
        results[k] = wrap(node)
    scope = get_stateless_scope()
    for v, node in zip(changed.values(), found[len(places) :], strict=True):
        scope.add_update((v, wrap(node)))
    return tree.pack_sequence_as(made[0].result, results)


def _common(nodes: list[Variable]) -> list[Variable]:
    """The nodes with one dtype."""
    kinds = [n.dtype for n in nodes]
    if len(set(kinds)) == 1:
        return nodes
    dtype = result_type(*kinds)
    return [sg.cast(n, dtype) for n in nodes]


class Nest:
    """The structure of a nest whose leaves are tensors, to take nodes out and to put them in.

    Leaves that are no tensors (None, functions) are kept as they are.
    """

    def __init__(self, nest: Any, numbers: bool = True) -> None:
        self.nest = nest
        self.flat = tree.flatten(nest)
        self.places = [k for k, x in enumerate(self.flat) if _is_value(x, numbers)]
        self.nodes = [node_of(self.flat[k]) for k in self.places]

    def pack(self, nodes: Any) -> Any:
        """The nest with tensors of these nodes."""
        flat = list(self.flat)
        for k, node in zip(self.places, nodes, strict=True):
            flat[k] = wrap(node)
        return tree.pack_sequence_as(self.nest, flat)


def _is_value(x: Any, numbers: bool) -> bool:
    if x is None or isinstance(x, str | bytes) or callable(x):
        return False
    plain = isinstance(x, bool | int | float | complex)
    return numbers if plain else isinstance(x, Tensor) or hasattr(x, "dtype")
