"""The one tensor of this backend: a node of a graph, a value, or both.

A :class:`Tensor` looks like an array that has been computed. In truth it is a node of symgraph's
graph until somebody asks for its value; then the graph is computed in NumPy (`evaluation.py`), and
the value takes the place of the node. Inside of `tracing()` inputs have no values and what is made
of them stays a graph, which the trainer compiles.

What an op needs to know:

``node_of(x, dtype=None)``
    The symgraph variable of a Tensor, a Keras variable, a NumPy array, a number or a list of them;
    with ``dtype`` it is cast. Python's numbers and lists become constants; an array and a Tensor
    with a value become a leaf that carries its value (an ``Input`` with a default), so that the
    same graph serves other values.
``wrap(node)``
    The Tensor of a variable; of a list, tuple or dict of them the same nest of Tensors.
``value_of(x)``
    The value as a NumPy array that nobody may write to. While tracing, a value that depends on an
    input or on a variable does not exist: raises TracingError, which names the op and the line.
``known(x)``
    The value if there is one, else None: for arguments that may be tensors, such as sizes.

Thus an op is ``def tanh(x): return wrap(sg.tanh(node_of(x)))``.

``shape`` has None where a size is not known before a function runs, `shape_of` (Keras'
``ops.shape``) has 0-d int32 Tensors there. Operators stand in `operators.py`.
Hashing is by identity, ``==`` compares elements.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from keras.src import tree
from keras.src.backend.common import KerasVariable
from keras.src.backend.common.dtypes import result_type
from keras.src.backend.common.keras_tensor import KerasTensor
from keras.src.backend.common.variables import standardize_dtype

import symgraph as sg
from keras_symgraph.src.evaluation import Unknown, evaluate
from keras_symgraph.src.modes import TracingError, is_tracing, recording, state, tracing
from keras_symgraph.src.operators import Operators
from symgraph import Apply, Constant, Input, TensorType, Variable

Shape = tuple["int | None", ...]


# The latest tensor of each node: what is computed on the way to another value is kept for them.
_latest: weakref.WeakValueDictionary[Variable, Tensor] = weakref.WeakValueDictionary()


def _known_node(v: Variable) -> np.ndarray | None:
    tensor = _latest.get(v)
    return None if tensor is None else tensor._array


class Tensor(Operators):
    """A tensor of this backend; see the module."""

    __slots__ = ("__dict__", "__weakref__", "_array", "_node")
    _array: np.ndarray | None
    _node: Variable | None

    def __init__(self, node: Variable | None, array: np.ndarray | None = None) -> None:
        self._node, self._array = node, array

    @property
    def node(self) -> Variable:
        """The variable of the graph; of a value a leaf that carries it."""
        if self._node is None:
            assert self._array is not None
            self._node = leaf(self._array)
        return self._node

    def _value(self) -> np.ndarray:
        if self._array is None:
            node = self._node
            if isinstance(node, Input) and node.default is not None:
                return node.default  # type: ignore[no-any-return]  # may be a variable's storage
            _materialize([self])
            assert self._array is not None
        return self._array

    @property
    def dtype(self) -> str:
        """The dtype in Keras' spelling."""
        return self._node.dtype if self._node is not None else self._array.dtype.name  # type: ignore[union-attr]

    @property
    def shape(self) -> Shape:
        """The sizes; None where one is not known before a function runs."""
        if self._array is not None:
            return self._array.shape
        assert self._node is not None
        sizes = self._node.shape
        for n in sizes:
            if type(n) is not int:
                if not state.tracing:
                    return self._value().shape
                return tuple(n if type(n) is int else None for n in sizes)
        return sizes  # type: ignore[return-value]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._array.shape) if self._array is not None else self._node.ndim  # type: ignore[union-attr]

    @property
    def size(self) -> Any:
        """The number of elements; None where it is not known before a function runs."""
        shape = self.shape
        return None if None in shape else int(np.prod(shape, dtype=np.int64))  # type: ignore[arg-type]

    def astype(self, dtype: Any) -> Tensor:
        """`keras.ops.cast`."""
        return wrap(node_of(self, standardize_dtype(dtype)))  # type: ignore[no-any-return]

    def __getitem__(self, index: Any) -> Tensor:
        return wrap(self.node[_index(index)])  # type: ignore[no-any-return]

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a tensor without axes")
        length = self.shape[0]
        if length is None:
            raise self._untold("its length")
        return length

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("iteration over a tensor without axes")
        return iter([self[k] for k in range(len(self))])

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(value_of(self) == value_of(value)))

    def _untold(self, what: str) -> TracingError:
        return _tracing_error(self.node, what)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = value_of(self)
        if self._array is None or copy:  # a leaf, which may be the storage of a variable
            return np.array(value, dtype)
        return value if dtype is None else np.asarray(value, dtype)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.ndim == 0 else format(str(self), spec)

    def __repr__(self) -> str:
        value = known(self)
        if value is None:  # nor is its shape to be asked for, unless something is being traced
            shape = tuple(n if type(n) is int else None for n in self.node.shape)
            return f"<Tensor shape={shape}, dtype={self.dtype}, {self.node.label()}>"
        text = np.array2string(value, separator=", ")
        return f"<Tensor shape={value.shape}, dtype={self.dtype}, value={text}>"

    def __reduce__(self) -> Any:
        return of_array, (self.numpy(),)

    def __copy__(self) -> Tensor:
        return Tensor(self._node, self._array)

    def __deepcopy__(self, memo: Any) -> Tensor:
        return Tensor(self._node, self._array)


