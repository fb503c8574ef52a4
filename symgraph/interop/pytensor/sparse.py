"""Sparse matrices: rows for the ops whose results have a structure that is known.

What depends on the structure that a result will have (sums of two matrices, products of two, parts
of one) has no row: it runs by `perform`, and so do the sparse ops that take its results.
"""

from __future__ import annotations

from typing import Any

from symgraph import api as sg
from symgraph.interop.pytensor.scalars import to
from symgraph.interop.pytensor.sparse_values import Matrix, is_sparse
from symgraph.interop.pytensor.table import Untranslatable, translates
from symgraph.ops import sparse_ops
from symgraph.ops.gathering import Gather, scatter
from symgraph.ops.operands import as_variable
from symgraph.ops.sparse_variable import SparseVariable

# by what their names begin with
_COMPARED = {
    "Equal": sg.equal, "NotEqual": sg.not_equal, "LessThan": sg.less, "LessEqual": sg.less_equal,
    "GreaterThan": sg.greater, "GreaterEqual": sg.greater_equal,
}  # fmt: skip
_OBLONG = "Diag only apply on square matrix"  # PyTensor's words


def _row(*names: str) -> Any:
    """Decorator: a row of ops of PyTensor's sparse package, whose results may be sparse."""

    def register(function: Any) -> Any:
        function.objects = True
        return translates(*(f"sparse.{n}" for n in names))(function)

    return register


def _known(v: Any, t: Any) -> Matrix:
    """The matrix that a variable is, where its parts are known."""
    found = t.get(v)
    if not isinstance(found, Matrix):
        raise Untranslatable("the structure of a matrix depends on data")
    found.parts()
    return found


def _matrix(v: Any, t: Any) -> SparseVariable:
    return _known(v, t).parts()


def _like(m: SparseVariable, node: Any, distinct: bool, data: Any = None) -> Matrix:
    """A result with the structure of m and other elements."""
    kind = node.outputs[0].type
    if kind.format != m.format:
        raise Untranslatable("a result in another format")
    made = m if data is None else m.with_data(data)
    return Matrix(kind, made.with_data(to(made.data, kind.dtype)), distinct)


def _dense(m: SparseVariable) -> Any:
    return sg.sparse.toarray(m)


def _shaped(x: Any, m: SparseVariable) -> Any:
    """A dense operand, of which it is tested that it has the shape of m."""
    return sg.specify_shape(x, m.shape)


# parts --------------------------------------------------------------------------------------------


@_row("CSMProperties")
def properties(op: Any, node: Any, t: Any) -> Any:
    """Elements, indices, beginnings and shape."""
    m = _matrix(node.inputs[0], t)
    t.sizes[node.outputs[3]] = tuple(m.shape)
    parts = m.data, to(m.indices, "int32"), to(m.indptr, "int32")
    t.values.update(zip(node.outputs[:3], parts, strict=True))


def _origin(v: Any, output: int) -> Any:
    """The matrix of whose properties a variable is one."""
    owner = v.owner
    ours = owner is not None and type(owner.op).__name__ == "CSMProperties"
    return owner.inputs[0] if ours and owner.outputs[output] is v else None


@_row("CSM")
def from_parts(op: Any, node: Any, t: Any) -> Any:
    """A matrix of elements, indices, beginnings and a shape."""
    data, indices, indptr, shape = node.inputs
    sizes = t.shape(shape)
    if len(sizes) != 2:
        raise Untranslatable("a shape of another length")
    parts = [t.get(v) for v in (data, indices, indptr)]
    parts[0] = sg.specify_shape(parts[0], parts[1].shape)
    made = SparseVariable(op.format, tuple(sizes), *parts)
    whole = _origin(indices, 1)
    ours = whole is not None and whole is _origin(indptr, 2) and whole is _origin(shape, 3)
    return Matrix(node.outputs[0].type, made, ours and _known(whole, t).distinct)


@_row("CSMGrad")
def elements_of_gradient(op: Any, node: Any, t: Any) -> Any:
    """The elements of a gradient at the places of a matrix, where it has the same."""
    _, xi, xp, _, data, gi, gp, _ = (t.get(v) if k not in (3, 7) else None
                                     for k, v in enumerate(node.inputs))  # fmt: skip
    if xi is not gi or xp is not gp:
        raise Untranslatable("the structure of a gradient depends on data")
    return data


@_row("Cast")
def cast(op: Any, node: Any, t: Any) -> Any:
    """Elements of another dtype."""
    m = _known(node.inputs[0], t)
    return _like(m.parts(), node, m.distinct)


