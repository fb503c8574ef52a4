"""Patterns: graphs with holes, built with the same operators and functions as the user's graphs.

    x = wild("x")
    log(1 + x)                            # op functions and Python operators make pattern nodes
    match_op("sum", exp(x), axes=attr("a"))   # an op with parameters; attr(...) binds a parameter

A pattern is a description of a value: a wildcard that binds any value, a wildcard that binds any
constant, a number that stands for constants equal to it, or an op over patterns. Only the *name* of
an op is known here, so patterns serve any graph whose nodes follow ``rewrite.engine.Adapter``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COMMUTATIVE = frozenset(
    "add multiply minimum maximum equal not_equal logical_and logical_or logical_xor "
    "bitwise_and bitwise_or bitwise_xor".split()
)

_INFIX = {
    "add": ("+", 5), "subtract": ("-", 5), "multiply": ("*", 6), "divide": ("/", 6),
    "floor_divide": ("//", 6), "remainder": ("%", 6), "power": ("**", 8),
    "left_shift": ("<<", 4), "right_shift": (">>", 4), "bitwise_and": ("&", 3),
    "bitwise_xor": ("^", 2), "bitwise_or": ("|", 1), "less": ("<", 0), "less_equal": ("<=", 0),
    "equal": ("==", 0), "not_equal": ("!=", 0),
}  # fmt: skip
_PREFIX = {"negative": ("-", 7), "invert": ("~", 7)}


class Pattern:
    """Base of all patterns; arithmetic on patterns makes :class:`OpPattern` nodes.

    ``==`` builds a pattern, so patterns are compared by identity only.
    """

    __slots__ = ()
    __array_ufunc__ = None

    def __add__(self, other: Any) -> OpPattern:
        return node("add", (self, other))

    def __radd__(self, other: Any) -> OpPattern:
        return node("add", (other, self))

    def __sub__(self, other: Any) -> OpPattern:
        return node("subtract", (self, other))

    def __rsub__(self, other: Any) -> OpPattern:
        return node("subtract", (other, self))

    def __mul__(self, other: Any) -> OpPattern:
        return node("multiply", (self, other))

    def __rmul__(self, other: Any) -> OpPattern:
        return node("multiply", (other, self))

    def __truediv__(self, other: Any) -> OpPattern:
        return node("divide", (self, other))

    def __rtruediv__(self, other: Any) -> OpPattern:
        return node("divide", (other, self))

    def __floordiv__(self, other: Any) -> OpPattern:
        return node("floor_divide", (self, other))

    def __rfloordiv__(self, other: Any) -> OpPattern:
        return node("floor_divide", (other, self))

    def __mod__(self, other: Any) -> OpPattern:
        return node("remainder", (self, other))

    def __rmod__(self, other: Any) -> OpPattern:
        return node("remainder", (other, self))

    def __matmul__(self, other: Any) -> OpPattern:
        return node("matmul", (self, other))

    def __pow__(self, other: Any) -> OpPattern:
        return node("power", (self, other))

    def __rpow__(self, other: Any) -> OpPattern:
        return node("power", (other, self))

    def __and__(self, other: Any) -> OpPattern:
        return node("bitwise_and", (self, other))

    def __or__(self, other: Any) -> OpPattern:
        return node("bitwise_or", (self, other))

    def __xor__(self, other: Any) -> OpPattern:
        return node("bitwise_xor", (self, other))

    def __lt__(self, other: Any) -> OpPattern:
        return node("less", (self, other))

    def __le__(self, other: Any) -> OpPattern:
        return node("less_equal", (self, other))

    def __gt__(self, other: Any) -> OpPattern:
        return node("less", (other, self))

    def __ge__(self, other: Any) -> OpPattern:
        return node("less_equal", (other, self))

    def __eq__(self, other: Any) -> OpPattern:  # type: ignore[override]
        return node("equal", (self, other))

    def __ne__(self, other: Any) -> OpPattern:  # type: ignore[override]
        return node("not_equal", (self, other))

    def __neg__(self) -> OpPattern:
        return node("negative", (self,))

    def __abs__(self) -> OpPattern:
        return node("absolute", (self,))

    def __invert__(self) -> OpPattern:
        return node("invert", (self,))

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError("a pattern has no truth value; patterns are compared with `is`")

    def __repr__(self) -> str:
        return text(self)


class Wild(Pattern):
    """Matches any value and binds it; ``kinds`` limits the dtype kinds ("b", "i", "u", "f")."""

    __slots__ = ("constant", "kinds", "name")

    def __init__(self, name: str, kinds: str = "", constant: bool = False) -> None:
        self.name, self.kinds, self.constant = name, kinds, constant


class Number(Pattern):
    """Matches constants all of whose elements are this number at any dtype; -0.0 is not 0."""

    __slots__ = ("value",)

    def __init__(self, value: bool | int | float) -> None:
        self.value = value


class Attr:
    """A parameter of an op left open: bound when the pattern matches."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


