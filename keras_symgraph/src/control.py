"""Choices and loops: Keras' own where values are known, symgraph's where a function is traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras.src import tree

import symgraph as sg
from keras_symgraph.src.conversion import convert_to_tensor
from keras_symgraph.src.state import Branch, Carried, Nest, choose, unchanging, with_scope
from keras_symgraph.src.tensor import (
    Tensor,
    is_tracing,
    known,
    node_of,
    shape_of,
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


@with_scope
def _traced_while(cond: Any, body: Any, start: tuple[Any, ...], limit: Any) -> tuple[Any, ...]:
    nest = Nest(start)
    carried = Carried(lambda: body(*start))
    value = None if limit is None else known(limit)
    most = None if limit is None or value is not None else sg.cast(node_of(limit), "int64")
    count = 1 + len(nest.nodes)

    def go_on(state: tuple[Variable, ...]) -> Variable:
        asked, _ = carried.step(state[count:], lambda: _asked(cond, nest.pack(state[1:count])))
        wanted = sg.reshape(sg.cast(node_of(asked), "bool"), ())
        return wanted if most is None else sg.logical_and(wanted, state[0] < most)

    def step(state: tuple[Variable, ...]) -> tuple[Variable, ...]:
        result, changed = carried.step(state[count:], lambda: body(*nest.pack(state[1:count])))
        new = _like(Nest(result).nodes, nest.nodes)
        return (state[0] + 1, *new, *_like(changed, carried.nodes))

    first = (sg.constant(0, "int64"), *nest.nodes, *carried.nodes)
    maximum = None if value is None else max(int(value), 0)
    end = sg.while_loop(go_on, step, first, maximum=maximum)
    carried.leave(end[count:])
    return tuple(nest.pack(end[1:count]))


def _asked(cond: Any, state: Any) -> Any:
    """The truth of a loop's condition, which may read variables but not change them."""
    made = Branch(lambda: cond(*state))
    for v, _ in made.updates.values():
        raise ValueError(
            f"the condition of a while_loop changes the variable {v.path!r}: in a compiled "
            "function only the body of a loop may do so"
        )
    return made.result


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
    return _traced_for(lower if first is None else int(first),
                       upper if last is None else int(last), body_fun, init_val)  # fmt: skip


@with_scope
def _traced_for(lower: Any, upper: Any, body_fun: Any, init_val: Any) -> Any:
    nest = Nest(init_val)
    some = wrap(sg.tensor(None, "int32", ()))
    carried = Carried(lambda: body_fun(some, init_val))
    count = len(nest.nodes)

    def step(i: Variable, state: Any) -> Any:
        result, changed = carried.step(
            state[count:], lambda: body_fun(wrap(sg.cast(i, "int32")), nest.pack(state[:count]))
        )
        return [*_like(Nest(result).nodes, nest.nodes), *_like(changed, carried.nodes)]

    def bound(n: Any) -> Any:
        return n if isinstance(n, int) else sg.cast(node_of(n), "int64")

    found = sg.fori_loop(bound(lower), bound(upper), step, [*nest.nodes, *carried.nodes])
    carried.leave(found[count:])
    return nest.pack(found[:count])


@with_scope
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

    def call(self, rows: Sequence[Variable], state: Sequence[Variable]) -> Any:
        return self.f(self.state.pack(state), self.rows.pack(rows))

    def run(self, steps: Any) -> tuple[Any, Any]:
        sequences = [sg.flip(v, 0) if self.reverse else v for v in self.rows.nodes]
        start, width = self.state.nodes, len(sequences)
        some = [sg.tensor(None, v.dtype, v.shape[1:]) for v in sequences]
        carried = Carried(lambda: self.call(some, start))
        count = len(start) + len(carried.nodes)

        def step(*given: Variable) -> list[Variable]:
            state, changing = given[width : width + len(start)], given[width + len(start) :]
            (carry, y), changed = carried.step(changing, lambda: self.call(given[:width], state))
            self.ys = Nest(y)
            new = [*_like(Nest(carry).nodes, start), *_like(changed, carried.nodes)]
            return [*new, *self.ys.nodes]

        self.ys = Nest(carried.result[1])
        info = [*start, *carried.nodes, *([None] * len(self.ys.nodes))]
        found = sg.scan(step, sequences, info, n_steps=steps) if info else []
        outputs = list(found) if isinstance(found, list | tuple) else [found]
        if isinstance(steps, int) and steps == 0:
            last = [*start, *carried.nodes]
        else:
            last = [v[-1] for v in outputs[:count]]
        carried.leave(last[len(start) :])
        ys = [sg.flip(v, 0) if self.reverse else v for v in outputs[count:]]
        return self.state.pack(last[: len(start)]), self.ys.pack(ys)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """``f`` of every row of the nest ``xs``, stacked."""
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


@with_scope
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
        result = unchanging(
            lambda: f(nest.pack(a), nest.pack(b)), [*a, *b], "the function of an associative_scan"
        )
        return Nest(result).nodes

    return nest.pack(sg.associative_scan(combined, list(nest.nodes), reverse=reverse, axis=axis))


@with_scope
def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """``function`` of every row of the nest, all at once."""
    rows = Nest(elements)
    made: list[Nest] = []

    def of_row(*given: Variable) -> list[Variable]:
        result = unchanging(
            lambda: function(rows.pack(given)), given, "the function of a vectorized_map"
        )
        made.append(Nest(result))
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
