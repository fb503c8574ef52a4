"""Scalar expressions: one small language for sizes, indices and the bodies of kernels.

An :class:`Expr` is immutable and hash-consed, so equality is ``is``. Grammar::

    Expr = const(value) | var(name) | load(buffer, index...) | load_if(buffer, cond, index...)
         | op(Expr...)                      for every row of scalar.table.SCALAR_OPS

``load_if`` reads only where its condition holds and is 0 elsewhere. Python's operators on int64
expressions build the canonical polynomial (scalar.polynomial), so equal sizes are the same object.
"""

from __future__ import annotations

import itertools
import os
import struct
import weakref
from typing import Any, Union
from weakref import _remove_dead_weakref as _remove_dead  # type: ignore[attr-defined]

from symgraph import dtypes
from symgraph.errors import ArgumentError
from symgraph.scalar.table import SCALAR_OPS

Operand = Union["Expr", int, float, complex, bool]


class Expr:
    """A node of the scalar language; build it with :func:`node`, the functions or operators.

    >>> n = var("n")
    >>> str((n + 1) * 2 - 2), (n + 1) - 1 is n
    ('2*n', True)
    """

    __slots__ = ("__weakref__", "_key", "_poly", "args", "attr", "dtype", "maker", "op")
    op: str
    args: tuple[Expr, ...]
    dtype: str
    attr: Any
    _key: str | None
    _poly: Any
    maker: Any  # of a size that depends on data: the node of a graph whose result has it

    def __repr__(self) -> str:
        return f"Expr({self})"

    def __str__(self) -> str:
        return str(_printer(self))

    def __reduce__(self) -> Any:
        return _from_rows, (_to_rows(self),)

    @property
    def is_const(self) -> bool:
        return self.op == "const"

    @property
    def value(self) -> Any:
        """The Python number of a constant."""
        return self.attr

    # Arithmetic; int64 is normalised, other dtypes make plain nodes.
    def __add__(self, other: Operand) -> Expr:
        return _arith("add", self, other)

    def __radd__(self, other: Operand) -> Expr:
        return _arith("add", other, self)

    def __sub__(self, other: Operand) -> Expr:
        return _arith("sub", self, other)

    def __rsub__(self, other: Operand) -> Expr:
        return _arith("sub", other, self)

    def __mul__(self, other: Operand) -> Expr:
        return _arith("mul", self, other)

    def __rmul__(self, other: Operand) -> Expr:
        return _arith("mul", other, self)

    def __floordiv__(self, other: Operand) -> Expr:
        return _arith("floordiv", self, other)

    def __rfloordiv__(self, other: Operand) -> Expr:
        return _arith("floordiv", other, self)

    def __mod__(self, other: Operand) -> Expr:
        return _arith("mod", self, other)

    def __rmod__(self, other: Operand) -> Expr:
        return _arith("mod", other, self)

    def __neg__(self) -> Expr:
        return _arith("mul", self, -1)

    def _unknown(self, *_: object) -> Any:
        raise ArgumentError(
            f"the size {self} is known only at run time",
            hint="declare it (shape=(3,)) where Python needs the number; sg.zeros, sg.arange, "
            "sg.scan and arithmetic take sizes as they are",
        )

    __index__ = __int__ = __float__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown


class _Reference(weakref.ref[Expr]):
    """A weak reference that knows the parts of its node. WeakValueDictionary does the same in
    twice the time, and a compile asks for a node some fifty times for each of the graph."""

    __slots__ = ("parts",)
    parts: Any


_nodes: dict[Any, _Reference] = {}


def _forget(reference: Any) -> None:
    _remove_dead(_nodes, reference.parts)  # in one step: the same parts may have a new node by now


def node(op: str, args: tuple[Expr, ...], dtype: str, attr: Any = None) -> Expr:
    """The unique node with these parts."""
    parts = (op, args, dtype) if attr is None else (op, args, dtype, _attr_key(attr))
    reference = _nodes.get(parts)
    found = reference() if reference is not None else None
    if found is None:
        found = Expr.__new__(Expr)
        found.op, found.args, found.dtype, found.attr = op, args, dtype, attr
        found._key = found._poly = found.maker = None
        made = _nodes[parts] = _Reference(found, _forget)
        made.parts = parts
    return found


def _to_rows(e: Expr) -> list[Any]:
    """The nodes below e as flat rows, so that pickling does not recurse into deep expressions."""
    place: dict[Expr, int] = {}
    rows: list[Any] = []
    stack = [e]
    while stack:
        top = stack[-1]
        missing = [a for a in top.args if a not in place]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if top not in place:
            place[top] = len(rows)
            attr = top.attr
            if top.op == "var" and attr[0] == "?":
                attr = (_process(), attr)
            rows.append((top.op, tuple(place[a] for a in top.args), top.dtype, attr))
    return rows


