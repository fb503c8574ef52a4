"""Shapes, new arrays, joining and splitting."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from symgraph import api as sg
from symgraph.interop.pytensor.sparse_values import Matrix, is_sparse
from symgraph.interop.pytensor.table import Untranslatable, translates
from symgraph.ir.graph import Constant, Graph
from symgraph.ir.interpret import interpret
from symgraph.ir.types import Size
from symgraph.ops.operands import as_variable
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import at_least_zero, ceil_div


@translates("Shape")
def shape(op: Any, node: Any, t: Any) -> Any:
    """All sizes of a tensor."""
    t.sizes[node.outputs[0]] = tuple(_shaped(node.inputs[0], t).shape)


def _shaped(v: Any, t: Any) -> Any:
    """What has the shape of a variable."""
    x = t.get(v)
    if isinstance(x, Matrix):
        return x.parts()
    if is_sparse(v):
        raise Untranslatable("the shape of a matrix depends on data")
    return x


@translates("Shape_i")
def shape_i(op: Any, node: Any, t: Any) -> Any:
    """One size of a tensor."""
    known = t.known(node.inputs[0])
    if isinstance(known, tuple):
        t.sizes[node.outputs[0]] = len(known)
        return None
    t.sizes[node.outputs[0]] = _shaped(node.inputs[0], t).shape[op.i]
    return None


@translates("MakeVector")
def make_vector(op: Any, node: Any, t: Any) -> Any:
    """A vector of scalars."""
    known = [t.known(v) for v in node.inputs]
    if op.dtype == "int64" and all(k is not None and not isinstance(k, tuple) for k in known):
        t.sizes[node.outputs[0]] = tuple(known)
        return None
    if not node.inputs:
        return sg.constant(np.empty(0, op.dtype))
    return sg.stack([sg.cast(t.get(v), op.dtype) for v in node.inputs])


@translates("Reshape")
def reshape(op: Any, node: Any, t: Any) -> Any:
    """The same elements in another shape; one size may be -1."""
    source, wanted = node.inputs
    known = t.known(source)
    target = t.known(wanted)
    if isinstance(known, tuple) and target in ((-1,), (len(known),)):
        t.sizes[node.outputs[0]] = known
        return None
    x = t.get(source)
    if not isinstance(target, tuple):
        target = _asked(wanted, x, t)
    return sg.reshape(x, target)


def _asked(wanted: Any, x: Any, t: Any) -> tuple[Size, ...]:
    """A shape that data tell, where -1 stands for what is left."""
    if t.outer is not None:
        raise Untranslatable("a shape inside a loop depends on data")
    sizes = t.get(wanted)
    count = wanted.type.shape[0]
    if count is None:
        count = sizes.shape[0]
    if not isinstance(count, int):
        raise Untranslatable("the number of dimensions depends on data")
    total: Size = 1
    for n in x.shape:
        total = as_size(as_expr(total) * n)
    rest = sg.floor_divide(
        as_variable(total), sg.maximum(sg.prod(sg.where(sizes == -1, 1, sizes)), 1)
    )
    return tuple(sg.size_from(sg.where(sizes[k] == -1, rest, sizes[k])) for k in range(count))


@translates("SpecifyShape")
def specify_shape(op: Any, node: Any, t: Any) -> Any:
    """The same tensor, whose sizes are asserted."""
    source, *sizes = node.inputs
    known = t.known(source)
    if isinstance(known, tuple):
        t.sizes[node.outputs[0]] = known
        return None
    x, wanted = t.get(source), []
    for axis, v in enumerate(sizes):
        given = t.get(v) if hasattr(v.type, "dtype") else None
        size = None if given is None else t.known(v)
        if size is None and given is not None:  # the data tell; the program is not cut
            test = sg.equal(as_variable(x.shape[axis]), given)
            x = sg.assert_(x, test, f"specify_shape: axis {axis} has another size")
        wanted.append(size)
    return sg.specify_shape(x, tuple(wanted))


@translates("Alloc")
def alloc(op: Any, node: Any, t: Any) -> Any:
    """A value spread over a shape."""
    value, *sizes = node.inputs
    return sg.broadcast_to(t.get(value), tuple(t.size(v) for v in sizes))


@translates("AllocEmpty")
def alloc_empty(op: Any, node: Any, t: Any) -> Any:
    """An array whose values do not matter."""
    return sg.zeros(tuple(t.size(v) for v in node.inputs), op.dtype)


def _axis_and_rest(op: Any, inputs: list[Any], t: Any) -> tuple[int, list[Any]]:
    """The axis, a property of the op since PyTensor 3.1 and an input before, and what follows."""
    if hasattr(op, "axis"):
        return op.axis, inputs
    axis = t.known(inputs[0])
    if axis is None:  # PyTensor 2 writes a negative one as a choice between numbers
        graph = Graph((), (t.get(inputs[0]),))
        if all(isinstance(v, Constant) for v in graph.leaves(sized=True)):
            axis = int(interpret(graph, ())[0])
    if not isinstance(axis, int):
        raise Untranslatable("the axis depends on data")
    return axis, inputs[1:]


@translates("Join")
def join(op: Any, node: Any, t: Any) -> Any:
    """Tensors in a row along an axis."""
    axis, parts = _axis_and_rest(op, list(node.inputs), t)
    dtype = node.outputs[0].type.dtype
    known = [t.known(v) for v in parts]
    if all(isinstance(k, tuple) for k in known) and dtype == "int64":
        t.sizes[node.outputs[0]] = tuple(n for k in known for n in k)
        return None
    return sg.concatenate([sg.cast(t.get(v), dtype) for v in parts], axis=axis)


@translates("Split")
def split(op: Any, node: Any, t: Any) -> Any:
    """Pieces along an axis; that their sizes add up is tested when the function runs."""
    source, *rest = node.inputs
    axis, (splits,) = _axis_and_rest(op, rest, t)
    x = t.get(source)
    axis %= x.ndim
    sizes = t.shape(splits)
    ends = [as_expr(0)]
    for n in sizes:
        if isinstance(n, int) and n < 0:
            raise Untranslatable("a negative size")
        ends.append(ends[-1] + n)
    x = sg.specify_shape(x, tuple(as_size(ends[-1]) if k == axis else None for k in range(x.ndim)))
    before = [slice(None)] * axis
    return tuple(x[(*before, slice(as_size(a), as_size(b)))] for a, b in itertools.pairwise(ends))


@translates("Eye")
def eye(op: Any, node: Any, t: Any) -> Any:
    """Ones on a diagonal."""
    n, m, k = node.inputs
    offset = t.known(k)
    if not isinstance(offset, int):
        raise Untranslatable("the diagonal depends on data")
    return sg.eye(t.size(n), t.size(m), offset, op.dtype)


@translates("ARange")
def arange(op: Any, node: Any, t: Any) -> Any:
    """Numbers in equal steps."""
    known = [t.known(v) for v in node.inputs]
    if all(k is not None for k in known) and isinstance(known[2], int) and known[2] > 0:
        start, stop, step = known
        count = at_least_zero(ceil_div(as_size(as_expr(stop) - start), step))
        return sg.cast(sg.arange(count) * step + as_variable(start), op.dtype)
    if t.outer is not None:
        raise Untranslatable("the number of elements depends on data")
    if any(v.type.dtype[0] not in "iu" for v in node.inputs):
        start, stop, step = (sg.cast(t.get(v), "float64") for v in node.inputs)
        count = sg.size_from(sg.cast(sg.ceil((stop - start) / step), "int64"))
        return sg.cast(start + sg.arange(count) * (start + step - start), op.dtype)
    return sg.cast(sg.arange(*(t.get(v) for v in node.inputs)), op.dtype)


@translates("ExtractDiag")
def extract_diag(op: Any, node: Any, t: Any) -> Any:
    """A diagonal of two axes."""
    return sg.diagonal(t.get(node.inputs[0]), op.offset, op.axis1, op.axis2)


@translates("Nonzero")
def nonzero(op: Any, node: Any, t: Any) -> Any:
    """The positions of elements that are not zero."""
    if t.outer is not None:
        raise Untranslatable("the number of elements depends on data")
    return tuple(sg.nonzero(t.get(node.inputs[0])))


@translates("Repeat")
def repeat(op: Any, node: Any, t: Any) -> Any:
    """Elements or slices repeated."""
    source, repeats = node.inputs
    known = t.known(repeats)
    x = t.get(source)
    if known is not None and not isinstance(known, tuple):
        return sg.repeat(x, known, axis=op.axis)
    if t.outer is not None:
        raise Untranslatable("the number of elements depends on data")
    counts = t.get(repeats)
    return sg.repeat(x, sg.size_from(counts) if not counts.ndim else counts, axis=op.axis)
