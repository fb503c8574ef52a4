"""Ops whose meaning is a Python function of NumPy arrays, called back by compiled code.

For an op in native code subclass :class:`symgraph.Op` and give it a ``lower``; docs/custom-ops.md
shows both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, GradientError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.op import Op
from symgraph.ir.operators import LANGUAGE
from symgraph.ir.types import TensorType, same_size, tensor_type
from symgraph.loops.routine import Routine
from symgraph.ops.operands import as_variable
from symgraph.scalar import Expr, as_expr, as_size, substitute, var

__all__ = ["as_op", "python_op"]

Infer = Callable[..., Any]


class PythonOp(Op):
    """``function`` of arrays, run in Python. ``types`` gives the result types from the input types,
    ``derivative(g, y, *inputs)`` the cotangents."""

    name = "python_op"
    widens = False  # the user's function gets the dtypes it has declared
    title: str
    function: Callable[..., Any]
    types_of: Infer
    derivative: Callable[..., Any] | None

    def infer(self, *given: TensorType) -> tuple[TensorType, ...]:
        found = self.types_of(*given)
        single = isinstance(found, TensorType)
        return tuple(_as_type(t) for t in ((found,) if single else found))

    def reference(self, *arrays: Any) -> Any:
        try:
            found = self.function(*arrays)
        except Exception as error:
            frozen = " (its arguments are read-only)" if "read-only" in str(error) else ""
            error.add_note(f"raised by the Python op {self.title}{frozen}")
            raise
        several = found if isinstance(found, tuple | list) else (found,)
        results = [np.asarray(a) for a in several]
        wanted = self.infer(*(TensorType(str(a.dtype), a.shape) for a in arrays))
        if len(results) != len(wanted):
            raise ArgumentError(
                f"{self.title} returned {len(results)} arrays, declared are {len(wanted)}"
            )
        for k, (a, t) in enumerate(zip(results, wanted, strict=True)):
            differ = any(
                isinstance(s, int) and s != n for s, n in zip(t.shape, a.shape, strict=False)
            )
            if str(a.dtype) != t.dtype:
                raise DTypeError(
                    f"{self.title} returned {a.dtype} as result {k}, declared is {t.dtype}",
                    hint=f"return result.astype({t.dtype!r}), or declare {a.dtype}",
                )
            if a.ndim != t.ndim or differ:
                what = f"{self.title} returned the shape {a.shape} as result {k}"
                raise ShapeError(
                    f"{what}, declared is {t.text()}",
                    hint="infer= may be a function of the input types where text does not say it",
                )
        return tuple(results) if len(wanted) > 1 else results[0]

    def vjp(self, g: Any, y: Any, *inputs: Variable) -> tuple[Any, ...]:
        return self.partial_vjp((True,) * len(inputs), g, y, *inputs)

    def partial_vjp(
        self, wanted: Sequence[bool], g: Any, y: Any, *inputs: Variable
    ) -> tuple[Any, ...]:
        """The user's derivative; GradientError when there is none."""
        if self.derivative is None:
            raise GradientError(
                f"{self.title}: this Python function has no derivative",
                hint="give vjp= or jvp= (docs/custom-ops.md), or sg.stop_gradient its inputs",
            )
        if isinstance(g, tuple) and len(g) == 1:
            g, y = g[0], y[0]
        found = self.derivative(g, y, *inputs)
        return tuple(found) if isinstance(found, tuple | list) else (found,)

    def extern(self, *types: TensorType) -> Routine:
        return Routine("python")


class PythonOpForward(PythonOp):
    """A Python function whose derivative is given forwards: ``tangent(tangents, y, *inputs)``."""

    name = "python_op_forward"
    tangent: Callable[..., Any]

    def jvp(self, tangents: Any, y: Any, *inputs: Variable) -> Any:
        return self.tangent(tangents, y, *inputs)

    def partial_vjp(
        self, wanted: Sequence[bool], g: Any, y: Any, *inputs: Variable
    ) -> tuple[Any, ...]:
        """The user's derivative; else the transpose of the tangents."""
        if self.derivative is not None:
            return super().partial_vjp(wanted, g, y, *inputs)
        ys, gs = (v if isinstance(v, tuple) else (v,) for v in (y, g))
        return tuple(LANGUAGE["pull_by_jvp"](self, inputs, wanted, ys, gs))


def _as_type(t: Any) -> TensorType:
    """A type with its size names as sizes."""
    if isinstance(t, str):
        return parse_type(t)
    if isinstance(t, TensorType):
        return TensorType(dtypes.as_dtype(t.dtype), tuple(_size(s) for s in t.shape))
    raise ArgumentError(f"a result type is a TensorType, or text such as 'float64[n]', not {t!r}")


def _size(s: Any) -> Any:
    return var(s) if isinstance(s, str) else s


def parse_type(text: str) -> TensorType:
    """A type from its text: ``float32[batch, 784]``. Raises DTypeError, ShapeError.

    >>> parse_type("int64[n, 3]").text()
    'int64[n, 3]'
    """
    dtype, bracket, rest = text.strip().partition("[")
    if bracket and not rest.endswith("]"):
        raise ShapeError(f"{text!r} is no type", hint="write float32[batch, 784]")
    words = [w.strip() for w in rest[:-1].split(",") if w.strip()]
    return tensor_type(dtype, [int(w) if w.isdigit() else w for w in words])


