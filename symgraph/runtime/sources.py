"""Which symgraph this is: a part of the key of everything that its code made."""

from __future__ import annotations

import functools
import os

from symgraph.runtime.digest import hexdigest

FOLDERS = (
    "", "scalar", "ir", "loops", "ops", "rewrite", "passes", "lower", "lower/cuda", "codegen",
    "codegen/fourier", "codegen/gemm", "codegen/ptx", "codegen/vmath",
)  # fmt: skip


@functools.cache
def compiler_digest() -> str:
    """A hash of symgraph's own sources, by name, size and time: another version never hits."""
    root = os.path.dirname(os.path.dirname(__file__))
    parts = [_folder(os.path.join(root, folder)) for folder in FOLDERS]
    return hexdigest(repr(parts).encode())


def _folder(path: str) -> list[tuple[str, int, int]]:
    """Name, size and time of a folder's sources, in order. They are asked from the folder itself
    where the system can, which takes half as long as by whole paths."""
    if os.stat not in os.supports_dir_fd:
        names = sorted(n for n in os.listdir(path) if n.endswith(".py"))
        return [_row(n, os.stat(os.path.join(path, n))) for n in names]
    handle = os.open(path, os.O_RDONLY)
    try:
        names = sorted([n for n in os.listdir(handle) if n.endswith(".py")])
        return [_row(n, os.stat(n, dir_fd=handle)) for n in names]
    finally:
        os.close(handle)


def _row(name: str, status: os.stat_result) -> tuple[str, int, int]:
    return name, status.st_size, status.st_mtime_ns
