"""Functions as values of the graph: an op from a graph, own derivatives, recomputation.

A function is traced at each call for the types of its arguments. Unless it asks to stay a function
it is put in the place of its call before other passes run (passes/inline_functions.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, GradientError, ShapeError
from symgraph.ir import made_sizes
from symgraph.ir.graph import Graph, Input, Variable, rebuild
from symgraph.ir.op import Op
from symgraph.ir.operators import LANGUAGE
from symgraph.ir.types import TensorType
from symgraph.loops.routine import Routine
from symgraph.ops.checkpoint_policies import (
    Policy,
    checked,
    everything_saveable,
    kept_values,
)
from symgraph.ops.control import check_inside, close_over, results, reverse_inside, same_type
from symgraph.ops.nests import flatten
from symgraph.ops.operands import as_variable
from symgraph.ops.retyping import replaced, with_sizes_of
from symgraph.ops.slicing import zeros

__all__ = ["checkpoint", "checkpoint_name", "custom_jvp", "custom_vjp", "function_graph"]

Run = Callable[[Graph, Sequence[Any]], Sequence[Any]]


class FunctionGraph(Op):
    """The outputs of ``body``, whose inputs are ``arguments`` arguments and what it captures.

    ``backward`` is its own derivative: from the inputs, the outputs and their cotangents to the
    cotangents of the arguments ``wrt``. ``recompute`` makes the derivative compute the body again
    instead of keeping its values, but those that the policy ``keep`` names. ``inline`` allows to
    put the body in the place of the call. ``label`` is the name that a value has for policies.
    """

    name = "function_graph"
    title: str
    body: Graph
    arguments: int
    inline: bool = True
    recompute: bool = False
    backward: Graph | None = None
    wrt: tuple[int, ...] = ()
    keep: Policy = ()
    label: str = ""

    def infer(self, *given: TensorType) -> tuple[TensorType, ...]:
        for v, t in zip(self.body.inputs, given, strict=True):
            same_type(v.type, t, f"{self.title}: {v.label()}")
        check_inside(self.body)
        return tuple(o.type for o in self.body.outputs)

    def reference(self, run: Run, *arrays: Any) -> tuple[Any, ...]:
        return tuple(run(self.body, arrays))

    def vjp(self, g: Any, y: Any, *inputs: Variable) -> tuple[Any, ...]:
        return self.partial_vjp((True,) * len(inputs), g, y, *inputs)

    def partial_vjp(
        self, wanted: Sequence[bool], g: Any, y: Any, *inputs: Variable
    ) -> tuple[Any, ...]:
        """The cotangents of the ``wanted`` inputs."""
        g = g if isinstance(g, tuple) else (g,)
        if self.backward is not None:
            return self._own(wanted, g, y, inputs)
        body = self.body
        given = [k for k, v in enumerate(g) if v is not None]
        asked = [k for k, w in enumerate(wanted) if w and dtypes.is_inexact(inputs[k].dtype)]
        seeds = [Input(body.outputs[k].type) for k in given]
        found = reverse_inside(
            [body.outputs[k] for k in given], seeds, [body.inputs[k] for k in asked]
        )
        pulled = {k: f for k, f in zip(asked, found, strict=True) if f is not None}
        mapping = dict(zip(body.inputs, inputs, strict=True))
        if self.recompute and given:
            tie, held = g[given[0]], {**mapping, **self.saved(inputs)}
            mapping = {v: Barrier()(x, tie) for v, x in held.items()}
        mapping |= {s: g[k] for s, k in zip(seeds, given, strict=True)}
        result = dict(zip(pulled, rebuild(list(pulled.values()), mapping), strict=True))
        return tuple(result.get(k) for k in range(len(inputs)))

    def saved(self, inputs: Sequence[Variable]) -> dict[Variable, Variable]:
        """The values inside that a derivative keeps, and what they are over these inputs."""
        if not self.recompute or not self.keep:
            return {}
        values = kept_values(self.keep, self.body)
        mapping = dict(zip(self.body.inputs, inputs, strict=True))
        return dict(zip(values, rebuild(values, mapping), strict=True))

    def _own(
        self, wanted: Sequence[bool], g: tuple[Any, ...], y: Any, inputs: Sequence[Variable]
    ) -> tuple[Any, ...]:
        """What the function's own derivative gives."""
        for k in range(self.arguments, len(inputs)):
            if wanted[k]:
                raise GradientError(
                    f"{self.title}: it uses {inputs[k].label()} without being given it, so its own "
                    "derivative says nothing about that",
                    hint="make it an argument, or sg.stop_gradient",
                )
        assert self.backward is not None
        ys = y if isinstance(y, tuple) else (y,)
        full = [zeros(o.type) if v is None else v for v, o in zip(g, ys, strict=True)]
        mapping = dict(zip(self.backward.inputs, [*inputs, *ys, *full], strict=True))
        result = dict(zip(self.wrt, rebuild(self.backward.outputs, mapping), strict=True))
        return tuple(result.get(k) for k in range(len(inputs)))

    def inner(self) -> tuple[Graph, ...]:
        return (self.body,)


