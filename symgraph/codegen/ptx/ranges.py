"""Which integers of a kernel are known to fit into 31 bits, from sizes that are known.

Indices are 64 bits wide. A GPU multiplies and divides such numbers in many instructions; where the
numbers of blocks, threads and turns are known, most indices of a kernel are small, not negative,
and can be computed in 32 bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from symgraph.loops.statements import Fold, For, Kernel, Let, walk
from symgraph.scalar import Expr

MOST = 2**31 - 1
NARROW = ("add", "sub", "mul", "floordiv", "mod", "minimum", "maximum")
_LARGEST = 1 << 62  # beyond it a bound is none

Range = tuple[int, int]


class Ranges:
    """The least and the largest value of integers of a kernel. A name that is bound in several
    places has what all of its loops need; nothing is known of those of carried values.

    >>> from symgraph.loops.statements import Store
    >>> from symgraph.scalar import const, var
    >>> i, j = var("i"), var("j")
    >>> body = (For(i, 5, "serial", (Let(j, i * 3), Store("p", (j,), const(0.0, "float32")))),)
    >>> found = Ranges(Kernel("k", (), (), body))
    >>> found.of(j + 1), found.narrow(j // 2), found.narrow(j - 5)
    ((1, 13), True, False)
    """

    def __init__(self, kernel: Kernel) -> None:
        self.bound: dict[Expr, Range | None] = {}
        self.known: dict[Expr, Range | None] = {}
        statements = list(walk(kernel.body))
        lets = [s for s in statements if isinstance(s, Let)]
        once = Counter(s.name for s in lets)
        for s in statements:
            if isinstance(s, For | Fold):
                known = isinstance(s.extent, int)
                self._join(s.index, (0, max(0, int(s.extent) - 1)) if known else None)  # type: ignore[arg-type]
            if isinstance(s, Fold):
                self.bound |= dict.fromkeys(s.names)
        lone = [s for s in lets if once[s.name] == 1 and s.name not in self.bound]
        self.bound |= {s.name: None for s in lets if s not in lone}
        for s in lone:  # in the order of the program: what a value reads comes before it
            self.bound[s.name] = self.of(s.value)

    def _join(self, name: Expr, found: Range | None) -> None:
        before = self.bound.get(name, found)
        both = None
        if before is not None and found is not None:
            both = min(before[0], found[0]), max(before[1], found[1])
        self.bound[name] = both

    def of(self, root: Expr) -> Range | None:
        """The range of an expression; None where there is no telling."""
        stack = [root]
        while stack:
            e = stack[-1]
            inner = e.args if e.op in (*NARROW, "select") else ()
            missing = [a for a in inner if a not in self.known]
            if e not in self.known and missing:
                stack += missing
                continue
            stack.pop()
            if e not in self.known:
                self.known[e] = self._one(e, [self.known[a] for a in inner])
        return self.known[root]

    def _one(self, e: Expr, args: Sequence[Range | None]) -> Range | None:
        if e.dtype != "int64":
            return None
        if e.is_const:
            return int(e.value), int(e.value)
        if e.op == "var":
            return self.bound.get(e)
        parts = [r for r in (args[1:] if e.op == "select" else args) if r is not None]
        if len(parts) != 2:
            return None
        found = _arithmetic(e.op, *parts[0], *parts[1])
        if found is None or found[0] < -_LARGEST or found[1] > _LARGEST:
            return None
        return found

    def narrow(self, e: Expr) -> bool:
        """Whether an integer and what it is computed from are not negative and have 31 bits."""
        if e.op not in NARROW or e.dtype != "int64":
            return False
        for part in (e, *e.args):
            found = self.of(part)
            if found is None or found[0] < 0 or found[1] > MOST:
                return False
        divisor = self.of(e.args[1])
        return e.op not in ("floordiv", "mod") or (divisor is not None and divisor[0] > 0)


def _arithmetic(op: str, a: int, b: int, c: int, d: int) -> Range | None:
    """What comes of a number from a to b and one from c to d."""
    match op:
        case "add":
            return a + c, b + d
        case "sub":
            return a - d, b - c
        case "mul":
            ends = (a * c, a * d, b * c, b * d)
            return min(ends), max(ends)
        case "floordiv" if c > 0:
            ends = (a // c, a // d, b // c, b // d)
            return min(ends), max(ends)
        case "mod" if c > 0:
            return (a, b) if 0 <= a and b < c else (0, d - 1)
        case "minimum":
            return min(a, c), min(b, d)
        case "maximum":
            return max(a, c), max(b, d)
        case "select":
            return min(a, c), max(b, d)
    return None
