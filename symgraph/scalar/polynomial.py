"""Canonical int64 expressions: every sum and product is a polynomial over its atoms.

Two sizes or indices that are equal as polynomials become the same node, and the coefficient of a
loop index in an address is read off directly (:func:`coefficient`). Atoms are everything that is
not a sum, difference or product: variables, loads, quotients, minima. Arithmetic is modulo 2**64
as on the machine, so the normal form is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from symgraph.runtime.digest import digest
from symgraph.scalar import expr as _expr
from symgraph.scalar.expr import Expr, as_expr, const, node

Monomial = tuple[Expr, ...]
Polynomial = dict[Monomial, int]
_LINEAR = ("add", "sub", "mul", "neg")
_LONG = 200


def key(e: Expr) -> str:
    """A structural text of an expression: the same in every process, used to order terms."""
    if e._key is None:
        stack = [e]
        while stack:
            top = stack[-1]
            missing = [a for a in top.args if a._key is None]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            inner = ",".join(a._key or "" for a in top.args)
            if len(inner) > _LONG:  # shared parts would make the text grow without bound
                inner = digest(inner.encode()).hex()
            own = f"{top.attr}" if top.op in ("var", "const") else f"{top.op}:{top.attr}({inner})"
            top._key = own if top.dtype == "int64" else f"{own}:{top.dtype}"
    return e._key or ""


def polynomial(e: Expr) -> Polynomial:
    """The polynomial of an int64 expression as {monomial: coefficient}; not to be changed."""
    stack = [e] if e._poly is None else []
    while stack:
        top = stack[-1]
        missing = [a for a in top.args if a._poly is None] if top.op in _LINEAR else []
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if top.op == "const":
            top._poly = {(): top.value} if top.value else {}
        elif top.op in _LINEAR:
            top._poly = _combine(top.op, *(a._poly for a in top.args))
        else:
            top._poly = {(top,): 1}
    return e._poly  # type: ignore[no-any-return]


def _combine(op: str, a: Polynomial, b: Polynomial | None = None) -> Polynomial:
    if b is None:  # neg
        return {m: _wrap(-c) for m, c in a.items()}
    out: Polynomial = {} if op == "mul" else dict(a)
    if op == "mul":
        for ma, ca in a.items():
            for mb, cb in b.items():
                m = tuple(sorted(ma + mb, key=key)) if ma and mb else ma or mb
                out[m] = out.get(m, 0) + ca * cb
    else:
        sign = 1 if op == "add" else -1
        for m, c in b.items():
            out[m] = out.get(m, 0) + sign * c
    return {m: w for m, c in out.items() if (w := c if -_HALF <= c < _HALF else _wrap(c))}


_HALF = 1 << 63


def _wrap(c: int) -> int:
    return (c + _HALF) % (1 << 64) - _HALF


def build(p: Polynomial) -> Expr:
    """The canonical node of a polynomial: higher degrees first, then by name, the constant last."""
    terms = list(p.items())
    if len(terms) > 1:
        terms.sort(key=lambda t: (-len(t[0]), [key(x) for x in t[0]]))
    out: Expr | None = None
    for m, c in terms:
        size = abs(c) if out is not None and c != -(1 << 63) else c
        term = const(size)
        if m:
            product = m[0]
            for x in m[1:]:
                product = node("mul", (product, x), "int64")
            term = product if size == 1 else node("mul", (const(size), product), "int64")
        if out is None:
            out = term
        else:
            out = node("add" if size == c else "sub", (out, term), "int64")
    out = const(0) if out is None else out
    if out._poly is None:
        out._poly = p
    return out


def normalize(op: str, a: Expr, b: Expr) -> Expr:
    """a (op) b in canonical form for add, sub, mul, floordiv and mod of int64."""
    if op in ("add", "sub", "mul"):
        if b.op == "const":
            if a.op == "const":
                x, y = a.attr, b.attr
                return const(_wrap(x + y if op == "add" else x - y if op == "sub" else x * y))
            if a.op not in _LINEAR and b.attr == (op == "mul"):  # itself canonical
                return a
        elif a.op == "const" and b.op not in _LINEAR and op != "sub" and a.attr == (op == "mul"):
            return b
        return build(_combine(op, polynomial(a), polynomial(b)))
    return floordiv(a, b) if op == "floordiv" else mod(a, b)


def _divide(p: Polynomial, m: Monomial, c: int) -> Polynomial | None:
    """p / (c*m) when every term divides exactly, else None."""
    out: Polynomial = {}
    for pm, pc in p.items():
        rest = list(pm)
        for x in m:
            if x not in rest:
                return None
            rest.remove(x)
        if pc % c:
            return None
        out[tuple(rest)] = pc // c
    return out


def _cancels(dividend: Polynomial, *divisor: Monomial) -> bool:
    """Whether exact divisions by these monomials may be carried out: products of sizes and indices
    do not wrap around and a size that divides is not zero, but data may do and be anything."""
    return all(_is_place(x, True) for m in dividend for x in m) and all(
        _is_place(x, False) for m in divisor for x in m
    )


def _is_place(e: Expr, index: bool) -> bool:
    """Whether it is made of sizes, and of loop indices (``_i0``, ``_r0``) where allowed, alone."""
    stack = [e]
    while stack:
        top = stack.pop()
        if top.op == "var":
            if top.attr[0] == "_" and not (index and top.attr[1] in "ir"):
                return False
        elif top.op in ("load", "load_if") or top.dtype != "int64":
            return False
        stack.extend(top.args)
    return True


def floordiv(a: Expr, b: Expr) -> Expr:
    """a // b, exact divisions of polynomials carried out (a size that divides is not zero)."""
    pa, pb = polynomial(a), polynomial(b)
    if not pb:
        return const(0)
    if b.is_const and a.is_const:
        return const(a.value // b.value)
    if b.is_const and b.value == 1:
        return build(pa)
    if len(pb) == 1:
        ((m, c),) = pb.items()
        exact = _divide(pa, m, c)
        if exact is not None and _cancels(pa, m):
            return build(exact)
    if pa == pb and _cancels(pa, *pb):
        return const(1)
    return node("floordiv", (a, b), "int64")


def mod(a: Expr, b: Expr) -> Expr:
    """a % b with Python's sign; 0 when b divides a as polynomials."""
    pb = polynomial(b)
    if a.is_const and b.is_const and b.value:
        return const(a.value % b.value)
    if b.is_const and b.value == 1:
        return const(0)
    if len(pb) == 1:
        ((m, c),) = pb.items()
        if _divide(polynomial(a), m, c) is not None and _cancels(polynomial(a), m):
            return const(0)
    return node("mod", (a, b), "int64")


def coefficient(e: Expr, index: Expr) -> Expr | None:
    """The factor of ``index`` in an expression linear in it; None if it enters in another way.

    >>> i, n = _expr.var("i"), _expr.var("n")
    >>> str(coefficient(3 * i * n + n, i)), coefficient(i // 2, i)
    ('3*n', None)
    """
    out: Polynomial = {}
    for m, c in polynomial(e).items():
        count = sum(x is index for x in m)
        if count > 1 or any(x is not index and depends(x, index) for x in m):
            return None
        if count == 1:
            out[tuple(x for x in m if x is not index)] = c
    return build(out)


def depends(e: Expr, index: Expr) -> bool:
    """Whether ``index`` occurs anywhere in the expression."""
    seen: set[int] = set()
    stack = [e]
    while stack:
        top = stack.pop()
        if top is index:
            return True
        if id(top) not in seen:
            seen.add(id(top))
            stack.extend(top.args)
    return False


def as_size(value: Expr | int) -> Expr | int:
    """A size in its simplest form: a Python int when it is constant, else the canonical node."""
    if isinstance(value, Expr):
        if value.op in ("const", "var"):
            return int(value.attr) if value.op == "const" else value
        value = build(polynomial(value))
        return int(value.value) if value.is_const else value
    return int(value)


def product(sizes: tuple[Expr | int, ...]) -> Expr | int:
    """The number of elements of a shape.

    >>> str(product((2, _expr.var("n"), 3)))
    '6*n'
    """
    if all(type(s) is int for s in sizes):
        return _wrap(math.prod(sizes))  # type: ignore[arg-type]
    total: Expr = const(1)
    for s in sizes:
        total = total * as_expr(s)
    return as_size(total)


def sum_of(sizes: Iterable[Expr | int]) -> Expr | int:
    """The sum of sizes: one polynomial at the end, where ``+`` would make one for each of them.

    >>> str(sum_of((2, _expr.var("n"), 3, _expr.var("n"))))
    '2*n + 5'
    """
    out: Polynomial = {}
    for s in sizes:
        for m, c in polynomial(as_expr(s)).items():
            out[m] = out.get(m, 0) + c
    return as_size(build({m: w for m, c in out.items() if (w := _wrap(c))}))


_expr._normalize = normalize
