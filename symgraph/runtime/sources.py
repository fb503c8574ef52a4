"""Which symgraph this is: a part of the key of everything that its code made."""

from __future__ import annotations

import functools
import os

from symgraph.runtime.digest import hexdigest

FOLDERS = (
    "", "scalar", "ir", "loops", "ops", "rewrite", "passes", "lower", "codegen", "codegen/vmath",
    "codegen/gemm",
)  # fmt: skip


@functools.cache
def compiler_digest() -> str:
    """A hash of symgraph's own sources, by name, size and time: another version never hits."""
    root = os.path.dirname(os.path.dirname(__file__))
    parts = []
    for folder in FOLDERS:
        with os.scandir(os.path.join(root, folder)) as entries:
            for e in sorted(entries, key=lambda e: e.name):
                if e.name.endswith(".py"):
                    stat = e.stat()
                    parts.append(f"{folder}/{e.name}:{stat.st_size}:{stat.st_mtime_ns}")
    return hexdigest("\n".join(parts).encode())
