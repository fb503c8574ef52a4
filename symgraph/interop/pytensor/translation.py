"""From a graph of PyTensor to a graph of symgraph, node by node.

A variable of PyTensor is known here in up to two ways: as a tensor of symgraph, and, when it is
made of sizes, as sizes. So the arithmetic of shapes, which PyTensor writes with tensors, becomes
size expressions again, and shapes stay known while the graph is built.

Values that are no tensors (random generators, sparse matrices, lists, slices) are kept in a table;
in the graph an int64 stands for each, which only callbacks look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph import api as sg
from symgraph import config
from symgraph.errors import SymgraphError
from symgraph.interop.pytensor.perform import perform_node
from symgraph.interop.pytensor.performers import Objects, Performer, is_tensor
from symgraph.interop.pytensor.sparse_values import Matrix, is_sparse
from symgraph.interop.pytensor.table import OPS, Untranslatable, row_of
from symgraph.ir.types import Size, TensorType
from symgraph.ops.operands import as_variable
from symgraph.scalar import Expr

Sizes = tuple[Size, ...]
EXPECTED = (Untranslatable, SymgraphError, NotImplementedError)


def static_shape(variable: Any) -> tuple[int | None, ...]:
    """The shape that PyTensor knows, None for what it does not."""
    return tuple(getattr(variable.type, "shape", ()))


class Translation:
    """The translation of one graph; a graph inside a loop has its own, with ``outer`` set."""

    def __init__(
        self, objects: Objects, outer: Translation | None = None, loose: bool = False
    ) -> None:
        self.objects = objects
        self.outer = outer
        self.values: dict[Any, Any] = {}
        self.sizes: dict[Any, Size | Sizes] = {}
        self.busy: set[Any] = set()  # nodes whose shapes are being asked for
        self.performed: list[tuple[Any, str]] = outer.performed if outer is not None else []
        self.performers: dict[str, Performer] = outer.performers if outer is not None else {}
        self.raises: dict[str, tuple[type[BaseException], str]] = (
            outer.raises if outer is not None else {}
        )
        self.loose: bool = outer.loose if outer is not None else loose
        self.rewriter: Any = outer.rewriter if outer is not None else None
        # what is taken to have the same size, where a size of 1 would stretch
        self.strict: dict[str, None] = outer.strict if outer is not None else {}

    # what a variable is ---------------------------------------------------------------------------

    def get(self, v: Any) -> Any:
        """The tensor of symgraph for a variable of PyTensor."""
        if v in self.values:
            return self.values[v]
        if v in self.sizes:
            found = self.sizes[v]
            if isinstance(found, tuple):
                tensor = (
                    sg.stack([as_variable(s, "int64") for s in found])
                    if any(isinstance(s, Expr) for s in found)
                    else sg.constant(np.array(found, "int64"))
                )
            else:
                tensor = as_variable(found)
            tensor = tensor if tensor.dtype == v.type.dtype else sg.cast(tensor, v.type.dtype)
        elif hasattr(v, "data"):
            tensor = self._constant(v)
        elif v.owner is not None:
            self.run(v.owner)
            return self.get(v)
        else:
            raise Untranslatable(f"{v} has no value")
        self.values[v] = tensor
        return tensor

    def _constant(self, v: Any) -> Any:
        if is_tensor(v):
            return sg.constant(np.asarray(v.data, v.type.dtype))
        if is_sparse(v):
            return Matrix.constant(v.type, v.data, self.objects)
        return sg.constant(np.asarray(self.objects.keep(v.data)))

    def size(self, v: Any) -> Size:
        """A 0-d integer of PyTensor as a size: as known, or else told by the data."""
        known = self.known(v)
        if known is not None and not isinstance(known, tuple):
            return known
        if v not in self.values and v.owner is not None and v not in self.sizes:
            self.run(v.owner)
            return self.size(v)
        if self.outer is not None:
            raise Untranslatable("a size inside a loop depends on data")
        return sg.size_from(self.get(v))

    def known(self, v: Any) -> Size | Sizes | None:
        """The sizes that a variable is made of, None when it is something else."""
        if v in self.sizes:
            return self.sizes[v]
        data = getattr(v, "data", None)
        if data is None or not is_tensor(v) or np.dtype(v.type.dtype).kind not in "iu":
            return None
        array = np.asarray(data)
        if array.ndim == 0:
            return int(array)
        return tuple(int(n) for n in array) if array.ndim == 1 and array.size < 64 else None

    def shape(self, v: Any) -> Sizes:
        """A vector of PyTensor as the sizes of a shape."""
        known = self.known(v)
        if isinstance(known, tuple):
            return known
        (count,) = static_shape(v)
        count = self.get(v).shape[0] if count is None else count
        if not isinstance(count, int):
            raise Untranslatable("the number of dimensions depends on data")
        if self.outer is not None:
            raise Untranslatable("a shape inside a loop depends on data")
        return tuple(sg.size_from(self.get(v)[k]) for k in range(count))

    def inner(self, graph: Any) -> Any:
        """The graph inside an op, rewritten: before PyTensor 3 this is left to the linkers."""
        if self.rewriter is not None and type(graph).__name__ == "FunctionGraph":
            self.rewriter.rewrite(graph)
        return graph

    def strictly(self, what: str) -> bool:
        """Whether sizes that may stretch are taken to be the same: a call with others raises, and
        is made again by a program that is translated loosely."""
        if self.loose:
            return False
        self.strict[what] = None
        return True

    # translating ----------------------------------------------------------------------------------

    def run(self, node: Any) -> None:
        """Translate a node and what it needs."""
        waiting = [node]
        while waiting:
            top = waiting[-1]
            above = [v.owner for v in top.inputs if v.owner is not None and not self._has(v)]
            if above:
                waiting.extend(above)
                continue
            waiting.pop()
            if not all(self._has(v) for v in top.outputs):
                self._translate(top)

    def _has(self, v: Any) -> bool:
        return v in self.values or v in self.sizes

    def _translate(self, node: Any) -> None:
        if node in self.busy:
            raise Untranslatable(f"the shape of {node.op} depends on its result")
        try:
            row = row_of(node.op, OPS)
            if row is None:
                raise Untranslatable("no row in the table")
            if not all(is_tensor(v) for v in node.outputs) and not getattr(row, "objects", False):
                raise Untranslatable("its result is no tensor")
            found = row(node.op, node, self)
            self._store(node, found)
        except Exception as problem:  # any op of any version: what fails here runs in Python
            if config.get("verify") and not isinstance(problem, EXPECTED):
                raise
            for v in node.outputs:
                self.values.pop(v, None)
                self.sizes.pop(v, None)
            reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            self.performed.append((node, reason))
            self.busy.add(node)
            found = perform_node(node, self)
            self.busy.discard(node)
            self._store(node, found)

    def _store(self, node: Any, found: Any) -> None:
        if found is None:  # the row has entered sizes
            return
        results: Sequence[Any] = found if isinstance(found, tuple | list) else (found,)
        if len(results) != len(node.outputs):
            raise Untranslatable(f"{len(results)} results for {len(node.outputs)}")
        for v, x in zip(node.outputs, results, strict=True):
            self.values[v] = self.fitted(x, v) if is_tensor(v) else x

    def fitted(self, x: Any, v: Any) -> Any:
        """x with the dtype and the sizes that PyTensor's type of ``v`` promises."""
        # where PyTensor's type forgets the imaginary part (eigenvectors), values keep it
        if x.dtype != v.type.dtype and x.dtype.startswith("complex") <= (v.type.dtype[0] == "c"):
            x = sg.cast(x, v.type.dtype)
        shape = static_shape(v)
        if len(shape) != x.ndim:
            raise Untranslatable(f"rank {x.ndim} for {len(shape)}")
        if any(
            n is not None and not isinstance(s, int) for n, s in zip(shape, x.shape, strict=True)
        ):
            x = sg.specify_shape(x, shape)
        return x

    def graph(self, fgraph: Any) -> list[Any]:
        """The outputs of a whole graph, whose inputs are known."""
        for node in fgraph.toposort():
            if not all(self._has(v) for v in node.outputs):
                self._translate(node)
        return [self.get(v) for v in fgraph.outputs]


def input_for(v: Any) -> Any:
    """The input of symgraph for an input of a function of PyTensor."""
    if is_sparse(v):
        return Matrix(v.type)
    if not is_tensor(v):
        return sg.Input(TensorType("int64", ()))
    shape = static_shape(v)
    return sg.tensor(None, v.type.dtype, shape)