def leaf(array: np.ndarray) -> Input:
    """An input of a graph that carries its value; floats of eight bits go in as float32."""
    if array.dtype.name.startswith("float8"):
        array = array.astype("float32")
    return Input(TensorType(array.dtype.name, array.shape), None, array)


def of_array(array: np.ndarray) -> Tensor:
    """The Tensor of an array that nobody else will write to; it is made read-only."""
    array.flags.writeable = False
    return Tensor(None, array)


def wrap(node: Any) -> Any:
    """The Tensor of a variable of the graph; of a list, tuple or dict of them the same nest."""
    if isinstance(node, Variable):
        tensor = Tensor(node)
        _latest[node] = tensor
        if not state.tracing and not all(type(n) is int for n in node.shape):
            tensor._value()  # a size that depends on data: sizes of eager tensors are known
            tensor._node = None
        return tensor
    if isinstance(node, dict):
        return {k: wrap(v) for k, v in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(map(wrap, node))
    return node


def node_of(x: Any, dtype: Any = None) -> Variable:
    """The variable of anything that Keras takes for a tensor, cast to ``dtype`` if one is given.

    Raises TypeError for what is no tensor, such as a KerasTensor.
    """
    if isinstance(x, Tensor):
        node = x.node
    elif isinstance(x, Variable):
        node = x
    elif isinstance(x, KerasVariable):
        node = node_of(x.value)
    else:
        return _new_node(x, None if dtype is None else standardize_dtype(dtype))
    if dtype is not None and node.dtype != dtype:
        node = sg.cast(node, standardize_dtype(dtype))
    return node


def _new_node(x: Any, dtype: str | None) -> Variable:
    """The variable of what is no tensor yet."""
    if isinstance(x, bool | int | float | complex) and not isinstance(x, np.generic):
        return sg.constant(_as_array(x, dtype))
    if isinstance(x, list | tuple) and any(_has_node(v) for v in tree.flatten(x)):
        nodes = [node_of(v) for v in x]
        common = dtype or result_type(*(v.dtype for v in nodes))
        return sg.stack([sg.cast(v, common) for v in nodes])
    array = _as_array(x, dtype)
    if isinstance(x, list | tuple) and array.nbytes <= 4096:
        return sg.constant(array)
    return leaf(array)


def _has_node(x: Any) -> bool:
    return isinstance(x, Tensor | Variable | KerasVariable)


def _as_array(x: Any, dtype: str | None) -> np.ndarray:
    """A new array; without a dtype numbers and lists take that of Keras' promotion."""
    if isinstance(x, KerasTensor):
        raise TypeError(
            f"A symbolic KerasTensor is not a value: {x}. Call a layer or keras.ops on it."
        )
    if dtype is None and not hasattr(x, "dtype"):
        flat = tree.flatten(x) if isinstance(x, list | tuple) else [x]
        kinds = {getattr(v, "dtype", type(v)) for v in flat}
        dtype = result_type(*kinds) if kinds else result_type(float)
    if dtype is None:
        return np.array(x, order="C")
    if dtype in ("float16", "bfloat16") or dtype.startswith("float8"):
        return np.array(x, order="C").astype(dtype)
    return np.array(x, dtype, order="C")


def value_of(x: Any) -> np.ndarray:
    """The value as an array that is not to be written to; raises TracingError where none exists."""
    if isinstance(x, Tensor):
        return x._value()
    if isinstance(x, KerasVariable):
        return value_of(x.value)
    if isinstance(x, Variable):
        return wrap(x)._value()  # type: ignore[no-any-return]
    if isinstance(x, list | tuple) and any(_has_node(v) for v in tree.flatten(x)):
        return value_of(wrap(node_of(x)))
    return np.asarray(x)


def known(x: Any) -> np.ndarray | None:
    """The value, or None where it does not exist while tracing."""
    try:
        return value_of(x)
    except TracingError:
        return None


def materialize(nest: Any) -> None:
    """Compute the values of all tensors of a nest together."""
    _materialize([x for x in tree.flatten(nest) if isinstance(x, Tensor) and x._array is None])


def _materialize(tensors: Sequence[Tensor]) -> None:
    try:
        found = evaluate([t.node for t in tensors], _known_node)
    except Unknown as error:
        raise _tracing_error(tensors[0].node, "its value", error.variable) from None
    for v, array in found.items():
        if v.owner is not None and (tensor := _latest.get(v)) is not None:
            tensor._settle(array)
    for tensor in tensors:
        if tensor._array is None:
            tensor._settle(found[tensor.node])


def _settle(self: Tensor, array: np.ndarray) -> None:
    """Keep a value, in memory of its own: what an op returns may be a view of a variable."""
    if self._array is None:
        own = array if array.flags.owndata and array.flags.c_contiguous else array.copy()
        own.flags.writeable = False
        self._array = own
        if not state.recording and not isinstance(self._node, Constant):
            self._node = None


Tensor._settle = _settle  # type: ignore[attr-defined]


def _tracing_error(node: Variable, what: str, missing: Variable | None = None) -> TracingError:
    place = node.origin.text() if node.origin is not None else ""
    made = f"the result of {node.owner.op.name!r}" if node.owner is not None else "an input"
    of = f" (it depends on {missing.label()})" if missing is not None and missing.name else ""
    return TracingError(
        f"{what} is needed of a tensor that has none while a function is traced: {made}, "
        f"{node.type.text()}{of}{', made in ' + place if place else ''}. "
        "Use keras.ops in the place of Python's control flow and NumPy, "
        "or model.compile(..., run_eagerly=True)."
    )


def shape_of(x: Any) -> tuple[Any, ...]:
    """The sizes: integers, and 0-d int32 Tensors where one is not known before a function runs."""
    if isinstance(x, Tensor) and x._array is None and state.tracing:
        sizes = x.node.shape
        return tuple(
            n if type(n) is int else wrap(sg.cast(sg.as_variable(n), "int32")) for n in sizes
        )
    return tuple(x.shape) if hasattr(x, "shape") else tuple(np.shape(x))


def _index(index: Any) -> Any:
    """An index in which tensors are variables and sizes."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    if isinstance(index, slice):
        return slice(*(map(_bound, (index.start, index.stop, index.step))))
    if isinstance(index, Tensor | KerasVariable):
        return node_of(index)
    if isinstance(index, list) and any(_has_node(v) for v in tree.flatten(index)):
        return node_of(index)
    return index


def _bound(n: Any) -> Any:
    """A bound of a slice: an integer, or a size."""
    if not _has_node(n):
        return n
    value = known(n)
    return int(value) if value is not None else sg.size_from(node_of(n))


__all__ = [
    "Apply", "Tensor", "TracingError", "is_tracing", "known", "leaf", "materialize", "node_of",
    "of_array", "recording", "shape_of", "tracing", "value_of", "wrap",
]  # fmt: skip