@_row("Transpose")
def transpose(op: Any, node: Any, t: Any) -> Any:
    """The transposed matrix, in the other format."""
    m = _known(node.inputs[0], t)
    return _like(m.parts().T, node, m.distinct)


@_row("EnsureSortedIndices")
def sorted_indices(op: Any, node: Any, t: Any) -> Any:
    """The elements of each row (column) in order."""
    m = _known(node.inputs[0], t)
    a = m.parts()
    order = sg.argsort(a.majors() * as_variable(a.minor) + a.minors())
    made = SparseVariable(a.format, a.shape, sg.take(a.data, order),
                          sg.take(a.structure[0], order), a.structure[1])  # fmt: skip
    return _like(made, node, m.distinct)


@_row("HStack", "VStack")
def stack(op: Any, node: Any, t: Any) -> Any:
    """Matrices beside or under each other."""
    found = [_known(v, t) for v in node.inputs]
    join = sg.sparse.hstack if type(op).__name__ == "HStack" else sg.sparse.vstack
    made = join([m.parts() for m in found], format=op.format, dtype=op.dtype)
    return _like(made, node, all(m.distinct for m in found))


# dense results ------------------------------------------------------------------------------------


@_row("DenseFromSparse")
def dense(op: Any, node: Any, t: Any) -> Any:
    """The dense matrix."""
    return _dense(_matrix(node.inputs[0], t))


@_row("SpSum")
def total(op: Any, node: Any, t: Any) -> Any:
    """Sums of all elements, or along an axis."""
    m = _matrix(node.inputs[0], t)
    return to(sg.sparse.sum(m, op.axis), node.outputs[0].type.dtype)


@_row("Diag")
def diagonal(op: Any, node: Any, t: Any) -> Any:
    """The diagonal of a square matrix."""
    m = _matrix(node.inputs[0], t)
    rows, columns = m.places()
    n = as_variable(m.shape[0])
    data = sg.assert_(m.data, n == as_variable(m.shape[1]), _OBLONG)
    t.raises[_OBLONG] = (ValueError, _OBLONG)
    on = sg.where(rows == columns, data, sg.constant(0, m.dtype))
    return scatter("add", (0,), sg.zeros((m.shape[0],), m.dtype), on, (rows,))


@_row("GetItemScalar")
def element(op: Any, node: Any, t: Any) -> Any:
    """One element."""
    m = _matrix(node.inputs[0], t)
    at = [sg.take(sg.arange(n), t.get(v)) for n, v in zip(m.shape, node.inputs[1:], strict=True)]
    rows, columns = m.places()
    hit = (rows == at[0]) & (columns == at[1])
    return sg.sum(sg.where(hit, m.data, sg.constant(0, m.dtype)), dtype=m.dtype)


@_row("AddSparseDense", "AddSD")
def add_dense(op: Any, node: Any, t: Any) -> Any:
    """The sum with a dense matrix."""
    dtype = node.outputs[0].type.dtype
    m, y = _matrix(node.inputs[0], t), to(t.get(node.inputs[1]), dtype)
    return scatter("add", (0, 1), _shaped(y, m), to(m.data, dtype), m.places())


@_row(*(f"{name}{rest}" for name in _COMPARED for rest in ("SparseDense", "SD")))
def compared(op: Any, node: Any, t: Any) -> Any:
    """A comparison of all elements with those of a dense matrix."""
    m, y = _matrix(node.inputs[0], t), t.get(node.inputs[1])
    name = type(op).__name__.removesuffix("SparseDense").removesuffix("SD")
    return _COMPARED[name](_dense(m), _shaped(y, m))


# products -----------------------------------------------------------------------------------------


def _product(x: Any, y: Any, dtype: str, t: Any) -> Any:
    """x @ y, one of them sparse, in a dtype."""
    if is_sparse(x) and is_sparse(y):
        raise Untranslatable("a product of two sparse matrices")
    a, b = (_converted(_matrix(v, t), dtype) if is_sparse(v) else to(t.get(v), dtype)
            for v in (x, y))  # fmt: skip
    return sg.sparse.matmul(a, b)


def _converted(m: SparseVariable, dtype: str) -> SparseVariable:
    return m.with_data(to(m.data, dtype))


@_row("Dot", "StructuredDot")
def dot(op: Any, node: Any, t: Any) -> Any:
    """The product with a dense matrix."""
    x, y = node.inputs
    return _product(x, y, node.outputs[0].type.dtype, t)