class PythonFunction:
    """What :func:`python_op` returns: called with tensors it applies the op."""

    def __init__(
        self, title: str, function: Callable[..., Any], infer: Infer, vjp: Any, jvp: Any = None
    ) -> None:
        self.op = PythonOp(title, function, infer, vjp)
        if jvp is not None:
            self.op = PythonOpForward(title, function, infer, vjp, jvp)
        self.fn = function
        self.__name__, self.__doc__ = title, getattr(function, "__doc__", None)

    def __call__(self, *args: Any) -> Any:
        return self.op(*(as_variable(a) for a in args))


def python_op(
    fn: Callable[..., Any] | None = None, *, infer: Any, vjp: Callable[..., Any] | None = None,
    jvp: Callable[..., Any] | None = None, name: str | None = None,
) -> Any:  # fmt: skip
    """An op from a Python function of NumPy arrays; a decorator.

    ``infer`` gives the type of the result (a tuple of several) from the types of the inputs, or is
    text such as ``"float64[n, k], float64[k] -> float64[n]"``, where a name is the same size
    everywhere. ``vjp(g, y, *inputs)`` builds the cotangents of the inputs from tensors, or
    ``jvp(tangents, y, *inputs)`` the tangent of the result (a tuple of several) from those of the
    inputs, None where one does not move; one of them is enough for both directions. Without either
    derivatives that reach the op raise GradientError.

    Compiled code calls the function back, which takes some 25 us a call and holds the GIL; its
    results are checked against the declared types. A graph with such an op is compiled anew in
    each process, as a Python function has no form on disk.

    >>> import symgraph as sg
    >>> import numpy as np
    >>> @sg.python_op(infer="float64[n] -> float64[n]", vjp=lambda g, y, x: (g * 3,))
    ... def triple(x):
    ...     return x * 3
    >>> x = sg.vector("x")
    >>> triple(x).eval({x: [1.0, 2.0]}).tolist()
    [3.0, 6.0]
    """
    if fn is None:
        return lambda f: python_op(f, infer=infer, vjp=vjp, jvp=jvp, name=name)
    if isinstance(infer, str):
        left, arrow, right = infer.partition("->")
        if not arrow:
            raise ArgumentError(f"python_op: {infer!r} has no ->")
        given, made = _types(left), _types(right)
        infer = Signature(fn.__name__, given, made)
    return PythonFunction(name or getattr(fn, "__name__", "python_op"), fn, infer, vjp, jvp)


def _types(text: str) -> list[TensorType]:
    """The types of a list of them, separated by commas outside brackets."""
    parts, depth, start = [], 0, 0
    for k, c in enumerate(text):
        depth += (c == "[") - (c == "]")
        if c == "," and depth == 0:
            parts.append(text[start:k])
            start = k + 1
    return [parse_type(p) for p in (*parts, text[start:]) if p.strip()]


class Signature:
    """The type rule of declared types: size names of the inputs are bound to the actual sizes."""

    def __init__(self, title: str, given: list[TensorType], made: list[TensorType]) -> None:
        self.title, self.given, self.made = title, given, made

    def __call__(self, *types: TensorType) -> tuple[TensorType, ...]:
        if len(types) != len(self.given):
            raise ArgumentError(
                f"{self.title} takes {len(self.given)} inputs, got {len(types)}",
                hint=f"declared are {', '.join(t.text() for t in self.given)}",
            )
        sizes: dict[Expr, Expr] = {}
        for k, (own, t) in enumerate(zip(self.given, types, strict=True)):
            what = f"{self.title}: input {k} is {own.text()}, got {t.text()}"
            if own.dtype != t.dtype:
                raise DTypeError(what)
            if own.ndim != t.ndim:
                raise RankError(what)
            for size, actual in zip(own.shape, t.shape, strict=True):
                if isinstance(size, Expr):
                    size = as_size(sizes.setdefault(size, as_expr(actual)))
                same_size(size, actual, what)
        return tuple(
            t.with_shape([as_size(substitute(as_expr(s), sizes)) for s in t.shape])
            for t in self.made
        )


def as_op(
    itypes: Sequence[Any], otypes: Sequence[Any], vjp: Callable[..., Any] | None = None
) -> Any:
    """Theano's decorator: the types of the inputs and of the results, as TensorType or text; size
    names of the inputs may stand in the results. See :func:`python_op`.

    >>> import symgraph as sg
    >>> @sg.as_op(["float64[n]"], ["float64"])
    ... def largest(x):
    ...     return x.max()
    >>> largest(sg.constant([1.0, 5.0])).eval().item()
    5.0
    """

    def make(fn: Callable[..., Any]) -> PythonFunction:
        title = getattr(fn, "__name__", "as_op")
        given, made = ([_as_type(t) for t in types] for types in (itypes, otypes))
        return PythonFunction(title, fn, Signature(title, given, made), vjp)

    return make