def _from_rows(rows: list[Any]) -> Expr:
    made: list[Expr] = []
    for op, args, dtype, attr in rows:
        operands = tuple(made[k] for k in args)
        if op == "var" and isinstance(attr, tuple):
            attr = _name_here(*attr)
        if dtype == "int64" and op in ("add", "sub", "mul"):  # its order depends on the names
            made.append(_arith(op, *operands))
        else:
            made.append(node(op, operands, dtype, attr))
    return made[-1]


_unnamed = itertools.count()
_token = os.urandom(8)
_foreign: dict[tuple[Any, str], str] = {}


def fresh_size() -> Expr:
    """A new size without a name."""
    return var(f"?{next(_unnamed)}")


def _process() -> tuple[bytes, int]:
    return _token, os.getpid()  # a forked child goes on counting by itself


def _name_here(process: tuple[bytes, int], name: str) -> str:
    """The name in this process of an unnamed size of another one: the number may be taken here."""
    if process == _process():
        return name
    found: str = _foreign.setdefault((process, name), f"?{next(_unnamed)}")
    return found


def _attr_key(attr: Any) -> Any:
    # 0.0 and -0.0 are equal and NaN is unequal to itself: key floats by their bits.
    if type(attr) is str:
        return attr
    if isinstance(attr, complex):
        return struct.pack("dd", attr.real, attr.imag)
    return struct.pack("d", attr) if isinstance(attr, float) else (type(attr), attr)


def const(value: int | float | complex | bool, dtype: str = "int64") -> Expr:
    """A constant of the dtype; floats are rounded to it, integers must fit (OverflowError), and a
    fraction is no integer (TypeError).

    >>> const(0.1, "float32").value
    0.10000000149011612
    """
    if dtype == "int64" and type(value) is int and -(1 << 63) <= value < 1 << 63:
        return node("const", (), dtype, value)
    exact = dtypes.numpy_dtype(dtype).type(value).item()
    if exact != value and dtypes.is_int(dtype):
        raise TypeError(f"{value!r} is not an {dtype}")
    return node("const", (), dtype, exact)


def var(name: str, dtype: str = "int64") -> Expr:
    """A named scalar: an index, a size, or a value bound by a loop statement."""
    return node("var", (), dtype, name)


def load(buffer: str, indices: tuple[Expr, ...], dtype: str) -> Expr:
    """The element of a buffer at the indices."""
    return node("load", indices, dtype, buffer)


def load_if(buffer: str, cond: Expr, indices: tuple[Expr, ...], dtype: str) -> Expr:
    """The element where ``cond`` holds, 0 elsewhere; memory is touched only where it holds."""
    if cond.is_const and cond.value:
        return load(buffer, indices, dtype)
    return node("load_if", (cond, *indices), dtype, buffer)


def as_expr(value: Operand, dtype: str = "int64") -> Expr:
    """An expression from itself or a Python number."""
    return value if isinstance(value, Expr) else const(value, dtype)


def call(op: str, *args: Expr) -> Expr:
    """A plain node of the table with the result type of its row (no simplification).

    >>> str(call("exp", var("x", "float64")))
    'exp(x)'
    """
    row = SCALAR_OPS[op]
    dtype = result_dtype(row.result, args[0].dtype)
    if any(a.dtype != args[0].dtype for a in args) or len(args) != row.arity:
        raise TypeError(f"{op} does not take {[a.dtype for a in args]}")
    return node(op, args, dtype)


def result_dtype(rule: str, operand: str) -> str:
    """The dtype that a row's rule gives for operands of a dtype.

    >>> result_dtype("part", "complex64"), result_dtype("complex", "float64")
    ('float32', 'complex128')
    """
    if rule == "part":
        return dtypes.real_of(operand)
    if rule == "complex":
        return dtypes.complex_of(operand)
    return "bool" if rule == "bool" else operand


# scalar.polynomial and scalar.text fill these in: they need Expr, operators need them.
_normalize: Any = None
_printer: Any = None


def _arith(op: str, a: Operand, b: Operand) -> Expr:
    dtype = a.dtype if isinstance(a, Expr) else b.dtype if isinstance(b, Expr) else "int64"
    if not all(isinstance(x, Expr | int | float) for x in (a, b)):
        return NotImplemented  # type: ignore[no-any-return]
    if dtype == "int64" and (isinstance(a, float) or isinstance(b, float)):
        return NotImplemented  # type: ignore[no-any-return]  # size and fraction: refused
    left, right = as_expr(a, dtype), as_expr(b, dtype)
    if left.dtype == "int64" == right.dtype:
        out: Expr = _normalize(op, left, right)
        return out
    return call(op, left, right)
