"""Recurrent loops: Keras' `rnn` of any step, and LSTM and GRU as symgraph has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src import tree

import symgraph as sg
from keras_symgraph.src.control import scan
from keras_symgraph.src.control import unstack as unstack
from keras_symgraph.src.tensor import Tensor, is_tracing, node_of, wrap
from symgraph import Variable, nn

Step = Callable[[Any, Any], tuple[Any, Any]]


def rnn(
    step_function: Step,
    inputs: Any,
    initial_states: Any,
    go_backwards: bool = False,
    mask: Any = None,
    constants: Any = None,
    unroll: bool = False,
    input_length: Any = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, Any]:
    """The last output, all outputs in the order in which they were made, and the last states."""
    if not time_major:
        inputs = tree.map_structure(_turned, inputs)
    states = tree.map_structure(lambda s: wrap(node_of(s)), initial_states)
    seen = None if mask is None else _steps_seen(mask, time_major)
    if go_backwards:
        inputs = tree.map_structure(_reversed, inputs)
        seen = None if seen is None else _reversed(seen)
    if unroll:
        loop = _Unrolled(step_function, tuple(constants or ()), return_all_outputs)
        last, outputs, states = loop.run(inputs, states, seen)
    else:
        step = _step(step_function, tuple(constants or ()), seen is not None, zero_output_for_mask)
        rows = inputs if seen is None else (inputs, seen)
        states, outputs = _scanned(step, states, rows)
        last = tree.map_structure(lambda x: wrap(node_of(x)[-1]), outputs)
        if not return_all_outputs:
            outputs = tree.map_structure(lambda x: wrap(node_of(x)[-1:]), outputs)
    if not time_major:
        outputs = tree.map_structure(_turned, outputs)
    return last, outputs, states


def _scanned(step: Any, states: Any, rows: Any) -> tuple[Any, Any]:
    """The last states and all outputs. Where values are known the steps are taken one by one: a
    graph that is computed once is not worth a loop that has to be compiled."""
    count = node_of(tree.flatten(rows)[0]).shape[0]
    if is_tracing() or not isinstance(count, int) or not count:
        return scan(step, states, rows)
    made = []
    for t in range(count):
        states, output = step(states, tree.map_structure(lambda x, t=t: wrap(node_of(x)[t]), rows))
        made.append(output)
    return states, tree.map_structure(lambda *y: wrap(sg.stack([*map(node_of, y)])), *made)


def _turned(x: Any) -> Tensor:
    return wrap(sg.swapaxes(node_of(x), 0, 1))


def _reversed(x: Any) -> Tensor:
    return wrap(sg.flip(node_of(x), 0))


def _steps_seen(mask: Any, time_major: bool) -> Tensor:
    """[time, batch, 1] of bools."""
    node = node_of(mask).astype("bool")
    if node.ndim == 2:
        node = sg.expand_dims(node, -1)
    return wrap(node if time_major else sg.swapaxes(node, 0, 1))


def _where(seen: Variable, new: Any, old: Any) -> Tensor:
    """``new`` where a step is seen; the mask [batch, 1] gets the axes of the tensors."""
    a, b = node_of(new), node_of(old)
    shape = (*seen.shape, *(1,) * (a.ndim - seen.ndim))
    return wrap(sg.where(sg.reshape(seen, shape), a, b.astype(a.dtype)))


def _step(step_function: Step, constants: tuple[Any, ...], masked: bool, zero_output: bool) -> Any:
    """A step of `scan`: where a step is not seen the states stay, and the output is zero or the
    previous one, which the first state is."""

    def plain(states: Any, row: Any) -> Any:
        output, new = step_function(row, _joined(states, constants))
        return new, output

    def with_mask(states: Any, rows: Any) -> Any:
        row, mask = rows
        seen = sg.any(node_of(mask), -1, keepdims=True)
        output, new = step_function(row, _joined(states, constants))
        if zero_output:
            before: Any = wrap(sg.zeros_like(node_of(output)))
        else:
            before = states[-1][0] if tree.is_nested(states[0]) else states[0]
        kept = tree.map_structure(lambda s, n: _where(seen, n, s), states, new)
        return kept, _where(seen, output, before)

    return with_mask if masked else plain


def _joined(states: Any, constants: tuple[Any, ...]) -> Any:
    """The states as a step reads them, in the structure that the caller gave where possible."""
    return (*states, *constants) if constants else states


class _Unrolled:
    """A loop that is written out, step by step."""

    def __init__(self, step: Step, constants: tuple[Any, ...], all_outputs: bool) -> None:
        self.step, self.constants, self.all_outputs = step, constants, all_outputs

    def run(self, inputs: Any, states: Any, seen: Any) -> tuple[Any, Any, Any]:
        steps = node_of(tree.flatten(inputs)[0]).shape[0]
        if not isinstance(steps, int) or not steps:
            raise ValueError("Unrolling requires a fixed number of timesteps.")
        made: list[Any] = []
        for t in range(steps):
            row = tree.map_structure(lambda x, t=t: wrap(node_of(x)[t]), inputs)
            output, new = self.step(row, _joined(states, self.constants))
            if seen is not None:
                now = node_of(seen)[t]
                before = made[-1] if made else wrap(sg.zeros_like(node_of(output)))
                output = _where(now, output, before)
                flat = [
                    _where(now, n, s)
                    for n, s in zip(tree.flatten(new), tree.flatten(states), strict=True)
                ]
                new = tree.pack_sequence_as(states, flat)
            states = new
            made = [*made, output] if self.all_outputs else [output]
        return made[-1], wrap(sg.stack([node_of(o) for o in made])), states


# LSTM and GRU -------------------------------------------------------------------------------------


def cudnn_ok(
    activation: Any, recurrent_activation: Any, unroll: bool, use_bias: bool = True
) -> bool:
    """There is no cuDNN on a processor."""
    return False


def _usual(activation: Any, recurrent_activation: Any, mask: Any, unroll: bool) -> None:
    """symgraph's loops have tanh and sigmoid. NotImplementedError is how Keras wants to be told to
    take `rnn` instead: for other functions, and with a mask, since only `rnn` is told whether
    masked steps give zeros."""
    from keras.src import activations, ops

    tanh = activation in (activations.tanh, ops.tanh)
    sigmoid = recurrent_activation in (activations.sigmoid, ops.sigmoid)
    if not tanh or not sigmoid or mask is not None or unroll:
        raise NotImplementedError


def lstm(
    inputs: Any, initial_state_h: Any, initial_state_c: Any, mask: Any, kernel: Any,
    recurrent_kernel: Any, bias: Any, activation: Any, recurrent_activation: Any,
    return_sequences: bool = False, go_backwards: bool = False, unroll: bool = False,
) -> tuple[Tensor, Tensor, list[Tensor]]:  # fmt: skip
    """Keras and symgraph have the gates in one order: input, forget, cell, output."""
    _usual(activation, recurrent_activation, mask, unroll)
    x = sg.swapaxes(node_of(inputs), 0, 1)
    w, u = node_of(kernel, x.dtype), node_of(recurrent_kernel, x.dtype)
    states = (node_of(initial_state_h, x.dtype), node_of(initial_state_c, x.dtype))
    outputs, (h, c) = nn.lstm(
        sg.flip(x, 0) if go_backwards else x, (w, u, _bias(bias, x.dtype)), states
    )
    return _results(outputs, [h, c], return_sequences)


def gru(
    inputs: Any, initial_state: Any, mask: Any, kernel: Any, recurrent_kernel: Any, bias: Any,
    activation: Any, recurrent_activation: Any, return_sequences: bool = False,
    go_backwards: bool = False, unroll: bool = False, reset_after: bool = True,
) -> tuple[Tensor, Tensor, list[Tensor]]:  # fmt: skip
    """Keras' gates are update, reset, new; symgraph's reset, update, new."""
    _usual(activation, recurrent_activation, mask, unroll)
    x = sg.swapaxes(node_of(inputs), 0, 1)
    both = _bias(bias, x.dtype)
    own: Variable | None = None
    of_state: Variable | None = None
    if both is not None and both.ndim == 2:
        own, of_state = _reset_first(both[0]), _reset_first(both[1])
    elif both is not None:
        own = _reset_first(both)
    w, u = (_reset_first(node_of(k, x.dtype)) for k in (kernel, recurrent_kernel))
    outputs, h = nn.gru(
        sg.flip(x, 0) if go_backwards else x, (w, u, own, of_state),
        node_of(initial_state, x.dtype), reset_after=reset_after,
    )  # fmt: skip
    return _results(outputs, [h], return_sequences)


def _bias(bias: Any, dtype: str) -> Variable | None:
    return None if bias is None else node_of(bias, dtype)


def _reset_first(weights: Variable) -> Variable:
    update, reset, new = sg.split(weights, 3, -1)
    return sg.concatenate([reset, update, new], -1)


def _results(
    outputs: Variable, states: list[Variable], return_sequences: bool
) -> tuple[Tensor, Tensor, list[Tensor]]:
    last = states[0]
    kept = sg.swapaxes(outputs, 0, 1) if return_sequences else sg.expand_dims(last, 1)
    return wrap(last), wrap(kept), [wrap(s) for s in states]


def bidirectional_lstm(
    inputs: Any, fwd_initial_state_h: Any, fwd_initial_state_c: Any, bwd_initial_state_h: Any,
    bwd_initial_state_c: Any, mask: Any, fwd_kernel: Any, fwd_recurrent_kernel: Any, fwd_bias: Any,
    bwd_kernel: Any, bwd_recurrent_kernel: Any, bwd_bias: Any, activation: Any,
    recurrent_activation: Any, return_sequences: bool = False, unroll: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Both directions, outputs in the order of the inputs."""
    functions = (activation, recurrent_activation, return_sequences)
    forward = lstm(
        inputs, fwd_initial_state_h, fwd_initial_state_c, mask, fwd_kernel, fwd_recurrent_kernel,
        fwd_bias, *functions, False, unroll,
    )  # fmt: skip
    backward = lstm(
        inputs, bwd_initial_state_h, bwd_initial_state_c, mask, bwd_kernel, bwd_recurrent_kernel,
        bwd_bias, *functions, True, unroll,
    )  # fmt: skip
    return forward, _in_order(backward)


