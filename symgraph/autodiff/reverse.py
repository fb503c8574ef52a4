"""Reverse accumulation: cotangents flow from the outputs of a graph back to its variables.

The result is a graph like any other, so it can be differentiated again. Rules of elementwise ops
give cotangents of the shape of the result; here they are summed over the axes along which an
operand was broadcast (Griewank and Walther, Evaluating Derivatives, 2008, chapter 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.autodiff.repairs import repaired
from symgraph.errors import ArgumentError, GradientError
from symgraph.ir.graph import (
    Apply,
    Constant,
    Graph,
    Input,
    Variable,
    constant,
    creating_with,
    toposort,
)
from symgraph.ir.operators import in_language
from symgraph.ir.types import Shape
from symgraph.ops import reductions
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import logical_and, logical_not, where
from symgraph.ops.nests import inexact_parts, with_inexact_parts
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import BroadcastTo, ExpandDims, Reshape, broadcast_to, is_one
from symgraph.ops.slicing import zeros

__all__ = ["grad", "subgraph_grad", "value_and_grad", "vjp"]


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
            wanted = [v in reached and dtypes.is_inexact(v.dtype) for v in node.inputs]
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
        g = tuple(None if y in self.constants else self.sums.get(y) for y in node.outputs)
        if all(v is None for v in g):
            return
        for y in node.outputs:
            if y not in self.wrt:
                self.sums.pop(y, None)
        with creating_with(node.origins):
            found = _rule_behind_choice(node, wanted, g)
            for v, w, contribution in zip(node.inputs, wanted, found, strict=True):
                if w and contribution is not None:
                    self.add(v, contribution)


def _rule_behind_choice(
    node: Apply, wanted: list[bool], g: tuple[Any, ...]
) -> Sequence[Variable | None]:
    """The rule; a cotangent that is zero but where a condition holds (what `where` gives for a
    branch) keeps this form through elementwise ops. So an infinite slope of a branch that was not
    chosen is not multiplied by zero, which would be NaN, but never chosen."""
    if not node.op.elementwise or len(g) != 1:
        return apply_rule(node, wanted, g)
    inner, mask = g[0], None
    while (choice := _choice(inner)) is not None:
        flag, inner = choice
        mask = flag if mask is None else logical_and(mask, flag)
    found = apply_rule(node, wanted, (inner,))
    if mask is None:
        return found
    return [None if f is None else where(mask, f, 0) for f in found]


def _choice(g: Variable) -> tuple[Variable, Variable] | None:
    """(condition, value) of a cotangent that is `value` where the condition holds, else zero."""
    node = g.owner
    if node is None or node.op.name != "where":
        return None
    flag, a, b = node.inputs
    if _is_zero(b):
        return flag, a
    return (logical_not(flag), b) if _is_zero(a) else None


def _is_zero(v: Variable) -> bool:
    return isinstance(v, Constant) and v.ndim == 0 and not v.data


def apply_rule(node: Apply, wanted: list[bool], g: tuple[Any, ...]) -> Sequence[Variable | None]:
    """What the op's rule gives; ops that own graphs compute only what is wanted."""
    op: Any = node.op
    if not callable(getattr(op, "vjp", None)):
        return pulled(op, node.inputs, wanted, node.outputs, g)
    if hasattr(op, "partial_vjp"):
        return op.partial_vjp(wanted, g, node.outputs, *node.inputs)  # type: ignore[no-any-return]
    if len(g) == 1:
        return op.vjp(g[0], node.outputs[0], *node.inputs)  # type: ignore[no-any-return]
    return op.vjp(g, node.outputs, *node.inputs)  # type: ignore[no-any-return]


def pushed(
    op: Any, inputs: Sequence[Variable], outputs: Sequence[Variable],
    tangents: Sequence[Variable | None],
) -> list[Variable | None]:  # fmt: skip
    """The tangents of the outputs by the op's own rule."""
    found = op.jvp(tuple(tangents), outputs[0] if len(outputs) == 1 else tuple(outputs), *inputs)
    several = found if isinstance(found, tuple | list) else (found,)
    if len(several) != len(outputs):
        raise ArgumentError(
            f"{op.name}: its jvp gave {len(several)} tangents for {len(outputs)} outputs"
        )
    return [None if t is None else as_variable(t) for t in several]


