"""Convolutions as plain loop nests: of integers, and of groups with one input channel."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from symgraph import dtypes
from symgraph.ir.types import Size
from symgraph.loops.statements import Fold, Stmt, Store
from symgraph.lower.convolution_frame import Frame, is_one, times
from symgraph.lower.convolution_steps import Steps
from symgraph.lower.kernels import nest
from symgraph.scalar import Expr, as_size, const, load, substitute, var
from symgraph.scalar import functions as F

UNROLLED = 32  # taps up to which a sum is written out


class _Plain:
    """The axes of a loop nest over a convolution, and its three arrays as p0 (images), p1 (weights)
    and p2 (results), each with an axis for the groups."""

    def __init__(self, f: Frame) -> None:
        self.f = f
        self.n, self.g, self.c, self.o = (var(n) for n in ("_n", "_g", "_c", "_o"))
        self.at = [var(f"_i{k}") for k in range(len(f.out))]
        self.taps = [var(f"_k{k}") for k in range(len(f.out))]
        self.extents: dict[Expr, Size] = {
            self.n: f.n, self.g: f.groups, self.c: f.own, self.o: f.made,
            **dict(zip(self.at, f.out, strict=True)), **dict(zip(self.taps, f.kernel, strict=True)),
        }  # fmt: skip

    def buffers(self, s: Steps, images: str, w: str, y: str) -> list[str]:
        f = self.f
        if f.last:
            weights: tuple[Size, ...] = (*f.kernel, f.own, f.groups, f.made)
        else:
            weights = (f.groups, f.made, f.own, *f.kernel)
        return [s.view(images, f.image_shape()), s.view(w, weights), s.view(y, f.result_shape())]

    def image(self, c: Expr, taps: Sequence[Expr]) -> tuple[Expr, ...]:
        return self.f.image_index(self.n, self.g, c, self.at, taps)

    def weight(self, c: Expr, taps: Sequence[Expr]) -> tuple[Expr, ...]:
        return (*taps, c, self.g, self.o) if self.f.last else (self.g, self.o, c, *taps)

    @property
    def result(self) -> tuple[Expr, ...]:
        own = (self.g, self.o)
        return (self.n, *self.at, *own) if self.f.last else (self.n, *own, *self.at)

    def closed(self, axes: Sequence[Expr], *body: Stmt) -> tuple[Stmt, ...]:
        """The loops around a body; an axis of size 1 would be a vector of one element."""
        if is_one(self.f.made):
            body = tuple(_with(s, {self.o: const(0)}) for s in body)
            axes = [a for a in axes if a is not self.o]
        return nest(axes, [self.extents[a] for a in axes], body, "vector")


def _with(s: Stmt, values: dict[Expr, Expr]) -> Stmt:
    """A statement with some indices replaced."""
    if isinstance(s, Fold):
        inner = tuple(_with(t, values) for t in s.body)
        return s._replace(body=inner, values=tuple(substitute(v, values) for v in s.values))
    assert isinstance(s, Store)
    at = tuple(substitute(i, values) for i in s.indices)
    return Store(s.buffer, at, substitute(s.value, values))


def plain_forward(s: Steps, x: str, w: str, y: str) -> None:
    f, p = s.f, _Plain(s.f)
    buffers = p.buffers(s, s.laid(x), w, y)
    extents = [f.own, *f.kernel]
    dtype = f.dtype

    def term(c: Expr, taps: Sequence[Expr]) -> tuple[Expr, Expr]:
        return load("p0", p.image(c, taps), dtype), load("p1", p.weight(c, taps), dtype)

    count = as_size(times(*extents))
    before: tuple[Stmt, ...] = ()
    if isinstance(count, int) and count <= UNROLLED:
        value = const(0, dtype)
        for c, *taps in itertools.product(*(range(int(str(n))) for n in extents)):
            a, b = term(const(c), [const(k) for k in taps])
            if dtypes.is_float(dtype):
                value = F.fma(a, b, value)
            else:
                value = F.add(value, F.mul(a, b))
    else:
        folds: tuple[Stmt, ...] = ()
        value = F.mul(*term(p.c, p.taps))
        for k, axis in reversed(list(enumerate([p.c, *p.taps]))):
            name = var(f"_sum{k}", dtype)
            folds = (Fold((name,), "add", axis, extents[k], "serial", folds, (value,)),)
            value = name
        before = folds
    body = p.closed(list(p.result), *before, Store("p2", p.result, value))
    s.run(buffers, "iio", body)


def plain_input(s: Steps, whole: str, w: str, y: str) -> None:
    p, dtype = _Plain(s.f), s.f.dtype
    at = p.image(p.c, p.taps)
    product_ = F.mul(load("p1", p.weight(p.c, p.taps), dtype), load("p2", p.result, dtype))
    store = Store("p0", at, F.add(load("p0", at, dtype), product_))
    inner = [*p.at, p.o, p.g] if s.f.last else [p.g, p.o, *p.at]  # the vector is of the images
    s.run(p.buffers(s, whole, w, y), "oii", p.closed([p.n, p.c, *p.taps, *inner], store))


def plain_weights(s: Steps, x: str, w: str, y: str) -> None:
    p, dtype = _Plain(s.f), s.f.dtype
    buffers = p.buffers(s, s.laid(x), w, y)
    at = p.weight(p.c, p.taps)
    value = F.mul(load("p0", p.image(p.c, p.taps), dtype), load("p2", p.result, dtype))
    if s.f.last:
        s.zeros((), w)
        store = Store("p1", at, F.add(load("p1", at, dtype), value))
        axes = [p.n, *p.at, *p.taps, p.c, p.g, p.o]
        s.run(buffers, "ioi", p.closed(axes, store))
        return
    folds: tuple[Stmt, ...] = ()
    summed = [p.n, *p.at]
    for k, axis in reversed(list(enumerate(summed))):
        name = var(f"_sum{k}", dtype)
        kind = "vector" if k == len(p.at) else "serial"
        folds = (Fold((name,), "add", axis, p.extents[axis], kind, folds, (value,)),)
        value = name
    axes = [p.g, p.o, p.c, *p.taps]
    body = nest(axes, [p.extents[a] for a in axes], (*folds, Store("p1", at, value)))
    s.run(buffers, "ioi", body)
