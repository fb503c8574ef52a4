"""What a traced function does to variables: collected, forked for branches, and put back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keras.src import tree
from keras.src.backend.common import global_state
from keras.src.backend.common.dtypes import result_type
from keras.src.backend.common.stateless_scope import StatelessScope, get_stateless_scope

import symgraph as sg
from keras_symgraph.src.tensor import Tensor, is_tracing, node_of, tracing, wrap
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


class Lending(Collecting):
    """The scope of a loop outside of all others: variables that it does not change are read as they
    are everywhere outside of traced functions, so that tensors made of them have values, keep
    them, and have derivatives."""

    def get_current_value(self, variable: Any) -> Any:
        """The value of a variable here; None for one that has no value yet."""
        if id(variable) not in self.state_mapping and variable.shared is not None:
            self.state_mapping[id(variable)] = variable.lent()
        return super().get_current_value(variable)


def with_scope(loop: Callable[..., Any]) -> Callable[..., Any]:
    """A loop that finds a scope which knows the variables that its body changes: the one around it,
    or one of its own, after which the variables are assigned."""

    @functools.wraps(loop)
    def call(*args: Any, **kwargs: Any) -> Any:
        if get_stateless_scope() is not None:
            return loop(*args, **kwargs)
        for _ in range(2):  # once more if the body made variables, which have their values now
            scope = Collecting() if is_tracing() else Lending()
            with scope:
                result = loop(*args, **kwargs)
                complete = not global_state.get_global_attribute("uninitialized_variables")
            if complete:
                break
        for v in scope.changed.values():
            v.assign(scope.state_mapping[id(v)])
        return result

    return call


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
        new = [b.updates[k][1] if k in b.updates else _present(v) for k, v in changed.items()]
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


class Carried:
    """The variables that the body of a loop changes: they go round with the state of the loop.

    ``body`` is traced once to see which they are; `result` is what it returned.
    """

    def __init__(self, body: Callable[[], Any]) -> None:
        with tracing():
            made = Branch(body)
            self.result = made.result
            self.variables = [v for v, _ in made.updates.values()]
            self.nodes = [node_of(_present(v)) for v in self.variables]

    def step(self, nodes: Sequence[Variable], body: Callable[[], Any]) -> tuple[Any, list[Any]]:
        """What the body returns where the variables have these values, and their next values."""

        def with_values() -> Any:
            scope = get_stateless_scope()
            for v, node in zip(self.variables, nodes, strict=True):
                scope.state_mapping[id(v)] = wrap(node)
            return body()

        with tracing():
            made = Branch(with_values)
        ids = [id(v) for v in self.variables]
        if extra := [v.path for k, (v, _) in made.updates.items() if k not in ids]:
            raise ValueError(f"the body of a loop changes other variables each time: {extra}")
        new = [
            made.updates[k][1] if k in made.updates else n for k, n in zip(ids, nodes, strict=True)
        ]
        return made.result, [node_of(x) for x in new]

    def leave(self, nodes: Sequence[Variable]) -> None:
        """After the loop the variables have these values."""
        scope = get_stateless_scope()
        for v, node in zip(self.variables, nodes, strict=True):
            scope.add_update((v, wrap(node)))


def _present(variable: Any) -> Any:
    """The value of a variable in the present scope, in its own dtype."""
    value = get_stateless_scope().get_current_value(variable)
    value = variable._value if value is None else value
    return variable.value if value is None else value  # not initialized: what it will be


def unchanging(body: Callable[[], Any], given: Sequence[Variable], what: str) -> Any:
    """What a body returns that runs many times at once. Changes of variables that are the same each
    time count once, those made of the tensors `given` have no meaning: raises ValueError."""
    with tracing():
        made = Branch(body)
    inside = set(given)
    scope = get_stateless_scope()
    for v, new in made.updates.values():
        node = node_of(new)
        if not inside.isdisjoint([node, *sg.ancestors([node])]):
            raise ValueError(
                f"{what} changes the variable {v.path!r} by what it is called with, which happens "
                "many times at once. Return the new value, and assign it afterwards; or use "
                "`keras.ops.scan`."
            )
        scope.add_update((v, new))
    return made.result


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
