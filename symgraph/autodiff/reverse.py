"""Reverse accumulation: cotangents flow from the outputs of a graph back to its variables.

The result is a graph like any other, so it can be differentiated again. Rules of elementwise ops
give cotangents of the shape of the result; here they are summed over the axes along which an
operand was broadcast (Griewank and Walther, Evaluating Derivatives, 2008, chapter 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, GradientError
from symgraph.ir.graph import Apply, Variable, constant, creating_with, toposort
from symgraph.ir.operators import in_language
from symgraph.ir.types import Shape
from symgraph.ops import reductions
from symgraph.ops.cast import to_dtype
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import BroadcastTo, ExpandDims, Reshape, broadcast_to, is_one
from symgraph.ops.slicing import zeros

__all__ = ["grad", "value_and_grad", "vjp"]


class Reverse:
    """One reverse pass; ``sums`` holds the cotangents collected so far."""

    def __init__(self, wrt: Iterable[Variable], constants: Iterable[Variable] = ()) -> None:
        self.wrt = set(wrt)
        self.constants = set(constants)
        self.sums: dict[Variable, Variable] = {}

    def add(self, v: Variable, g: Variable) -> None:
        """One more contribution to the cotangent of v."""
        g = fitted(g, v)
        old = self.sums.get(v)
        self.sums[v] = g if old is None else old + g

    def run(self, outputs: Sequence[Variable]) -> None:
        """Carry the cotangents in ``sums`` from the outputs to wrt."""
        order = toposort(outputs)
        reached = self.reached(order)
        for node in reversed(order):
            wanted = [v in reached and dtypes.is_float(v.dtype) for v in node.inputs]
            if any(wanted) and not node.op.nondifferentiable:
                self._pull(node, wanted)

    def reached(self, order: Sequence[Apply]) -> set[Variable]:
        """The variables that depend on wrt: cotangents are needed on these only."""
        reached = set(self.wrt)
        for node in order:
            if any(v in reached for v in node.inputs):
                reached.update(o for o in node.outputs if o not in self.constants)
        return reached

    def _pull(self, node: Apply, wanted: list[bool]) -> None:
        g = tuple(self.sums.get(y) for y in node.outputs)
        if all(v is None for v in g):
            return
        for y in node.outputs:
            if y not in self.wrt:
                self.sums.pop(y, None)
        with creating_with(node.origins):
            found = _rule(node, wanted, g)
            for v, w, contribution in zip(node.inputs, wanted, found, strict=True):
                if w and contribution is not None:
                    self.add(v, contribution)


def _rule(node: Apply, wanted: list[bool], g: tuple[Any, ...]) -> Sequence[Variable | None]:
    """What the op's rule gives; ops that own graphs compute only what is wanted."""
    op: Any = node.op
    if hasattr(op, "partial_vjp"):
        return op.partial_vjp(wanted, g, node.outputs, *node.inputs)  # type: ignore[no-any-return]
    if len(g) == 1:
        return op.vjp(g[0], node.outputs[0], *node.inputs)  # type: ignore[no-any-return]
    return op.vjp(g, node.outputs, *node.inputs)  # type: ignore[no-any-return]


def fitted(g: Variable, v: Variable) -> Variable:
    """A cotangent in the type of its variable: summed over broadcast axes, in its dtype."""
    if g.type != v.type:
        g = to_dtype(unbroadcast(g, v.shape), v.dtype)
        if g.shape != v.shape:  # sizes that are equal whenever the function runs
            g = Reshape(v.shape)(g)
    return g


