"""Kernels with complex values rewritten into kernels with floats only.

A complex number is a pair of floats. A buffer of them is a buffer of floats with one more axis of
two; a load is two loads, a name two names, a store two stores, a sum two sums, a product a fold
over pairs. What the functions become is written in scalar/complex_formulas.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from symgraph import dtypes
from symgraph.loops.statements import (
    Alloc,
    Fold,
    For,
    If,
    Kernel,
    Let,
    Param,
    Stmt,
    Store,
    expressions,
    walk,
)
from symgraph.scalar import Expr, const, load, load_if, postorder, rebuild, var
from symgraph.scalar import functions as F
from symgraph.scalar.complex_formulas import PAIRS, REALS, Pair

_COMBINERS = {"add": "complex_add", "mul": "complex_mul"}


def split(kernel: Kernel) -> Kernel:
    """The kernel on pairs of floats; itself when nothing in it is complex."""
    if not _has_complex(kernel):
        return kernel
    params = tuple(p._replace(**_as_floats(p)) for p in kernel.params)
    body = _Splitter().block(kernel.body)
    return kernel._replace(params=params, body=body)


def _has_complex(kernel: Kernel) -> bool:
    if any(dtypes.is_complex(p.dtype) for p in kernel.params):
        return True
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    return any(dtypes.is_complex(e.dtype) for e in postorder(roots))


def _as_floats(s: Param | Alloc) -> dict[str, Any]:
    if not dtypes.is_complex(s.dtype):
        return {}
    return {"dtype": dtypes.real_of(s.dtype), "shape": (*s.shape, 2)}


class _Splitter:
    def __init__(self) -> None:
        self.pairs: dict[Expr, Pair] = {}
        self.reals: dict[Expr, Expr] = {}
        self.count = 0

    # statements -----------------------------------------------------------------------------------

    def block(self, body: Iterable[Stmt]) -> tuple[Stmt, ...]:
        return tuple(new for s in body for new in self.statement(s))

    def statement(self, s: Stmt) -> list[Stmt]:
        match s:
            case For():
                return [s._replace(body=self.block(s.body))]
            case Fold():
                return [self._fold(s)]
            case If():
                return [If(self.real(s.cond), self.block(s.body))]
            case Let():
                if not dtypes.is_complex(s.name.dtype):
                    return [Let(s.name, self.real(s.value))]
                pairs = zip(self.names(s.name), self.pair(s.value), strict=True)
                return [Let(n, v) for n, v in pairs]
            case Store():
                return self._store(s)
            case Alloc():
                return [s._replace(**_as_floats(s))]
        return [s]

    def _fold(self, s: Fold) -> Fold:
        body = self.block(s.body)
        if not dtypes.is_complex(s.names[0].dtype):
            return s._replace(body=body, values=tuple(map(self.real, s.values)))
        names, values = self.names(s.names[0]), self.pair(s.values[0])
        return s._replace(names=names, combiner=_COMBINERS[s.combiner], body=body, values=values)

    def _store(self, s: Store) -> list[Stmt]:
        """Both parts are known before the first is written: they may be made of what was there."""
        indices = tuple(map(self.real, s.indices))
        if not dtypes.is_complex(s.value.dtype):
            return [Store(s.buffer, indices, self.real(s.value))]
        out: list[Stmt] = []
        parts = []
        for value in self.pair(s.value):
            if value.op not in ("var", "const"):
                self.count += 1
                name = var(f"_z{self.count}", value.dtype)
                out.append(Let(name, value))
                value = name
            parts.append(value)
        return out + [Store(s.buffer, (*indices, const(k)), v) for k, v in enumerate(parts)]

    def names(self, name: Expr) -> Pair:
        part = dtypes.real_of(name.dtype)
        return var(f"{name.attr}re", part), var(f"{name.attr}im", part)

    # expressions ----------------------------------------------------------------------------------

    def real(self, e: Expr) -> Expr:
        self._rewrite(e)
        return self.reals[e]

    def pair(self, e: Expr) -> Pair:
        self._rewrite(e)
        return self.pairs[e]

    def _rewrite(self, root: Expr) -> None:
        if root in self.reals or root in self.pairs:
            return
        for e in postorder([root]):
            if e in self.reals or e in self.pairs:
                continue
            if dtypes.is_complex(e.dtype):
                self.pairs[e] = self._complex(e)
            elif e.args and dtypes.is_complex(e.args[0].dtype):
                self.reals[e] = self._of_complex(e)
            else:
                self.reals[e] = rebuild(e, tuple(self.reals[a] for a in e.args))

    def _of_complex(self, e: Expr) -> Expr:
        """A real function of complex operands; a cast keeps the real part, one to bool asks
        whether the number is 0."""
        operands = [self.pairs[a] for a in e.args]
        if e.op != "cast":
            return REALS[e.op](*operands)
        real, imag = operands[0]
        if e.dtype == "bool":
            return F.or_(F.ne(real, 0.0), F.ne(imag, 0.0))
        return F.cast(real, e.dtype)

    def _complex(self, e: Expr) -> Pair:
        part = dtypes.real_of(e.dtype)
        if e.op == "const":
            return const(e.value.real, part), const(e.value.imag, part)
        if e.op == "var":
            return self.names(e)
        if e.op == "complex":
            return self.reals[e.args[0]], self.reals[e.args[1]]
        if e.op in ("load", "load_if"):
            return self._load(e, part)
        if e.op == "select":
            cond, (a, b) = self.reals[e.args[0]], (self.pairs[x] for x in e.args[1:])
            return F.select(cond, a[0], b[0]), F.select(cond, a[1], b[1])
        if e.op == "cast":
            if not dtypes.is_complex(e.args[0].dtype):
                return F.cast(self.reals[e.args[0]], part), const(0.0, part)
            real, imag = self.pairs[e.args[0]]
            return F.cast(real, part), F.cast(imag, part)
        return PAIRS[e.op](*(self.pairs[a] for a in e.args))

    def _load(self, e: Expr, part: str) -> Pair:
        args = tuple(self.reals[a] for a in e.args)
        if e.op == "load":
            real, imag = (load(e.attr, (*args, const(k)), part) for k in (0, 1))
        else:
            real, imag = (load_if(e.attr, args[0], (*args[1:], const(k)), part) for k in (0, 1))
        return real, imag
