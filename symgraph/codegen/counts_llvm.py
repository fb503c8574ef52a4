"""Sizes and indices: integers that are never negative, whose quotients need no care for signs."""

from __future__ import annotations

from collections.abc import Collection

from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.scalar import Expr
from symgraph.scalar.polynomial import polynomial


def is_count(e: Expr, names: Collection[Expr]) -> bool:
    """Whether it is made of names that are never negative so that it is not, either.

    >>> from symgraph.scalar import var
    >>> i, n = var("i"), var("n")
    >>> is_count((i * n + 3) // n, {i, n}), is_count(i - 1, {i, n})
    (True, False)
    """
    if e.dtype != "int64":
        return False
    for term, factor in polynomial(e).items():
        for atom in term:
            inner = atom.op in ("floordiv", "mod", "minimum", "maximum", "select")
            parts = atom.args[atom.op == "select" :]
            if not (all(is_count(a, names) for a in parts) if inner else atom in names):
                return False
        if factor < 0:
            return False
    return True


def quotient(fn: FunctionWriter, op: str, n: Value, d: Value) -> Value:
    """n // d ("floordiv") or n % d ("mod") of such numbers; 0 where d is 0. What follows from an
    index that is a quotient by an unknown number is nothing that LLVM should look into: addresses
    made of it took a fourth of the time that a kernel takes to compile.

    >>> quotient(FunctionWriter("f", [("i64", "n", "")]), "floordiv", "%n", "3")
    '%v1'
    """
    if d == "0":
        return "0"
    none = "" if d.isdigit() else fn.val(f"icmp eq i64 {d}, 0")
    d = fn.val(f"select i1 {none}, i64 1, i64 {d}") if none else d
    found = fn.val(f"udiv i64 {n}, {d}")
    if op == "mod":
        found = fn.val(f"sub i64 {n}, {fn.val(f'mul i64 {found}, {d}')}")
    elif none:
        found = fn.val(f"select i1 {none}, i64 0, i64 {found}")
    return fn.val(f"freeze i64 {found}") if none else found
