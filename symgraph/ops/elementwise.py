"""Elementwise operations as rows: one call states all there is to know about one.

    exp = elementwise("exp", "Natural exponential.", dtype=to_float, reference=np.exp,
                      vjp=lambda g, y, x: (g * y,), lower=scalar.exp, domain=(-10, 10))

The row is the op (an instance of :class:`Elementwise`, found as ``OPS["exp"]``) and the public
function at once: called with operands it promotes their dtypes, converts them and applies itself.
Shapes broadcast as NumPy's; derivatives have the shape of the result, summing them back over
broadcast axes is the business of autodiff.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, ShapeError, SymgraphError, VerifyError
from symgraph.ir.graph import Variable, apply
from symgraph.ir.op import OPS, Op
from symgraph.ir.types import TensorType, broadcast_shapes
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops.cast import to_dtype
from symgraph.ops.operands import as_variable, describe, promotable
from symgraph.rewrite.pattern import is_pattern
from symgraph.rewrite.pattern import node as pattern_node
from symgraph.scalar import Expr
from symgraph.scalar.expr import result_dtype

__all__ = ["as_variable"]

DTypeRule = Callable[..., "str | tuple[str, ...]"]


# dtype rules: operands (dtypes, or weak Python numbers) -> the dtype they are computed in --------
# "" refuses them. A rule leaves the dtypes it returns as they are: infer checks by asking again.


def same(*operands: Any) -> str:
    """The promoted dtype, whatever it is."""
    return dtypes.promote(*operands)


def number(*operands: Any) -> str:
    """The promoted dtype; bools count as int8, as in NumPy."""
    found = dtypes.promote(*operands)
    return "int8" if found == "bool" else found


def not_bool(*operands: Any) -> str:
    """The promoted dtype; refuses bool, as NumPy does for - and sign."""
    found = dtypes.promote(*operands)
    return "" if found == "bool" else found


def to_float(*operands: Any) -> str:
    """A float: integers of 8 and 16 bits give float32, wider ones and bool float64."""
    found = dtypes.promote(*operands)
    if dtypes.is_inexact(found):
        return found
    return "float32" if dtypes.is_int(found) and dtypes.itemsize(found) <= 2 else "float64"


def to_float64(*operands: Any) -> str:
    """A float; all integers and bool give float64, as NumPy's division."""
    found = dtypes.promote(*operands)
    return found if dtypes.is_inexact(found) else "float64"


def integral(*operands: Any) -> str:
    """The promoted dtype; refuses floats."""
    found = dtypes.promote(*operands)
    return "" if dtypes.is_inexact(found) else found


def integer(*operands: Any) -> str:
    """The promoted integer dtype, bools count as int8; refuses floats."""
    found = number(*operands)
    return "" if dtypes.is_inexact(found) else found


def truth(*operands: Any) -> tuple[str, ...]:
    """Every operand as a truth value."""
    return ("bool",) * len(operands)


def choice(cond: Any, *operands: Any) -> tuple[str, ...]:
    """A truth value, then operands of one dtype."""
    found = dtypes.promote(*operands)
    return ("bool", *(found for _ in operands))


_right: set[tuple[Any, tuple[str, ...]]] = set()  # rows and dtypes in which they compute


class Elementwise(Op, abstract=True):
    """One row of an elementwise operation; see the module."""

    elementwise = True
    name: str  # type: ignore[misc]

    def __init__(
        self, name: str, *, doc: str, dtype: DTypeRule, reference: Callable[..., Any],
        lower: Callable[..., Expr], arity: int, vjp: Callable[..., Any] | None,
        nondifferentiable: str, result: str, domain: tuple[Any, ...], module: str, on_complex: bool,
    ) -> None:  # fmt: skip
        self._values = (name,)
        self._hash = hash((Elementwise, name))
        self.__doc__ = doc
        self.__name__ = name
        self.rule, self.body, self.arity = dtype, lower, arity
        self.result, self.domain, self.home = result, domain, module
        self.on_complex = on_complex
        self.reference = reference  # type: ignore[misc]
        if vjp is not None:
            self.vjp = vjp  # type: ignore[misc]
        self.nondifferentiable = nondifferentiable  # type: ignore[misc]

    def __reduce__(self) -> Any:
        return row_named, (self.name, self.home)

    def __repr__(self) -> str:
        return self.name

    def infer(self, *types: TensorType) -> TensorType:  # type: ignore[override]
        given = tuple([t[0] for t in types])
        if (self, given) not in _right:
            wanted = self.computes_in(given)
            if wanted != given:
                names = ", ".join(wanted)
                raise DTypeError(f"{self.name} computes in {names}, not {', '.join(given)}")
            _right.add((self, given))
        first = types[0].shape
        if any(t[1] != first for t in types):
            first = broadcast_shapes(*(t[1] for t in types), what=f"{self.name}: sizes differ")
        if self.result in ("part", "complex"):
            return TensorType(result_dtype(self.result, given[-1]), first)
        return TensorType(self.result or given[-1], first)

    def computes_in(self, operands: tuple[Any, ...]) -> tuple[str, ...]:
        """The dtype of each operand when computing; operands are dtypes or weak Python numbers.

        Raises ArgumentError for their number, DTypeError when the operation refuses them.
        """
        if len(operands) != self.arity:
            raise ArgumentError(f"{self.name} takes {self.arity} operands, got {len(operands)}")
        found = self.rule(*operands)
        if not self.on_complex and found and dtypes.is_complex(_last(found)):
            raise DTypeError(f"{self.name} is not defined for complex numbers", hint=_REAL_ONLY)
        if not found:
            names = ", ".join(o if isinstance(o, str) else type(o).__name__ for o in operands)
            hint = _HINTS.get(self.rule, "")
            raise DTypeError(f"{self.name} is not defined for {names}", hint=hint)
        return (found,) * self.arity if isinstance(found, str) else found

    def lower(self, out: TensorType, *xs: Operand) -> Compute:
        """The row's scalar expression at the broadcast elements."""
        return pointwise(out.shape, lambda *i: self.body(*(x.at_broadcast(i) for x in xs)))

    def __call__(self, *operands: Any, **options: Any) -> Variable:
        if options:
            raise ArgumentError(
                f"{self.name} has no option {', '.join(options)}",
                hint="tensors are made anew: sg.where for where=, sg.cast for dtype=",
            )
        for x in operands:
            if is_pattern(x):
                return pattern_node(self.name, operands, {})  # type: ignore[no-any-return]
        try:
            given = tuple(map(promotable, operands))
            wanted = given if (self, given) in _right else self.computes_in(given)
        except SymgraphError as error:
            error.operands = error.operands or describe(operands)
            raise
        inputs = []
        for x, dtype in zip(operands, wanted, strict=True):
            ready = isinstance(x, Variable) and x.type.dtype == dtype
            inputs.append(x if ready else to_dtype(x, dtype))
        try:
            return apply(self, inputs).outputs[0]
        except ShapeError as error:
            error.hint = error.hint or _broadcasting(inputs)
            raise


