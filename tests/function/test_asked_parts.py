"""What the calls of a function ask for of products' parts is there before the first call of another
process, and belongs to the function alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from symgraph import products
from symgraph.codegen.gemm import tiles
from symgraph.runtime.cache import Cache

PROGRAM = """
import sys
import numpy as np
import symgraph as sg
from symgraph import products
asked = []
make = products.Record.make
products.Record.make = lambda self, bits: (asked.append(bits), make(self, bits))[1]
x, w = sg.matrix("x"), sg.matrix("w")
f = sg.compile([x, w], x @ w)
before = [bin(r.words[0]).count("1") for r in products._records.values()]
rng = np.random.default_rng(0)
for n in map(int, sys.argv[1:]):
    a, b = rng.normal(size=(n, 30)), rng.normal(size=(30, n + 1))
    assert abs(f(a, b) - a @ b).max() < 1e-12
print(f.statistics["cached"], len(asked), *before)
"""


def run(folder: Path, *sizes: int) -> list[str]:
    env = {**os.environ, "SYMGRAPH_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", PROGRAM, *map(str, sizes)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_another_process_has_them_before_the_first_call(tmp_path: Path) -> None:
    cached, asked, before = run(tmp_path, 8, 40)
    assert cached == "False" and int(asked) >= 1 and before == "0"
    cached, asked, before = run(tmp_path, 8, 40)
    assert cached == "True" and asked == "0" and int(before) >= 1
    kept = int(before)
    cached, asked, before = run(tmp_path, 13)  # another size: what is new is added
    assert cached == "True" and int(before) == kept
    more = run(tmp_path, 8, 40, 13)
    assert more[:2] == ["True", "0"] and int(more[2]) >= kept


def test_a_damaged_file_means_asking_again(tmp_path: Path) -> None:
    run(tmp_path, 8)
    (entry,) = [e for e in Cache(tmp_path).ls() if e.kind == "asked"]
    path = Path(Cache(tmp_path)._path(entry.hexdigest))
    path.write_bytes(path.read_bytes()[:-5])
    cached, asked, before = run(tmp_path, 8)
    assert cached == "True" and int(asked) >= 1 and before == "0"
    assert run(tmp_path, 8)[1] == "0"


def test_records_have_room_for_all_parts() -> None:
    assert products.HEAD == tiles.HEAD
    for bits, features in ((512, ["avx512f", "avx512vl"]), (256, ["avx2"]), (128, ["neon"])):
        for dtype in ("float32", "float64"):
            tile = tiles.tile_for(dtype, bits, features)
            for images in ("", "a", "b"):
                assert len(tiles.parts(tile.of_images(images))) < products.MOST
