"""The text of one part of products (`leaves.py`), as a module whose function is ``part``."""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen import llvm
from symgraph.codegen.gemm.leaves import ATTRIBUTES, DRIVER, Leaf
from symgraph.codegen.gemm.microkernel import microkernel
from symgraph.codegen.gemm.narrow import columns_apart, inner_products, lines
from symgraph.codegen.gemm.packing import gathered, pack_a, pack_b, pack_image, straight, turned
from symgraph.codegen.gemm.skinny import dots, sweep, thin
from symgraph.codegen.gemm.slabs import pack_strips
from symgraph.codegen.gemm.tiles import CALLING, Tile
from symgraph.codegen.writer import ModuleWriter

_ALONE: dict[str, Callable[[Tile], Leaf]] = {
    "sweep": sweep, "dots": dots, "thin": thin, "lines": lines, "columns_apart": columns_apart,
    "pack_a": pack_a, "pack_b": pack_b, "pack_image": pack_image, "pack_strips": pack_strips,
}  # fmt: skip


def part_text(tile: Tile, name: str) -> str:
    """The module of the part of that name."""
    calling = name in CALLING
    leaf = _leaf(tile, name)
    module = ModuleWriter()
    attributes = DRIVER if calling else ATTRIBUTES
    leaf.build(module.function("part", leaf.params, "void", "", attributes))
    first = llvm.MOSTLY_CALLS if calling else llvm.ONE_BLOCK if name.startswith("turned_") else ""
    return first + module.text()


def _leaf(tile: Tile, name: str) -> Leaf:
    if name in _ALONE:
        return _ALONE[name](tile)
    kind, *words = name.split("_")
    numbers = [int(n) for n in words[0].split("x")]
    match kind:
        case "tile":
            return microkernel(tile, numbers[0], numbers[1], "".join(words[1:]))
        case "inner":
            return inner_products(tile, numbers[0], numbers[1])
        case "straight":
            return straight(tile, numbers[0], numbers[1])
        case "turned":
            return turned(tile, numbers[1])
    return gathered(tile, numbers[0])