def _broadcasting(inputs: Sequence[Variable]) -> str:
    """Which new axis makes two shapes fit."""
    if len(inputs) == 2 and inputs[0].ndim != inputs[1].ndim:
        low, high = sorted(inputs, key=lambda v: v.ndim)
        if low.ndim == 1 and low.shape[0] in high.shape[:-1]:
            axis = high.shape.index(low.shape[0])
            key = ", ".join([":"] + ["None"] * (high.ndim - 1 - axis))
            return f"axes are matched from the right; {low.name or 'x'}[{key}] fits"
    if len(inputs) == 2 and inputs[0].ndim == inputs[1].ndim == 2:
        if inputs[0].shape == inputs[1].shape[::-1]:
            return "the transpose of one of them fits"
    return "sizes along an axis are equal, or one of them is 1; axes are matched from the right"


def row_named(name: str, module: str) -> Elementwise:
    """The row of that name, defined by that module; pickled rows are found again by it."""
    if name not in OPS:
        importlib.import_module(module)
    return OPS[name]  # type: ignore[no-any-return]


def _last(found: str | tuple[str, ...]) -> str:
    return found if isinstance(found, str) else found[-1]


_REAL_ONLY = "it is a function of real numbers: take x.real, x.imag or sg.abs(x) first"
_HINTS: dict[Any, str] = {
    not_bool: "use sg.logical_xor, sg.logical_not or sg.cast to an integer",
    integral: "it works on integers and bools; & binds tighter than <: write (x > 0) & (x < 1)",
    integer: "it works on integers; sg.cast the operand first",
}


def elementwise(
    name: str, doc: str, *, dtype: DTypeRule, reference: Callable[..., Any],
    lower: Callable[..., Expr], arity: int = 1, vjp: Callable[..., Any] | None = None,
    nondifferentiable: str = "", result: str = "", domain: tuple[Any, ...] = (-3, 3),
    example: str = "", on_complex: bool = False,
) -> Elementwise:  # fmt: skip
    """Define and register an elementwise operation.

    ``dtype`` maps operand dtypes to the dtype computed in, ``result`` is the dtype of the result
    when it is another one ("part": that of the parts, "complex": that of complex numbers made of
    such parts); ``reference`` and ``lower`` work on operands of the computing dtype;
    ``vjp(g, y, *operands)`` gives cotangents (None: no derivative) or ``nondifferentiable`` the
    reason why there is none; ``domain`` is the range of test operands (or one range for each);
    ``example`` is a call of the function and its value, with ``->`` between; ``on_complex`` says
    that it takes complex numbers.

    Raises VerifyError for a name that is taken or a row without a derivative or reason.
    """
    if (vjp is None) != bool(nondifferentiable):
        raise VerifyError(f"{name}: exactly one of vjp and nondifferentiable is needed")
    if name in OPS:
        raise VerifyError(f"{name}: the name is taken")
    if example:
        call, _, value = example.partition(" -> ")
        doc += f"\n\n>>> import symgraph as sg\n>>> sg.{call}.eval().tolist()\n{value}\n"
    row = Elementwise(
        name, doc=doc, dtype=dtype, reference=reference, lower=lower, arity=arity, vjp=vjp,
        nondifferentiable=nondifferentiable, result=result, domain=domain,
        module=sys._getframe(1).f_globals["__name__"], on_complex=on_complex,
    )  # fmt: skip
    OPS[name] = row
    return row
