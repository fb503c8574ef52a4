"""Convolution as matrix products over blocks of windows, and as plain loops where that is better.

The images are laid out once with their padding, and the last axis of a stride s as s rows, so that
all later reads are neighbours. Then, block by block, the elements that the windows of a block see
are copied side by side (im2col), small enough to stay in cache, and BLAS multiplies them with the
weights:

    forward    columns <- images          y       = weights @ columns
    input      columns = weights.T @ g    images += columns, each where it came from
    weights    columns <- images          weights += g @ columns.T

With the channels last the matrices are the transposed ones. Where the windows never move, of a
filter with one tap, the images are the columns. A group with one input channel (depthwise) has no
matrix to speak of: a loop nest adds up the taps.
"""

from __future__ import annotations

from typing import Any

from symgraph import config
from symgraph.ir.graph import Apply
from symgraph.loops.program import Call
from symgraph.lower import convolution_phases, winograd, winograd_weights
from symgraph.lower.build import Builder
from symgraph.lower.convolution_direct import (
    Direct,
    by_windows,
    direct,
    read_once,
    side_by_side,
    transposed,
    turned_round,
)
from symgraph.lower.convolution_frame import Frame, is_one
from symgraph.lower.convolution_nests import plain_forward, plain_input, plain_weights
from symgraph.lower.convolution_steps import Block, Steps
from symgraph.lower.winograd_tiles import pays
from symgraph.ops.convolution_ops import NATIVE
from symgraph.scalar import load

NARROW = 128  # output channels up to which BLAS is faster with the transposed sum of weights


def _frame(
    b: Builder, x: str, w: str, y: str, params: dict[str, Any], apart: bool = False
) -> Frame:
    images, weights, results = (b.buffers[n] for n in (x, w, y))
    return Frame(images.shape, weights.shape, results.shape, results.dtype, params, apart)


def _on_device(
    b: Builder, apply: Apply, f: Frame, kind: str, params: dict[str, Any], needs: set[int]
) -> bool:
    """Leave a convolution to a GPU's schedules, where these know it. A loop nest stays one where
    its turns are independent."""
    nested = f.plain() and (kind == "y" or (kind == "w" and not f.last))
    if not b.ctx.device or f.dtype not in NATIVE or nested or (f.one_tap() and f.last):
        return False
    names = [b.buffer(v) for v in (*apply.inputs, apply.output)]
    ordered = names if kind != "x" else [names[1], names[0], names[2]]
    call = Call("windows", tuple(ordered), (("kind", kind), *params.items()), apply.origins)
    b.add_steps(names[:2], names[2:], [call], needs)
    return True


