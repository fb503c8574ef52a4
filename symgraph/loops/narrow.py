"""float16 and bfloat16 in kernels: stored narrow, computed in float32.

A value of a narrow dtype becomes a float32 that is one of the narrow numbers. Each operation is
done in float32 and its result rounded to the narrow dtype, by a cast there and back, unless the
operation only picks, negates or compares; for + - * / and the square root that gives the bits of
arithmetic in the narrow dtype itself (24 bits are more than twice 11 and 8, plus 2: Figueroa,
"When is double rounding innocuous?", 1995). Folds carry a float32, which is rounded once at the
end. Only loads, stores and casts of narrow dtypes remain.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph import dtypes
from symgraph.loops.statements import Fold, For, If, Kernel, Let, Stmt, Store, expressions, walk
from symgraph.scalar import Expr, const, node, postorder, rebuild, var

# what makes a narrow number of narrow numbers
_EXACT = frozenset("neg abs minimum maximum sign copysign floor ceil trunc rint select".split())
_UNROUNDED = ("add", "mul")  # combiners whose result is none of the values combined


def widen(kernel: Kernel) -> Kernel:
    """The kernel with arithmetic of narrow floats spelt out; the same object if it has none."""
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    used = (*(p.dtype for p in kernel.params), *(e.dtype for e in postorder(roots)))
    if not any(map(dtypes.is_narrow, used)):
        return kernel
    return kernel._replace(body=_Widening().block(kernel.body))


def widened(x: Expr) -> Expr:
    """A narrow value as float32, any other as it is."""
    return node("cast", (x,), "float32") if dtypes.is_narrow(x.dtype) else x


def narrowed(x: Expr, dtype: str) -> Expr:
    """A float32 as a narrow dtype; what comes from there, or is chosen from such, goes back without
    a conversion."""
    choices, last = [], x
    while last.op == "select" and _comes_from(last.args[1], dtype):
        choices.append(last.args[:2])
        last = last.args[2]
    if not _comes_from(last, dtype):
        return node("cast", (x,), dtype)
    found = _back(last, dtype)
    for cond, first in reversed(choices):
        found = node("select", (cond, _back(first, dtype), found), dtype)
    return found


def _comes_from(x: Expr, dtype: str) -> bool:
    return x.is_const or (x.op == "cast" and x.args[0].dtype == dtype)


def _back(x: Expr, dtype: str) -> Expr:
    return const(x.value, dtype) if x.is_const else x.args[0]


class _Widening:
    """``known`` maps expressions to what stands for them, ``bound`` names alone; ``exact`` says
    which float32 values are numbers of a narrow dtype."""

    def __init__(self) -> None:
        self.known: dict[Expr, Expr] = {}
        self.bound: dict[Expr, Expr] = {}
        self.exact: dict[tuple[Expr, str], bool] = {}

    # statements -----------------------------------------------------------------------------------

    def block(self, body: Sequence[Stmt], sums: frozenset[Expr] = frozenset()) -> tuple[Stmt, ...]:
        """``sums`` are names that an enclosing fold goes on combining: they are not rounded."""
        return tuple(new for s in body for new in self.statement(s, sums))

    def statement(self, s: Stmt, sums: frozenset[Expr]) -> tuple[Stmt, ...]:
        match s:
            case For():
                return (s._replace(body=self.block(s.body)),)
            case If():
                return (If(self.value(s.cond), self.block(s.body)),)
            case Fold():
                return self.fold(s, sums)
            case Let():
                value = self.value(s.value)
                return (Let(self.name(s.name), value),)
            case Store():
                value = self.value(s.value)
                if dtypes.is_narrow(s.value.dtype):
                    value = narrowed(value, s.value.dtype)
                return (Store(s.buffer, tuple(map(self.value, s.indices)), value),)
        return (s,)

    def fold(self, s: Fold, sums: frozenset[Expr]) -> tuple[Stmt, ...]:
        going_on = frozenset(s.values) if s.combiner in _UNROUNDED else frozenset()
        body = self.block(s.body, going_on)
        values = tuple(map(self.value, s.values))
        total = s.names[0]
        rounds = dtypes.is_narrow(total.dtype) and s.combiner in _UNROUNDED and total not in sums
        if not rounds:
            names = tuple(self.name(n, s.combiner not in _UNROUNDED) for n in s.names)
            return (s._replace(names=names, body=body, values=values),)
        carried = var(f"{total.attr}_wide", "float32")
        self.bind(total, self.rounded(carried, total.dtype))
        return (s._replace(names=(carried,), body=body, values=values),)

    def name(self, name: Expr, exact: bool = True) -> Expr:
        if not dtypes.is_narrow(name.dtype):
            return name
        wide = var(name.attr, "float32")
        self.bind(name, wide)
        self.exact[wide, name.dtype] = exact
        return wide

    def bind(self, name: Expr, value: Expr) -> None:
        """What stands for a name from here on; what was made of another of this name, in a loop
        that has ended, is made anew."""
        if name in self.bound:
            self.known = dict(self.bound)
            self.exact = {k: sure for k, sure in self.exact.items() if k[0].op == "var"}
        self.known[name] = self.bound[name] = value

    # values ---------------------------------------------------------------------------------------

    def value(self, root: Expr) -> Expr:
        """What stands for an expression: a float32 for a narrow one."""
        for e in postorder([root]):
            if e not in self.known:
                self.known[e] = self.one(e, tuple(self.known[a] for a in e.args))
        return self.known[root]

    def one(self, e: Expr, args: tuple[Expr, ...]) -> Expr:
        if e.op == "cast":
            return self.cast(args[0], e.args[0].dtype, e.dtype)
        if e.op == "bitcast" and dtypes.is_narrow(e.args[0].dtype):
            args = (narrowed(args[0], e.args[0].dtype),)
        if not dtypes.is_narrow(e.dtype):
            return rebuild(e, args)
        if e.op == "const":
            return const(e.value, "float32")
        if e.op == "var":
            return var(e.attr, "float32")
        if e.op in ("load", "load_if", "bitcast"):
            return widened(rebuild(e, args))
        return self.rounded(rebuild_as(e, args, "float32"), e.dtype)

    def cast(self, x: Expr, source: str, target: str) -> Expr:
        if not dtypes.is_narrow(target):
            return x if target == x.dtype else node("cast", (x,), target)
        if x.dtype == "float32":
            return self.rounded(x, target)
        return widened(node("cast", (x,), target))

    def rounded(self, x: Expr, dtype: str) -> Expr:
        """The float32 equal to x rounded to the narrow dtype."""
        return x if self.is_exact(x, dtype) else widened(narrowed(x, dtype))

    def is_exact(self, x: Expr, dtype: str) -> bool:
        """Whether a float32 is surely a number of the narrow dtype."""
        found = self.exact.get((x, dtype))
        if found is not None:
            return found
        if x.op == "cast":
            sure = x.args[0].dtype == dtype
        elif x.op == "const":
            sure = x.value != x.value or const(x.value, dtype).value == x.value
        else:
            operands = x.args[1:] if x.op == "select" else x.args
            sure = x.op in _EXACT and all(self.is_exact(a, dtype) for a in operands)
        self.exact[x, dtype] = sure
        return sure


def rebuild_as(e: Expr, args: tuple[Expr, ...], dtype: str) -> Expr:
    """The node with other operands at another dtype."""
    if e.op == "select" and args[0].is_const:
        return args[1] if args[0].value else args[2]
    return node(e.op, args, dtype, e.attr)
