"""How many rows and vectors of the result a microkernel keeps in registers, and how operands are
cut so that what is used again stays in cache. One row per kind of processor.

A tile of R rows and V vectors needs R*V accumulators, V vectors of B and one broadcast element of
A, and should do many multiplications for each element loaded. Source: K. Goto and R. van de Geijn,
"Anatomy of high-performance matrix multiplication" (2008); the sizes were measured.
"""

from __future__ import annotations

from collections.abc import Iterable

from symgraph import dtypes
from symgraph.records import NamedTuple

STRIP = 28 << 10  # bytes of a packed strip of an image, below the first level of cache
WRITTEN_OUT = 6  # copies for each p up to which they are written out, with places in registers
# of products with few columns or rows (`narrow.py`):
# so many lines of the short operand times so many of the long one, each two a sum in a register, by
# whether there are 32 of these; all of the latter divide EVERY
_GROUPS = {
    True: {1: 6, 2: 6, 3: 6, 4: 6, 5: 4, 6: 4, 8: 3, 10: 2, 12: 2}, False: {1: 6, 2: 6, 3: 4, 4: 3},
}  # fmt: skip
EVERY = 12
SINGLES = (4, 1)  # and times one line that is left over
ALONE = 12  # lines of the long operand that are worth it
SHORT = 16  # how often the summed axis is longer than there are lines in the short operand
# the parts that mostly call others
CALLING = frozenset([
    "thin_product", "thin", "narrow_product", "lines", "columns_apart", "long_product",
    "pack_a", "pack_b", "pack_image", "pack_strips",
])  # fmt: skip
TURNED = "_turned"  # the microkernels that write columns of the result as rows
COPYING = "_copying"  # and those that leave a copy of the strip of B that they read
COPIED_FOR = 4  # tiles of A that are worth a copy of a strip of B, which the first one makes
FEWEST = 3  # rows of one in assembly language: of fewer, columns are no registers of their own
FOUR = 6, 4  # a tile for four vectors of columns, which are twice two for one of 8x3
HEAD = 2  # words of a record of parts before their addresses