class Barrier(Op):
    """x itself, but not before ``tie`` has been computed, and not known to be x: what is computed
    from it is computed anew, not taken from an equal expression over x."""

    name = "barrier"

    def infer(self, x: TensorType, tie: TensorType) -> TensorType:
        return x

    def reference(self, x: Any, tie: Any) -> Any:
        return x

    def vjp(self, g: Variable, y: Variable, x: Variable, tie: Variable) -> tuple[Any, ...]:
        return g, None

    def extern(self, x: TensorType, tie: TensorType) -> Routine:
        return Routine("barrier")


# building -----------------------------------------------------------------------------------------

Rule = Callable[..., Any]  # rule(g, y, *inputs): cotangents of the inputs


class Function:
    """A function of tensors as one op: what :func:`function_graph` and its kin return."""

    def __init__(
        self, fn: Callable[..., Any], title: str, vjp: Rule | None = None, inline: bool = True,
        recompute: bool = False, keep: Policy = (), label: str = "",
    ) -> None:  # fmt: skip
        self.fn, self.title, self.rule = fn, title, vjp
        self.inline, self.recompute, self.keep, self.label = inline, recompute, keep, label
        self.__doc__ = getattr(fn, "__doc__", None)
        self.__name__ = title

    def __call__(self, *args: Any) -> Any:
        """Trace the function for the types of the arguments and apply it to them."""
        leaves, pack = flatten(args)
        values = [as_variable(v) for v in leaves]
        own = [Input(v.type, v.name) for v in values]
        leaves, pack_out = flatten(self.fn(*pack(own)))
        outputs = [as_variable(v) for v in leaves]
        if not outputs:
            raise ArgumentError(f"{self.title}: the function returned nothing")
        ys, gs = [Input(o.type) for o in outputs], [Input(o.type) for o in outputs]
        cotangents: list[Any] = [None] * len(own)
        if self.rule is not None:
            cotangents = self._cotangents(pack_out(gs), pack_out(ys), pack(own), own)
        wrt = tuple(k for k, v in enumerate(cotangents) if v is not None)
        pulled = [as_variable(cotangents[k]) for k in wrt]
        captured, inner, found = close_over([*outputs, *pulled], [*own, *ys, *gs])
        body = Graph([*own, *inner], found[: len(outputs)])
        backward = None
        if self.rule is not None:
            backward = Graph([*own, *inner, *ys, *gs], found[len(outputs) :])
        if made_sizes.in_graph(body):
            return pack_out(self._in_place(body, backward, [*values, *captured]))
        more = (self.recompute, backward, wrt, self.keep, self.label)
        op = FunctionGraph(self.title, body, len(own), self.inline, *more)
        return pack_out(results(op, [*values, *captured]))

    def _in_place(
        self, body: Graph, backward: Graph | None, values: Sequence[Variable]
    ) -> list[Variable]:
        """The body over the values: one that makes a size which depends on data cannot stay a
        function, since the program learns the size between two of its parts."""
        if backward is not None or not self.inline:
            raise ShapeError(
                f"{self.title}: a size that depends on data is made inside it",
                hint="make it an ordinary function, or give a fixed size (size=, fill_value=)",
            )
        return replaced(body.outputs, dict(zip(body.inputs, values, strict=True)))

    def _cotangents(
        self, g: Any, y: Any, args: Sequence[Any], own: Sequence[Variable]
    ) -> list[Any]:
        assert self.rule is not None
        returned = self.rule(g, y, *args)
        several = isinstance(returned, tuple | list)
        if not several or (len(args) == 1 and len(returned) != 1):
            returned = (returned,)
        found, _ = flatten(tuple(returned))
        if len(found) != len(own):
            raise ArgumentError(
                f"{self.title}: its derivative gave {len(found)} cotangents for {len(own)} inputs",
                hint="one for each input, None for an input without a derivative",
            )
        return found


