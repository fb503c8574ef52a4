"""Choices and loops: Keras' own where values are known, symgraph's where a function is traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras.src import tree

import symgraph as sg
from keras_symgraph.src.conversion import convert_to_tensor
from keras_symgraph.src.state import Nest, choose
from keras_symgraph.src.tensor import (
    Tensor,
    is_tracing,
    known,
    node_of,
    shape_of,
    tracing,
    wrap,
)
from symgraph import Variable


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """One of two functions, by a truth value; what it does to variables counts too."""
    value = known(pred)
    if value is not None:
        return true_fn() if value else false_fn()
    node = sg.reshape(sg.cast(node_of(pred), "bool"), ())

    def select(rows: list[list[Variable]]) -> list[Variable]:
        return list(sg.cond(node, rows[0], rows[1]))

    return choose([true_fn, false_fn], select)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """The branch of a number, called with the operands; the nearest for a number out of range."""
    value = known(index)
    if value is not None:
        return branches[int(np.clip(int(value), 0, len(branches) - 1))](*operands)
    node = sg.reshape(sg.cast(node_of(index), "int64"), ())

    def select(rows: list[list[Variable]]) -> list[Variable]:
        return list(sg.switch(node, rows))

    return choose([lambda b=b: b(*operands) for b in branches], select)  # type: ignore[misc]


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: Any = None,
) -> Any:
    """``while cond(*loop_vars): loop_vars = body(*loop_vars)``."""
    single = not isinstance(loop_vars, list | tuple)
    start = (loop_vars,) if single else tuple(loop_vars)
    start = tree.map_structure(convert_to_tensor, start)
    loop = _traced_while if is_tracing() else _eager_while
    end = loop(cond, lambda *state: _as_tuple(body(*state)), start, maximum_iterations)
    return end[0] if single else end


def _as_tuple(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, list | tuple) else (result,)


def _eager_while(cond: Any, body: Any, state: tuple[Any, ...], limit: Any) -> tuple[Any, ...]:
    turns = 0
    limit = None if limit is None else int(limit)
    while (limit is None or turns < limit) and cond(*state):
        state = tree.map_structure(convert_to_tensor, body(*state))
        turns += 1
    return state


def _traced_while(cond: Any, body: Any, start: tuple[Any, ...], limit: Any) -> tuple[Any, ...]:
    nest = Nest(start)
    most = None if limit is None else sg.cast(node_of(limit), "int64")

    def go_on(state: tuple[Variable, ...]) -> Variable:
        wanted = sg.reshape(sg.cast(node_of(cond(*nest.pack(state[1:]))), "bool"), ())
        return wanted if most is None else sg.logical_and(wanted, state[0] < most)

    def step(state: tuple[Variable, ...]) -> tuple[Variable, ...]:
        new = Nest(body(*nest.pack(state[1:])))
        return (state[0] + 1, *_like(new.nodes, nest.nodes))

    end = sg.while_loop(go_on, step, (sg.constant(0, "int64"), *nest.nodes))
    return tuple(nest.pack(end[1:]))


def _like(nodes: Sequence[Variable], models: Sequence[Variable]) -> list[Variable]:
    """The new state of a loop with the dtypes of the old one."""
    if len(nodes) != len(models):
        raise ValueError(
            f"the state of a loop has {len(models)} tensors, its body gives {len(nodes)}"
        )
    return [
        n if n.dtype == m.dtype else sg.cast(n, m.dtype) for n, m in zip(nodes, models, strict=True)
    ]


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """``for i in range(lower, upper): val = body_fun(i, val)``."""
    first, last = known(lower), known(upper)
    if first is not None and last is not None and not is_tracing():
        val = init_val
        for i in range(int(first), int(last)):
            val = body_fun(i, val)
        return val
    nest = Nest(init_val)

    def step(i: Variable, state: Any) -> Any:
        with tracing():
            new = Nest(body_fun(wrap(sg.cast(i, "int32")), nest.pack(state)))
        return _like(new.nodes, nest.nodes)

    def bound(n: Any, value: Any) -> Any:
        return sg.cast(node_of(n), "int64") if value is None else int(value)

    found = sg.fori_loop(bound(lower, first), bound(upper, last), step, nest.nodes)
    return nest.pack(found)


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: Any = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> tuple[Any, Any]:
    """``carry, y = f(carry, x)`` for the rows of ``xs``: the last carry and all y, stacked."""
    if not callable(f):
        raise TypeError(f"`f` should be a callable. Received: f={f}")
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(
            f"`unroll` must be an positive integer or boolean. Received: unroll={unroll}"
        )
    if xs is None and length is None:
        raise ValueError("Got no `xs` to scan over and `length` not provided.")
    rows, state = Nest(xs), Nest(init)
    if rows.nodes:
        steps: Any = rows.nodes[0].shape[0]
        if length is not None and isinstance(steps, int) and int(length) != steps:
            raise ValueError(f"`length` is {int(length)}, the sequences have {steps} rows")
    else:
        steps = int(length)
    return _Scan(f, rows, state, reverse).run(steps)


class _Scan:
    """A scan while it is traced: the structure of what `f` returns is seen inside the step."""

    def __init__(self, f: Any, rows: Nest, state: Nest, reverse: bool) -> None:
        self.f, self.rows, self.state, self.reverse = f, rows, state, reverse
        self.ys: Any = None

    def step(self, *given: Variable) -> list[Variable]:
        count = len(self.rows.nodes)
        with tracing():
            carry, y = self.f(self.state.pack(given[count:]), self.rows.pack(given[:count]))
            new = Nest(carry)
            self.ys = Nest(y)
        return [*_like(new.nodes, self.state.nodes), *self.ys.nodes]

    def run(self, steps: Any) -> tuple[Any, Any]:
        sequences = [sg.flip(v, 0) if self.reverse else v for v in self.rows.nodes]
        before = len(self.state.nodes)
        probe = self.step(*(sg.tensor(None, v.dtype, v.shape[1:]) for v in sequences),
                          *self.state.nodes)  # fmt: skip
        info = [*self.state.nodes, *([None] * (len(probe) - before))]
        found = sg.scan(self.step, sequences, info, n_steps=steps) if probe else []
        outputs = list(found) if isinstance(found, list | tuple) else [found]
        if isinstance(steps, int) and steps == 0:
            last = self.state.nodes
        else:
            last = [v[-1] for v in outputs[:before]]
        ys = [sg.flip(v, 0) if self.reverse else v for v in outputs[before:]]
        return self.state.pack(last), self.ys.pack(ys)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """``f`` of every row of the nest ``xs``, stacked."""
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


def associative_scan(
    f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """Running combinations of the elements along an axis by an associative function."""
    if not callable(f):
        raise TypeError(f"`f` should be a callable. Received: f={f}")
    nest = Nest(elems)
    sizes = [v.shape[axis] for v in nest.nodes]
    if any(n != sizes[0] for n in sizes[1:]):
        raise ValueError(
            "Array inputs to associative_scan must have the same first dimension. "
            f"(saw: {[v.shape for v in nest.nodes]})"
        )

    def combined(a: Any, b: Any) -> list[Variable]:
        with tracing():
            return Nest(f(nest.pack(a), nest.pack(b))).nodes

    return nest.pack(sg.associative_scan(combined, list(nest.nodes), reverse=reverse, axis=axis))


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """``function`` of every row of the nest, all at once."""
    rows = Nest(elements)
    made: list[Nest] = []

    def of_row(*given: Variable) -> list[Variable]:
        with tracing():
            made.append(Nest(function(rows.pack(given))))
        return made[-1].nodes

    found = sg.vmap(of_row)(*rows.nodes)
    return made[-1].pack(found)


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices along an axis of known size."""
    tensor = convert_to_tensor(x)
    axis = axis + tensor.ndim if axis < 0 else axis
    length = num if num is not None else shape_of(tensor)[axis]
    if not isinstance(length, int):
        raise ValueError(f"Cannot infer argument `num` from shape {tensor.shape}")
    lead = (slice_all,) * axis
    return [tensor[(*lead, k)] for k in range(length)]


slice_all = slice(None)
