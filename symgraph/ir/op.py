"""Op: what a node of the tensor graph computes. One op, one block.

A subclass declares its parameters as annotated fields; instances are immutable, compare and hash
by class and parameters. On one screen stand its type rule (``infer``), meaning (``reference``),
derivative (``vjp`` or ``jvp``, or ``nondifferentiable`` with the reason) and exactly one of

``lower``   one scalar expression over indices (loops.compute.Compute): fusible
``extern``  a routine: BLAS, a loop nest of lower/routines, LAPACK, FFT, sort ...
``inner``   owns Graphs: scan, cond

An incomplete op refuses to be defined and names what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, dataclass_transform

from symgraph.errors import ArgumentError
from symgraph.ir.types import TensorType
from symgraph.rewrite import pattern

_REALISATIONS = ("lower", "extern", "inner")


@dataclass_transform(frozen_default=True, eq_default=True)
class Op:
    """Base of all ops; see the module for what a subclass states.

    ``infer(*types)`` returns one TensorType or a tuple; ``reference(*arrays)`` the arrays by NumPy;
    ``vjp(g, y, *inputs)`` one cotangent (or None) per input, as graphs; for an op with several
    outputs ``g`` and ``y`` are tuples. ``jvp(tangents, y, *inputs)``, beside it or in its place,
    gives the tangents of the outputs, of several a tuple, linear in those of the inputs (None where
    one does not move). ``elementwise`` says that shapes broadcast.
    ``widens`` says that float16 and bfloat16 are computed in float32: ``reference`` and ``lower``
    are given float32 in their place, and what they make is rounded once. ``any_sign`` names, by
    output, the axis of vectors that are determined only up to a sign or phase each.
    ``at_each_call`` says that even of constants nothing is computed before the program runs.
    """

    __slots__ = ("_hash", "_values")
    fields: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[dict[str, Any]] = {}
    name: ClassVar[str] = ""
    nondifferentiable: ClassVar[str] = ""
    elementwise: ClassVar[bool] = False
    widens: ClassVar[bool] = True
    any_sign: ClassVar[dict[int, int]] = {}
    at_each_call: ClassVar[bool] = False
    makes: ClassVar[str] = ""  # the parameter that names the size of the result, where data say it
    abstract: ClassVar[bool] = True

    infer: ClassVar[Callable[..., Any]]
    reference: ClassVar[Callable[..., Any]]
    vjp: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.abstract = abstract
        own = cls.__dict__.get("__annotations__", {})  # noqa: RUF063  (strings, by the import)
        names = tuple(n for n, t in own.items() if not str(t).startswith("ClassVar"))
        cls.fields = cls.fields + names
        cls.defaults = {**cls.defaults, **{n: cls.__dict__[n] for n in names if n in cls.__dict__}}
        for k, n in enumerate(cls.fields):
            setattr(cls, n, _field(k))
        if not abstract:
            if not cls.name:
                cls.name = cls.__name__.lower()
            missing = incomplete(cls)
            if missing:
                raise ArgumentError(
                    f"op {cls.__name__} is incomplete: {missing}",
                    hint="docs/custom-ops.md shows one; abstract=True is for a base class",
                )
            taken = OPS.get(cls.name)
            if taken is not None and not cls.__module__.startswith("symgraph."):
                home = getattr(taken, "__module__", "symgraph.")
                if home.startswith("symgraph."):
                    raise ArgumentError(
                        f"op {cls.__name__}: symgraph has an op of the name {cls.name!r}",
                        hint='give another: name = "my_exp"',
                    )
            OPS[cls.name] = cls

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not kwargs and len(args) == len(self.fields):
            self._values, self._hash = args, hash((type(self), args))
            return
        values = dict(zip(self.fields, args, strict=False))
        clash = [k for k in kwargs if k in values or k not in self.fields]
        values = {**self.defaults, **values, **kwargs}
        if clash or len(args) > len(self.fields) or len(values) != len(self.fields):
            given = ", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in kwargs.items())])
            raise ArgumentError(
                f"{type(self).__name__} takes the parameters {', '.join(self.fields) or 'none'}; "
                f"given are {given or 'none'}"
            )
        self._values = tuple(values[n] for n in self.fields)
        self._hash = hash((type(self), self._values))

    def __call__(self, *inputs: Any) -> Any:
        """The output (a tuple of several) over ``inputs``; a pattern if one of them is."""
        if any(pattern.is_pattern(i) for i in inputs):
            return pattern.node(
                self.name, inputs, dict(zip(self.fields, self._values, strict=True))
            )
        outputs = _apply(self, inputs).outputs
        return outputs[0] if len(outputs) == 1 else outputs

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Op) or type(self) is not type(other):
            return False
        mine, others = self._values, other._values
        return mine == others and (not mine or _same_kinds(mine, others))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> Any:
        return type(self), self._values

    def __repr__(self) -> str:
        inner = ", ".join(f"{n}={v}" for n, v in zip(self.fields, self._values, strict=True))
        return f"{self.name}{{{inner}}}" if inner else self.name

    def replace(self, **changes: Any) -> Op:
        """The same op with some parameters changed."""
        return type(self)(**{**dict(zip(self.fields, self._values, strict=True)), **changes})

    def types(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        """The output types as a tuple, also for a single output."""
        out = self.infer(*inputs)
        return (out,) if isinstance(out, TensorType) else tuple(out)


_apply: Any = None  # ir.graph fills this in: it needs Op, calling an op needs it


def _field(k: int) -> property:
    return property(lambda self: self._values[k])


OPS: dict[str, Any] = {}  # name -> Op class, or the instance of an elementwise row


def _same_kinds(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether equal parameters are equal in kind too: 1, 1.0 and True differ, and 0.0 and -0.0."""
    for x, y in zip(a, b, strict=True):
        if x is y:
            continue
        if isinstance(x, tuple) and isinstance(y, tuple):
            if not _same_kinds(x, y):
                return False
        elif isinstance(x, float) or isinstance(y, float):
            if type(x) is not type(y) or math.copysign(1, x) != math.copysign(1, y):
                return False
        elif isinstance(x, bool) != isinstance(y, bool):
            return False
    return True


def incomplete(cls: type) -> str:
    """What an op class still lacks, or "" when its block is complete."""
    for needed in ("infer", "reference"):
        if not callable(getattr(cls, needed, None)):
            return f"{needed} is missing"
    if not cls.__doc__:
        return "a docstring (its manual page) is missing"
    has_rule = callable(getattr(cls, "vjp", None)) or callable(getattr(cls, "jvp", None))
    if has_rule == bool(cls.nondifferentiable):  # type: ignore[attr-defined]
        return "exactly one of vjp (or jvp) and nondifferentiable is needed"
    found = [r for r in _REALISATIONS if callable(getattr(cls, r, None))]
    if len(found) != 1:
        return f"exactly one of {', '.join(_REALISATIONS)} is needed, found {found or 'none'}"
    return ""
