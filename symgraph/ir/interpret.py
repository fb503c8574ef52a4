"""The meaning of a graph: every op by its NumPy reference, one after another.

All that the compiler does is tested against this. It is iterative, so depth does not matter; op
parameters that hold symbolic sizes are bound to numbers before the op's reference is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import (
    ArgumentError,
    IndexOutOfRange,
    InputValueError,
    Operand,
    ShapeError,
    SymgraphError,
    UnboundVariableError,
    VerifyError,
)
from symgraph.ir.graph import Apply, Constant, Graph, Variable, toposort
from symgraph.ir.hashing import shared_variables
from symgraph.ir.op import Op
from symgraph.ir.shared import Shared
from symgraph.ir.types import Size, TensorType
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, evaluate_size, polynomial, variables

Env = dict[str, int]
Monitor = Callable[[Apply, Sequence[np.ndarray], Sequence[np.ndarray]], None]


def interpret(
    graph: Graph,
    values: Sequence[Any],
    shared: Mapping[Shared, np.ndarray] | None = None,
    sizes: Mapping[str, int] | None = None,
    monitor: Monitor | None = None,
) -> list[np.ndarray]:
    """The outputs of a graph for arrays given to its inputs, in their order.

    ``shared`` gives shared variables another value than their present one, ``sizes`` binds names
    that no input tells. ``monitor`` is called with each node, the arrays that it read and those
    that it made, inside loops at every turn. The results are new arrays.

    Raises ArgumentError for the number of values, InputValueError for a wrong dtype or rank,
    ShapeError (at the user's line) where sizes do not fit, IndexOutOfRange, UnboundVariableError,
    and VerifyError when a reference contradicts the type rule of its op.

    >>> from symgraph.ir.graph import Input
    >>> from symgraph.ir.types import tensor_type
    >>> x = Input(tensor_type("float64", ("n",)), "x")
    >>> interpret(Graph((x,), (x,)), [[1.0, 2.0]])[0].tolist()
    [1.0, 2.0]
    """
    if len(values) != len(graph.inputs):
        raise ArgumentError(f"the graph takes {len(graph.inputs)} inputs, got {len(values)}")
    arrays = [_input(v, a) for v, a in zip(graph.inputs, values, strict=True)]
    state = {s: s.get_value(borrow=True) for s in shared_variables(graph)}
    state.update({s: np.asarray(a) for s, a in (shared or {}).items()})
    env = dict(sizes or {})
    bind_sizes([*zip(graph.inputs, arrays, strict=True), *state.items()], env)
    with np.errstate(all="ignore"):
        return [np.array(a) for a in Machine(state, monitor).run(graph, arrays, env)]


def _input(v: Variable, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype != dtypes.numpy_dtype(v.dtype) or array.ndim != v.ndim:
        raise InputValueError(
            f"{v.label()} is {v.type.text()}, got {array.dtype} of shape {array.shape}",
            origin=v.origin,
        )
    return array


# sizes --------------------------------------------------------------------------------------------


def bind_sizes(given: Sequence[tuple[Variable, np.ndarray]], env: Env) -> None:
    """Add to ``env`` the sizes that arrays give to the names in their variables' types.

    Names that stand alone are read off; an expression in one unknown name, such as ``2*n + 1``, is
    solved; all that remains must agree. Raises ShapeError naming variable, axis and sizes.
    """
    facts = [
        (v, axis, size, actual)
        for v, array in given
        for axis, (size, actual) in enumerate(zip(v.shape, array.shape, strict=True))
    ]
    for _, _, size, actual in facts:
        if isinstance(size, Expr) and size.op == "var":
            env.setdefault(size.attr, actual)
    for v, axis, size, actual in facts:
        if isinstance(size, Expr) and size.op != "var":
            _solve(size, actual, env)
        expected = evaluate_size(size, env)
        if expected != actual:
            known = "" if isinstance(size, int) else f" = {size}"
            raise ShapeError(
                f"{v.label()}: axis {axis} has size {actual}, expected {expected}{known}",
                origin=v.origin,
                operands=[(v.label(), v.type.text(), v.origin)],
            )


def _solve(size: Expr, actual: int, env: Env) -> None:
    """Bind the one unknown name of a linear expression to what makes it equal to ``actual``."""
    unknown = [x for x in variables(size) if x.attr not in env]
    if not unknown:
        return
    terms = polynomial(size)
    factor = terms.get((unknown[0],))
    others = sum(
        c * int(np.prod([evaluate_size(x, {**env, unknown[0].attr: 0}) for x in m], dtype=object))
        for m, c in terms.items()
        if m != (unknown[0],)
    )
    if len(unknown) > 1 or not factor or any(unknown[0] in m for m in terms if len(m) > 1):
        raise ShapeError(f"the size {', '.join(map(str, unknown))} is not told by any input")
    env[unknown[0].attr] = (actual - others) // factor


def bind_op(op: Op, env: Mapping[str, int]) -> Op:
    """The op with the sizes among its parameters replaced by numbers; a size that it makes is not
    known yet."""
    pairs = zip(op.fields, op._values, strict=True)
    values = [v if n == op.makes else _bind(v, env) for n, v in pairs]
    if all(a is b for a, b in zip(values, op._values, strict=True)):
        return op
    return op.replace(**dict(zip(op.fields, values, strict=True)))


def _bind(value: Any, env: Mapping[str, int]) -> Any:
    if isinstance(value, Expr):
        return evaluate_size(value, env)
    if isinstance(value, tuple):
        parts = [_bind(v, env) for v in value]
        if all(a is b for a, b in zip(parts, value, strict=True)):
            return value
        return tuple(parts) if type(value) is tuple else type(value)(*parts)
    if isinstance(value, slice):
        return slice(*(_bind(v, env) for v in (value.start, value.stop, value.step)))
    return value


# running ------------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """A node, whether its op holds sizes, and the variables that nobody reads after it."""

    node: Apply
    symbolic: bool
    dead: tuple[Variable, ...]


class Machine:
    """Runs graphs; the order of each (also of inner ones, run many times) is found once."""

    def __init__(self, state: Mapping[Shared, np.ndarray], monitor: Monitor | None = None) -> None:
        self.state, self.monitor = state, monitor
        self.plans: dict[Graph, list[_Step]] = {}

    def run(self, graph: Graph, arrays: Sequence[np.ndarray], env: Env) -> list[np.ndarray]:
        memory: dict[Variable, np.ndarray] = dict(zip(graph.inputs, arrays, strict=True))
        plan = self.plans.get(graph)
        if plan is None:
            plan = self.plans[graph] = _plan(graph, whole=not self.plans)
        for node, symbolic, dead in plan:
            inputs = [self._value(v, memory) for v in node.inputs]
            if node.checks:
                _check(node, env)
            op = bind_op(node.op, env) if symbolic else node.op
            results = self._apply(node, op, inputs, env)
            memory.update(zip(node.outputs, results, strict=True))
            if self.monitor is not None:
                self.monitor(node, inputs, results)
            for v in dead:
                del memory[v]
        return [self._value(v, memory) for v in graph.outputs]

    def _value(self, v: Variable, memory: dict[Variable, np.ndarray]) -> np.ndarray:
        found = memory.get(v)
        if found is not None:
            return found
        if isinstance(v, Constant):
            return v.data
        if isinstance(v, Shared):
            return self.state[v]
        raise UnboundVariableError(
            f"{v.label()}: {v.type.text()} has no value: it is not among the inputs",
            origin=v.origin,
        )

    def _apply(self, node: Apply, op: Op, inputs: list[np.ndarray], env: Env) -> list[np.ndarray]:
        try:
            if hasattr(op, "inner"):
                arrays = _listed(op.reference(self._inner(env), *inputs))
            else:
                arrays = by_reference(node, op, inputs)
        except SymgraphError as error:
            if node.origin is not None and not hasattr(op, "inner"):  # whose nodes have said it
                error.origin = node.origin
                error.operands = tuple(operands_of(node))
            raise
        except IndexError as error:
            raise IndexOutOfRange(f"{op.name}: {error}", origin=node.origin) from error
        except Exception as error:
            place = f" ({node.origin.brief()})" if node.origin is not None else ""
            error.add_note(f"in the reference of {op!r}{place}")
            raise
        if len(arrays) != len(node.outputs):
            raise VerifyError(f"{op.name}: {len(arrays)} results for {len(node.outputs)} outputs")
        for v, a in zip(node.outputs, arrays, strict=True):
            _agree(node, v.type, a, env)
        return arrays

    def _inner(self, env: Env) -> Inner:
        return Inner(self, env)


def made_with(made: Apply | None, node: Apply) -> bool:
    """Whether the same call of the user made both nodes."""
    return made is not None and bool(node.origins) and made.origins[:1] == node.origins[:1]


def operands_of(node: Apply) -> list[Operand]:
    """What the user gave to the operation that this node is part of: inputs which another op of
    the same call has made (the LU factors inside solve) are replaced by what these were made of."""
    found: dict[Variable, None] = {}
    waiting = list(node.inputs)
    while waiting:
        v = waiting.pop(0)
        made = v.owner
        inside = made_with(made, node)
        if inside and made is not None and made.op != node.op:
            waiting = [*made.inputs, *waiting]
        elif not isinstance(v, Constant) or not inside:
            found[v] = None
    kept = [v for v in found if not isinstance(v, Constant)] or list(found)
    return [(v.label(), v.type.text(), v.origin) for v in kept[:6]]


class Inner:
    """What the reference of an op with graphs is given to run them: the sizes outside are known."""

    def __init__(self, machine: Machine, env: Env) -> None:
        self.machine, self.env = machine, env

    def __call__(self, graph: Graph, arrays: Sequence[Any]) -> list[np.ndarray]:
        given = [np.asarray(a) for a in arrays]
        return self.machine.run(graph, given, self._sizes(graph, given))

    def _sizes(self, graph: Graph, arrays: Sequence[np.ndarray]) -> Env:
        own = dict(self.env)
        bind_sizes(list(zip(graph.inputs, arrays, strict=True)), own)
        return own

    def empty(self, graph: Graph, arrays: Sequence[Any]) -> list[np.ndarray]:
        """Arrays of no rows of the types that the graph's outputs would have; nothing is run."""
        own = self._sizes(graph, [np.asarray(a) for a in arrays])
        return [
            np.zeros((0, *(evaluate_size(s, own) for s in v.shape)), dtypes.numpy_dtype(v.dtype))
            for v in graph.outputs
        ]


def by_reference(node: Apply, op: Op, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a node by the reference of its op, whose sizes are numbers: narrow floats in
    float32 and rounded once."""
    arrays = _listed(op.reference(*_widened(op, inputs)))
    if op.widens and any(dtypes.is_narrow(v.dtype) for v in node.outputs):
        arrays = [_narrowed(v.dtype, a) for v, a in zip(node.outputs, arrays, strict=False)]
    return arrays


def _listed(results: Any) -> list[np.ndarray]:
    several = isinstance(results, tuple | list)
    return [np.asarray(r) for r in (results if several else (results,))]


def _widened(op: Op, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """What an op's reference is given: float32 in the place of narrow floats."""
    if not op.widens:
        return arrays
    # by its bytes first: to ask for the name of a dtype takes longer than a small op
    return [a.astype("float32") if a.itemsize == 2 and dtypes.is_narrow(str(a.dtype)) else a
            for a in arrays]  # fmt: skip


def _narrowed(dtype: str, array: np.ndarray) -> np.ndarray:
    same = not dtypes.is_narrow(dtype) or str(array.dtype) != "float32"
    return array if same else array.astype(dtypes.numpy_dtype(dtype))


def _plan(graph: Graph, whole: bool) -> list[_Step]:
    order = toposort(graph.outputs, sized=whole)
    last: dict[Variable, Apply] = {v: node for node in order for v in (*node.outputs, *node.inputs)}
    kept = {*graph.outputs, *graph.inputs}
    dead: dict[Apply, list[Variable]] = {node: [] for node in order}
    for v, node in last.items():
        if v.owner is not None and v not in kept:
            dead[node].append(v)
    symbolic = {op: holds_size(op._values) for op in {node.op for node in order}}
    return [_Step(n, symbolic[n.op], tuple(dead[n])) for n in order]


def holds_size(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(holds_size, value))
    if isinstance(value, slice):
        return holds_size((value.start, value.stop, value.step))
    return isinstance(value, Expr)


def _check(node: Apply, env: Env) -> None:
    for check in node.checks:
        left, right, what = check
        a, b = evaluate_size(left, env), evaluate_size(right, env)
        if a != b:
            told = f"{left} and {right}"
            names = "" if told == f"{a} and {b}" or "?" in told else f" ({told})"
            raise ShapeError(
                what if check.says_all() else f"{what}: {a} and {b}{names}",
                origin=node.origin,
                operands=[(i.label(), i.type.text(), i.origin) for i in node.inputs],
            )


def _agree(node: Apply, declared: TensorType, array: np.ndarray, env: Env) -> None:
    fits = array.dtype == dtypes.numpy_dtype(declared.dtype) and array.ndim == declared.ndim
    if not fits or not all(
        _size(s, n, env) == n for s, n in zip(declared.shape, array.shape, strict=True)
    ):
        raise VerifyError(
            f"{node.op.name}: the reference gave {array.dtype}{list(array.shape)}, "
            f"the type rule says {declared.text()}",
            origin=node.origin,
        )


def _size(size: Size, actual: int, env: Env) -> int:
    if isinstance(size, Expr) and size.op == "var":
        return env.setdefault(
            size.attr, actual
        )  # a size that depends on data is told by the result
    return evaluate_size(size, env)
