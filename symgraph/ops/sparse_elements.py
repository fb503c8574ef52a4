"""Elementwise operations on sparse matrices: among each other, with dense ones, and functions that
leave zeros alone, which are functions of the stored elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.operators import LANGUAGE, in_language
from symgraph.ir.types import TensorType
from symgraph.ops import activations, arithmetic, comparison, exponential, numbers, trigonometric
from symgraph.ops.cast import to_dtype
from symgraph.ops.complex_numbers import conj as _conj
from symgraph.ops.creation import full
from symgraph.ops.data_sizes import flat_positions
from symgraph.ops.gathering import Gather, scatter
from symgraph.ops.indexing import take
from symgraph.ops.joining import concatenate
from symgraph.ops.nonzeros import truths
from symgraph.ops.operands import as_variable, promotable
from symgraph.ops.sets import union1d
from symgraph.ops.shape import broadcast_to, expand_dims
from symgraph.ops.slicing import zeros
from symgraph.ops.sorting import searchsorted
from symgraph.ops.sparse_making import (
    converted_dtype,
    from_keys,
    in_format_of,
    keys_of,
    toarray,
)
from symgraph.ops.sparse_variable import SparseVariable, as_sparse, is_sparse
from symgraph.scalar import Expr

_FUNCTIONS: dict[str, Callable[..., Variable]] = {
    "abs": arithmetic.absolute, "negative": arithmetic.negative, "sign": arithmetic.sign,
    "square": arithmetic.square, "sqrt": arithmetic.sqrt, "floor": arithmetic.floor,
    "ceil": arithmetic.ceil, "trunc": arithmetic.trunc, "rint": arithmetic.rint,
    "sin": trigonometric.sin, "tan": trigonometric.tan, "arcsin": trigonometric.asin,
    "arctan": trigonometric.atan, "sinh": trigonometric.sinh, "tanh": trigonometric.tanh,
    "arcsinh": trigonometric.asinh, "arctanh": trigonometric.atanh,
    "expm1": exponential.expm1, "log1p": exponential.log1p,
    "deg2rad": numbers.deg2rad, "rad2deg": numbers.rad2deg, "relu": activations.relu,
    "conj": _conj,
}  # fmt: skip
_STRUCTURED: dict[str, Callable[..., Variable]] = {
    "structured_exp": exponential.exp, "structured_log": exponential.log,
    "structured_sigmoid": activations.sigmoid, "structured_add": arithmetic.add,
    "structured_maximum": arithmetic.maximum, "structured_minimum": arithmetic.minimum,
    "structured_pow": arithmetic.power,
}  # fmt: skip

__all__ = sorted([
    *_FUNCTIONS, *_STRUCTURED, "add", "astype", "cast", "clean", "col_scale", "divide", "equal",
    "greater", "greater_equal", "less", "less_equal", "multiply", "not_equal", "ones_like",
    "power", "row_scale", "structured_map", "subtract", "zeros_like",
])  # fmt: skip


# functions of the elements ------------------------------------------------------------------------


def structured_map(function: Callable[..., Any], a: Any, *more: Any) -> SparseVariable:
    """``function`` of the stored elements, a vector, and further arguments; the structure stays.

    >>> import scipy.sparse, symgraph as sg
    >>> A = scipy.sparse.csr_array([[0.0, 2.0]])
    >>> sg.sparse.structured_map(lambda x: x**2 + 1, A).toarray().eval().tolist()
    [[0.0, 5.0]]
    """
    m = as_sparse(a)
    return m.with_data(function(m.data, *more))


def _mapped(name: str, function: Callable[..., Any], note: str) -> Callable[..., SparseVariable]:
    def of(a: Any, *more: Any) -> SparseVariable:
        return structured_map(function, a, *more)

    of.__name__ = of.__qualname__ = name
    word = name.removeprefix("structured_")
    of.__doc__ = f"``{word}`` of the stored elements of a sparse matrix; {note}."
    return of


for _name, _function in _FUNCTIONS.items():
    globals()[_name] = in_language(f"sparse.{_name}")(_mapped(_name, _function, "zeros stay zeros"))
for _name, _function in _STRUCTURED.items():
    globals()[_name] = _mapped(_name, _function, "what is not stored stays zero")


def ones_like(a: Any, value: Any = 1) -> SparseVariable:
    """The structure of a with one number everywhere."""
    m = as_sparse(a)
    return m.with_data(full((m.nnz,), value, m.dtype))


def zeros_like(a: Any) -> SparseVariable:
    """The structure of a with explicit zeros."""
    return ones_like(a, 0)


@in_language("sparse.cast")
def cast(a: Any, dtype: Any) -> SparseVariable:
    """The matrix with elements of another dtype."""
    return converted_dtype(as_sparse(a), dtypes.as_dtype(dtype))


def astype(a: Any, dtype: Any) -> SparseVariable:
    """The matrix with elements of another dtype."""
    return cast(a, dtype)


@in_language("sparse.power")
def power(a: Any, exponent: Any) -> SparseVariable:
    """The elements to a positive power, a number. Raises ArgumentError for others, which would make
    something of the zeros."""
    if not isinstance(exponent, int | float) or exponent <= 0:
        raise ArgumentError(
            f"a sparse matrix to the power {exponent!r:.40}: zeros would not stay zeros",
            hint="sg.sparse.structured_pow takes the stored elements only",
        )
    return structured_map(arithmetic.power, a, exponent)


@in_language("sparse.clean")
def clean(a: Any) -> SparseVariable:
    """The matrix without stored zeros. How many are left depends on data.

    >>> import symgraph as sg
    >>> A = sg.sparse.CSR([0.0, 2.0], [0, 1], [0, 1, 2], (2, 2))
    >>> sg.sparse.clean(A).eval().nnz
    1
    """
    m = as_sparse(a)
    kept = flat_positions(truths(m.data))
    keys = take(keys_of(m), kept)
    return from_keys(m.format, m.shape, keys, take(m.data, kept), m.indices.dtype)


# two sparse matrices ------------------------------------------------------------------------------


def _pair(a: Any, b: Any, what: str) -> tuple[SparseVariable, SparseVariable]:
    """Two operands of one shape, format and dtype."""
    x, y = as_sparse(a), as_sparse(b)
    for k, (m, n) in enumerate(zip(x.shape, y.shape, strict=True)):
        if isinstance(m, int) and isinstance(n, int) and m != n:
            raise ShapeError(f"{what}: sizes differ on axis {k}: {m} and {n}",
                             operands=[x.operand(), y.operand()])  # fmt: skip
    dtype = dtypes.promote(x.dtype, y.dtype)
    shape = tuple(m if isinstance(m, int) else n if isinstance(n, int) else m
                  for m, n in zip(x.shape, y.shape, strict=True))  # fmt: skip
    x, y = x.sized(shape), y.sized(shape)
    return converted_dtype(x, dtype), converted_dtype(in_format_of(y, x), dtype)


@in_language("sparse.add")
def add(a: Any, b: Any) -> Any:
    """a + b. Two sparse matrices make a sparse one; with the same structure (one made from the
    other by functions of elements) it is kept, else the places of both are joined, whose number
    depends on data. With a dense operand or a number the result is dense.

    >>> import scipy.sparse, symgraph as sg
    >>> A, B = scipy.sparse.csr_array([[0.0, 2.0]]), scipy.sparse.csr_array([[3.0, 0.0]])
    >>> sg.sparse.add(A, B).toarray().eval().tolist()
    [[3.0, 2.0]]
    """
    if not (is_sparse(a) and is_sparse(b)):
        return _dense(a) + _dense(b)
    x, y = _pair(a, b, "add")
    if x.same_structure(y):
        return x.with_data(x.data + y.data)
    first, second = keys_of(x), keys_of(y)
    keys = union1d(first, second)
    out = zeros(TensorType(x.dtype, keys.shape))
    for own, data in ((first, x.data), (second, y.data)):
        out = scatter("add", (0,), out, data, (searchsorted(keys, own),))
    return from_keys(x.format, x.shape, keys, out, x.indices.dtype)


@in_language("sparse.subtract")
def subtract(a: Any, b: Any) -> Any:
    """a - b, see :func:`add`."""
    return add(a, LANGUAGE["sparse.negative"](b) if is_sparse(b) else -as_variable(b))


@in_language("sparse.multiply")
def multiply(a: Any, b: Any) -> SparseVariable:
    """The elementwise product a * b, sparse where one of them is: it has the structure of the
    first sparse operand, with explicit zeros where the other has no element. A dense operand
    broadcasts: numbers, rows [m], columns [n, 1] and matrices.

    >>> import scipy.sparse, symgraph as sg
    >>> A = scipy.sparse.csr_array([[0.0, 2.0], [1.0, 3.0]])
    >>> sg.sparse.multiply(A, [10.0, 100.0]).toarray().eval().tolist()
    [[0.0, 200.0], [10.0, 300.0]]
    """
    if is_sparse(a) and is_sparse(b):
        x, y = _pair(a, b, "multiply")
        other = y.data if x.same_structure(y) else values_at(y, keys_of(x))
        return x.with_data(x.data * other)
    m, other = (a, b) if is_sparse(a) else (b, a)
    return _with_dense(as_sparse(m), other, arithmetic.multiply)


@in_language("sparse.divide")
def divide(a: Any, b: Any) -> SparseVariable:
    """a / b for a sparse a and a dense b, as in :func:`multiply`; what is not stored stays zero."""
    if not is_sparse(a) or is_sparse(b):
        raise ArgumentError("a quotient by a sparse matrix divides by its zeros")
    return _with_dense(as_sparse(a), b, arithmetic.divide)


def _with_dense(m: SparseVariable, value: Any, function: Any) -> SparseVariable:
    weak = type(value) in (bool, int, float, complex) or isinstance(value, Expr)
    d = value if weak else as_variable(value)
    if not weak and d.ndim > 2:
        raise RankError(f"a dense operand of {d.ndim} axes would make a stack of matrices")
    if weak or d.ndim == 0:
        return m.with_data(function(m.data, d))
    full_d = broadcast_to(d, m.shape)
    return m.with_data(function(m.data, Gather((0, 1))(full_d, *m.places())))


def values_at(m: SparseVariable, keys: Variable) -> Variable:
    """The elements of a matrix at keys of places, 0 where there is none."""
    own = keys_of(m)
    # one more element, behind all others, so that every place found is one
    table = concatenate([own, to_dtype([2**63 - 1], "int64")])
    data = concatenate([m.data, zeros(TensorType(m.dtype, (1,)))])
    place = arithmetic.minimum(searchsorted(table, keys), as_variable(m.nnz))
    hit = comparison.equal(take(table, place), keys)
    return comparison.where(hit, take(data, place), to_dtype(0, m.dtype))  # type: ignore[no-any-return]


def row_scale(a: Any, s: Any) -> SparseVariable:
    """Each row i times s[i]."""
    return multiply(a, expand_dims(_vector(s, "row_scale"), 1))


def col_scale(a: Any, s: Any) -> SparseVariable:
    """Each column j times s[j]."""
    return multiply(a, _vector(s, "col_scale"))


def _vector(s: Any, what: str) -> Variable:
    v = as_variable(s)
    if v.ndim != 1:
        raise RankError(f"{what}: the factors are a vector, not {v.type.text()}")
    return v


# comparisons --------------------------------------------------------------------------------------


def _dense(x: Any) -> Any:
    return toarray(x) if is_sparse(x) else x


def _comparison(name: str) -> Callable[[Any, Any], Variable]:
    function = getattr(comparison, name)

    def compare(a: Any, b: Any) -> Variable:
        return function(_dense(a), _dense(b))  # type: ignore[no-any-return]

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"``{name}`` of all elements, those that are zero included: a dense result."
    return compare


for _name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    globals()[_name] = in_language(f"sparse.{_name}")(_comparison(_name))


def common_dtype(*matrices: SparseVariable) -> str:
    """The dtype in which matrices meet."""
    return dtypes.promote(*(promotable(m.data) for m in matrices))
