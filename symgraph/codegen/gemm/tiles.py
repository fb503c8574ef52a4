"""How many rows and vectors of the result a microkernel keeps in registers, and how operands are
cut so that what is used again stays in cache. One row per kind of processor.

A tile of R rows and V vectors needs R*V accumulators, V vectors of B and one broadcast element of
A, and should do many multiplications for each element loaded. Source: K. Goto and R. van de Geijn,
"Anatomy of high-performance matrix multiplication" (2008); the sizes were measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from symgraph import dtypes

STRIP = 28 << 10  # bytes of a packed strip of an image, below the first level of cache


class Tile(NamedTuple):
    """``rows`` x ``vectors`` (of ``lanes`` elements) are computed at once. ``depth`` is the largest
    block of the summed axis; ``height`` x ``depth`` of A and ``depth`` x ``width`` of B are packed
    at a time. ``masks``: whether a masked load costs no more than a plain one.

    ``images`` names the operand (a or b) whose elements are found in an image, through tables of
    places; empty where both are matrices. ``heights`` and ``widths`` are the rows and vectors of
    the tiles that occur, where sizes are known; empty where any may."""

    dtype: str
    lanes: int
    rows: int
    vectors: int
    masks: bool
    depth: int
    height: int
    width: int
    images: str = ""
    heights: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()

    @property
    def columns(self) -> int:
        """The columns of a whole tile."""
        return self.lanes * self.vectors

    @property
    def panel(self) -> int:
        """How many elements a packed column of A takes: the rows, padded to a power of two or to
        whole vectors."""
        return 1 << (self.rows - 1).bit_length()

    def cut(self, m: int, n: int, images: str = "") -> Tile:
        """The same for results of m rows and n columns only.

        >>> Tile("float32", 16, 8, 3, True, 512, 192, 2016).cut(9, 100)[-2:]
        ((4, 5), (1, 2, 3))
        """
        depth = self.depth
        if images == "b":  # a strip of an image stays next to the registers
            depth = min(depth, STRIP // (self.columns * dtypes.itemsize(self.dtype)))
        count = -(-m // self.rows)
        heights = {m // count, -(-m // count)} if count else {1}
        whole, rest = divmod(-(-n // self.lanes), self.vectors)
        widths = {self.vectors} if whole else set()
        if rest:  # the last block of columns may have any number of whole strips before the rest
            for strips in range(min(whole, self.vectors) + 1):
                vectors = strips * self.vectors + rest
                widths |= {vectors // (strips + 1), -(-vectors // (strips + 1))}
        return self._replace(
            images=images,
            depth=depth,
            heights=tuple(sorted(heights)),
            widths=tuple(sorted(widths or {1})),
        )


# (bits of a vector, registers) -> rows, vectors, depth in bytes, height, width
_SHAPES = {
    (512, 32): (8, 3, 2048, 192, 2016),
    (256, 32): (6, 4, 1536, 192, 2016),
    (256, 16): (6, 2, 1024, 192, 2016),
    (128, 32): (8, 3, 1024, 192, 2016),
    (128, 16): (6, 2, 1024, 192, 2016),
}


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
    return Tile(dtype, lanes, rows, vectors, avx512, depth // size, height, width)