def convolution(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """y from x and w."""
    x, w, y = (b.buffer(v) for v in (*apply.inputs, apply.output))
    s = Steps(b, _frame(b, x, w, y, params), apply.origins)
    if _on_device(b, apply, s.f, "y", params, needs):
        return
    if direct(s.f) and read_once(s.f) and by_windows(s.f) and not s.f.one_tap():
        s.f = _frame(b, x, w, y, params, apart=True)
    _forward(s, x, w, y)
    b.add_steps([x, w], [y], s.steps, needs)


def _forward(s: Steps, x: str, w: str, y: str) -> None:
    f = s.f
    if f.plain():
        plain_forward(s, x, w, y)
        return
    if f.one_tap():
        if f.last or f.groups > 1 or not direct(f):
            s.one_tap([(x, f.own), (y, f.made)], w)
        else:
            Direct(s).one_tap(x, w, y, back=False)
        return
    if direct(f) and pays(f):
        winograd.forward(s, x, w, y)
        return
    if direct(f) and (f.last or read_once(f)):
        Direct(s).forward(s.laid(x), w, y)
        return
    images = s.flat(s.laid(x))
    block = Block(s)
    weights = block.group(s.matrices(w))
    columns = block.columns(block.take(images))
    whole = f.last and f.groups == 1 and not f.twice and is_one(f.segments)
    if whole:
        results = block.give(s.view(y, (f.count, *f.results_shape())), rows=True)
    else:
        results = block.inner.scratch(f.results_shape())
    pair = (columns, weights) if f.last else (weights, columns)
    block.multiply(*pair, results)
    if not whole:
        block.put(block.give(s.flat(y)), results)
    s.steps.append(block.loop(f.count * f.groups))


def convolution_input(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """x from y and w."""
    y, w, x = (b.buffer(v) for v in (*apply.inputs, apply.output))
    s = Steps(b, _frame(b, x, w, y, params), apply.origins)
    f = s.f
    if _on_device(b, apply, f, "x", params, needs):
        return
    if f.one_tap() and not f.last and f.groups == 1 and direct(f):
        Direct(s).one_tap(x, w, y, back=True)
    elif f.one_tap():
        s.one_tap([(y, f.made), (x, f.own)], w, back=True)
    elif config.get("matmul") == "own" and side_by_side(f):
        filters = turned_round(s, w)
        s.f = transposed(f)
        _forward(s, y, filters, x)
    elif convolution_phases.in_phases(f):
        _phases(s, x, w, y)
    else:
        whole = s.zeros(f.image_shape())
        if f.plain():
            plain_input(s, whole, w, y)
        else:
            _scattered(s, whole, w, y)
        s.cropped(whole, x)
    b.add_steps([y, w], [x], s.steps, needs)


def _phases(s: Steps, x: str, w: str, y: str) -> None:
    """Each phase of the images as a convolution of the results."""
    f, made = s.f, []
    for phase in convolution_phases.phases(f):
        filters = convolution_phases.filters_of(s, w, phase)
        s.f = convolution_phases.frame_of(f, phase)
        made.append(s.scratch(f.layout.image(f.n, f.channels, phase.sizes)))
        _forward(s, y, filters, made[-1])
        s.f = f
    convolution_phases.side_by_side(s, made, x)


def _scattered(s: Steps, whole: str, w: str, y: str) -> None:
    """Columns from results, added to the images that they came from."""
    f = s.f
    block = Block(s)
    weights = block.group(s.matrices(w))
    columns = block.inner.scratch(f.columns_shape())
    results = block.get(block.take(s.flat(y)))
    images = block.give(s.flat(whole))
    if f.last:
        block.multiply(results, weights, columns, tb=True)
    else:
        block.multiply(weights, results, columns, ta=True)
    block.add_columns(images, columns)
    s.steps.append(block.loop(f.count * f.groups))


def convolution_weights(b: Builder, apply: Apply, params: dict[str, Any], needs: set[int]) -> None:
    """w from x and y."""
    x, y, w = (b.buffer(v) for v in (*apply.inputs, apply.output))
    s = Steps(b, _frame(b, x, w, y, params), apply.origins)
    f = s.f
    if _on_device(b, apply, f, "w", params, needs):
        return
    if f.plain():
        plain_weights(s, x, w, y)
    elif f.one_tap():
        s.one_tap_weights(x, w, y)
    elif direct(f) and pays(f):
        winograd_weights.weights(s, x, w, y)
    elif direct(f):
        s.f = _frame(b, x, w, y, params, apart=not f.last)
        Direct(s).weights(s.laid(x), w, y)
    else:
        _summed(s, x, w, y)
    b.add_steps([x, y], [w], s.steps, needs)


def _summed(s: Steps, x: str, w: str, y: str) -> None:
    """Weights as the sum over blocks of products of columns and results."""
    f = s.f
    images = s.flat(s.laid(x))
    turned = not f.last and isinstance(f.made, int) and f.made <= NARROW
    groups, *core = f.weights_shape()
    own = (f.last and f.groups > 1) or turned
    shape = (groups, *(reversed(core) if turned else core))
    held = s.zeros(shape) if own else s.zeros((), w)
    block = Block(s)
    columns = block.columns(block.take(images))
    results = block.get(block.take(s.flat(y)))
    weights = block.group(s.view(held, shape), give=True)
    if f.last:
        block.multiply(columns, results, weights, ta=True, accumulate=True)
    elif turned:
        block.multiply(columns, results, weights, tb=True, accumulate=True)
    else:
        block.multiply(results, columns, weights, tb=True, accumulate=True)
    s.steps.append(block.loop(f.count * f.groups))
    if turned:
        s.fill((groups, *core), w, [held], lambda g, o, k: load("p1", (g, k, o), f.dtype))
    elif own:
        s.unpacked(held, w)
