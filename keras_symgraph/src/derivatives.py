"""Gradients of losses, and functions with derivatives of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keras.src.backend.common import KerasVariable
from keras.src.backend.common.stateless_scope import get_stateless_scope

import symgraph as sg
from keras_symgraph.src.state import Nest
from keras_symgraph.src.tensor import Tensor, node_of, tracing, wrap
from keras_symgraph.src.variable import node_to_differentiate
from symgraph import Variable


def gradients(loss: Any, variables: Sequence[Any]) -> list[Tensor]:
    """The gradients of a scalar loss with respect to variables or tensors that it was made of.

    A variable that the loss does not depend on has a gradient of zeros. For a custom
    ``train_step``::

        loss = self.compute_loss(x, y, self(x, training=True))
        grads = keras_symgraph.gradients(loss, self.trainable_weights)
        self.optimizer.apply(grads, self.trainable_weights)
    """
    scope = get_stateless_scope()
    wrt = [
        node_to_differentiate(v, scope) if isinstance(v, KerasVariable) else node_of(v)
        for v in variables
    ]
    cost = node_of(loss)
    if cost.ndim:
        cost = sg.sum(cost)
    return [wrap(g) for g in sg.grad(cost, wrt, disconnected="zero")]


def stop_gradient(variable: Any) -> Tensor:
    """The tensor itself, through which no derivative passes."""
    return wrap(sg.stop_gradient(node_of(variable)))  # type: ignore[no-any-return]


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns its results and the function that makes cotangents of theirs."""

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = Nest(args, numbers=False)
        made: list[Nest] = []

        def forward(*nodes: Variable) -> list[Variable]:
            with tracing():
                made.append(Nest(fun(*given.pack(nodes), **kwargs)[0]))
            return made[-1].nodes

        def backward(g: Any, y: Any, *nodes: Variable) -> list[Any]:
            with tracing():
                _, rule = fun(*given.pack(nodes), **kwargs)
                upstream = made[-1].pack(g)
                several = isinstance(upstream, list | tuple)
                found = rule(*upstream) if several else rule(upstream)
                return _cotangents(found, nodes)

        found = sg.function_graph(forward, vjp=backward)(*given.nodes)
        return made[-1].pack(found)

    return call


def _cotangents(found: Any, nodes: Sequence[Variable]) -> list[Any]:
    flat = list(found) if isinstance(found, list | tuple) else [found]
    flat += [None] * (len(nodes) - len(flat))
    return [
        None if g is None else sg.broadcast_to(node_of(g, x.dtype), x.shape)
        for g, x in zip(flat, nodes, strict=True)
    ]


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose derivative computes what is inside again in the place of keeping
    it."""

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = Nest((args, kwargs), numbers=False)
        made: list[Nest] = []

        def inside(*nodes: Variable) -> list[Variable]:
            positional, keywords = given.pack(nodes)
            made.append(Nest(f(*positional, **keywords)))
            return made[-1].nodes

        found = sg.checkpoint(inside)(*given.nodes)
        return made[-1].pack(found)

    return call
