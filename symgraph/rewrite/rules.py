"""Rules are equations, and data: they can be counted, printed, traced and tested on both sides.

    STABILIZE = RuleSet("stabilize",
        rule(log(1 + x), log1p(x)),
        rule(x / c, x * (1 / c), when=power_of_two("c"), klass=EXACT),
        rule_function(match_op("reshape", y), drop_reshape, klass=EXACT))

Each carries a safety class:

``EXACT``    the same bits for every input, also NaN, infinities and -0.0
``STABLE``   equal over the reals wherever the left side is defined, and not less accurate (but for
             the few roundings of a handful of operations)
``RELAXED``  equal over the reals; rounding may change
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from symgraph.rewrite.pattern import Number, OpPattern, Pattern, Wild, as_pattern, bind

EXACT, STABLE, RELAXED = "exact", "stable", "relaxed"
CLASSES = (EXACT, STABLE, RELAXED)


class Rule:
    """One rule: an equation (``replacement`` is a pattern) or a function over the bindings.

    ``when`` and ``function`` are called with those bindings that they name as parameters, and
    ``root`` for the matched value itself.
    """

    __slots__ = ("_name", "among", "doc", "file", "function", "klass", "line", "needs", "pattern",
                 "replacement", "when")  # fmt: skip

    def __init__(
        self,
        pattern: Pattern,
        replacement: Pattern | None,
        function: Callable[..., Any] | None,
        when: Callable[..., Any] | None,
        klass: str,
        name: str | None,
        doc: str,
        among: frozenset[Any] | None = None,
    ) -> None:
        if klass not in CLASSES:
            raise ValueError(f"a rule's class is one of {', '.join(CLASSES)}, not {klass!r}")
        self.pattern, self.replacement, self.function = pattern, replacement, function
        self.when, self.klass, self.doc = when, klass, doc
        caller = sys._getframe(2)
        self.file, self.line = caller.f_code.co_filename, caller.f_lineno
        self.needs = _needs(pattern)
        self.among = among
        self._name = name
        if replacement is not None:
            bound: set[str] = set()
            used: set[str] = set()
            bind(pattern, bound)
            bind(replacement, used)
            if not used <= bound:
                unbound = sorted(used - bound)
                raise ValueError(f"{self}: the right side uses unbound {unbound}")

    @property
    def name(self) -> str:
        """Its name, or the equation."""
        return self._name or self.equation()

    @property
    def root(self) -> str:
        """The op name that its matches begin with; "" when any op may."""
        return self.pattern.op if isinstance(self.pattern, OpPattern) else ""

    def equation(self) -> str:
        """``log(1 + x) -> log1p(x)``"""
        right = repr(self.replacement)
        if self.function is not None:
            right = f"{self.function.__name__.lstrip('_')}(...)"
        return f"{self.pattern!r} -> {right}"

    def location(self) -> str:
        """``stabilize.py:31``"""
        return f"{os.path.basename(self.file)}:{self.line}"

    def __repr__(self) -> str:
        when = f"  when {described(self.when)}" if self.when is not None else ""
        return f"{self.equation()}{when}  [{self.klass}]"


def rule(
    pattern: Any,
    replacement: Any,
    *,
    when: Callable[..., Any] | None = None,
    klass: str = STABLE,
    name: str | None = None,
    doc: str = "",
) -> Rule:
    """An equation, read from left to right; with ``when``, only for bindings that satisfy it.

    >>> from symgraph.rewrite.pattern import wild, node
    >>> x = wild("x")
    >>> rule(node("log", (1 + x,)), node("log1p", (x,)))
    log(1 + x) -> log1p(x)  [stable]
    """
    return Rule(as_pattern(pattern), as_pattern(replacement), None, when, klass, name, doc)


def rule_function(
    pattern: Any,
    function: Callable[..., Any],
    *,
    klass: str = EXACT,
    name: str | None = None,
    doc: str = "",
    among: Iterable[Any] | None = None,
) -> Rule:
    """A rule whose right side is computed: the function returns the value, or None to decline.

    It is asked only when one of the ops in ``among`` made an operand, if that is given; "#" stands
    for a constant. A rule that begins with any op should say so: it is offered every value.
    """
    about = doc or (function.__doc__ or "").strip()
    names = None if among is None else frozenset(among)
    return Rule(as_pattern(pattern), None, function, None, klass, name, about, names)


def call_with(function: Callable[..., Any], bindings: dict[str, Any], root: Any) -> Any:
    """Call a ``when`` or a rule function with the bindings that it names."""
    code = function.__code__
    wanted = code.co_varnames[: code.co_argcount]
    return function(*[root if n == "root" else bindings[n] for n in wanted])


class RuleSet:
    """Rules in the order in which they are tried; the first that fires wins.

    >>> from symgraph.rewrite.pattern import wild
    >>> x = wild("x")
    >>> len(RuleSet("algebra", rule(x * 1, x, klass=EXACT), rule(x - 0, x, klass=EXACT)))
    2
    """

    def __init__(self, name: str, *rules: Rule | Iterable[Any]) -> None:
        self.name, self.rules = name, tuple(_flat(rules))
        self._tables: dict[frozenset[str], Table] = {}

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def table(self, admit: Iterable[str]) -> Table:
        """The admitted rules, indexed by the op at their root."""
        key = frozenset(admit)
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = Table([r for r in self.rules if r.klass in key])
        return found

    def __repr__(self) -> str:
        return "\n".join([f"{self.name}:"] + [f"  {r!r}" for r in self.rules])


class OwnRules(RuleSet):
    """The caller's rules, who has said of each that it shall be used."""

    def table(self, admit: Iterable[str]) -> Table:
        return super().table(CLASSES)


class Table(dict[str, tuple[Rule, ...]]):
    """Root op name -> the rules to try, in order; ops without rules of their own get the rules
    that begin with any op."""

    def __init__(self, rules: list[Rule]) -> None:
        self.general = tuple(r for r in rules if not r.root)
        found: dict[str, list[Rule]] = {r.root: [] for r in rules if r.root}
        for r in rules:
            for each in (found[r.root],) if r.root else found.values():
                each.append(r)
        super().__init__({n: tuple(each) for n, each in found.items()})

    def __missing__(self, name: str) -> tuple[Rule, ...]:
        return self.general


def _flat(rules: Iterable[Any]) -> Iterator[Rule]:
    for r in rules:
        if isinstance(r, Rule):
            yield r
        else:
            yield from _flat(r)


def _needs(pattern: Pattern) -> frozenset[Any]:
    # What the operands of a match must contain: op names, numbers, "#" for any constant. Most
    # candidates fail here, before the matcher is asked.
    if not isinstance(pattern, OpPattern):
        return frozenset()
    found: set[Any] = set()
    for i in pattern.inputs:
        if isinstance(i, OpPattern):
            found.add(i.op)
        elif isinstance(i, Number):
            found.add(i.value)
        elif isinstance(i, Wild) and i.constant:
            found.add("#")
    return frozenset(found)


def described(function: Callable[..., Any]) -> str:
    return (function.__doc__ or function.__name__).strip().splitlines()[0]