def unbroadcast(g: Variable, shape: Shape) -> Variable:
    """g summed over the axes along which ``shape`` was broadcast to give g's shape."""
    lead = g.ndim - len(shape)
    if lead < 0:
        return BroadcastTo(shape)(g)  # type: ignore[no-any-return]
    pairs = list(zip(g.shape[lead:], shape, strict=True))
    ones = tuple(k for k, (a, b) in enumerate(pairs) if is_one(b) and not is_one(a))
    axes = (*range(lead), *(lead + k for k in ones))
    if axes:
        g = reductions.sum(g, axis=axes)
        g = ExpandDims(ones)(g) if ones else g
    if any(is_one(a) and not is_one(b) for a, b in pairs):
        g = BroadcastTo(shape)(g)  # a rule may give a cotangent that is the same everywhere
    return g


@in_language("reverse_pass")
def reverse_pass(
    outputs: Sequence[Variable], cotangents: Sequence[Variable | None], wrt: Sequence[Variable]
) -> list[Variable | None]:
    """The cotangents of ``wrt``, None where the outputs do not depend on it."""
    work = Reverse(wrt)
    for y, g in zip(outputs, cotangents, strict=True):
        if g is not None and dtypes.is_float(y.dtype):
            work.add(y, g)
    work.run(outputs)
    return [work.sums.get(v) for v in wrt]


# the user's functions -----------------------------------------------------------------------------


def grad(
    cost: Variable | None, wrt: Any, known_grads: Mapping[Variable, Any] | None = None,
    consider_constant: Sequence[Variable] = (), disconnected: str = "raise",
) -> Any:  # fmt: skip
    """The gradient of a scalar ``cost`` with respect to ``wrt``: one variable, or a list, tuple or
    dict of them (any variables of the graph, shared ones too); the same structure is returned.

    ``known_grads`` gives cotangents of further variables (then the cost may be None);
    ``consider_constant`` are variables that nothing flows through; ``disconnected`` is "raise" or
    "zero" for variables that the cost does not depend on.
    Raises GradientError for a cost that is no float scalar and for disconnected variables.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.grad(sg.sum(x * x), x).eval({x: [1.0, 2.0]}).tolist()
    [2.0, 4.0]
    """
    if disconnected not in ("raise", "zero"):
        raise ArgumentError(f'grad: disconnected is "raise" or "zero", not {disconnected!r}')
    variables = as_list(wrt)
    for v in variables:
        _check_wrt(v)
    work = Reverse(variables, consider_constant)
    outputs = []
    for v, g in (known_grads or {}).items():
        work.add(v, as_variable(g))
        outputs.append(v)
    if cost is not None:
        _check_cost(cost)
        work.add(cost, constant(1, cost.dtype))
        outputs.append(cost)
    work.run(outputs)
    found = []
    for v in variables:
        g = work.sums.get(v)
        if g is None and disconnected == "raise":
            raise _disconnected(v, outputs, work)
        found.append(zeros(v.type) if g is None else g)
    return like(wrt, found)


def value_and_grad(cost: Variable, wrt: Any, **options: Any) -> tuple[Variable, Any]:
    """(cost, grad(cost, wrt, **options)), for a function that returns both.

    >>> import symgraph as sg
    >>> x = sg.scalar("x")
    >>> value, slope = sg.value_and_grad(x**2, x)
    >>> value.eval({x: 3.0}).item(), slope.eval({x: 3.0}).item()
    (9.0, 6.0)
    """
    return cost, grad(cost, wrt, **options)


def vjp(outputs: Any, inputs: Any, cotangents: Any) -> Any:
    """The vector-Jacobian product: the gradient of ``sum(cotangents * outputs)``.

    Outputs and cotangents are one variable or sequences of equal length; zeros stand where an input
    has no influence. The structure of ``inputs`` is returned.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.vjp(x * x, x, sg.constant([1.0, 10.0])).eval({x: [1.0, 2.0]}).tolist()
    [2.0, 40.0]
    """
    ys, gs, xs = as_list(outputs), as_list(cotangents), as_list(inputs)
    if len(ys) != len(gs):
        raise ArgumentError(f"vjp: {len(ys)} outputs and {len(gs)} cotangents")
    for x in xs:
        _check_wrt(x)
    full = [broadcast_to(to_dtype(g, y.dtype), y.shape) for y, g in zip(ys, gs, strict=True)]
    return like(inputs, or_zeros(reverse_pass(ys, full, xs), xs))


