"""The loop language, on one page.

    Kernel = kernel name(params) { Stmt* }
    Stmt   = For(index, extent, kind) { Stmt* }      kind: serial | apart | vector | grid | block
           | Fold(names = combiner over index, extent, kind) { Stmt* } yield values
           | Let(name, Expr) | If(Expr) { Stmt* } | Store(buffer, [Expr*], Expr)
           | Alloc(buffer, dtype, shape) | Barrier

Indices are int64 variables running from 0 to extent - 1. All buffers are dense, last axis fastest.
``Fold`` is a loop that carries one value (two for argmax and argmin, and for complex_add and
complex_mul, which loops/complexes.py makes: the parts of a complex number): it starts at the
combiner's identity, combines the yielded values each turn and leaves its names bound afterwards. A
``vector`` Fold may combine in any fixed tree order. An ``Alloc`` lives until the end of the
enclosing body.

A For of kind ``apart`` is serial, and whoever wrote it knows that its turns touch different memory
although the indices, which are found in the data, do not show it: threads may share them.

The combiner ``next`` makes a Fold a recurrence: any number of names, which begin as ``starts``, are
known in the body, and become the yielded values after each turn. Its turns cannot be exchanged; one
of kind ``vector`` is a running fold (loops/running.py), whose turns may be combined in blocks.

The kinds ``grid`` and ``block`` bind loops to the blocks and threads of a GPU: loops/launch.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_size, substitute, var

Size = Expr | int


class For(NamedTuple):
    """Run the body for index = 0 .. extent-1."""

    index: Expr
    extent: Size
    kind: str
    body: tuple[Stmt, ...]


class Fold(NamedTuple):
    """Carry ``names`` through the loop, combining ``values`` each turn; ``starts``, variables and
    constants, are given for the combiner ``next`` only."""

    names: tuple[Expr, ...]
    combiner: str
    index: Expr
    extent: Size
    kind: str
    body: tuple[Stmt, ...]
    values: tuple[Expr, ...]
    starts: tuple[Expr, ...] = ()


class Let(NamedTuple):
    """Bind a name to a value for the rest of the body."""

    name: Expr
    value: Expr


class If(NamedTuple):
    """Run the body when the condition holds."""

    cond: Expr
    body: tuple[Stmt, ...]


class Store(NamedTuple):
    """Write one element."""

    buffer: str
    indices: tuple[Expr, ...]
    value: Expr


class Alloc(NamedTuple):
    """Scratch memory of the enclosing body."""

    buffer: str
    dtype: str
    shape: tuple[Size, ...]


class Barrier(NamedTuple):
    """All threads of a block arrive before any goes on (the CPU has one)."""


Stmt = For | Fold | Let | If | Store | Alloc | Barrier


class Param(NamedTuple):
    """A buffer of a kernel: ``mode`` is "in", "out" or "inout"."""

    name: str
    dtype: str
    shape: tuple[Size, ...]
    mode: str


class Kernel(NamedTuple):
    """A named loop nest over its buffers; ``sizes`` are the names of the sizes it reads."""

    name: str
    params: tuple[Param, ...]
    sizes: tuple[str, ...]
    body: tuple[Stmt, ...]


def walk(body: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """Every statement, outer ones first (nests are as deep as the rank, so recursion is safe)."""
    for s in body:
        yield s
        if isinstance(s, For | Fold | If):
            yield from walk(s.body)


def expressions(s: Stmt) -> list[Expr]:
    """The scalar expressions a statement holds itself (not those of its body)."""
    sizes = [e for e in getattr(s, "shape", ()) if isinstance(e, Expr)]
    if isinstance(s, For | Fold):
        sizes += [s.extent] if isinstance(s.extent, Expr) else []
    match s:
        case Fold():
            return [*sizes, *s.values, *s.starts]
        case Let():
            return [s.value]
        case If():
            return [s.cond]
        case Store():
            return [*s.indices, s.value]
    return sizes


def unnamed(kernel: Kernel) -> Kernel:
    """The kernel with sizes by number: kernels that differ in the names of sizes alone become one.

    >>> def kernel(rows):
    ...     i = var("i")
    ...     loop = For(i, var(rows), "vector", (Store("y", (i,), i + var(rows)),))
    ...     y = Param("y", "int64", (var(rows),), "out")
    ...     return Kernel(f"fill_{rows}", (y,), (rows,), (loop,))
    >>> unnamed(kernel("rows")) == unnamed(kernel("lines"))
    True
    """
    if not kernel.sizes:
        return kernel._replace(name="")
    sizes = tuple(f"n{k}" for k in range(len(kernel.sizes)))
    names = {var(old): var(new) for old, new in zip(kernel.sizes, sizes, strict=True)}

    def size(n: Size) -> Size:
        return as_size(substitute(n, names)) if isinstance(n, Expr) else n

    params = tuple(p._replace(shape=tuple(map(size, p.shape))) for p in kernel.params)
    return Kernel("", params, sizes, replaced(kernel.body, names))


def replaced(body: tuple[Stmt, ...], stands: Mapping[Expr, Expr]) -> tuple[Stmt, ...]:
    """The statements with other expressions in the place of some."""

    def value(e: Expr) -> Expr:
        return substitute(e, stands)

    def size(n: Size) -> Size:
        return as_size(value(n)) if isinstance(n, Expr) else n

    def statement(s: Stmt) -> Stmt:
        match s:
            case For():
                return s._replace(extent=size(s.extent), body=tuple(map(statement, s.body)))
            case Fold():
                inner, values = tuple(map(statement, s.body)), tuple(map(value, s.values))
                starts = tuple(map(value, s.starts))
                return s._replace(extent=size(s.extent), body=inner, values=values, starts=starts)
            case Let():
                return Let(s.name, value(s.value))
            case If():
                return If(value(s.cond), tuple(map(statement, s.body)))
            case Store():
                return Store(s.buffer, tuple(map(value, s.indices)), value(s.value))
            case Alloc():
                return s._replace(shape=tuple(map(size, s.shape)))
        return s

    return tuple(map(statement, body))