@_row("Usmm")
def scaled_product(op: Any, node: Any, t: Any) -> Any:
    """alpha * (x @ y) + z."""
    alpha, x, y, z = node.inputs
    dtype = node.outputs[0].type.dtype
    made = _product(x, y, dtype, t)
    return sg.reshape(to(t.get(alpha), dtype), ()) * made + to(t.get(z), dtype)


@_row("StructuredDotGradCSC", "StructuredDotGradCSR")
def product_gradient(op: Any, node: Any, t: Any) -> Any:
    """The elements of the gradient of a product by its sparse operand."""
    indices, indptr, b, g = node.inputs
    if is_sparse(b) or is_sparse(g):
        raise Untranslatable("a gradient of sparse matrices")
    dtype = node.outputs[0].type.dtype
    left, right = (to(t.get(v), dtype) for v in (b, g))
    if type(op).__name__ == "StructuredDotGradCSR":
        left, right = right, left
    parts = t.get(indices), t.get(indptr)
    m = SparseVariable("csr", (left.shape[0], right.shape[0]), parts[0], *parts)
    return sparse_ops.SampledDot(m.minor)(*m.structure, left, right)


@_row("SamplingDot")
def sampled(op: Any, node: Any, t: Any) -> Any:
    """p * (x @ y.T), where p has elements."""
    m = _known(node.inputs[2], t)
    x, y = (t.get(v) for v in node.inputs[:2])
    return _like(sg.sparse.sampling_dot(x, y, m.parts()), node, m.distinct)


# products of elements -----------------------------------------------------------------------------


@_row("MultiplySparseSparse", "SparseSparseMultiply")
def multiply(op: Any, node: Any, t: Any) -> Any:
    """Products of the elements of two matrices of one structure."""
    a, b = (_known(v, t) for v in node.inputs)
    x, y = a.parts(), b.parts()
    if not (x.same_structure(y) and a.distinct):
        raise Untranslatable("matrices of perhaps different structure")
    dtype = node.outputs[0].type.dtype
    return _like(x, node, True, to(x.data, dtype) * to(y.data, dtype))


@_row("AddSparseSparse", "AddSparseSparseData", "AddSS", "AddSSData")
def add(op: Any, node: Any, t: Any) -> Any:
    """The sum of two matrices of one structure, which the ops called "..Data" promise to be."""
    a, b = (_known(v, t) for v in node.inputs)
    x, y = a.parts(), b.parts()
    if not x.same_structure(y) and not type(op).__name__.endswith("Data"):
        raise Untranslatable("matrices of perhaps different structure")
    dtype = node.outputs[0].type.dtype
    added = sg.specify_shape(to(y.data, dtype), x.data.shape)
    return _like(x, node, a.distinct, to(x.data, dtype) + added)


@_row("MultiplySparseDense", "SparseDenseMultiply")
def multiply_dense(op: Any, node: Any, t: Any) -> Any:
    """Products with a number or the elements of a dense matrix."""
    dtype = node.outputs[0].type.dtype
    m, y = _known(node.inputs[0], t), to(t.get(node.inputs[1]), dtype)
    a = m.parts()
    if y.ndim:
        y = Gather((0, 1))(_shaped(y, a), *a.places())
    return _like(a, node, m.distinct, to(a.data, dtype) * y)


def _by_columns(m: SparseVariable, y: Any, axis: int) -> Any:
    """The element of a vector for the row or column of each element of a matrix."""
    y = sg.specify_shape(y, (m.shape[axis],))
    return sg.take(y, m.places()[axis])


@_row("MultiplySparseDenseVector", "SparseDenseVectorMultiply", "ColScaleCSC")
def scale_columns(op: Any, node: Any, t: Any) -> Any:
    """Each column times an element of a vector."""
    return _scaled(node, t, 1)


@_row("RowScaleCSC")
def scale_rows(op: Any, node: Any, t: Any) -> Any:
    """Each row times an element of a vector."""
    return _scaled(node, t, 0)


def _scaled(node: Any, t: Any, axis: int) -> Matrix:
    dtype = node.outputs[0].type.dtype
    m, y = _known(node.inputs[0], t), t.get(node.inputs[1])
    a = m.parts()
    factors = to(_by_columns(a, y, axis), dtype)
    return _like(a, node, m.distinct, to(a.data, dtype) * factors)


@_row("StructuredAddSparseDenseVector", "StructuredAddSV")
def add_to_elements(op: Any, node: Any, t: Any) -> Any:
    """Each element other than zero and that of a vector for its column."""
    m, y = _known(node.inputs[0], t), t.get(node.inputs[1])
    a = m.parts()
    added = _by_columns(a, y, 1)
    data = sg.where(a.data == 0, a.data, a.data + added)
    return _like(a, node, m.distinct, data)