def or_zeros(found: Sequence[Variable | None], xs: Sequence[Variable]) -> list[Variable]:
    """What was found, zeros where there is nothing."""
    return [zeros(x.type) if g is None else g for g, x in zip(found, xs, strict=True)]


# structure and messages ---------------------------------------------------------------------------


def as_list(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, tuple | list) else [value]


def like(structure: Any, values: list[Any]) -> Any:
    """The values in the structure of what was given."""
    if isinstance(structure, Mapping):
        return dict(zip(structure, values, strict=True))
    if isinstance(structure, tuple):
        return tuple(values)
    return values if isinstance(structure, list) else values[0]


def _operand(v: Variable) -> tuple[Any, ...]:
    return (v.label(), v.type.text(), v.origin)


def _check_wrt(v: Any) -> None:
    if not isinstance(v, Variable):
        raise ArgumentError(f"grad: wrt is a variable, not {type(v).__name__}")
    if not dtypes.is_float(v.dtype):
        raise GradientError(
            f"grad: {v.label()} is {v.dtype}; only floats have derivatives",
            operands=[_operand(v)], hint='declare it with dtype "float32" or "float64"',
        )  # fmt: skip


def _check_cost(cost: Any) -> None:
    if not isinstance(cost, Variable):
        raise ArgumentError(f"grad: the cost is a tensor of the graph, not {type(cost).__name__}")
    if cost.ndim:
        raise GradientError(
            f"grad: the cost is no scalar but {cost.type.text()}", operands=[_operand(cost)],
            hint="take sg.sum or sg.mean of it, or use sg.vjp or sg.jacobian",
        )  # fmt: skip
    if not dtypes.is_float(cost.dtype):
        raise GradientError(f"grad: the cost is {cost.dtype}", operands=[_operand(cost)],
                            hint="only floats have derivatives")  # fmt: skip


def _disconnected(v: Variable, outputs: Sequence[Variable], work: Reverse) -> GradientError:
    """The error for a variable without a gradient, with the reason."""
    hint = 'disconnected="zero" gives zeros instead'
    order = toposort(outputs)
    below = {i for node in order for i in node.inputs} | set(outputs)
    if v not in below:
        what = f"grad: the cost does not depend on {v.label()}"
        return GradientError(what, operands=[_operand(v)], hint=hint)
    affected = Reverse([v], work.constants).reached(order)
    for node in order:
        reason = _why_blocked(node, affected)
        if reason:
            place = f" ({node.origins[0].brief()})" if node.origins else ""
            what = f"grad: the cost depends on {v.label()} only through {node.op.name}{place}"
            return GradientError(f"{what}: {reason}", operands=[_operand(v)], hint=hint)
    what = f"grad: the cost depends on {v.label()} only through what consider_constant names"
    return GradientError(what, operands=[_operand(v)], hint=hint)


def _why_blocked(node: Apply, affected: set[Variable]) -> str:
    """Why no cotangent passes a node that an affected float enters, "" when it may pass."""
    if not any(v in affected and dtypes.is_float(v.dtype) for v in node.inputs):
        return ""
    if node.op.nondifferentiable:
        return node.op.nondifferentiable
    if not any(dtypes.is_float(y.dtype) for y in node.outputs):
        return f"its result is {node.outputs[0].dtype}"
    wanted = [v in affected and dtypes.is_float(v.dtype) for v in node.inputs]
    g = tuple(zeros(y.type) if dtypes.is_float(y.dtype) else None for y in node.outputs)
    found = _rule(node, wanted, g)
    passes = any(w and f is not None for w, f in zip(wanted, found, strict=True))
    return "" if passes else "its derivative is zero everywhere"