def function_graph(
    fn: Any = None, outputs: Any = None, *, vjp: Rule | None = None, inline: bool = True,
    name: str | None = None,
) -> Any:  # fmt: skip
    """An op made of a graph: Theano's OpFromGraph. ``fn`` is a function of tensors (this is a
    decorator too), or a list of input variables whose ``outputs`` are given.

    ``vjp(g, y, *inputs)`` is its own derivative: cotangents of the inputs (None: no derivative)
    from those of the results; g and y have the structure of the result. ``inline=False`` keeps the
    function apart, compiled once for itself, not fused with what surrounds it.

    >>> import symgraph as sg
    >>> f = sg.function_graph(lambda x: x * x, vjp=lambda g, y, x: g * 100)
    >>> x = sg.scalar("x")
    >>> f(x).eval({x: 3.0}).item(), sg.grad(f(x), x).eval({x: 3.0}).item()
    (9.0, 100.0)
    """
    if fn is None:
        return lambda f: function_graph(f, vjp=vjp, inline=inline, name=name)
    if outputs is not None:
        fn = _of_graph(fn, outputs)
    title = name or getattr(fn, "__name__", "function").strip("<>")
    return Function(fn, title, vjp, inline)


def _of_graph(inputs: Any, outputs: Any) -> Callable[..., Any]:
    """A function from a graph over input variables; its sizes follow the arguments."""
    own = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
    if any(not isinstance(v, Input) for v in own):
        raise ArgumentError("function_graph: the inputs are input variables")
    leaves, pack = flatten(outputs)
    graph = Graph(own, [as_variable(v) for v in leaves])

    def graph_function(*args: Variable) -> Any:
        if len(args) != len(own):
            raise ArgumentError(f"function_graph: {len(own)} inputs, got {len(args)}")
        return pack(with_sizes_of(graph, args))

    return graph_function


# derivatives --------------------------------------------------------------------------------------


class OwnDerivative(Function):
    """A function that waits for its derivative: see :func:`custom_vjp` and :func:`custom_jvp`."""

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """JAX's way: ``forward(*inputs)`` gives (result, kept), ``backward(kept, g)`` the
        cotangents of the inputs. What both compute of the inputs is computed once."""

        def rule(g: Any, y: Any, *inputs: Any) -> Any:
            _, kept = forward(*inputs)
            return backward(kept, g)

        self.rule = rule

    def defjvp(self, rule: Callable[..., Any]) -> None:
        """JAX's way: ``rule(inputs, tangents)``, two tuples, gives (result, its tangent)."""
        self.rule = _transposed(self.title, rule)


