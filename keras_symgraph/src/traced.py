"""Steps of training as compiled functions: traced once, for any size of batch.

The step is run with tensors that stand for any data, inside a stateless scope. What it returned are
the outputs of the compiled function, and the variables that it assigned are its updates, done in
place. Variables stay what they are: callbacks, checkpoints and `assign` between two steps see and
change the same storage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src import tree
from keras.src.backend.common import global_state

import symgraph as sg
from keras_symgraph.src.state import Collecting, Nest
from keras_symgraph.src.tensor import (
    Tensor,
    materialize,
    of_array,
    recording,
    tracing,
    value_of,
    wrap,
)
from keras_symgraph.src.variable import detach_all
from symgraph import Input, Variable


class Structure:
    """The form of a nest of data: its leaves in order, and a key that equal forms share.

    Arrays are leaves; whatever else stands in the nest (None, numbers, text) is part of the key.
    """

    def __init__(self, nest: Any) -> None:
        self.arrays: list[np.ndarray] = []
        self.key = self._visit(nest)

    def _visit(self, x: Any) -> Any:
        if type(x) is not np.ndarray:
            if isinstance(x, tuple | list):
                return (type(x), *map(self._visit, x))
            if isinstance(x, dict):
                return (dict, *((k, self._visit(x[k])) for k in sorted(x, key=str)))
            if isinstance(x, Tensor):
                x = value_of(x)
            elif hasattr(x, "__array__"):
                x = np.asarray(x)
            else:
                return x
        self.arrays.append(x if x.flags.c_contiguous else np.ascontiguousarray(x))
        return x.dtype, x.shape[1:] if x.ndim else None

    def lengths(self) -> tuple[int, ...]:
        """The sizes of the first axes."""
        return tuple(a.shape[0] for a in self.arrays if a.ndim)


def replaced(nest: Any, tensors: Any) -> Any:
    """The nest with its arrays replaced by those of an iterator, in the order of `Structure`."""
    if isinstance(nest, tuple | list):
        new = [replaced(x, tensors) for x in nest]
        return type(nest)(*new) if hasattr(nest, "_fields") else type(nest)(new)
    if isinstance(nest, dict):
        found = {k: replaced(nest[k], tensors) for k in sorted(nest, key=str)}
        return {k: found[k] for k in nest}
    return next(tensors) if hasattr(nest, "__array__") else nest


def frozen(nodes: list[Variable]) -> list[tuple[Variable, Variable]]:
    """The leaves of a graph that carry values, each with a constant to take its place."""
    leaves = [v for v in sg.graph_inputs(nodes) if isinstance(v, Input)]
    return [(v, sg.constant(v.default)) for v in leaves if v.default is not None]


class Program:
    """A compiled step: its function, the variables it writes, and the form of what it returns."""

    def __init__(self, step: Callable[[Any], Any], data: Any, inputs: list[Any], name: str) -> None:
        scope = Collecting()
        with sg.uncollected(), scope:
            with tracing():
                outputs = step(replaced(data, iter([wrap(v) for v in inputs])))
                self.outputs = Nest(outputs, numbers=False)
                self.variables = list(scope.changed.values())
                updates = {v.shared: scope.get_current_value(v).node for v in self.variables}
            # variables made by the step get their values when the scope ends
            self.complete = not global_state.get_global_attribute("uninitialized_variables")
        if not self.complete:
            return
        found = [*self.outputs.nodes, *updates.values()]
        self.function = sg.compile(
            inputs,
            self.outputs.nodes,
            updates=updates,
            givens=frozen(found),
            on_unused_input="ignore",
            name=name,
        )

    def __call__(self, arrays: list[np.ndarray]) -> Any:
        detach_all(self.variables)
        found = self.function(*arrays)
        flat = list(self.outputs.flat)
        for place, array in zip(self.outputs.places, found, strict=True):
            flat[place] = of_array(np.asarray(array))
        return tree.pack_sequence_as(self.outputs.nest, flat)


class Traced:
    """A step that is compiled for each form of its data, once for all sizes of batch.

    Where the step cannot do without the size of its batch (Python that calculates with shapes),
    there is a program for each size.
    """

    def __init__(self, step: Callable[[Any], Any], name: str) -> None:
        self.step, self.name = step, name
        self.programs: dict[Any, Program] = {}
        self.fixed: set[Any] = set()  # forms whose step needs to know the size

    def __call__(self, data: Any) -> Any:
        form = Structure(data)
        lengths = form.lengths()
        key: Any = form.key if len(set(lengths)) < 2 else (form.key, lengths)
        if key in self.fixed:
            key = (form.key, lengths)
        program = self.programs.get(key)
        if program is None:
            program = self._compiled(form, data, key)
        return program(form.arrays)

    def _compiled(self, form: Structure, data: Any, key: Any) -> Program:
        if key is form.key:
            try:
                program = self.programs[key] = self._traced(form, data, free=True)
                return program
            except Exception:  # whatever went wrong without a size, with one it may not
                program = self._traced(form, data, free=False)
                self.fixed.add(key)
                key = (key, form.lengths())
        else:
            program = self._traced(form, data, free=False)
        self.programs[key] = program
        return program

    def _traced(self, form: Structure, data: Any, free: bool) -> Program:
        inputs = []
        for k, a in enumerate(form.arrays):
            sizes = ["batch" if free and axis == 0 else n for axis, n in enumerate(a.shape)]
            inputs.append(sg.tensor(f"data{k}", a.dtype.name, sizes))
        program = Program(self.step, data, inputs, self.name)
        if not program.complete:  # now that its variables exist
            program = Program(self.step, data, inputs, self.name)
        return program


class Eager:
    """A step that runs as it is written, on values: ``run_eagerly=True``."""

    def __init__(self, step: Callable[[Any], Any]) -> None:
        self.step = step

    def __call__(self, data: Any) -> Any:
        form = Structure(data)
        with recording():
            outputs = self.step(replaced(data, iter([of_array(a.copy()) for a in form.arrays])))
            materialize(outputs)
        for x in tree.flatten(outputs):
            if isinstance(x, Tensor):
                x._node = None  # no more derivatives: what it was made of may go
        return outputs
