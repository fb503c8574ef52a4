"""Data as inputs of a model's functions, and what depends on data alone computed once.

Observations and covariates are constants in PyTensor's graph. As constants of the compiled function
they would be part of its key in the disk cache; as inputs, other data of the same shapes find the
machine code of the last time. What is made of data alone (the factorials of counts, the distances
of a Gaussian process' points) is computed when data are bound, by a function of its own, and the
result is what the model's function reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import api as sg
from symgraph.interop.pytensor.performers import is_tensor
from symgraph.ir.graph import Constant, Graph, Input, Variable
from symgraph.ir.types import TensorType
from symgraph.records import NamedTuple

# the least sizes of constants that count as data: smaller ones belong to formulas
_FLOATS, _INTEGERS = 4, 32
# ops that only look at memory in another way: hoisted is what they look at
_VIEWS = frozenset(("broadcast_to", "expand_dims", "reshape", "slice", "squeeze", "transpose"))
# ops that cost less than to read their result, and belong to formulas that rewriting looks for
_CHEAP = frozenset(("add", "cast", "multiply", "negative", "square", "subtract"))


class Sources(NamedTuple):
    """The inputs of a function that are data: replaceable ones by name, then constants."""

    names: tuple[str, ...]
    constants: tuple[np.ndarray, ...]
    inputs: tuple[Input, ...]

    def arrays(self, data: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The values of the inputs."""
        return [*(data[name] for name in self.names), *self.constants]


def constants_of(variables: Iterable[Any]) -> dict[Any, np.ndarray]:
    """The constants of PyTensor among the variables that are data."""
    found = {}
    for v in variables:
        if hasattr(v, "data") and v.owner is None and is_tensor(v) and v.type.ndim:
            a = np.asarray(v.data, v.type.dtype)
            least = _FLOATS if a.dtype.kind == "f" else _INTEGERS
            if a.size >= least and a.dtype.kind in "fiub" and (a != a.flat[0]).any():
                found[v] = np.array(a, order="C")
    return found


def inputs_for(arrays: Mapping[Any, np.ndarray]) -> tuple[dict[Any, Input], list[np.ndarray]]:
    """An input for each constant, one for those of equal values, and the values."""
    known: dict[tuple[Any, ...], Input] = {}
    kept: list[np.ndarray] = []
    found = {}
    for v, a in arrays.items():
        key = a.dtype.str, a.shape, a.tobytes()
        if key not in known:
            known[key] = Input(TensorType(v.type.dtype, a.shape))
            kept.append(a)
        found[v] = known[key]
    return found, kept


class Hoisted(NamedTuple):
    """A function whose part over data alone was taken out: ``prepare`` computes it (None where
    there is none), ``direct`` are the numbers of the sources that the function reads itself."""

    function: Any
    prepare: Any
    direct: tuple[int, ...]
    sources: Sources

    def arrays(self, data: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """What the function takes after the variables, from the replaceable data."""
        given = self.sources.arrays(data)
        made = [] if self.prepare is None else list(self.prepare(*given))
        return [*(given[k] for k in self.direct), *made]


def compile_hoisted(
    inputs: Sequence[Variable], outputs: Sequence[Variable], sources: Sources
) -> Hoisted:
    """Compile a function of ``inputs`` and of the sources.

    Replaceable data stay inputs of the function in any case, as sizes may be theirs."""
    frontier, used = _frontier(outputs, sources)
    given: dict[Variable, Variable] = {}
    if frontier and not sources.names:  # by values, where no data may be replaced
        values = _data_function(sources, frontier)(*sources.arrays({}))
        frontier = _simplified(frontier, values, given)
    direct = tuple(k for k, v in enumerate(sources.inputs)
                   if k < len(sources.names) or v in used)  # fmt: skip
    read = [sources.inputs[k] for k in direct]
    new = {v: Input(v.type) for v in frontier}
    given = {v: new.get(w, w) for v, w in given.items()}
    function = sg.compile(
        [*inputs, *read, *new.values()], list(outputs), givens={**given, **new},
        on_unused_input="ignore", name="pymc",
    )  # fmt: skip
    return Hoisted(function, _data_function(sources, frontier) if frontier else None, direct,
                   sources)  # fmt: skip


def _data_function(sources: Sources, outputs: list[Variable]) -> Any:
    return sg.compile(list(sources.inputs), outputs, on_unused_input="ignore", name="pymc_data")


def _simplified(
    frontier: list[Variable], values: Sequence[np.ndarray], given: dict[Variable, Variable]
) -> list[Variable]:
    """What is left of the frontier: ``given`` takes equal ones, and as constants what is one number
    all over, such as "no count is negative" (most tests of a density's support end here)."""
    first: dict[tuple[Any, ...], Variable] = {}
    for v, a in zip(frontier, values, strict=True):
        if a.size and (a == a.flat[0]).all():
            given[v] = sg.broadcast_to(sg.constant(a.flat[0]), v.shape)
            continue
        same = first.setdefault((v.dtype, a.shape, a.tobytes()), v)
        if same is not v:
            given[v] = same
    return list(first.values())


def _frontier(outputs: Sequence[Variable], sources: Sources) -> tuple[list[Variable], set[Any]]:
    """The variables made of data alone that others read, and the sources that are read directly."""
    data: dict[Variable, bool] = dict.fromkeys(sources.inputs, True)  # whether it is cheap
    numbers: set[Variable] = set()  # made of small constants alone
    for node in Graph((), outputs).toposort():
        others = {v for v in node.inputs if v not in numbers and not isinstance(v, Constant)}
        if not others:
            numbers.update(node.outputs)
        elif all(v in data for v in others) and len(node.outputs) == 1:
            cheap = node.op.name in _CHEAP or node.op.name in _VIEWS
            data[node.output] = cheap and all(data.get(v, True) for v in node.inputs)
    found: dict[Variable, None] = {}
    used: set[Variable] = set()
    seen: set[Variable] = set()
    waiting = list(outputs)
    while waiting:
        v = waiting.pop()
        if v in seen:
            continue
        seen.add(v)
        if v in data and v.owner is None:
            used.add(v)
        elif v.owner is not None and v in data and not data[v] and v.owner.op.name not in _VIEWS:
            found[v] = None
        elif v.owner is not None:
            waiting += v.owner.inputs
    return list(found), used
