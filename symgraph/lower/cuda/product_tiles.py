"""The kernel of a matrix product in tiles.

A block makes a rectangle of the result, each of its threads some rows and columns of it in
registers. The summed axis goes by in strips, for which there is shared memory twice: while all
threads add what the one strip gives, what each brings of the next is on its way, and goes into the
other half when they have finished. So threads meet once a strip.

What a thread adds of a strip is a fold of kind "tensor" where tensor cores may do it
(loops/launch.py): then the places of a thread's rows and columns are those of mma's fragments, a
row of a tile lies along the strip, and operands are rounded on their way into shared memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgraph import dtypes
from symgraph.loops.launch import GROUP, PAIR, WARP
from symgraph.loops.statements import Alloc, Barrier, Fold, For, If, Let, Size, Stmt, Store
from symgraph.lower.cuda.spread import divided_up
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size, call, const, load, node, product, var
from symgraph.scalar import functions as F

THREADS = 256
ROWS_OF_WARPS = 2  # of a block's warps with tensor cores, which have 4 columns

# what becomes of a sum: statements for the element at these indices
Finish = Callable[[tuple[Expr, ...], Expr], tuple[Stmt, ...]]


class Tile(NamedTuple):
    """A block's rectangle, the length of a strip, the rows and columns of a thread; ``held`` is the
    dtype of operands in shared memory for tensor cores, "" for ordinary arithmetic."""

    rows: int
    columns: int
    depth: int
    down: int
    along: int
    held: str = ""

    @property
    def tensor(self) -> bool:
        return bool(self.held)


class Operand(NamedTuple):
    """An operand of a batch of products: the parameter, whether it is turned round, its shape. With
    ``read`` its elements are those expressions of the batch's indices, the place along the summed
    axis and that across it; then ``turned`` only says how neighbours lie in memory."""

    name: str
    turned: bool
    shape: tuple[Size, ...]
    read: Callable[[tuple[Expr, ...], Expr, Expr], Expr] | None = None


class TiledProduct:
    """Writes the kernel's body for ``a`` times ``b`` with results of ``shape``; ``aligned`` says
    that addresses are multiples of 16 bytes, ``times`` multiplies the number of blocks."""

    def __init__(
        self, tile: Tile, a: Operand, b: Operand, shape: tuple[Size, ...], dtype: str,
        finish: Finish, aligned: bool, times: Expr | None = None,
    ) -> None:  # fmt: skip
        self.tile, self.a, self.b, self.shape, self.dtype = tile, a, b, shape, dtype
        self.finish, self.aligned, self.times = finish, aligned, times
        self.m, self.n = (as_expr(s) for s in shape[-2:])
        self.k = as_expr(a.shape[-2 if a.turned else -1])
        self.count = as_expr(divided_up(as_size(self.k), tile.depth))
        self.block, self.thread = var("_block"), var("_thread")
        self.batch = [var(f"_batch{j}") for j in range(len(shape) - 2)]
        self.row, self.column, self.strip = var("_row"), var("_column"), var("_strip")
        self.down, self.along = var("_down"), var("_along")
        names = ((i, j) for i in range(tile.down) for j in range(tile.along))
        self.sums = tuple(var(f"_sum{i}_{j}", dtype) for i, j in names)

    def body(self) -> tuple[Stmt, ...]:
        t = self.tile
        down, along = (
            as_expr(divided_up(s, w)) for s, w in zip(self.shape[-2:], t[:2], strict=True)
        )
        grid = product((*self.shape[:-2], as_size(down), as_size(along)))
        if self.times is not None:
            grid = as_size(as_expr(grid) * self.times)
        held = t.held or self.dtype
        shapes = [self._shape(side) for side in (t.rows, t.columns)]
        tiles = [Alloc(f"tile_{w}", held, s) for w, s in zip("ab", shapes, strict=True)]
        inside = (*self._place(down, along), *self._first(), self._strips(), *self._results())
        inner = For(self.thread, THREADS, "block", inside)
        return (For(self.block, grid, "grid", (*tiles, inner)),)

    def _shape(self, side: int) -> tuple[int, ...]:
        """Twice a strip; some room more, so that what is accessed together is in other banks."""
        if self.tile.tensor:
            return (2, side, self.tile.depth + 16 // dtypes.itemsize(self.tile.held))
        return (2, self.tile.depth, side + 4)

    # where things are -----------------------------------------------------------------------------

    def _place(self, down: Expr, along: Expr) -> list[Stmt]:
        """Where the block's rectangle lies, of which matrices, and the thread's part of it."""
        rest: Expr = var("_rest")
        lets: list[Stmt] = []
        lets.append(Let(self.column, self.block % along * self.tile.columns))
        lets.append(Let(rest, self.block // along))
        lets.append(Let(self.row, rest % down * self.tile.rows))
        rest = rest // down
        for index, size in zip(reversed(self.batch), reversed(self.shape[:-2]), strict=True):
            lets.append(Let(index, rest % as_expr(size)))
            rest = rest // as_expr(size)
        t, thread = self.tile, self.thread
        if t.tensor:
            warps = THREADS // WARP // ROWS_OF_WARPS
            lane, warp = thread % WARP, thread // WARP
            lets += [Let(GROUP, lane // 4), Let(PAIR, lane % 4)]
            lets += [Let(self.down, warp // warps), Let(self.along, warp % warps)]
        else:
            each = t.columns // t.along
            lets += [Let(self.down, thread // each), Let(self.along, thread % each)]
        return lets

    def _row_of(self, i: int) -> Expr:
        """Row number i of the thread, counted from the block's first."""
        if self.tile.tensor:
            part = self.tile.rows // ROWS_OF_WARPS
            return self.down * part + GROUP + (i // 2 * 16 + i % 2 * 8)
        return _in_fours(self.down, i, self.tile.rows, self.tile.down)

    def _column_of(self, j: int) -> Expr:
        if self.tile.tensor:
            part = self.tile.columns // (THREADS // WARP // ROWS_OF_WARPS)
            return self.along * part + PAIR * 2 + (j // 2 * 8 + j % 2)
        return _in_fours(self.along, j, self.tile.columns, self.tile.along)

    # strips ---------------------------------------------------------------------------------------

    def _first(self) -> list[Stmt]:
        """The first strip into the first half."""
        if self.k.is_const and self.k.value == 0:
            return []
        brought = [x for side in "ab" for x in self._brought(side, const(0), "first")]
        stores = [x for side in "ab" for x in self._kept(side, const(0), "first")]
        found: list[Stmt] = [*brought, *stores]
        if not self.k.is_const:
            found = [If(F.lt(const(0), self.k), tuple(found))]
        return [*found, Barrier()]

    def _strips(self) -> Fold:
        strip = self.strip
        after = tuple(var(f"{s.attr}_after", self.dtype) for s in self.sums)
        zero = (const(0.0, self.dtype),) * len(self.sums)
        following = call("minimum", strip + 1, self.count - 1)
        brought = [x for side in "ab" for x in self._brought(side, following, "next")]
        kept = [x for side in "ab" for x in self._kept(side, (strip + 1) % 2, "next")]
        body = (*brought, self._sum(after), *kept, Barrier())
        return Fold(self.sums, "next", strip, as_size(self.count), "serial", body, after, zero)

    def _brought(self, side: str, strip: Expr, word: str) -> list[Stmt]:
        """What the thread brings of a strip, in registers."""
        x = self.a if side == "a" else self.b
        lets: list[Stmt] = []
        for k, (d, at) in enumerate(self._share(side)):
            value = self._element(x, strip * self.tile.depth + d, at)
            lets.append(Let(var(f"_{side}_{word}{k}", self.dtype), value))
        return lets

    def _kept(self, side: str, half: Expr, word: str) -> list[Stmt]:
        stores: list[Stmt] = []
        for k, (d, at) in enumerate(self._share(side)):
            value = rounded(var(f"_{side}_{word}{k}", self.dtype), self.tile.held)
            place = (half, at, d) if self.tile.tensor else (half, d, at)
            stores.append(Store(f"tile_{side}", place, value))
        return stores

    def _share(self, side: str) -> list[tuple[Expr, Expr]]:
        """The places (along the strip, across it) that a thread brings: neighbours in memory by
        neighbouring threads, 16 bytes each where rows are whole."""
        x = self.a if side == "a" else self.b
        length = self.tile.rows if side == "a" else self.tile.columns
        along_strip = x.turned if side == "b" else not x.turned
        fast = self.tile.depth if along_strip else length
        lanes = self._lanes(x, side)
        found = []
        for turn in range(length * self.tile.depth // THREADS // lanes):
            q = self.thread + turn * THREADS
            inner, outer = q % (fast // lanes) * lanes, q // (fast // lanes)
            for v in range(lanes):
                d, at = (inner + v, outer) if along_strip else (outer, inner + v)
                found.append((d, at))
        return found

    def _lanes(self, x: Operand, side: str) -> int:
        lanes = 16 // dtypes.itemsize(self.dtype) if x.read is None else 1
        length = self.tile.rows if side == "a" else self.tile.columns
        whole = self._whole(side) and _divides(self.tile.depth, self.k)
        enough = length * self.tile.depth // THREADS >= lanes
        straight = _divides(lanes, as_expr(x.shape[-1]))
        return lanes if self.aligned and whole and straight and enough else 1

    def _whole(self, side: str) -> bool:
        """Whether blocks never reach over the edge."""
        if side == "a":
            return _divides(self.tile.rows, self.m)
        return _divides(self.tile.columns, self.n)

    def _element(self, x: Operand, depth: Expr, at: Expr) -> Expr:
        """An element of an operand; 0 beyond the end of the summed axis, any other beyond an
        edge."""
        side = "a" if x.name == "p0" else "b"
        first, size = (self.row, self.m) if side == "a" else (self.column, self.n)
        across = first + at
        if not self._whole(side):
            across = call("minimum", across, size - 1)
        inside = None
        if not _divides(self.tile.depth, self.k):
            inside = F.lt(depth, self.k)
            depth = call("minimum", depth, self.k - 1)
        if x.read is not None:
            value = x.read(tuple(self.batch), depth, across)
            return value if inside is None else F.select(inside, value, const(0.0, self.dtype))
        places = (depth, across) if (side == "b") != x.turned else (across, depth)
        lead = self.batch[len(self.batch) - (len(x.shape) - 2) :]
        batch = [const(0) if s == 1 else i for s, i in zip(x.shape[:-2], lead, strict=True)]
        value = load(x.name, (*batch, *places), self.dtype)
        return value if inside is None else F.select(inside, value, const(0.0, self.dtype))

    def _sum(self, after: Sequence[Expr]) -> Fold:
        """The products of a strip added to the sums of a thread."""
        d, t = var("_d"), self.tile
        lets, values = [], []
        for word, count, place in (("a", t.down, self._row_of), ("b", t.along, self._column_of)):
            for i in range(count):
                value = self._held(f"tile_{word}", d, place(i))
                lets.append(Let(var(f"_{word}{i}", self.dtype), value))
        for k, s in enumerate(after):
            i, j = divmod(k, t.along)
            values.append(F.fma(var(f"_a{i}", self.dtype), var(f"_b{j}", self.dtype), s))
        kind = "tensor" if t.tensor else "serial"
        return Fold(tuple(after), "next", d, t.depth, kind, tuple(lets), tuple(values), self.sums)

    def _held(self, name: str, d: Expr, at: Expr) -> Expr:
        half = self.strip % 2
        if not self.tile.tensor:
            return load(name, (half, d, at), self.dtype)
        value = load(name, (half, at, d), self.tile.held)
        return value if self.tile.held == self.dtype else node("cast", (value,), self.dtype)

    # results --------------------------------------------------------------------------------------

    def _results(self) -> list[Stmt]:
        """Each thread's sums to where they belong."""
        out: list[Stmt] = []
        for i in range(self.tile.down):
            row = self.row + self._row_of(i)
            line: list[Stmt] = []
            for j in range(self.tile.along):
                column = self.column + self._column_of(j)
                done = self.finish((*self.batch, row, column), self.sums[i * self.tile.along + j])
                line += done if self._whole("b") else [If(F.lt(column, self.n), done)]
            out += line if self._whole("a") else [If(F.lt(row, self.m), tuple(line))]
        return out


def _in_fours(part: Expr, k: int, length: int, each: int) -> Expr:
    """Place k of a thread: four neighbours, which one access takes, then four further on."""
    four = min(4, each)
    return part * four + (k % four + k // four * (length // each * four))


def _divides(by: int, size: Expr) -> bool:
    return size.is_const and int(size.value) % by == 0


def rounded(x: Expr, held: str) -> Expr:
    """A float32 as tensor cores take it: in a narrow dtype, or (as a float32) with the 10 bits of
    mantissa that tf32 has, to nearest, ties away from zero; other values as they are.

    >>> from symgraph.scalar import const, evaluate
    >>> evaluate(rounded(const(1.0004882812500, "float32"), "float32"), {}).item()
    1.0009765625
    """
    if not held or x.dtype != "float32":
        return x
    if held != "float32":
        return node("cast", (x,), held)
    bits = node("bitcast", (x,), "uint32")
    bits = F.and_(F.add(bits, const(0x1000, "uint32")), const(0xFFFFE000, "uint32"))
    return F.select(F.isnan(x), x, node("bitcast", (bits,), "float32"))
