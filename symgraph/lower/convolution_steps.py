"""The steps that convolutions are made of: images laid out, blocks of columns, products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph.ir.graph import Graph
from symgraph.ir.types import Size, TensorType
from symgraph.loops.program import Call, Loop, Program, Row, Run, Step
from symgraph.loops.statements import Stmt, Store
from symgraph.lower.build import Builder
from symgraph.lower.convolution_frame import (
    Frame,
    Walk,
    image_walk,
    is_one,
    least,
    linear,
    merged_results,
    result_walk,
    times,
)
from symgraph.lower.kernels import kernel, nest
from symgraph.scalar import Expr, as_expr, as_size, const, load, load_if, postorder, product, var
from symgraph.scalar import functions as F


class Steps:
    """Collects the steps of one convolution; ``f`` is its frame."""

    def __init__(self, b: Builder, f: Frame, origins: tuple[Any, ...]) -> None:
        self.b, self.f, self.origins = b, f, origins
        self.steps: list[Step] = []

    def view(self, name: str, shape: Sequence[Any]) -> str:
        """Another view of the memory of a buffer."""
        held = self.b.buffers[name]
        sizes = tuple(as_size(as_expr(s)) for s in shape)
        if held.shape == sizes:
            return name
        new = f"v{len(self.b.buffers)}"
        home = name
        while self.b.buffers[home].alias:
            home = self.b.buffers[home].alias
        return self.b.add_buffer(new, TensorType(held.dtype, sizes), "temp", 0, home)

    def flat(self, name: str) -> str:
        return self.view(name, [product(self.b.buffers[name].shape)])

    def scratch(self, shape: Sequence[Any], dtype: str = "") -> str:
        sizes = tuple(as_size(as_expr(s)) for s in shape)
        return self.b.scratch(TensorType(dtype or self.f.dtype, sizes))

    def run(self, buffers: list[str], modes: str, body: tuple[Stmt, ...]) -> None:
        self.steps.append(kernel(self.b, buffers, modes, body, self.origins))

    def fill(
        self, shape: Sequence[Size], target: str, sources: Sequence[str],
        value: Callable[..., Expr],
    ) -> None:  # fmt: skip
        """target[i] = value(*i) over a view of this shape; p1, p2 ... are the sources."""
        axes = [var(f"_i{k}") for k in range(len(shape))]
        store = Store("p0", tuple(axes), value(*axes))
        named = [self.view(target, shape), *sources]
        self.run(named, "o" + "i" * len(sources), nest(axes, shape, (store,), "vector"))

    # images

    def laid(self, x: str) -> str:
        """The images as the windows read them."""
        f = self.f
        if not f.laid:
            return self.view(x, f.image_shape())
        shape = f.image_shape()
        target, plain = self.scratch(shape), self.view(x, f.plain_shape())

        def element(*i: Expr) -> Expr:
            index, cond = f.source(i)
            return load_if("p1", cond, index, f.dtype)

        self.fill(shape, target, [plain], element)
        return target

    def zeros(self, shape: Sequence[Size], name: str = "") -> str:
        """New memory, or that of a buffer, filled with zeros."""
        target = name or self.scratch(shape)
        whole = [product(self.b.buffers[target].shape)]
        self.fill(whole, target, [], lambda *i: const(0, self.f.dtype))
        return target

    def cropped(self, whole: str, x: str) -> None:
        """x = what the padding leaves of laid images."""
        f = self.f

        def element(*i: Expr) -> Expr:
            index, cond = f.target(i)
            return load_if("p1", cond, index, f.dtype)

        self.fill(f.plain_shape(), x, [whole], element)

    # weights

    def matrices(self, w: str) -> str:
        """The weights as a matrix for each group."""
        f = self.f
        if not f.last or f.groups == 1:
            return self.view(w, f.weights_shape())
        g, inner, made = f.weights_shape()
        packed = self.scratch((g, inner, made))
        plain = self.view(w, (inner, g, made))
        self.fill((g, inner, made), packed, [plain],
                  lambda g, k, o: load("p1", (k, g, o), f.dtype))  # fmt: skip
        return packed

    def unpacked(self, matrices: str, w: str) -> None:
        """Weights from a matrix for each group."""
        f = self.f
        g, inner, made = f.weights_shape()
        self.fill((inner, g, made), w, [matrices],
                  lambda k, g, o: load("p1", (g, k, o), f.dtype))  # fmt: skip

    # filters of one tap

    def one_tap(self, sides: list[tuple[str, Size]], w: str, back: bool = False) -> None:
        """One product for each image, or for all of them with the channels last."""
        f = self.f
        (source, a), (target, b) = sides
        plane = times(*f.sizes)
        if f.last:
            rows = times(f.n) * plane
            names = [self.view(source, (rows, a)), self.view(w, f.weights_shape()[1:]),
                     self.view(target, (rows, b))]  # fmt: skip
            self.multiply(names, tb=back)
            return
        count = times(f.n, f.groups)
        block = Turns(self)
        weights = block.group(self.matrices(w))
        images = block.take(self.view(source, (count, a, plane)), rows=True)
        results = block.give(self.view(target, (count, b, plane)), rows=True)
        block.inner.multiply([weights, images, results], ta=back)
        self.steps.append(block.loop(count))

    def one_tap_weights(self, x: str, w: str, y: str) -> None:
        f = self.f
        plane = times(*f.sizes)
        if f.last:
            rows = times(f.n) * plane
            names = [self.view(x, (rows, f.own)), self.view(y, (rows, f.made)),
                     self.view(w, f.weights_shape()[1:])]  # fmt: skip
            self.multiply(names, ta=True)
            return
        count = times(f.n, f.groups)
        self.zeros((), w)
        block = Turns(self)
        images = block.take(self.view(x, (count, f.own, plane)), rows=True)
        results = block.take(self.view(y, (count, f.made, plane)), rows=True)
        weights = block.group(self.matrices(w), give=True)
        block.inner.multiply([results, images, weights], tb=True, accumulate=True)
        self.steps.append(block.loop(count))

    def multiply(self, names: list[str], **params: Any) -> None:
        """names[2] = names[0] @ names[1] by BLAS; with ``accumulate`` that is added to it."""
        found = {"ta": False, "tb": False, **params}
        self.steps.append(Call("matmul", tuple(names), tuple(found.items()), self.origins))

    # blocks

    def places(self) -> list[str]:
        """For each row of windows where its images begin, where its results, and how many of its
        windows were done before. Blocks come with their groups."""
        f = self.f
        shape = [as_size(f.count * f.groups), as_size(f.rows)]
        found = [self.scratch(shape, "int64") for _ in range(3 if f.twice else 2)]
        turn, r = var("_b"), var("_r")
        block, group = turn // f.groups, turn % f.groups
        row = least(block * f.rows, f.total - f.rows) + r
        rest, at = row, []
        for size in (f.segments, *reversed(f.out[:-1])):
            at.append(rest % as_expr(size) if not is_one(size) else const(0))
            rest = rest // as_expr(size) if not is_one(size) else rest
        segment, *outer = at
        begin = least(segment * f.length, as_expr(f.out[-1]) - f.length)
        window, zero = (*reversed(outer), begin), const(0)
        index = f.image_index(rest, group, zero, window, [zero] * len(window))
        made = (rest, *window, group, zero) if f.last else (rest, group, zero, *window)
        done = F.select(F.lt(row, block * f.rows), f.length, segment * f.length - begin)
        values = [linear(index, f.image_shape()), linear(made, f.result_shape()), done]
        body = tuple(Store(f"p{k}", (turn, r), v) for k, v in enumerate(values[: len(found)]))
        self.run(found, "o" * len(found), nest([turn, r], shape, body))
        return found


class Turns:
    """The body of a loop: a program of its own."""

    def __init__(self, outer: Steps) -> None:
        self.outer, self.f = outer, outer.f
        self.b = Builder(Graph([], []), "block", (), outer.b.ctx)
        self.inputs: list[tuple[str, Row]] = []
        self.outputs: list[tuple[str, Row]] = []
        self.inner = Steps(self.b, self.f, outer.origins)

    def take(self, name: str, rows: bool = False, modulo: int = 0) -> str:
        """What a turn reads: a whole buffer, or its row of that number (modulo the groups)."""
        return self._bind(self.inputs, name, "input", rows, modulo)

    def give(self, name: str, rows: bool = False, modulo: int = 0) -> str:
        """What a turn writes."""
        return self._bind(self.outputs, name, "output", rows, modulo)

    def _bind(
        self, held: list[tuple[str, Row]], name: str, role: str, rows: bool, modulo: int
    ) -> str:
        whole = self.outer.b.buffers[name]
        inside = f"{role}{len(held)}"
        shape = whole.shape[1:] if rows else whole.shape
        self.b.add_buffer(inside, TensorType(whole.dtype, shape), role, len(held))
        held.append((inside, Row(name, 0, 1 if rows else 0, modulo, "", rows)))
        return inside

    def group(self, name: str, give: bool = False) -> str:
        """The part of weights with a leading axis for the groups that belongs to a turn."""
        groups, core = self.f.groups, self.outer.b.buffers[name].shape[1:]
        if groups == 1:
            whole = self.outer.view(name, core)
            return self.give(whole) if give else self.take(whole)
        return self.give(name, True, groups) if give else self.take(name, True, groups)

    def loop(self, length: Expr, apart: bool = False) -> Loop:
        """The loop as a step."""
        given = [*self.inputs, *self.outputs]
        names = [[n for n, _ in side] for side in (self.inputs, self.outputs)]
        body = _program(self.b, names[0], names[1], self.inner.steps)
        return Loop(as_size(length), body, tuple(r for _, r in given), (), "", apart)


class Block(Turns):
    """A loop over blocks of windows and over groups."""

    def __init__(self, outer: Steps) -> None:
        super().__init__(outer)
        self.at = [self.take(name, rows=True) for name in outer.places()]

    def columns(self, images: str) -> str:
        """im2col: what the windows of the block see."""
        walk = image_walk(self.f)
        made = self.inner.scratch([w.extent for w in walk])
        value = load("p0", (self.place(0, walk),), self.f.dtype)
        self.nest([images, self.at[0], made], "iio", walk, Store("p2", _indices(walk), value))
        return self.inner.view(made, self.f.columns_shape())

    def place(self, which: int, walk: Sequence[Walk]) -> Expr:
        """The place in flat images (0) or results (1), which are p0; their lists are p1."""
        total = load("p1", (var("_r"),), "int64")
        for w in walk:
            total = total if w.offset is None else total + w.offset
        return total

    def nest(self, buffers: list[str], modes: str, walk: Sequence[Walk], *body: Stmt) -> None:
        axes, extents = [w.axis for w in walk], [w.extent for w in walk]
        self.inner.run(buffers, modes, nest(axes, extents, body, "vector"))

    def add_columns(self, images: str, columns: str) -> None:
        """col2im: add the columns to the images, each where it came from."""
        walk = image_walk(self.f)
        held = self.inner.view(columns, [w.extent for w in walk])
        at = (self.place(0, walk),)
        value = F.add(load("p0", at, self.f.dtype), load("p2", _indices(walk), self.f.dtype))
        self.nest([images, self.at[0], held], "oii", walk, Store("p0", at, value))

    def put(self, results: str, block: str) -> None:
        """Write the results of the block where they belong."""
        walk = result_walk(self.f)
        held = self.inner.view(block, [w.extent for w in walk])
        value = load("p2", _indices(walk), self.f.dtype)
        store = Store("p0", (self.place(1, walk),), value)
        self.nest([results, self.at[1], held], "oii", walk, store)

    def get(self, results: str) -> str:
        """The results of the block as a matrix; 0 for what a block before has had."""
        f, walk = self.f, result_walk(self.f)
        made = self.inner.scratch([w.extent for w in walk])
        at = (self.place(1, walk),)
        value = load("p0", at, f.dtype)
        buffers, modes = [results, self.at[1], made], "iio"
        if f.twice:
            done = load("p3", (var("_r"),), "int64") * (f.made if merged_results(f) else 1)
            value = load_if("p0", F.le(done, var("_j")), at, f.dtype)
            buffers, modes = [*buffers, self.at[2]], "iioi"
        self.nest(buffers, modes, walk, Store("p2", _indices(walk), value))
        return self.inner.view(made, f.results_shape())

    def multiply(self, a: str, b: str, out: str, **params: Any) -> None:
        self.inner.multiply([a, b, out], **params)


def _indices(walk: Sequence[Walk]) -> tuple[Expr, ...]:
    return tuple(w.axis for w in walk)


def _program(b: Builder, inputs: list[str], outputs: list[str], steps: list[Step]) -> Program:
    exprs = [s for held in b.buffers.values() for s in held.shape if isinstance(s, Expr)]
    names = {e.attr: None for e in postorder(exprs) if e.op == "var"}
    for step in steps:
        if isinstance(step, Run):
            names.update(dict.fromkeys(step.kernel.sizes))
        if isinstance(step, Loop):
            lengths = postorder([as_expr(step.length)])
            names.update({e.attr: None for e in lengths if e.op == "var"})
            names.update(dict.fromkeys(step.body.sizes))
    return Program(b.name, tuple(inputs), tuple(outputs), b.buffers, tuple(names), (), tuple(steps))
