"""The log-density of a model with its gradient, and the values that samplers store, as functions.

A model's log-density comes from PyMC as a graph of PyTensor's; it is translated as it is, before
any rewriting of PyTensor's, and differentiated by symgraph. A graph with nodes that symgraph has
no derivative of is rewritten and differentiated by PyTensor first.

The point at which the functions are asked is one vector: the model's free variables on the whole
real line, ravelled, in the model's order. Each is an input of its own in the compiled function, as
is each of the model's data that may be replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pymc.initial_point import make_initial_point_fn
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors

from symgraph import api as sg
from symgraph import config
from symgraph.errors import ArgumentError, SymgraphError
from symgraph.function import Function
from symgraph.interop.pymc.data import (
    Hoisted,
    Sources,
    compile_hoisted,
    constants_of,
    inputs_for,
)
from symgraph.interop.pymc.native import Layout, Native
from symgraph.interop.pytensor.performers import Objects, call_of
from symgraph.interop.pytensor.translation import Translation, input_for
from symgraph.records import NamedTuple

Shape = tuple[int, ...]
_NEVER = 10**15  # nanoseconds of work from which a loop is shared out among threads


class Part(NamedTuple):
    """A compiled function of a model: its inputs are the variables, then these ``arrays``."""

    hoisted: Hoisted
    translation: Translation  # which holds what runs in Python
    arrays: tuple[np.ndarray, ...]

    @property
    def function(self) -> Any:
        """The compiled function of symgraph."""
        return self.hoisted.function

    def over(self, data: Mapping[str, np.ndarray]) -> Part:
        """The same function over other data."""
        return self._replace(arrays=tuple(self.hoisted.arrays(data)))

    @property
    def native(self) -> bool:
        """Whether it is one function in machine code, so that it has an address."""
        return isinstance(self.function, Function) and not self.translation.performed

    def __call__(self, *values: np.ndarray) -> list[np.ndarray]:
        with call_of(self.translation.objects.constants):
            found: list[np.ndarray] = self.function(*values, *self.arrays)
            return found


class Densities(NamedTuple):
    """What samplers need to know of a model.

    ``names`` and ``shapes`` are those of the stored values: the free variables, ``dimension``
    numbers, first. ``data`` holds arrays of the model's replaceable data by name.
    ``initial_point(seed)`` is a point to start at, for threads too. ``gradient_by`` tells who
    differentiated: "symgraph" or "pytensor".
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    dimension: int
    free: int
    logp: Part
    expand: Part
    data: Mapping[str, np.ndarray]
    initial_point: Callable[[Any], np.ndarray]
    reparameterized: tuple[str, ...]
    gradient_by: str

    @property
    def expanded(self) -> int:
        """How many numbers are stored for a draw."""
        return sum(prod(s) for s in self.shapes)

    def places(self) -> list[int]:
        """Where each stored value begins among the numbers of a draw."""
        found = [0]
        for shape in self.shapes:
            found.append(found[-1] + prod(shape))
        return found[:-1]

    def addresses(self) -> tuple[Native, Native] | None:
        """logp and expand for callers in C (see native.py), None where a function has no address:
        a size in it depends on values."""
        if not (self.logp.native and self.expand.native):
            return None
        places, free = self.places(), self.free
        logp_outputs = (
            0,
            *places[:free],
        )  # the first is the value, which has an address of its own
        return (
            Native("logp", self.logp.function.c_entry, self._layout(self.logp, logp_outputs)),
            Native("expand", self.expand.function.c_entry,
                   self._layout(self.expand, tuple(places[free:]))),
        )  # fmt: skip

    def _layout(self, part: Part, outputs: tuple[int, ...]) -> Layout:
        inputs: tuple[int | np.ndarray, ...] = (*self.places()[: self.free], *part.arrays)
        shapes = (*self.shapes[: self.free], *(a.shape for a in part.arrays))
        return Layout(self.dimension, inputs, shapes, outputs, self.expanded)

    def split(self, x: np.ndarray) -> list[np.ndarray]:
        """The free variables of a point."""
        pairs = zip(self.places(), self.shapes[: self.free], strict=False)
        return [x[at : at + prod(s)].reshape(s) for at, s in pairs]

    def logp_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The log-density at a point and its gradient, called from Python.

        Raises the error of a failed check, such as AssertionFailed for a parameter out of range.
        """
        value, *parts = self.logp(*self.split(x))
        return float(value), np.concatenate([p.ravel() for p in parts])

    def values(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """What is stored for a draw, by name, called from Python."""
        rest = self.expand(*self.split(x))
        arrays = [*self.split(x), *rest]
        return dict(zip(self.names, (np.asarray(a, order="C") for a in arrays), strict=True))

    def with_data(self, updates: Mapping[str, Any]) -> Densities:
        """The same functions over other data. Sizes may differ where no variable's size does.

        Raises ArgumentError for a name that is no data and for values of another rank.
        """
        data = dict(self.data)
        for name, value in updates.items():
            if name not in data:
                known = ", ".join(data) or "none"
                raise ArgumentError(f"the model has no data {name!r}", hint=f"its data are {known}")
            old = data[name]
            new = np.array(value, old.dtype, order="C")
            if new.ndim != old.ndim:
                raise ArgumentError(f"data {name} has rank {old.ndim}, not {new.ndim}")
            data[name] = new
        return self._replace(data=data, logp=self.logp.over(data), expand=self.expand.over(data))


def densities(
    model: Any, *, initial_points: Any = None, jitter_rvs: Any = None,
    default_initialization_strategy: str = "support_point", var_names: Sequence[str] | None = None,
    gradient: str = "symgraph", threads: bool = False,
) -> Densities:  # fmt: skip
    """Compile the log-density of a PyMC model, its gradient and its stored values.

    ``var_names``: of the values beside the free variables only these are stored; ``gradient``: who
    differentiates, "symgraph" or "pytensor"; ``threads``: whether one call may use several (chains
    that run side by side have none to spare). The other arguments are nutpie's.
    Raises ArgumentError for models with discrete variables.

    >>> import pymc as pm                                               # doctest: +SKIP
    >>> with pm.Model() as model:                                       # doctest: +SKIP
    ...     x = pm.Normal("x")
    >>> densities(model).logp_and_gradient(np.array([1.0]))             # doctest: +SKIP
    (-1.4189385332046727, array([-1.]))
    """
    _check(model)
    jitter = set(model.free_RVs) if jitter_rvs is None else jitter_rvs
    start = make_initial_point_fn(
        model=model, overrides=initial_points, jitter_rvs=jitter, return_transformed=True,
        default_strategy=default_initialization_strategy,
    )  # fmt: skip
    values = [model.rvs_to_values[v] for v in model.free_RVs]
    joined = {v.name for v in values}
    wanted = None if var_names is None else set(var_names)
    rest = [v for v in model.unobserved_value_vars
            if v.name not in joined and (wanted is None or v.name in wanted)]  # fmt: skip
    first = start(0)
    shapes = [np.shape(first[v.name]) for v in values]
    replaced = {v: pt.tensor(v.name, dtype="float64", shape=s)
                for v, s in zip(values, shapes, strict=True)}  # fmt: skip
    data: dict[str, np.ndarray] = {}
    inputs = [replaced[v] for v in values]
    fresh = clone_replace(rest, {v: r.astype(v.dtype) for v, r in replaced.items()}) if rest else []
    with config.change(parallel_from=config.get("parallel_from") if threads else _NEVER):
        logp, by = _logp(model, values, replaced, data, gradient)
        expand = _part(inputs, fresh, data)
    shapes += _shapes(rest, model, first)
    return Densities(
        tuple(v.name for v in (*values, *rest)), tuple(tuple(map(int, s)) for s in shapes),
        sum(prod(s) for s in shapes[: len(values)]), len(values), logp, expand, data,
        _flat(start, [v.name for v in values]),
        tuple(v.name for r, v in zip(model.free_RVs, values, strict=True)
              if model.rvs_to_transforms.get(r) is not None),
        by,
    )  # fmt: skip


def _check(model: Any) -> None:
    discrete = [v.name for v in model.discrete_value_vars]
    if discrete or not model.free_RVs:
        what = f"the discrete variables {', '.join(discrete)}" if discrete else "no free variables"
        raise ArgumentError(f"a gradient needs continuous variables; the model has {what}")


def _logp(
    model: Any, values: list[Any], replaced: dict[Any, Any], data: dict[str, np.ndarray],
    gradient: str,
) -> tuple[Part, str]:  # fmt: skip
    """The function of logp and gradient, and who differentiated."""
    inputs = [replaced[v] for v in values]
    casts = {v: r.astype(v.dtype) for v, r in replaced.items()}
    raw = model.logp()
    if gradient not in ("symgraph", "pytensor"):
        raise ArgumentError(f"gradient is 'symgraph' or 'pytensor', not {gradient!r}")
    if gradient == "symgraph":
        (logp,) = clone_replace([raw], casts)
        try:
            return _part(inputs, [logp], data, differentiate=True), "symgraph"
        except (SymgraphError, NotImplementedError):
            data.clear()  # PyTensor may know better
    include = ["canonicalize", "stabilize"]
    include += [] if model.check_bounds else ["local_remove_check_parameter"]
    raw = pytensor.graph.rewriting.utils.rewrite_graph(raw, include=include)
    found = clone_replace([raw, *pt.grad(raw, values)], casts)
    return _part(inputs, found, data), "pytensor"


def _part(
    inputs: list[Any], outputs: list[Any], data: dict[str, np.ndarray], differentiate: bool = False
) -> Part:
    """A function of the inputs and of the data that the outputs are made of; ``data`` grows.

    Raises SymgraphError where a derivative is asked of what has none."""
    shared = [v for v in dict.fromkeys(ancestors(outputs)) if isinstance(v, SharedVariable)]
    for v in shared:
        data[v.name] = np.array(v.get_value(borrow=True), v.type.dtype, order="C")
    fgraph = FunctionGraph([*inputs, *shared], list(outputs), clone=True)
    given = [input_for(v) for v in fgraph.inputs]
    read = [v for node in fgraph.toposort() for v in node.inputs]  # in the same order everywhere
    constants, arrays = inputs_for(constants_of(read))
    t = Translation(Objects())
    t.values.update(zip(fgraph.inputs, given, strict=True))
    t.values.update(constants)
    found = [sg.cast(v, "float64") for v in t.graph(fgraph)]
    count = len(inputs)
    if differentiate:
        if t.performed:
            raise ArgumentError(f"{t.performed[0][0].op} has no derivative: {t.performed[0][1]}")
        found += sg.grad(found[0], given[:count], disconnected="zero")
    sources = Sources(
        tuple(v.name for v in shared), tuple(arrays),
        (*given[count:], *dict.fromkeys(constants.values())),
    )  # fmt: skip
    hoisted = compile_hoisted(given[:count], found, sources)
    return Part(hoisted, t, tuple(hoisted.arrays(data)))


def _shapes(rest: list[Any], model: Any, point: Mapping[str, Any]) -> list[Shape]:
    """The shapes of the other stored values; PyTensor's Python runs for those that a type does not
    tell."""
    unknown = [v for v in rest if None in v.type.shape]
    told: dict[Any, Shape] = {}
    if unknown:
        values = [v for v in model.value_vars if v.name in point]
        ask = pytensor.function(
            values, [pt.as_tensor(v.shape) for v in unknown], mode="FAST_COMPILE",
            on_unused_input="ignore",
        )  # fmt: skip
        found = ask(*(np.asarray(point[v.name], v.dtype) for v in values))
        told = dict(zip(unknown, (tuple(map(int, s)) for s in found), strict=True))
    return [told.get(v, v.type.shape) for v in rest]


def _flat(start: Callable[[Any], Mapping[str, Any]], names: list[str]) -> Any:
    """The starting point as one vector; PyMC's function is no function for several threads."""
    lock = threading.Lock()

    def point(seed: Any = None) -> np.ndarray:
        with lock:
            found = start(seed)
        return np.concatenate([np.ravel(found[n]).astype("float64") for n in names])

    return point