def bidirectional_gru(
    inputs: Any, fwd_initial_state: Any, bwd_initial_state: Any, mask: Any, fwd_kernel: Any,
    fwd_recurrent_kernel: Any, fwd_bias: Any, bwd_kernel: Any, bwd_recurrent_kernel: Any,
    bwd_bias: Any, activation: Any, recurrent_activation: Any, return_sequences: bool = False,
    unroll: bool = False, reset_after: bool = True,
) -> tuple[Any, Any]:  # fmt: skip
    """Both directions, outputs in the order of the inputs."""
    functions = (activation, recurrent_activation, return_sequences)
    forward = gru(
        inputs, fwd_initial_state, mask, fwd_kernel, fwd_recurrent_kernel, fwd_bias, *functions,
        False, unroll, reset_after,
    )  # fmt: skip
    backward = gru(
        inputs, bwd_initial_state, mask, bwd_kernel, bwd_recurrent_kernel, bwd_bias, *functions,
        True, unroll, reset_after,
    )  # fmt: skip
    return forward, _in_order(backward)


def _in_order(results: tuple[Tensor, Tensor, list[Tensor]]) -> tuple[Tensor, Tensor, list[Tensor]]:
    last, outputs, states = results
    return last, wrap(sg.flip(node_of(outputs), 1)), states