def _transposed(title: str, rule: Callable[..., Any]) -> Rule:
    """The vjp of a linear map of tangents is the derivative of that map."""

    def vjp(g: Any, y: Any, *inputs: Any) -> Any:
        leaves, pack = flatten(inputs)
        tangents = [Input(v.type) if dtypes.is_inexact(v.dtype) else zeros(v.type) for v in leaves]
        _, moved = rule(inputs, tuple(pack(tangents)))
        ys = [as_variable(v) for v in flatten(moved)[0]]
        found = LANGUAGE["reverse_pass"](ys, flatten(g)[0], tangents)
        real = [f for f in found if f is not None]
        if set(tangents) & set(Graph((), real).leaves()) - set(leaves):
            raise GradientError(f"{title}: its jvp rule is not linear in the tangents")
        return tuple(found)

    return vjp


def custom_vjp(fn: Callable[..., Any], vjp: Rule | None = None) -> OwnDerivative:
    """A function with its own reverse derivative: ``vjp(g, y, *inputs)`` as for
    :func:`function_graph`, or given later by ``.defvjp(forward, backward)`` as in JAX.

    >>> import symgraph as sg
    >>> @sg.custom_vjp
    ... def log1pexp(x):
    ...     return sg.log(1 + sg.exp(x))
    >>> log1pexp.defvjp(lambda x: (log1pexp.fn(x), x), lambda x, g: (g * sg.sigmoid(x),))
    >>> x = sg.scalar("x")
    >>> sg.grad(log1pexp(x), x).eval({x: 1000.0}).item()
    1.0
    """
    return OwnDerivative(fn, getattr(fn, "__name__", "function").strip("<>"), vjp)


def custom_jvp(fn: Callable[..., Any], jvp: Callable[..., Any] | None = None) -> OwnDerivative:
    """A function whose derivative is given forwards: ``jvp(inputs, tangents)`` returns (result, its
    tangent), linear in the tangents; or later by ``.defjvp(rule)``. Reverse derivatives are its
    transpose. Raises GradientError for a rule that is not linear.

    >>> import symgraph as sg
    >>> f = sg.custom_jvp(sg.sin, lambda xs, ts: (sg.sin(xs[0]), 10 * ts[0]))
    >>> x = sg.scalar("x")
    >>> sg.grad(f(x), x).eval({x: 0.0}).item()
    10.0
    """
    made = OwnDerivative(fn, getattr(fn, "__name__", "function").strip("<>"))
    if jvp is not None:
        made.defjvp(jvp)
    return made


def checkpoint(fn: Any = None, policy: Any = None) -> Any:
    """The same function, whose derivative computes the values inside again from the inputs instead
    of keeping them: less memory for more work (rematerialisation). Also a decorator.

    ``policy`` says what is kept all the same: one of ``sg.checkpoint_policies``, such as
    ``dots_saveable`` (matrix products and convolutions) or ``save_only_these_names("hidden")``.
    Raises ArgumentError for another one.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> layer = sg.checkpoint(lambda x: sg.tanh(sg.tanh(x)))
    >>> sg.grad(layer(x).sum(), x).eval({x: [0.0]}).tolist()
    [1.0]
    """
    if fn is None:
        return lambda f: checkpoint(f, policy)
    title = getattr(fn, "__name__", "function").strip("<>")
    keep = checked(policy)
    return Function(fn, title, recompute=keep != everything_saveable, keep=keep)


def checkpoint_name(x: Any, name: str) -> Any:
    """x itself (a tensor or a nest of them), under a name by which policies of :func:`checkpoint`
    keep it or not.

    >>> import symgraph as sg
    >>> sg.checkpoint_name(sg.constant(3.0), "hidden").eval().item()
    3.0
    """
    if not isinstance(name, str) or not name:
        raise ArgumentError(f"checkpoint_name: a name is text, not {name!r}")
    leaves, pack = flatten(x)
    one = Function(lambda v: v, "checkpoint_name", label=name)
    return pack([one(as_variable(v)) for v in leaves])
