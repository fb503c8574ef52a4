"""The tensor graph: Variable, Apply, Constant, Input and Graph, immutable and hash-consed.

Two nodes with the same op and inputs are one object, so common subexpressions need no pass and
equality is ``is``. Names and origins are kept beside the identity and never change it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any
from weakref import _remove_dead_weakref as _remove_dead  # type: ignore[attr-defined]

import numpy as np

from symgraph import dtypes, provenance
from symgraph.errors import ArgumentError, OutOfRangeError, SymgraphError
from symgraph.ir import made_sizes
from symgraph.ir import op as _op
from symgraph.ir.op import Op
from symgraph.ir.operators import LANGUAGE, Operators
from symgraph.ir.types import Shape, SizeCheck, TensorType, below_zero, collecting_checks
from symgraph.scalar import fresh_size


class Variable(Operators):
    """A tensor in a graph: an input, a constant, or output ``index`` of the Apply ``owner``."""

    __slots__ = ("__weakref__", "index", "name", "owner", "type")
    type: TensorType
    owner: Apply | None
    index: int
    name: str | None

    def __init__(self, type: TensorType, owner: Apply | None, index: int) -> None:
        self.type, self.owner, self.index, self.name = type, owner, index, None

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def ndim(self) -> int:
        return len(self.type.shape)

    @property
    def origin(self) -> provenance.Origin | None:
        """Where the user made it (the first origin when several were merged)."""
        source = self.owner.origins if self.owner is not None else self._own_origins()
        return source[0] if source else None

    def _own_origins(self) -> tuple[provenance.Origin, ...]:
        return ()

    def label(self) -> str:
        """Its name, or a short description for messages."""
        if self.name:
            return self.name
        return self.owner.op.name if self.owner is not None else "value"

    def __repr__(self) -> str:
        return f"<{self.label()}: {self.type.text()}>"

    def __reduce__(self) -> Any:
        return _only_output, (Graph((), (self,)),)


class Input(Variable):
    """A free variable: bound when a compiled function is called."""

    __slots__ = ("default", "origins")

    def __init__(self, type: TensorType, name: str | None = None, default: Any = None) -> None:
        super().__init__(type, None, 0)
        self.name = name
        self.default = default
        origin = provenance.capture()
        self.origins = (origin,) if origin else ()

    def _own_origins(self) -> tuple[provenance.Origin, ...]:
        return self.origins

    def __reduce__(self) -> Any:
        return _input, (self.type, self.name, self.default, self.origins)


def checked_name(name: Any) -> str | None:
    """A name that a user gives, text or None; raises ArgumentError for anything else."""
    if name is not None and not isinstance(name, str):
        raise ArgumentError(f"the name of a variable is text, not {name!r:.60}")
    return name


class Constant(Variable):
    """A tensor whose value is part of the graph; ``data`` is a read-only array."""

    __slots__ = ("data",)
    data: np.ndarray

    def __init__(self, data: np.ndarray) -> None:
        super().__init__(TensorType(dtypes.as_dtype(data.dtype), data.shape), None, 0)
        self.data = data

    def __reduce__(self) -> Any:
        return constant, (self.data,)


_constants: weakref.WeakValueDictionary[Any, Constant] = weakref.WeakValueDictionary()
SMALL_CONSTANT = 4096  # bytes; larger constants are compared by identity, not by content


def constant(value: Any, dtype: str | None = None) -> Constant:
    """A constant from anything NumPy can make an array of (copied); small equal ones are one.

    >>> constant([1, 2], "float32").type.text()
    'float32[2]'
    """
    try:
        array = np.array(value, None if dtype is None else dtypes.numpy_dtype(dtype), order="C")
    except OverflowError as error:
        raise OutOfRangeError(f"constant: {error}", hint="give a wider dtype") from None
    kind = dtypes.as_dtype(array.dtype)
    if array.dtype is not (own := dtypes.numpy_dtype(kind)):
        array = array.astype(own, copy=False)
    array.flags.writeable = False
    if array.nbytes > SMALL_CONSTANT:
        return Constant(array)
    key = (kind, array.shape, array.tobytes())
    found = _constants.get(key)
    if found is None:
        found = _constants[key] = Constant(array)
    return found


class Apply:
    """An op applied to inputs; made by :func:`apply`, unique for its op and inputs."""

    __slots__ = ("__weakref__", "checks", "inputs", "op", "origins", "outputs")
    op: Op
    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    origins: tuple[provenance.Origin, ...]
    checks: tuple[SizeCheck, ...]

    @property
    def output(self) -> Variable:
        """The single output."""
        (out,) = self.outputs
        return out

    @property
    def origin(self) -> provenance.Origin | None:
        """Where the user made it (the first origin when several were merged)."""
        return self.origins[0] if self.origins else None

    def __repr__(self) -> str:
        return f"<{self.op!r} of {', '.join(i.label() for i in self.inputs)}>"

    def __reduce__(self) -> Any:
        return _owner, (self.outputs[0],)


class _Reference(weakref.ref[Apply]):
    """A weak reference that knows its key: `WeakValueDictionary` does the same in twice the time,
    a fifth of what it takes to make a node."""

    __slots__ = ("key",)
    key: Any


_applies: dict[Any, _Reference] = {}


def _forget(reference: Any) -> None:
    _remove_dead(_applies, reference.key)  # in one step: the key may have a new node by now


_creating_with: ContextVar[Any] = ContextVar("creating_with", default=None)


class creating_with:
    """While it is open, nodes that nobody gives origins get these: what a rule makes belongs to
    the user's lines that it replaces. ``origins`` may be a function, called for the first node.
    """

    __slots__ = ("origins", "token")

    def __init__(self, origins: tuple[Any, ...] | Callable[[], tuple[Any, ...]]) -> None:
        self.origins = origins

    def __enter__(self) -> None:
        self.token = _creating_with.set(self.origins)

    def __exit__(self, *error: object) -> None:
        _creating_with.reset(self.token)


def apply(op: Op, inputs: Sequence[Variable], origins: tuple[Any, ...] | None = None) -> Apply:
    """The node of ``op`` over ``inputs``: types are inferred and checked here, at the user's line.

    ``origins`` is given by passes that replace nodes; else the user's frame is remembered.
    Raises what the op's type rule raises, with the operands attached.
    """
    inputs = tuple(inputs)
    key = (op, *map(id, inputs))  # the node holds its inputs, so their ids stay valid with it
    known = _applies.get(key)
    if known is not None and (found := known()) is not None:
        return found
    checks = collecting_checks()
    try:
        types = op.types(*[i.type for i in inputs])
    except SymgraphError as error:
        if not error.operands:
            error.operands = tuple((i.label(), i.type.text(), i.origin) for i in inputs)
        raise
    checks += below_zero(op.name, types, (i.shape for i in inputs))
    node = Apply()
    node.op, node.inputs = op, inputs
    node.checks = tuple(dict.fromkeys(checks)) if checks else ()
    if origins is None:
        given = _creating_with.get()
        origins = given() if callable(given) else given
    if origins is None:
        origin = provenance.capture()
        origins = (origin,) if origin else ()
    node.origins = origins
    node.outputs = tuple([Variable(t, node, k) for k, t in enumerate(types)])
    reference = _applies[key] = _Reference(node, _forget)
    reference.key = key
    if op.makes:
        made_sizes.register(node)
    return node


def making(op: Op, inputs: Sequence[Variable]) -> Apply:
    """The node of an op whose result has a size that depends on data: the size gets a name, one
    for each op and inputs, whatever stands in the op's parameter for it.

    Its name is part of the op, so that a graph which is written anew keeps it.
    """
    found: Apply | None = made_sizes.known(op, inputs)
    return found or apply(op.replace(**{op.makes: fresh_size()}), inputs)


_op._apply = apply


class Graph:
    """Inputs and outputs of a computation; everything between is reached from the outputs.

    >>> x = Input(TensorType("float64", (3,)), "x")
    >>> len(Graph((x,), (x,)).toposort())
    0
    """

    __slots__ = ("__weakref__", "_order", "inputs", "outputs")
    _order: tuple[Apply, ...] | None

    def __init__(self, inputs: Iterable[Variable], outputs: Iterable[Variable]) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._order = None

    def toposort(self) -> list[Apply]:
        """All nodes, each after the nodes it reads, in a deterministic order."""
        if self._order is None:
            self._order = tuple(toposort(self.outputs))
        return list(self._order)

    def sized_toposort(self) -> list[Apply]:
        """All nodes, of a whole program: also those that only tell a size, before those that speak
        of it."""
        return toposort(self.outputs, sized=True) if made_sizes.exist() else self.toposort()

    def leaves(self, sized: bool = False) -> list[Variable]:
        """Inputs, constants and shared variables that the outputs reach, in order of first use;
        ``sized``: also those that only tell a size."""
        order = self.sized_toposort() if sized else self.toposort()
        seen = {v: None for node in order for v in node.inputs if v.owner is None}
        seen.update({v: None for v in self.outputs if v.owner is None})
        return list(seen)

    def __reduce__(self) -> Any:
        """Flat rows, so that pickling does not recurse into a deep graph."""
        place: dict[Variable, int] = {}
        order = self.sized_toposort()
        reads = [v for node in order for v in node.inputs if v.owner is None]
        ends = [v for v in self.outputs if v.owner is None]
        leaves = list(dict.fromkeys([*self.inputs, *reads, *ends]))
        place.update({v: k for k, v in enumerate(leaves)})
        rows = []
        for node in order:
            names = {k: o.name for k, o in enumerate(node.outputs) if o.name}
            rows.append((node.op, [place[i] for i in node.inputs], node.origins, names))
            place.update({o: len(place) + k for k, o in enumerate(node.outputs)})
        here = [place[v] for v in self.inputs], [place[v] for v in self.outputs]
        return _graph_of_rows, (leaves, rows, *here)


def _graph_of_rows(
    leaves: list[Variable], rows: list[Any], inputs: list[int], outputs: list[int]
) -> Graph:
    made = list(leaves)
    sizes: dict[Any, Any] = {}  # a graph that is read has its own names of sizes that data tell
    for op, operands, origins, names in rows:
        own = LANGUAGE["resized"](op, sizes)
        given = [made[k] for k in operands]
        if op.makes:
            with creating_with(origins):
                node = making(own, given)
            sizes[getattr(op, op.makes)] = getattr(node.op, op.makes)
        else:
            node = apply(own, given, origins)
        for k, name in names.items():
            node.outputs[k].name = node.outputs[k].name or name
        made += node.outputs
    return Graph([made[k] for k in inputs], [made[k] for k in outputs])


def _only_output(graph: Graph) -> Variable:
    return graph.outputs[0]


def _owner(v: Variable) -> Apply | None:
    return v.owner


def _input(type: TensorType, name: str | None, default: Any, origins: tuple[Any, ...]) -> Input:
    v = Input(type, name, default)
    v.origins = origins
    return v


def toposort(outputs: Iterable[Variable], sized: bool = False) -> list[Apply]:
    """Nodes below the variables, producers first; iterative, so depth does not matter.

    ``sized`` puts the nodes whose results have a size that depends on data before all nodes whose
    parameters speak of it: for whole programs, not for the graphs inside ops.
    """
    needs = made_sizes.needs if sized and made_sizes.exist() else None
    order: list[Apply] = []
    done: set[Apply] = set()
    stack: list[Apply | None] = [
        v.owner for v in reversed(list(outputs)) if v.owner is not None
    ]  # fmt: skip
    while stack:
        node = stack.pop()
        if node is None:  # what the next one reads is done
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in done:
            done.add(node)
            stack += (node, None)
            for v in node.inputs[::-1]:
                owner = v.owner
                if owner is not None and owner not in done:
                    stack.append(owner)
            if needs is not None:
                stack += [m for m in needs(node) if m not in done]
    return order


def rebuild(outputs: Sequence[Variable], mapping: dict[Variable, Variable]) -> list[Variable]:
    """The outputs with leaves or inner variables replaced; nodes that do not change are shared."""
    new = dict(mapping)
    for node in toposort(outputs):
        if all(o in new for o in node.outputs):
            continue
        inputs = [new.get(i, i) for i in node.inputs]
        if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            continue
        fresh = apply(node.op, inputs, node.origins)
        for old, out in zip(node.outputs, fresh.outputs, strict=True):
            new.setdefault(old, out)
    return [new.get(o, o) for o in outputs]
