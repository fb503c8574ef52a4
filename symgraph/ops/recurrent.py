"""Recurrent layers: cells, and loops of them over sequences: lstm, gru, rnn.

    outputs, (h, c) = sg.nn.lstm(x, (w, u, b))

x is [time, batch, features] (with ``batch_first`` [batch, time, features]). The weights of a layer
are a tuple: w [features, gates * units] for the input, u [units, gates * units] for the state, b
[gates * units], and what a kind of cell has beside (None for what is not wanted). A pair of such
tuples is a layer that reads in both directions, whose outputs stand beside each other; a list has
a layer in each entry. Gates stand in PyTorch's order, so that w = weight_ih.T, u = weight_hh.T.

The products with w are one matrix product for all steps, outside the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Graph, Input, Variable
from symgraph.ir.types import Size, TensorType
from symgraph.ops.activations import sigmoid, tanh
from symgraph.ops.cast import cast
from symgraph.ops.comparison import less, where
from symgraph.ops.control import close_over
from symgraph.ops.creation import iota, zeros
from symgraph.ops.joining import concatenate, part_of, stack
from symgraph.ops.layers import dropout as drop
from symgraph.ops.matrix import matmul
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.random import Stream, fold_in
from symgraph.ops.recurrent_loops import Loop
from symgraph.ops.scanning import Looping, segment_of
from symgraph.ops.shape import expand_dims, flip, reshape, swapaxes
from symgraph.records import NamedTuple
from symgraph.scalar import as_expr, as_size

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn", "simple_rnn_cell"]

Weights = tuple[Any, ...]
States = list[Variable]


# cells --------------------------------------------------------------------------------------------


def lstm_cell(
    x: Any, h: Any, c: Any, w: Any, u: Any, b: Any = None, peephole: Any = None,
    projection: Any = None,
) -> tuple[Variable, Variable]:  # fmt: skip
    """One step of a long short-term memory: the new (h, c) from x [batch, features], h and c
    [batch, units] (Hochreiter and Schmidhuber, 1997; with forget gates, Gers et al., 1999).

    With z = x @ w + h @ u + b in four parts i, f, g, o:
    c' = sigmoid(f) * c + sigmoid(i) * tanh(g) and h' = sigmoid(o) * tanh(c'). ``peephole``
    [3, units] lets i and f see c, and o see c' (Gers and Schmidhuber, 2000); ``projection``
    [units, outputs] multiplies h' (Sak et al., 2014; u is then [outputs, 4 * units]).

    >>> import symgraph as sg
    >>> w = sg.zeros((3, 8))
    >>> h, c = sg.nn.lstm_cell(sg.ones((1, 3)), sg.zeros((1, 2)), sg.ones((1, 2)), w, w[:2])
    >>> c.eval().tolist()
    [[0.5, 0.5]]
    """
    return tuple(_once(LSTM, x, [h, c], (w, u, b, peephole, projection)))  # type: ignore[return-value]


def gru_cell(
    x: Any, h: Any, w: Any, u: Any, b: Any = None, b_state: Any = None, reset_after: bool = True
) -> Variable:
    """One step of a gated recurrent unit: the new h [batch, units] from x [batch, features]
    (Cho et al., 2014). The parts of w, u and b are r, z, n:

    h' = (1 - z) * n + z * h with r, z the sigmoids of x @ w + h @ u + b, and n the tanh of
    x @ w + b + r * (h @ u + b_state) (PyTorch, cuDNN), or unless ``reset_after`` of
    x @ w + b + (r * h) @ u + b_state (the paper). ``b_state`` is [3 * units].

    >>> import symgraph as sg
    >>> w = sg.zeros((3, 6))
    >>> sg.nn.gru_cell(sg.ones((1, 3)), sg.ones((1, 2)), w, w[:2]).eval().tolist()
    [[0.5, 0.5]]
    """
    return _once(GRU if reset_after else GRU_BEFORE, x, [h], (w, u, b, b_state))[0]


def simple_rnn_cell(
    x: Any, h: Any, w: Any, u: Any, b: Any = None, activation: Callable[[Any], Any] = tanh
) -> Variable:
    """activation(x @ w + h @ u + b) (Elman, 1990): [batch, units].

    >>> import symgraph as sg
    >>> sg.nn.simple_rnn_cell([[1.0]], [[0.0]], [[0.0]], [[1.0]]).eval().tolist()
    [[0.0]]
    """
    return _once(_simple(activation), x, [h], (w, u, b))[0]


class Cell(NamedTuple):
    """A kind of recurrence: how many ``states`` and ``gates`` it has; ``step(z, states, weights)``
    gives the new states from the row z of x @ w + b; the first state is the output."""

    name: str
    states: int
    gates: int
    parts: int  # of the weights of a layer
    step: Callable[[Variable, States, Weights], States]


def _quarters(z: Variable, count: int) -> list[Variable]:
    size = as_size(as_expr(z.shape[-1]) // count)
    return [part_of(z, z.ndim - 1, as_size(as_expr(size) * k), size) for k in range(count)]


def _lstm_step(z: Variable, states: States, weights: Weights) -> States:
    h, c = states
    _, u, _, peephole, projection = weights
    i, f, g, o = _quarters(z + matmul(h, u), 4)
    if peephole is not None:
        i, f = i + peephole[0] * c, f + peephole[1] * c
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    o = o if peephole is None else o + peephole[2] * c
    h = sigmoid(o) * tanh(c)
    return [h if projection is None else matmul(h, projection), c]


def _gru_step(z: Variable, states: States, weights: Weights) -> States:
    (h,) = states
    _, u, _, b_state = weights
    own = matmul(h, u) if b_state is None else matmul(h, u) + b_state
    (xr, xz, xn), (hr, hz, hn) = _quarters(z, 3), _quarters(own, 3)
    update = sigmoid(xz + hz)
    return [_between(update, tanh(xn + sigmoid(xr + hr) * hn), h)]


def _gru_before_step(z: Variable, states: States, weights: Weights) -> States:
    (h,) = states
    _, u, _, b_state = weights
    z = z if b_state is None else z + b_state
    size = as_expr(u.shape[1]) // 3
    both, rest = as_size(2 * size), as_size(size)
    own = matmul(h, part_of(u, 1, 0, both))
    (xr, xz, xn), (hr, hz) = _quarters(z, 3), _quarters(own, 2)
    new = tanh(xn + matmul(sigmoid(xr + hr) * h, part_of(u, 1, both, rest)))
    return [_between(sigmoid(xz + hz), new, h)]


def _between(update: Variable, new: Variable, old: Variable) -> Variable:
    return new + update * (old - new)


def _simple(activation: Callable[[Any], Any]) -> Cell:
    def step(z: Variable, states: States, weights: Weights) -> States:
        return [as_variable(activation(z + matmul(states[0], weights[1])))]

    return Cell("rnn", 1, 1, 3, step)


LSTM = Cell("lstm", 2, 4, 5, _lstm_step)
GRU = Cell("gru", 1, 3, 4, _gru_step)
GRU_BEFORE = Cell("gru", 1, 3, 4, _gru_before_step)


def _once(cell: Cell, x: Any, states: list[Any], weights: Weights) -> States:
    kind = _float_kind([x, *states, *weights])
    weights = _weights(cell, weights, kind)
    states = [cast(s, kind) for s in states]
    return cell.step(_inputs(cast(x, kind), weights), states, weights)


def _float_kind(values: Sequence[Any]) -> str:
    found = dtypes.promote(*(promotable(v) for v in values if v is not None))
    return found if dtypes.is_float(found) else "float64"


def _weights(cell: Cell, given: Weights, kind: str) -> Weights:
    """The parts of a layer's weights, in the dtype; None for those not given."""
    if not 2 <= len(given) <= cell.parts:
        raise ArgumentError(f"{cell.name}: a layer has 2 to {cell.parts} weights, not {len(given)}")
    found = [None if v is None else cast(v, kind) for v in given]
    w, u = found[0], found[1]
    if w is None or u is None or w.ndim != 2 or u.ndim != 2:
        raise RankError(f"{cell.name}: the weights w and u are matrices")
    if isinstance(u.shape[1], int) and u.shape[1] % cell.gates:
        raise ShapeError(f"{cell.name}: {u.shape[1]} columns of u for {cell.gates} gates")
    return (*found, *(None for _ in range(cell.parts - len(found))))


def _inputs(x: Variable, weights: Weights) -> Variable:
    """x @ w + b, for all steps of a sequence in one product."""
    w, b = weights[0], weights[2]
    if x.ndim == 3:
        time, batch, features = x.shape
        rows = reshape(x, (as_size(as_expr(time) * batch), features))
        z = reshape(matmul(rows, w), (time, batch, w.shape[1]))
    else:
        z = matmul(x, w)
    return z if b is None else z + b


# sequences ----------------------------------------------------------------------------------------


def lstm(
    x: Any, weights: Any, initial: Any = None, *, lengths: Any = None, mask: Any = None,
    reverse: bool = False, batch_first: bool = False, dropout: float = 0.0, key: Any = None,
    truncate_gradient: int = -1, checkpoint: int | bool = False,
) -> tuple[Variable, tuple[Variable, Variable]]:  # fmt: skip
    """A long short-term memory over sequences: (outputs, (h, c)).

    ``weights`` of a layer are (w, u, b, peephole, projection), of which the last three may miss:
    see :func:`lstm_cell` and, for layers and directions, the head of this module (a list of layers,
    a pair of directions). Outputs are [time, batch, units], or units of both directions. ``h`` and
    ``c`` are those after the last step, [batch, units], with a leading axis over layers and
    directions when there are several; ``initial`` is such a pair, zeros unless given.

    ``lengths`` (integers [batch]) or a ``mask`` (bools, the first two axes of x) say which steps
    count: in the others the state stays and the output is 0. ``reverse`` reads from the end; row t
    of the outputs still belongs to row t of x. ``dropout`` is applied between layers, by ``key``.
    ``truncate_gradient`` and ``checkpoint``: as for scan. Raises RankError, ShapeError,
    ArgumentError.

    >>> import symgraph as sg
    >>> w, u, b = sg.zeros((3, 8)), sg.zeros((2, 8)), sg.ones(8)
    >>> outputs, (h, c) = sg.nn.lstm(sg.ones((5, 4, 3)), (w, u, b))
    >>> outputs.shape, h.shape
    ((5, 4, 2), (4, 2))
    """
    how = How(lengths, mask, reverse, batch_first, dropout, key, truncate_gradient, checkpoint)
    outputs, (h, c) = _layers(LSTM, x, weights, initial, how)
    return outputs, (h, c)


def gru(
    x: Any, weights: Any, initial: Any = None, *, reset_after: bool = True, lengths: Any = None,
    mask: Any = None, reverse: bool = False, batch_first: bool = False, dropout: float = 0.0,
    key: Any = None, truncate_gradient: int = -1, checkpoint: int | bool = False,
) -> tuple[Variable, Variable]:  # fmt: skip
    """Gated recurrent units over sequences: (outputs, h). ``weights`` of a layer are
    (w, u, b, b_state): see :func:`gru_cell`; all else is as for :func:`lstm`.

    >>> import symgraph as sg
    >>> outputs, h = sg.nn.gru(sg.ones((5, 4, 3)), (sg.zeros((3, 6)), sg.zeros((2, 6))))
    >>> outputs.shape, h.shape
    ((5, 4, 2), (4, 2))
    """
    how = How(lengths, mask, reverse, batch_first, dropout, key, truncate_gradient, checkpoint)
    cell = GRU if reset_after else GRU_BEFORE
    outputs, (h,) = _layers(cell, x, weights, None if initial is None else [initial], how)
    return outputs, h


def rnn(
    x: Any, weights: Any, initial: Any = None, *, activation: Callable[[Any], Any] = tanh,
    lengths: Any = None, mask: Any = None, reverse: bool = False, batch_first: bool = False,
    dropout: float = 0.0, key: Any = None, truncate_gradient: int = -1,
    checkpoint: int | bool = False,
) -> tuple[Variable, Variable]:  # fmt: skip
    """Simple recurrent units over sequences: (outputs, h). ``weights`` of a layer are (w, u, b):
    see :func:`simple_rnn_cell`; all else is as for :func:`lstm`.

    >>> import symgraph as sg
    >>> outputs, h = sg.nn.rnn(sg.ones((5, 4, 3)), (sg.zeros((3, 2)), sg.zeros((2, 2))))
    >>> outputs.shape, h.shape
    ((5, 4, 2), (4, 2))
    """
    how = How(lengths, mask, reverse, batch_first, dropout, key, truncate_gradient, checkpoint)
    cell = _simple(activation)
    outputs, (h,) = _layers(cell, x, weights, None if initial is None else [initial], how)
    return outputs, h


class How(NamedTuple):
    """The arguments that all kinds of cells share."""

    lengths: Any
    mask: Any
    reverse: bool
    batch_first: bool
    dropout: float
    key: Any
    truncate: int
    checkpoint: int | bool

    def present(self, x: Variable) -> Variable | None:
        """Which steps of which sequences count: bool[time, batch], or None for all."""
        if self.lengths is not None and self.mask is not None:
            raise ArgumentError("lengths and mask exclude each other")
        if self.mask is not None:
            mask = cast(self.mask, "bool")
            if mask.ndim != 2:
                raise RankError(f"a mask is [time, batch], not {mask.type.text()}")
            return swapaxes(mask, 0, 1) if self.batch_first else mask
        if self.lengths is None:
            return None
        lengths = as_variable(self.lengths)
        if lengths.ndim != 1:
            raise RankError(f"lengths are a vector, not {lengths.type.text()}")
        return less(iota(x.shape[0], 2, 0), expand_dims(lengths, 0))


def _layers(
    cell: Cell, x: Any, weights: Any, initial: Any, how: How
) -> tuple[Variable, list[Variable]]:
    """All layers, one after the other."""
    layers = weights if isinstance(weights, list) else [weights]
    pairs = [layer if isinstance(layer[0], tuple | list) else (layer,) for layer in layers]
    if not pairs or any(len(p) > 2 for p in pairs):
        raise ArgumentError(f"{cell.name}: a layer has one direction or two, and there is a layer")
    several = isinstance(weights, list) or len(pairs[0]) == 2
    flat = [v for pair in pairs for direction in pair for v in direction]
    given = [] if initial is None else list(initial)
    kind = _float_kind([x, *flat, *given])
    x = cast(x, kind)
    if x.ndim != 3:
        raise RankError(f"{cell.name}: x has three axes, not {x.type.text()}")
    x = swapaxes(x, 0, 1) if how.batch_first else x
    present = how.present(x)
    finals: list[list[Variable]] = []
    for depth, pair in enumerate(pairs):
        if depth and how.dropout:
            x = drop(_layer_key(how.key, depth, cell), x, how.dropout)
        halves = []
        for side, direction in enumerate(pair):
            own = _weights(cell, tuple(direction), kind)
            begin = [cast(s, kind) for s in given]
            begin = [s[len(finals)] for s in begin] if several else begin
            outputs, last = _loop(cell, x, own, begin, present, how, bool(side) != how.reverse)
            halves.append(outputs)
            finals.append(last)
        x = halves[0] if len(halves) == 1 else concatenate(halves, 2)
    x = swapaxes(x, 0, 1) if how.batch_first else x
    if not several:
        return x, finals[0]
    return x, [stack(column, 0) for column in zip(*finals, strict=True)]


def _layer_key(key: Any, depth: int, cell: Cell) -> Variable:
    if key is None:
        raise ArgumentError(f"{cell.name}: dropout needs a key", hint="one of sg.random.key")
    return key.key() if isinstance(key, Stream) else fold_in(key, depth)


def _loop(
    cell: Cell, x: Variable, weights: Weights, begin: list[Variable], present: Variable | None,
    how: How, backwards: bool,
) -> tuple[Variable, list[Variable]]:  # fmt: skip
    """One layer in one direction: its outputs, and the states after the last step."""
    rows = [_inputs(flip(x, 0) if backwards else x, weights)]
    if present is not None:
        rows.append(flip(present, 0) if backwards else present)
    begin = begin or _zeros(cell, x, weights)
    if len(begin) != cell.states:
        raise ArgumentError(f"{cell.name}: {cell.states} initial states, got {len(begin)}")
    states = [Input(s.type, name) for s, name in zip(begin, ("h", "c"), strict=False)]
    inner = [Input(TensorType(r.dtype, r.shape[1:])) for r in rows]
    new = cell.step(inner[0], list(states), weights)
    output = new[0]
    if present is not None:
        here = expand_dims(inner[1], 1)
        output = where(here, new[0], 0)
        new = [where(here, a, b) for a, b in zip(new, states, strict=True)]
    own = [*states, *inner]
    captured, names, body = close_over([*new, output], own)
    time: Size = x.shape[0]
    graph, segment = Graph([*own, *names], body), segment_of(how.checkpoint, time)
    if segment or how.truncate >= 0:
        loop = Looping(graph, begin, rows, captured, time, how.truncate, segment)
        last, (outputs,) = loop.run()
    else:
        last, outputs = Loop(graph, len(begin), len(rows), time).run(begin, rows, captured)
    return flip(outputs, 0) if backwards else outputs, last


def _zeros(cell: Cell, x: Variable, weights: Weights) -> list[Variable]:
    """The states that a loop begins with when none are given: [batch, rows of u], and the second
    one, the memory, [batch, units]."""
    units = [weights[1].shape[0], as_size(as_expr(weights[1].shape[1]) // cell.gates)]
    return [zeros((x.shape[1], n), x.dtype) for n in units[: cell.states]]
