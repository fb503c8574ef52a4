"""`python -m tests.runtime.ship` writes the machine code that comes with the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from symgraph.codegen import fourier_llvm, gemm_llvm, llvm, pool_ir, team_ir
from symgraph.codegen.fourier import parts as transforms
from symgraph.codegen.fourier import reals
from symgraph.codegen.fourier.record import ENDS_OF_BUNDLES, RADICES, at_once
from symgraph.codegen.gemm import parts as products
from symgraph.codegen.gemm import tiles
from symgraph.codegen.libllvm import Machine, library
from symgraph.records import NamedTuple
from symgraph.runtime import shipped
from symgraph.runtime.artifact import Key, encode
from symgraph.runtime.digest import hexdigest

TRIPLE = "x86_64-unknown-linux-gnu"
V3 = "avx2 bmi bmi2 f16c fma lzcnt movbe popcnt"
#: the processors by the bits of their vectors, LLVM's name of each with the features it stands for
PROCESSORS = {
    0: ("x86-64", ""),
    256: ("x86-64-v3", V3),
    512: ("x86-64-v4", V3 + " avx512bw avx512cd avx512dq avx512f avx512vl"),
}
DTYPES = ("float32", "float64")
PASS_ENDS = ("bb", "bc", "bi", "cb", "cc", "ib", "ii")
BEYOND = ((256, ""), (512, ""), (512, "sse4a"))  # what else tiles depend on


class File(NamedTuple):
    """A file before it is compiled: its texts by the names of the objects."""

    bits: int
    texts: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Of all texts."""
        return hexdigest(repr(sorted(self.texts.items())).encode())


def files() -> Iterator[tuple[str, File]]:
    """All files by name."""
    yield "runtime", File(0, {"pool": pool_ir.pool_module(), "team": team_ir.team_module("x86_64")})
    for bits in (256, 512):
        known = [fourier_llvm.module(dtype, bits) for dtype in DTYPES]
        known += [gemm_llvm.module(tile) for tile in _tiles(bits)]
        yield f"kernels-{bits}", File(bits, {m.name: m.write() for m in known})
        for tile in _tiles(bits):
            names = enumerate(tiles.parts(tile))
            held = {str(k): products.part_text(tile, name) for k, name in names}
            yield f"product-{tile.key.replace(' ', '-')}", File(bits, held)
        for dtype in DTYPES:
            lanes = fourier_llvm.lanes_of(dtype, bits)
            held = {n: transforms.part_text(dtype, lanes, n) for n in _names(lanes)}
            yield f"transform-{dtype}-{lanes}", File(bits, held)


def _tiles(bits: int) -> list[tiles.Tile]:
    features = PROCESSORS[bits][1].split()
    ways = [[*features, *more.split()] for b, more in BEYOND if b == bits]
    found = [tiles.tile_for(dtype, bits, way) for dtype in DTYPES for way in ways]
    floats = [tile for tile in found if tile.dtype == "float32"]  # which networks are of
    found += [tile.of_images(operand, columns) for tile in floats
              for operand in "ab" for columns in (0, 4 * tile.lanes)]  # fmt: skip
    return list(dict.fromkeys(found))


def _names(lanes: int) -> Iterator[str]:
    """The parts of transforms whose length is a product of RADICES."""
    yield from ("turned", "turned_whole", "product", *reals.STEPS, *ENDS_OF_BUNDLES)
    for ends in PASS_ENDS:
        yield from (f"{radix} {ends}" for radix in RADICES)
    for high in RADICES:
        for wide in (w for w in RADICES if w >= high):
            yield from filter(
                None, (at_once(high, wide, lanes, turned) for turned in (False, True))
            )


def content(name: str, file: File) -> bytes:
    """The bytes of a file, by the LLVM that is installed."""
    processor, features = PROCESSORS[file.bits]
    machines = {level: Machine(library(), TRIPLE, processor, "", level)
                for level in (llvm.CALLS, llvm.KERNELS)}  # fmt: skip
    made = {n: machines[llvm.level(text)].emit(text, True) for n, text in file.texts.items()}
    kind = name.partition("-")[0]
    key = Key(kind, {shipped.FEATURES: features, **shipped.writers(kind)})
    return encode(key, {"llvm": library().version(), "texts": file.digest}, made)


if __name__ == "__main__":
    folder = Path(shipped.FOLDER)
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.sgc"):
        old.unlink()
    for name, file in files():
        (folder / f"{name}.sgc").write_bytes(content(name, file))
