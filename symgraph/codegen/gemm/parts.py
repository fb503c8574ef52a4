"""The text of one part of products (`leaves.py`), as a module whose function is ``part``."""

from __future__ import annotations

from typing import Any

from symgraph.codegen import llvm
from symgraph.codegen.gemm.leaves import ATTRIBUTES, DRIVER, Leaf
from symgraph.codegen.gemm.tiles import CALLING, FEWEST, TURNED, Tile
from symgraph.codegen.writer import ModuleWriter
from symgraph.runtime.later import Later

# loaded when a product asks for a part of theirs
_microkernel: Any = Later("symgraph.codegen.gemm.microkernel")
_few: Any = Later("symgraph.codegen.gemm.few")
_long: Any = Later("symgraph.codegen.gemm.long")
_narrow: Any = Later("symgraph.codegen.gemm.narrow")
_packing: Any = Later("symgraph.codegen.gemm.packing")
_skinny: Any = Later("symgraph.codegen.gemm.skinny")
_slabs: Any = Later("symgraph.codegen.gemm.slabs")

_ALONE: dict[str, Any] = {
    "thin_product": _few, "thin": _skinny, "sweep": _skinny, "dots": _skinny,
    "narrow_product": _few, "lines": _narrow, "columns_apart": _narrow, "long_product": _long,
    "pack_a": _packing, "pack_b": _packing, "pack_image": _packing, "pack_strips": _slabs,
}  # fmt: skip


def part_text(tile: Tile, name: str) -> str:
    """The module of the part of that name."""
    leaf = _leaf(tile, name)
    module = ModuleWriter()
    attributes = DRIVER if name in CALLING else ATTRIBUTES
    leaf.build(module.function("part", leaf.params, leaf.result, "", attributes))
    return _level(tile, name) + module.text()


def _level(tile: Tile, name: str) -> str:
    """The first line, which says how a part is compiled."""
    if name in CALLING:
        return llvm.MOSTLY_CALLS
    if _assembled(tile, name):
        return llvm.ASSEMBLED
    return llvm.ONE_BLOCK if name.startswith("turned_") else ""


def _assembled(tile: Tile, name: str) -> bool:
    """Whether a part is written in assembly language."""
    if not tile.assembled:
        return False
    if name.startswith("tile_"):
        return int(name[len("tile_")]) >= FEWEST or not name.endswith(TURNED)
    return name.startswith((f"straight_{tile.lanes}x", "turned_", "inner_"))


def _leaf(tile: Tile, name: str) -> Leaf:
    if name in _ALONE:
        found: Leaf = getattr(_ALONE[name], name)(tile)
        return found
    kind, *words = name.split("_")
    numbers = [int(n) for n in words[0].split("x")]
    made: Leaf
    match kind:
        case "tile":
            form = "".join(words[1:])
            made = _microkernel.microkernel(tile, *numbers, form, _assembled(tile, name))
        case "inner":
            made = _narrow.inner_products(tile, *numbers, _assembled(tile, name))
        case "straight":
            made = _packing.straight(tile, *numbers, _assembled(tile, name))
        case "turned":
            made = _packing.turned(tile, numbers[1], _assembled(tile, name))
        case _:
            made = _packing.gathered(tile, *numbers)
    return made