class OpPattern(Pattern):
    """An op by name over patterns; parameters not mentioned may have any value."""

    __slots__ = ("commutative", "inputs", "op", "params")

    def __init__(self, op: str, inputs: tuple[Pattern, ...], params: dict[str, Any]) -> None:
        self.op, self.inputs, self.params = op, inputs, params
        self.commutative = op in COMMUTATIVE and len(inputs) == 2


def wild(name: str, kinds: str = "") -> Wild:
    """A wildcard: the same name must bind the same value everywhere in a pattern.

    >>> x, y = wild("x"), wild("y", "f")
    >>> -(x + y) * x
    -(x + y) * x
    """
    return Wild(name, kinds)


def const(name: str, kinds: str = "") -> Wild:
    """A wildcard that binds constants only."""
    return Wild(name, kinds, constant=True)


def attr(name: str) -> Attr:
    """A wildcard for a parameter of an op."""
    return Attr(name)


def is_pattern(value: object) -> bool:
    """Whether a value belongs to a pattern rather than to a graph."""
    return isinstance(value, Pattern)


def as_pattern(value: Any) -> Pattern:
    """A pattern from itself or a Python number; raises TypeError for anything else."""
    if isinstance(value, Pattern):
        return value
    if isinstance(value, bool | int | float):
        return Number(value)
    raise TypeError(f"not a pattern or a number: {value!r}")


def node(op: str, inputs: Sequence[Any], params: dict[str, Any] | None = None) -> OpPattern:
    """The pattern of an op by name; Python numbers among the inputs become :class:`Number`.

    >>> node("log", (1 + wild("x"),))
    log(1 + x)
    """
    return OpPattern(op, tuple(map(as_pattern, inputs)), dict(params) if params else {})


def match_op(op: str, *inputs: Any, **params: Any) -> OpPattern:
    """The pattern of an op with parameters: a literal must be equal, an ``attr`` is bound.

    >>> match_op("sum", wild("x"), axes=attr("a"))
    sum(x, axes=a)
    """
    return node(op, inputs, params)


def names(pattern: Pattern) -> list[str]:
    """What a pattern binds, in order of first use.

    >>> x = wild("x")
    >>> names(match_op("sum", x * x, axes=attr("a")))
    ['x', 'a']
    """
    found: dict[str, None] = {}
    for part in parts(pattern):
        if isinstance(part, Wild):
            found[part.name] = None
        elif isinstance(part, OpPattern):
            found.update({p.name: None for p in part.params.values() if isinstance(p, Attr)})
    return list(found)


def bind(pattern: Pattern, found: set[str]) -> None:
    """The same into a set, in a third of the time: for each of some hundred rules of a process."""
    if isinstance(pattern, Wild):
        found.add(pattern.name)
    elif isinstance(pattern, OpPattern):
        for i in pattern.inputs:
            bind(i, found)
        for p in pattern.params.values():
            if isinstance(p, Attr):
                found.add(p.name)


def parts(pattern: Pattern) -> list[Pattern]:
    """All parts of a pattern, operands before the ops that use them."""
    found: list[Pattern] = []
    _collect(pattern, found)
    return found


def _collect(pattern: Pattern, found: list[Pattern]) -> None:
    if isinstance(pattern, OpPattern):
        for i in pattern.inputs:
            _collect(i, found)
    found.append(pattern)


def text(pattern: Pattern, binding: int = -1) -> str:
    """A pattern as the user would write it; ``binding`` is the precedence around it."""
    if isinstance(pattern, Wild):
        return pattern.name
    if isinstance(pattern, Number):
        return str(pattern.value)
    assert isinstance(pattern, OpPattern)
    op, inputs = pattern.op, pattern.inputs
    if op in _INFIX and len(inputs) == 2 and not pattern.params:
        sign, own = _INFIX[op]
        left = own + 1 if op == "power" else own
        out = f"{text(inputs[0], left)} {sign} {text(inputs[1], own + 1)}"
        return f"({out})" if own < binding else out
    if op in _PREFIX and len(inputs) == 1:
        sign, own = _PREFIX[op]
        out = f"{sign}{text(inputs[0], own + 1)}"
        return f"({out})" if own < binding else out
    params = [f"{k}={v}" for k, v in pattern.params.items()]
    return f"{op}({', '.join([text(i) for i in inputs] + params)})"
