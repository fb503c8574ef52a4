"""FPCore, the language of FPBench (https://fpbench.org, format 2.0), read and evaluated.

A core is an s-expression: arguments, properties, a body over real numbers. Here every variable is a
float64. Bodies with loops, tensors, calls of other cores or unknown functions raise `Unsupported`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple

_TOKEN = re.compile(r'#\|(?:[^|]|\|(?!#))*\|#|;[^\n]*|"(?:[^"\\]|\\.)*"|[()\[\]]|[^\s()\[\]";]+')
_NUMBER = re.compile(r"[+-]?(\d+/\d+|\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?)$")
_HEX = re.compile(r"[+-]?0x", re.IGNORECASE)
CONSTANTS = ("PI", "E", "PI_2", "PI_4", "M_1_PI", "M_2_PI", "M_2_SQRTPI", "SQRT2", "SQRT1_2",
             "LN2", "LN10", "LOG2E", "LOG10E", "INFINITY", "NAN", "TRUE", "FALSE")  # fmt: skip
# name in FPCore -> name in NumPy and in the libraries that follow it
FUNCTIONS = {
    **{n: n for n in """sqrt cbrt exp exp2 expm1 log log10 log2 log1p sin cos tan sinh cosh tanh
        hypot floor ceil trunc copysign erf erfc""".split()},
    "fabs": "abs", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "fmin": "minimum",
    "fmax": "maximum", "nearbyint": "rint",
}  # fmt: skip
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda a, b: a < b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


class Unsupported(Exception):
    """The core uses what this reader leaves out; the text says what."""


class Text(str):
    """A string of the source, in contrast to a symbol."""

    __slots__ = ()


class Core(NamedTuple):
    """One benchmark; ``alternatives`` are the better formulas that its authors give."""

    name: str
    arguments: tuple[str, ...]
    condition: Any
    body: Any
    alternatives: tuple[Any, ...]


def parse(text: str) -> list[Any]:
    """All s-expressions of a text, as lists, symbols (str) and Text.

    >>> parse('(FPCore (x) :name "a" [+ x 1]) ; comment')
    [['FPCore', ['x'], ':name', 'a', ['+', 'x', '1']]]
    """
    stack: list[list[Any]] = [[]]
    for token in _TOKEN.findall(text):
        if token[0] == ";" or token.startswith("#|"):
            continue
        if token in "([":
            stack.append([])
        elif token in ")]":
            if len(stack) == 1:
                raise ValueError("a closing bracket without an opening one")
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(Text(token[1:-1]) if token[0] == '"' else token)
    if len(stack) > 1:
        raise ValueError("a bracket is never closed")
    return stack[0]


def cores(text: str) -> list[Core | Unsupported]:
    """The benchmarks of a file, or why one cannot be read; other forms are passed over."""
    return [_core(e, k) for k, e in enumerate(parse(text)) if e and e[0] == "FPCore"]


def _core(e: list[Any], number: int) -> Core | Unsupported:
    rest = e[1:]
    symbol = rest.pop(0) if not isinstance(rest[0], list) else ""
    given = [a[-1] if a[:1] == ["!"] else a for a in rest.pop(0)]
    if not all(isinstance(a, str) for a in given):
        return Unsupported("(tensor arguments)")
    arguments = tuple(given)
    properties: dict[str, list[Any]] = {}
    while len(rest) > 1:
        properties.setdefault(rest.pop(0), []).append(rest.pop(0))
    name = str(properties.get(":name", [symbol or f"core {number}"])[0])
    condition = properties.get(":pre", ["TRUE"])[0]
    return Core(name, arguments, condition, rest[0], tuple(properties.get(":alt", ())))


class Words(NamedTuple):
    """What evaluation needs of a library: functions by FPCore's names, numbers, the choice."""

    function: Callable[[str], Callable[..., Any]]
    number: Callable[[Fraction], Any]
    constant: Callable[[str], Any]
    choose: Callable[[Any, Callable[[], Any], Callable[[], Any]], Any]
    binary: Callable[[str, Any, Any], Any] = lambda head, p, q: BINARY[head](p, q)


def floating(m: Any) -> Words:
    """The words of a namespace like NumPy's: constants are rounded, both branches are computed."""
    return Words(
        lambda name: getattr(m, FUNCTIONS[name]),
        float,
        _constant,
        lambda flag, then, otherwise: m.where(flag, then(), otherwise()),
    )


def _constant(name: str) -> Any:
    roots = {"SQRT2": math.sqrt(2), "SQRT1_2": math.sqrt(0.5),
             "LN2": math.log(2), "LN10": math.log(10),
             "LOG2E": 1 / math.log(2), "LOG10E": 1 / math.log(10)}  # fmt: skip
    parts = {"PI": math.pi, "PI_2": math.pi / 2, "PI_4": math.pi / 4, "E": math.e,
             "M_1_PI": 1 / math.pi, "M_2_PI": 2 / math.pi, "M_2_SQRTPI": 2 / math.sqrt(math.pi),
             "INFINITY": math.inf, "NAN": math.nan, "TRUE": True, "FALSE": False}  # fmt: skip
    return {**roots, **parts}[name]


def value(e: Any, scope: dict[str, Any], words: Words) -> Any:
    """The value of an expression; the scope gives the variables."""
    if isinstance(e, str):
        return _atom(e, scope, words)
    head, operands = e[0], e[1:]
    if head == "!":
        return value(operands[-1], scope, words)
    if head in ("let", "let*"):
        inner = dict(scope)
        for name, bound in operands[0]:
            inner[name] = value(bound, inner if head == "let*" else scope, words)
        return value(operands[1], inner, words)
    if head == "if":
        flag = value(operands[0], scope, words)
        return words.choose(flag, lambda: value(operands[1], scope, words),
                            lambda: value(operands[2], scope, words))  # fmt: skip
    if not isinstance(head, str) or head not in _KNOWN:
        raise Unsupported(str(head))
    return _apply(head, [value(a, scope, words) for a in operands], words)


def _atom(e: str, scope: dict[str, Any], words: Words) -> Any:
    if e in scope:
        return scope[e]
    if _NUMBER.match(e):
        return words.number(Fraction(e))
    if _HEX.match(e):
        return words.number(Fraction(float.fromhex(e)))
    if e in CONSTANTS:
        return words.constant(e)
    raise Unsupported(e)


def _apply(head: str, a: list[Any], words: Words) -> Any:
    if head == "-" and len(a) == 1:
        return -a[0]
    if head in BINARY:
        return reduce(lambda p, q: words.binary(head, p, q), a)
    if head in _COMPARE:
        found = [_COMPARE[head](p, q) for p, q in pairwise(a)]
        return reduce(lambda p, q: p & q, found)
    if head == "not":
        return a[0] ^ True
    if head == "fma":
        return a[0] * a[1] + a[2]
    if head == "fdim":
        return words.choose(a[0] > a[1], lambda: a[0] - a[1], lambda: 0 * a[0])
    return words.function(head)(*a)


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda p, q: p + q, "-": lambda p, q: p - q, "*": lambda p, q: p * q,
    "/": lambda p, q: p / q, "pow": lambda p, q: p**q,"and": lambda p, q: p & q,
    "or": lambda p, q: p | q,
}  # fmt: skip
_KNOWN = {*BINARY, *_COMPARE, *FUNCTIONS, "not", "fma", "fdim"}
