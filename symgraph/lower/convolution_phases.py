"""Gradients of images, or transposed convolutions, of a stride above 1: each phase of the images is
a convolution of the results by some of the filters' taps.

An element at u = s q + p of the padded images (an axis of stride s) is seen by tap k of window o
where u = s o + k: by the taps p, p + s, p + 2 s ... of the windows q, q - 1, q - 2 ...

    phase[p][q] = sum over j of w[p + s j] y[q - j]

which for every p is a convolution of stride 1 by filters turned round. Together they multiply as
often as the convolution does; then the phases are put side by side.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from symgraph import config
from symgraph.ir.types import Size
from symgraph.loops.statements import Let, Store
from symgraph.lower.convolution_frame import Frame
from symgraph.lower.convolution_steps import Steps
from symgraph.lower.kernels import nest
from symgraph.ops.convolution_ops import NATIVE
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size, const, load, var

MOST = 8  # phases
WINDOWS = 64  # of an image, where that is known, that are worth it


def in_phases(f: Frame) -> bool:
    """Whether the gradient of images is made so: every phase has a tap."""
    if config.get("matmul") != "own" or f.dtype not in NATIVE or f.plain():
        return False
    known = all(isinstance(n, int) for n in (*f.kernel, *f.before))
    if not known or any(d != 1 for d in f.dilation):
        return False
    if all(isinstance(n, int) for n in f.out) and math.prod(f.out) < WINDOWS:
        return False
    each = all(k >= s for k, s in zip(f.kernel, f.stride, strict=True))
    return each and 1 < math.prod(f.stride) <= MOST


class Phase(NamedTuple):
    """One phase along all axes: the first tap of each, how many, where it begins, its sizes."""

    at: tuple[int, ...]
    taps: tuple[int, ...]
    first: tuple[int, ...]
    sizes: tuple[Size, ...]


def phases(f: Frame) -> list[Phase]:
    """All of them, in the order of the images' elements."""
    found = []
    for at in itertools.product(*(range(s) for s in f.stride)):
        axes = list(zip(at, f.kernel, f.stride, f.before, f.sizes, strict=True))
        taps = tuple(-(-(k - p) // s) for p, k, s, _, _ in axes)
        first = tuple(-(-(b - p) // s) for p, _, s, b, _ in axes)
        last = [(as_expr(x) + (b - 1 - p)) // s for p, _, s, b, x in axes]
        sizes = tuple(as_size(e - q + 1) for e, q in zip(last, first, strict=True))
        found.append(Phase(at, taps, first, sizes))
    return found


def frame_of(f: Frame, phase: Phase) -> Frame:
    """The convolution that makes a phase of the images from results."""
    layout = f.layout
    rows = list(zip(phase.taps, phase.first, phase.sizes, f.out, strict=True))
    ones = (1,) * len(rows)
    params = {
        "stride": ones, "dilation": ones, "last": f.last, "groups": f.groups,
        "before": tuple(t - 1 - q for t, q, _, _ in rows),
        "after": tuple(as_size(as_expr(size) + q - as_expr(y)) for _, q, size, y in rows),
    }  # fmt: skip
    x, w = layout.image(f.n, f.o, f.out), layout.weights(f.channels, f.made, phase.taps)
    return Frame(x, w, layout.image(f.n, f.channels, phase.sizes), f.dtype, params)


def filters_of(s: Steps, w: str, phase: Phase) -> str:
    """The taps of a phase turned round, with inputs and outputs exchanged."""
    f = s.f

    def taps(at: Sequence[Expr]) -> list[Expr]:
        rows = zip(at, phase.at, phase.taps, f.stride, strict=True)
        return [(n - 1 - k) * step + p for k, p, n, step in rows]

    if f.last:
        shape: tuple[Any, ...] = (*phase.taps, f.made, f.groups, f.own)
        source = s.view(w, (*f.kernel, f.own, f.groups, f.made))

        def element(*i: Expr) -> Expr:
            *at, o, g, c = i
            return load("p1", (*taps(at), c, g, o), f.dtype)
    else:
        shape = (f.groups, f.own, f.made, *phase.taps)
        source = s.view(w, (f.groups, f.made, f.own, *f.kernel))

        def element(*i: Expr) -> Expr:
            g, c, o, *at = i
            return load("p1", (g, o, c, *taps(at)), f.dtype)

    target = s.scratch(shape)
    s.fill(shape, target, [source], element)
    return target


def side_by_side(s: Steps, made: Sequence[str], x: str) -> None:
    """The images, of which each phase has some elements. With the channels first and two phases
    along a row of even length both are written at once."""
    f, parts = s.f, phases(s.f)
    width = f.sizes[-1]
    pairs = not f.last and f.stride[-1] == 2 and isinstance(width, int) and width % 2 == 0
    n, c = var("_n"), var("_c")
    axes = [var(f"_q{k}") for k in range(len(f.out))]
    channels = f.channels

    def place(phase: Phase) -> list[Expr]:
        rows = zip(axes, phase.at, phase.first, f.stride, f.before, strict=True)
        return [(q + first) * step + (p - b) for q, p, first, step, b in rows]

    if not pairs:
        for name, phase in zip(made, parts, strict=True):
            index = f.layout.image(n, c, axes)
            value = load("p1", index, f.dtype)
            store = Store("p0", f.layout.image(n, c, place(phase)), value)
            extents = f.layout.image(f.n, channels, phase.sizes)
            s.run([x, name], "oi", nest(index, extents, (store,), "vector"))
        return
    target = s.view(x, (f.n, channels, *f.sizes[:-1], width // 2, 2))
    order = sorted(
        range(2), key=lambda p: (p - f.before[-1]) % 2
    )  # the phases of even columns, odd
    for k in range(0, len(parts), 2):
        both = [(made[k + p], parts[k + p]) for p in order]
        names = [var(f"_x{j}", f.dtype) for j in range(2)]
        body: list[Let | Store] = []
        for j, (_, phase) in enumerate(both):
            at = (n, c, *axes[:-1], axes[-1] + ((j + f.before[-1]) // 2 - phase.first[-1]))
            body.append(Let(names[j], load(f"p{1 + j}", at, f.dtype)))
        rows = place(both[0][1])[:-1]
        for j in range(2):
            body.append(Store("p0", (n, c, *rows, axes[-1], const(j)), names[j]))
        extents = (f.n, channels, *both[0][1].sizes[:-1], width // 2)
        buffers = [target, *(name for name, _ in both)]
        s.run(buffers, "oii", nest([n, c, *axes], extents, tuple(body), "vector"))