class Tile(NamedTuple):
    """``rows`` x ``vectors`` (of ``lanes`` elements) are computed at once. ``depth`` is the largest
    block of the summed axis; ``height`` x ``depth`` of A and ``depth`` x ``width`` of B are packed
    at a time. ``masks``: whether there are masks for whole vectors; ``ahead``: so many steps before
    they are needed rows of B are asked for, and rows of the result one by one; ``far``: bytes of B
    that are copied for very many tiles; ``near``: the block of the summed axis where B is in an
    image, of which ``room`` bytes are packed at a time.

    ``images`` names the operand (a or b) whose elements are found in an image, through tables of
    places; empty where both are matrices.

    A result's bits depend on ``depth`` and ``near`` and on nothing else here."""

    dtype: str
    lanes: int
    rows: int
    vectors: int
    masks: bool
    depth: int
    height: int
    width: int
    ahead: int = 0
    far: int = 0
    near: int = 0
    room: int = 0
    images: str = ""

    @property
    def columns(self) -> int:
        """The columns of a whole tile."""
        return self.lanes * self.vectors

    @property
    def panel(self) -> int:
        """How many elements a packed column of A takes: the rows, padded to a power of two or to
        whole vectors."""
        return 1 << (self.rows - 1).bit_length()

    def of_images(self, images: str, columns: int = 0) -> Tile:
        """The same for products one operand of which lies in images, of so many columns (0: any).

        >>> tile_for("float32", 512, ["avx512f", "sse4a"]).of_images("b").depth
        149
        """
        depth, shape = self.depth, (self.rows, self.vectors)
        if images == "a":  # columns of the result lie far apart: they are better written once
            depth *= 2
        if images == "b":  # a strip of an image stays next to the registers
            depth = self.near
        if images and self.assembled and -(-columns // self.lanes) == FOUR[1]:
            shape = FOUR
        return self._replace(images=images, depth=depth, rows=shape[0], vectors=shape[1])

    @property
    def assembled(self) -> bool:
        """Whether loops over whole vectors are written in assembly language (`avx512.py`)."""
        return self.masks and 8 * self.lanes * dtypes.itemsize(self.dtype) == 512

    @property
    def key(self) -> str:
        """What the parts of products depend on, as text; `tile_of` reads it.

        >>> Tile("float32", 16, 8, 3, True, 512, 192, 2016).key
        'float32 16 8 3 1 0'
        """
        shape = self.lanes, self.rows, self.vectors, int(self.masks), self.ahead
        return " ".join(map(str, (self.dtype, *shape, self.images))).rstrip()


def tile_of(key: str) -> Tile:
    """The tile of a key, for which alone parts are written.

    >>> tile_of("float64 8 8 3 1 8 b").key
    'float64 8 8 3 1 8 b'
    """
    dtype, *words = key.split()
    lanes, rows, vectors, masks, ahead = map(int, words[:5])
    images = "".join(words[5:])
    return Tile(dtype, lanes, rows, vectors, bool(masks), 0, 0, 0, ahead, images=images)


def parts(tile: Tile) -> list[str]:
    """The parts of a tile's products (`leaves.py`), in the order of their record."""
    side = min(tile.lanes, tile.panel)
    found = [tile_name(i, j) for i in range(1, tile.rows + 1) for j in range(1, tile.vectors + 1)]
    if not tile.masks:
        found += [tile_name(i, tile.vectors, True) for i in range(1, tile.rows + 1)]
    if tile.images == "a":
        found += [tile_name(i, j) + TURNED for i in range(1, tile.rows + 1)
                  for j in range(1, tile.vectors + 1)]  # fmt: skip
    if not tile.images:
        found += [tile_name(i, j) + COPYING for i in copying_rows(tile)
                  for j in range(1, tile.vectors + 1)]  # fmt: skip
        found += ["sweep", "dots", *(f"inner_{i}x{j}" for j, i in groups(tile).items())]
        found += [f"inner_1x{j}" for j in SINGLES]
        found += ["thin_product", "thin", "narrow_product", "lines", "columns_apart", "pack_a"]
        found += ["long_product"]
    found += ["pack_strips", "pack_image" if tile.images == "b" else "pack_b"]
    copies = [straight_name(side, q) for q in range(1, tile.panel // side + 1)]
    if tile.images == "a":
        copies += [straight_name(tile.lanes, q) for q in range(1, tile.vectors + 1)]
    copies += [turned_name(tile, side), turned_name(tile, tile.lanes)]
    if tile.images == "b":
        copies += [f"gathered_{k}" for k in range(WRITTEN_OUT + 1)]
    return list(dict.fromkeys(found + copies))


def tile_name(rows: int, vectors: int, whole: bool = False) -> str:
    """The microkernel for so many rows and vectors; ``whole``: its last vector is never cut."""
    return f"tile_{rows}x{vectors}" + "_whole" * whole


def copying_rows(tile: Tile) -> range:
    """The heights of the first of `COPIED_FOR` tiles or more, which are nearly equal."""
    return range(tile.rows * (COPIED_FOR - 1) // COPIED_FOR, tile.rows + 1)


def groups(tile: Tile) -> dict[int, int]:
    """Lines of the short operand that there are inner products for, with those of the long one.

    >>> groups(tile_for("float32", 256, ["avx2"]))
    {1: 6, 2: 6, 3: 4, 4: 3}
    """
    return _GROUPS[tile.masks]


def first_group(tile: Tile, few: int) -> int:
    """How many lines of a short operand come first: all, or about half.

    >>> [first_group(tile_for("float32", 512, ["avx512f"]), few) for few in (6, 7, 16)]
    [6, 4, 8]
    """
    known = groups(tile)
    return few if few in known else min(n for n in known if few - n in known and 2 * n >= few)


def straight_name(lanes: int, vectors: int) -> str:
    """The copy of so many vectors for each p."""
    return f"straight_{lanes}x{vectors}"


def turned_name(tile: Tile, rows: int) -> str:
    """The copy that turns blocks of so many rows."""
    return f"turned_{tile.lanes}x{rows}"


# (bits of a vector, registers) -> rows, vectors, depth in bytes, height, width
_SHAPES = {
    (512, 32): (8, 3, 2048, 192, 2496),
    (256, 32): (6, 4, 1536, 192, 2496),
    (256, 16): (6, 2, 1024, 192, 2496),
    (128, 32): (8, 3, 1024, 192, 2496),
    (128, 16): (6, 2, 1024, 192, 2496),
}
NEVER = 1 << 62
ROOM = 1 << 18


def tile_for(dtype: str, vector_bits: int, features: Iterable[str]) -> Tile:
    """The tile for a processor; ``features`` are LLVM's names of what it can do.

    >>> tile_for("float32", 512, ["avx512f", "avx512vl"])[:4]
    ('float32', 16, 8, 3)
    >>> tile_for("float64", 256, ["avx2"])[:4]
    ('float64', 4, 6, 2)
    """
    known = frozenset(features)
    avx512 = "avx512f" in known and (vector_bits == 512 or "avx512vl" in known)
    registers = 32 if avx512 or "neon" in known else 16
    rows, vectors, depth, height, width = _SHAPES[vector_bits, registers]
    size = dtypes.itemsize(dtype)
    lanes = vector_bits // (8 * size)
    depth //= size
    near = min(depth, STRIP // (vectors * vector_bits // 8))
    made = Tile(dtype, lanes, rows, vectors, avx512, depth, height, width, 0, NEVER, near, ROOM)
    if not avx512 or "sse4a" in known:  # which AMD's processors alone can do
        return made
    # Intel's second level of cache is larger and further away
    return made._replace(height=512, ahead=5, far=1 << 19, near=depth, room=1 << 20)