@in_language("pull_by_jvp")
def pulled(
    op: Any, inputs: Sequence[Variable], wanted: Sequence[bool], outputs: Sequence[Variable],
    g: Sequence[Variable | None],
) -> list[Variable | None]:  # fmt: skip
    """The transpose of the op's rule for tangents, which is linear in them."""
    seeds = [
        Input(v.type) if w and dtypes.is_inexact(v.dtype) else None
        for v, w in zip(inputs, wanted, strict=True)
    ]
    rows = zip(pushed(op, inputs, outputs, seeds), g, outputs, strict=True)
    pairs = [(fitted(t, y), c) for t, c, y in rows if t is not None and c is not None]
    real = [s for s in seeds if s is not None]
    found = reverse_pass([t for t, _ in pairs], [c for _, c in pairs], real)
    if set(real) & set(Graph((), [f for f in found if f is not None]).leaves()):
        raise GradientError(f"{op.name}: its jvp is not linear in the tangents")
    rest = iter(found)
    return [None if s is None else next(rest) for s in seeds]


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
        if g is not None and dtypes.is_inexact(y.dtype):
            work.add(y, g)
    work.run(outputs)
    return [work.sums.get(v) for v in wrt]


# the user's functions -----------------------------------------------------------------------------


def grad(
    cost: Variable | None, wrt: Any, known_grads: Mapping[Variable, Any] | None = None,
    consider_constant: Sequence[Variable] = (), disconnected: str = "raise",
    holomorphic: bool = False,
) -> Any:  # fmt: skip
    """The gradient of a scalar ``cost`` with respect to ``wrt``: one variable, or a list, tuple or
    dict of them (any variables of the graph, shared ones too); the same structure is returned.

    ``known_grads`` gives cotangents of further variables (then the cost may be None);
    ``consider_constant`` are variables that nothing flows through; ``disconnected`` is "raise" or
    "zero" for variables that the cost does not depend on.

    With respect to a complex variable z = x + iy the gradient of a real cost is df/dx - i df/dy, as
    in JAX: the direction of steepest descent is minus its conjugate. ``holomorphic=True`` takes a
    complex cost and gives its complex derivative df/dz, which exists for holomorphic functions of
    complex variables. Real variables have real gradients.

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
        check_wrt(v)
        if holomorphic and not dtypes.is_complex(v.dtype):
            raise GradientError(
                f"grad: df/dz by {v.label()}, which is real", operands=[_operand(v)],
                hint="holomorphic=True is for complex variables",
            )  # fmt: skip
    seeds = {v: as_variable(g) for v, g in (known_grads or {}).items()}
    work = Reverse(variables, consider_constant)
    if cost is not None:
        _check_cost(cost, holomorphic)
        if not seeds:  # else the cotangents belong to values inside the cost
            (stable,) = repaired([cost], [*variables, *consider_constant])
            work = _pulled_back(work, {stable: constant(1, cost.dtype)})
    if cost is None or seeds or any(v not in work.sums for v in variables):
        ends = {} if cost is None else {cost: constant(1, cost.dtype)}
        work = _pulled_back(Reverse(variables, consider_constant), seeds, ends)
    found = []
    for v in variables:
        g = work.sums.get(v)
        if g is None and disconnected == "raise":
            raise _disconnected(v, [*seeds, *([] if cost is None else [cost])], work)
        found.append(zeros(v.type) if g is None else g)
    return like(wrt, found)


def _pulled_back(work: Reverse, *cotangents: Mapping[Variable, Variable]) -> Reverse:
    """The pass from these cotangents back."""
    for some in cotangents:
        for v, g in some.items():
            work.add(v, g)
    work.run([v for some in cotangents for v in some])
    return work


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
        check_wrt(x)
    full = [broadcast_to(to_dtype(g, y.dtype), y.shape) for y, g in zip(ys, gs, strict=True)]
    return like(inputs, or_zeros(reverse_pass(repaired(ys, xs), full, xs), xs))


def subgraph_grad(
    wrt: Any, end: Sequence[Variable], start: Mapping[Variable, Any] | None = None,
    cost: Variable | None = None,
) -> tuple[Any, list[Variable]]:  # fmt: skip
    """Derivatives of one part of a graph: from ``start``, cotangents of some of its values, or a
    scalar ``cost``, back to ``wrt``, and to the values ``end`` at which the part begins and beyond
    which nothing flows. Returns (gradients in the structure of wrt, cotangents of end); the latter
    are the ``start`` of the part before.

    >>> import symgraph as sg
    >>> x, a, b = sg.scalar("x"), sg.scalar("a"), sg.scalar("b")
    >>> hidden = sg.tanh(a * x)
    >>> slope_b, back = sg.subgraph_grad(b, [hidden], cost=(b * hidden) ** 2)
    >>> slope_a, _ = sg.subgraph_grad(a, [x], start={hidden: back[0]})
    >>> slope_a.eval({x: 0.0, a: 1.0, b: 2.0}).item()
    0.0
    """
    wanted, ends = as_list(wrt), list(end)
    found = grad(cost, [*wanted, *ends], start, consider_constant=ends, disconnected="zero")
    return like(wrt, found[: len(wanted)]), found[len(wanted) :]


def or_zeros(found: Sequence[Variable | None], xs: Sequence[Variable]) -> list[Variable]:
    """What was found, zeros where there is nothing."""
    return [zeros(x.type) if g is None else g for g, x in zip(found, xs, strict=True)]


# structure and messages ---------------------------------------------------------------------------


def as_list(value: Any) -> list[Any]:
    """The tensors of a list, tuple or dict; of a container in it what has derivatives."""
    if isinstance(value, Mapping):
        value = list(value.values())
    items = value if isinstance(value, tuple | list) else [value]
    return [v for item in items for v in inexact_parts(item)]


def like(structure: Any, values: list[Any]) -> Any:
    """The values in the structure of what was given."""
    several = isinstance(structure, Mapping | tuple | list)
    items = structure.values() if isinstance(structure, Mapping) else structure
    rest = iter(values)
    values = [with_inexact_parts(s, rest) for s in (items if several else [structure])]
    if isinstance(structure, Mapping):
        return dict(zip(structure, values, strict=True))
    if isinstance(structure, tuple):
        return tuple(values)
    return values if isinstance(structure, list) else values[0]


def _operand(v: Variable) -> tuple[Any, ...]:
    return (v.label(), v.type.text(), v.origin)


def check_wrt(v: Any, what: str = "grad") -> None:
    """Raises for what has no derivatives."""
    if not isinstance(v, Variable):
        raise ArgumentError(
            f"{what}: wrt is a variable, not {type(v).__name__}",
            hint=f"give the variable itself: sg.{what}(cost, x)",
        )
    if not dtypes.is_inexact(v.dtype):
        raise GradientError(
            f"{what}: {v.label()} is {v.dtype}; only floats have derivatives",
            operands=[_operand(v)], hint='declare it with dtype "float32" or "float64"',
        )  # fmt: skip


def _check_cost(cost: Any, holomorphic: bool) -> None:
    if not isinstance(cost, Variable):
        raise ArgumentError(
            f"grad: the cost is a tensor of the graph, not {type(cost).__name__}",
            hint="give the expression, not the function compiled from it" if callable(cost) else "",
        )
    if cost.ndim:
        raise GradientError(
            f"grad: the cost is no scalar but {cost.type.text()}", operands=[_operand(cost)],
            hint="take sg.sum or sg.mean of it, or use sg.vjp or sg.jacobian",
        )  # fmt: skip
    if dtypes.is_complex(cost.dtype):
        if not holomorphic:
            raise GradientError(
                "grad: the cost is complex", operands=[_operand(cost)],
                hint="take .real, .imag or sg.abs of it, or say holomorphic=True for its df/dz",
            )  # fmt: skip
    elif not dtypes.is_float(cost.dtype):
        raise GradientError(f"grad: the cost is {cost.dtype}", operands=[_operand(cost)],
                            hint="only floats have derivatives")  # fmt: skip


def _disconnected(v: Variable, outputs: Sequence[Variable], work: Reverse) -> GradientError:
    """The error for a variable without a gradient, with the reason."""
    hint = 'disconnected="zero" gives zeros instead'
    order = toposort(outputs)
    below = {i for node in order for i in node.inputs} | set(outputs)
    if v not in below:
        what = f"grad: the cost does not depend on {v.label()}"
        if v.owner is not None:
            hint = f"build the cost from this very tensor (y = ...; cost = f(y)); {hint}"
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
    if not any(v in affected and dtypes.is_inexact(v.dtype) for v in node.inputs):
        return ""
    if node.op.nondifferentiable:
        return node.op.nondifferentiable
    if not any(dtypes.is_inexact(y.dtype) for y in node.outputs):
        return f"its result is {node.outputs[0].dtype}"
    wanted = [v in affected and dtypes.is_inexact(v.dtype) for v in node.inputs]
    g = tuple(zeros(y.type) if dtypes.is_inexact(y.dtype) else None for y in node.outputs)
    found = apply_rule(node, wanted, g)
    passes = any(w and f is not None for w, f in zip(wanted, found, strict=True))
    return "" if passes else "its derivative is zero everywhere"
