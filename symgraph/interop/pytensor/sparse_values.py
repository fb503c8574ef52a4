"""Sparse matrices of PyTensor in the graph.

A matrix in compressed rows or columns is known by its parts, three tensors, as in `sg.sparse`, or
as an object, by a number that only callbacks look at. Which of the two an argument or a constant
is given as turns out when an op asks for it; a matrix that was made of parts becomes an object by a
callback.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from symgraph import api as sg
from symgraph.interop.pytensor.performers import Objects, put_object
from symgraph.interop.pytensor.table import Untranslatable
from symgraph.ir.graph import Input
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType
from symgraph.loops.routine import Routine
from symgraph.ops.operands import as_variable
from symgraph.ops.sparse_variable import SparseVariable
from symgraph.records import NamedTuple

FORMATS = ("csr", "csc")


def is_sparse(variable: Any) -> bool:
    """Whether a variable of PyTensor is a sparse matrix."""
    return type(variable.type).__name__ == "SparseTensorType"


@functools.cache
def _class_of(format: str) -> Any:
    return importlib.import_module("pytensor.sparse.type").SparseTensorType.format_cls[format]


def scipy_matrix(format: str, data: Any, indices: Any, indptr: Any, shape: Any) -> Any:
    """The matrix of SciPy that PyTensor's type of this format holds."""
    sizes = int(shape[0]), int(shape[1])
    return _class_of(format)((data, indices, indptr), shape=sizes, copy=False)


def arrays_of(value: Any) -> tuple[Any, Any, Any]:
    """The arrays of a matrix of SciPy, with int32 indices as PyTensor reads them. The order of the
    elements stays as it is; those at the same place are added up in a copy."""
    held = int(value.indptr[-1])
    if held and not value.has_canonical_format:
        whole = value.copy()
        whole.sum_duplicates()
        if len(whole.data) != held:
            value, held = whole, len(whole.data)
    arrays = value.data[:held], value.indices[:held], value.indptr
    return arrays[0], *(np.asarray(a, "int32") for a in arrays[1:])  # type: ignore[return-value]


class Border(NamedTuple):
    """How a call hands over a matrix: its ``parts``, with the sizes as the shape of an array when
    they are not ``fixed``, and the ``number`` of the object."""

    parts: bool
    fixed: tuple[int, int] | None
    number: bool

    def given(self, value: Any, objects: Objects) -> list[Any]:
        """The arguments for a matrix of SciPy."""
        found: list[Any] = []
        if self.parts:
            found += arrays_of(value)
            if self.fixed is None:
                found.append(np.empty((*value.shape, 0), "bool"))
            elif value.shape != self.fixed:
                raise ValueError(f"a sparse matrix of shape {value.shape}, expected {self.fixed}")
        if self.number:
            found.append(objects.put(value))
        return found


class Packed(Op):
    """The number of the object that a matrix of these parts becomes."""

    name = "pytensor_pack"
    nondifferentiable = "PyTensor has made the derivatives"
    widens = False
    at_each_call = True
    format: str

    def infer(self, *given: TensorType) -> TensorType:
        return TensorType("int64", ())

    def reference(self, data: Any, indices: Any, indptr: Any, rows: Any, columns: Any) -> Any:
        # copies, since the program overwrites its memory
        arrays = data.copy(), indices.copy(), indptr.copy()
        return put_object(scipy_matrix(self.format, *arrays, (rows, columns)))

    def extern(self, *types: TensorType) -> Routine:
        return Routine("python")


class Matrix:
    """A sparse matrix in a translation. ``distinct`` says that no place occurs twice."""

    def __init__(self, kind: Any, made: SparseVariable | None = None, distinct: bool = True):
        self.kind = kind  # PyTensor's type
        self.distinct = distinct
        self.given = made is None  # an argument, or a constant of this value:
        self.value: tuple[Any, Objects] | None = None
        self._parts = made
        self._number: Any = None

    @classmethod
    def constant(cls, kind: Any, value: Any, objects: Objects) -> Matrix:
        """A constant, which `objects` keeps when callbacks ask for it."""
        made = cls(kind)
        made.value = value, objects
        return made

    def parts(self) -> SparseVariable:
        """The matrix of symgraph; raises Untranslatable where it has another format."""
        if self.kind.format not in FORMATS:
            raise Untranslatable(f"a matrix in the format {self.kind.format}")
        if self._parts is None:
            self._parts = self._argument() if self.value is None else self._constant(self.value[0])
        return self._parts

    def _argument(self) -> SparseVariable:
        make = sg.sparse.csr_matrix if self.kind.format == "csr" else sg.sparse.csc_matrix
        return make(None, self.kind.dtype, self.kind.shape)

    def _constant(self, value: Any) -> SparseVariable:
        data, indices, indptr = (sg.constant(a) for a in arrays_of(value))
        value.check_format()  # that its indices lie in the shape: no call needs to look
        shape = tuple(map(int, value.shape))
        return SparseVariable(self.kind.format, shape, data, indices, indptr, sound=True)

    def number(self) -> Any:
        """The number of the object, for callbacks."""
        if self._number is None:
            if self.value is not None:
                value, objects = self.value
                self._number = sg.constant(np.asarray(objects.keep(value)))
            elif not self.given:
                m = self.parts()
                sizes = (as_variable(n, "int64") for n in m.shape)
                self._number = Packed(self.kind.format)(m.data, *m.structure, *sizes)
            else:
                self._number = Input(TensorType("int64", ()))
        return self._number

    def arguments(self) -> tuple[list[Any], Border]:
        """The inputs that an argument has become, and how calls fill them."""
        found: list[Any] = []
        m = self._parts
        fixed = None
        if m is not None:
            found += [m.data, m.indices, m.indptr]
            if m.extent is None:
                fixed = (int(m.shape[0]), int(m.shape[1]))  # type: ignore[arg-type]
            else:
                found.append(m.extent)
        if self._number is not None:
            found.append(self._number)
        return found, Border(m is not None, fixed, self._number is not None)

    def results(self) -> tuple[list[Any], str]:
        """What a program returns for it, and the format, or "object" for a number."""
        if self._parts is None:
            return [self.number()], "object"
        m = self._parts
        sizes = sg.stack([as_variable(n, "int64") for n in m.shape])
        indices, indptr = (sg.cast(x, "int32") for x in m.structure)
        return [m.data, indices, indptr, sizes], self.kind.format


def number_of(value: Any) -> Any:
    """What callbacks and branches get of a value: matrices by the number of their object."""
    return value.number() if isinstance(value, Matrix) else value
