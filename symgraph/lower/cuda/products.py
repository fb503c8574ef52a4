"""Matrix products: which tiles a product gets, and what is done with its sums.

    128 x 128    each thread 8 x 8 sums: large products
    64 x 64      4 x 4 sums: when large tiles would leave a GPU without enough blocks
    16 x 128, 128 x 16     for few rows, or few columns

Where sizes are not known, there is a launch for large and one for small products, and the sizes of
a call make the number of blocks of one of them 0. Tensor cores are used when ``config.products``
asks for them, or operands are casts of narrow floats: operands are rounded to tf32, bfloat16 or
float16, sums are float32. Without that, float32 products are sums of fused multiply-adds in the
order of the summed axis.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph import config
from symgraph.loops.program import Buffer, Call
from symgraph.loops.statements import Kernel, Param, Size, Stmt, Store
from symgraph.lower.cuda.product_tiles import Finish, Operand, Tile, TiledProduct
from symgraph.lower.cuda.spread import divided_up
from symgraph.lower.nests import sizes_of
from symgraph.runtime.cuda import libraries
from symgraph.scalar import Expr, as_expr, call, const, load, product

LARGE, SMALL = Tile(128, 128, 8, 8, 8), Tile(64, 64, 16, 4, 4)
LOW, NARROW = Tile(16, 128, 16, 2, 4), Tile(128, 16, 16, 4, 2)
FEW = 16  # rows or columns
LEAST = 128  # rows, columns and summed elements from which a library is asked
ENOUGH = 64  # large tiles that keep a GPU busy: half of its processors
HELD = {"tf32": "float32", "bfloat16": "bfloat16", "float16": "float16"}


def product_kernels(
    operands: Sequence[Buffer], flags: tuple[bool, bool, bool], aligned: bool,
    more: Sequence[Param] = (), finish: Finish | None = None, exact: str = "",
) -> list[Kernel]:  # fmt: skip
    """The kernels of c = a b or, with the third flag, c += a b, of which the sizes of a call choose
    one; the other flags say that a and b are turned round. Leading axes of size 1 are repeated
    along those of c. With ``finish``, which knows the parameters ``more``, that is done with each
    sum instead of storing it. ``exact`` is a dtype of tensor cores that holds the operands."""
    a, b, c = operands
    params = [Param(f"p{k}", x.dtype, x.shape, "in") for k, x in enumerate((a, b))]
    if finish is None:
        params.append(Param("p2", c.dtype, c.shape, "out"))
        finish = _stored("p2", c.dtype, flags[2])
    params += more
    left, right = Operand("p0", flags[0], a.shape), Operand("p1", flags[1], b.shape)
    made: list[Kernel] = []
    for tile, times in tiles_for(c.shape, c.dtype, exact):
        writer = TiledProduct(tile, left, right, c.shape, c.dtype, finish, aligned, times)
        body = writer.body()
        made.append(Kernel("product", tuple(params), sizes_of(body, params), body))
    return made


def mode(exact: str = "") -> str:
    """How products of float32 are to be made, of operands that a narrow dtype holds."""
    wanted = str(config.get("products"))
    return exact if wanted == "ieee" and exact else wanted


def by_library(step: Call, operands: Sequence[Buffer]) -> bool:
    """Whether a product is left to cuBLASLt: where that is installed, nothing has joined the
    product, and it is not known to be small."""
    if not libraries.present("cublasLt") or any(n == "follower" for n, _ in step.params):
        return False
    a, b, c = operands[:3]
    if any(x.shape[:-2] != c.shape[:-2] and product(x.shape[:-2]) != 1 for x in (a, b)):
        return False
    sizes = (*c.shape[-2:], a.shape[-2 if dict(step.params)["ta"] else -1])
    return not any(isinstance(n, int) and n < LEAST for n in sizes)


def _stored(name: str, dtype: str, adds: bool) -> Finish:
    def finish(at: tuple[Expr, ...], total: Expr) -> tuple[Stmt, ...]:
        return (Store(name, at, load(name, at, dtype) + total if adds else total),)

    return finish


def tiles_for(shape: Sequence[Size], dtype: str, exact: str = "") -> list[tuple[Tile, Expr | None]]:
    """The tiles of products with results of this shape, each with the number, 0 or 1, that its
    blocks are multiplied by.

    >>> [t[:2] for t, _ in tiles_for((4096, 4096), "float32")]
    [(128, 128)]
    """
    held = HELD.get(mode(exact), "")
    if dtype == "float64":
        return [(SMALL._replace(depth=8), None)]
    if held:
        large, small = Tile(128, 128, 16, 8, 8, held), Tile(64, 64, 16, 4, 4, held)
    else:
        large, small = LARGE, SMALL
        for size, tile in zip(shape[-2:], (LOW, NARROW), strict=True):
            if isinstance(size, int) and size <= FEW:
                return [(tile, None)]
    blocks = _tiles(shape, large)
    if isinstance(blocks, int):
        return [(large if blocks >= ENOUGH else small, None)]
    some = call("minimum", as_expr(blocks) // ENOUGH, const(1))
    return [(large, some), (small, const(1) - some)]


def _tiles(shape: Sequence[Size], tile: Tile) -> Size:
    down, along = (divided_up(s, w) for s, w in zip(shape[-2:], tile[:2], strict=True))
    return product((*shape[:-2], down, along))
