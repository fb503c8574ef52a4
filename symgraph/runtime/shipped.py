"""Machine code that comes with the package, for x86-64 under Linux: what would be compiled to the
same bytes on every machine of a kind. Each file in `x86_64_linux/` holds objects by name:

    runtime                      the output pool and the thread team, for any processor
    kernels-512, kernels-256     with what products and transforms begin
    product-float32-16-8-3-1-0   parts of the products of a tile, by number
    transform-float64-8          parts of the transforms of so many sequences at once, by name

A file says which features a processor must have for it, and has the digests of the sources that
write the objects' text: an edit of these leads to the compiler again. `make shipped` writes the
files anew.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
from collections.abc import Collection, Iterator, Mapping

from symgraph.runtime.artifact import Artifact, InvalidArtifact, decode
from symgraph.runtime.digest import hexdigest

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(_ROOT, "runtime", "x86_64_linux")
_ALL = ("codegen/gemm", "codegen/literals.py", "codegen/team_llvm.py", "codegen/writer.py")
#: the sources of a kind of file: modules, and folders of them
_WRITERS = {
    "runtime": ("codegen/placement_ir.py", "codegen/pool_ir.py", "codegen/team_ir.py"),
    "kernels": ("codegen/fourier", *_ALL),
    "product": _ALL,
    "transform": ("codegen/fourier", *_ALL),
}
FEATURES = "features"  # the ingredient that is no source


def writers(kind: str) -> dict[str, str]:
    """The digests of the sources that write the objects of files of a kind, the first word of their
    names. Raises OSError where there is none."""
    return {name: _digest(name) for name in _sources(kind)}


@functools.cache
def _digest(name: str) -> str:
    with open(os.path.join(_ROOT, name), "rb", 0) as file:
        return hexdigest(file.read())


def _sources(kind: str) -> Iterator[str]:
    for name in _WRITERS[kind]:
        if name.endswith(".py"):
            yield name
        else:
            held = sorted(os.listdir(os.path.join(_ROOT, name)))
            yield from (f"{name}/{n}" for n in held if n.endswith(".py"))


def objects(name: str, features: Collection[str] = ()) -> Mapping[str, bytes]:
    """The object files in the file of that name, whose words may be apart, for a processor that has
    these features by LLVM's names; none where nothing fits.

    >>> held = objects("runtime")
    >>> sorted(held) in ([], ["pool", "team"])  # elsewhere there are none
    True
    """
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return {}
    found = _artifact(name)
    if found is None or not set(found.key.ingredients[FEATURES].split()) <= set(features):
        return {}
    return found.sections


@functools.cache
def _artifact(name: str) -> Artifact | None:
    """A whole file, unless there is none, it is damaged, or it is made by other writers."""
    path = os.path.join(FOLDER, f"{name.replace(' ', '-')}.sgc")
    try:
        with open(path, "rb", 0) as file:
            found = decode(file.read())
        kind = found.key.kind
        told = {n: d for n, d in found.key.ingredients.items() if n != FEATURES}
        return found if told == writers(kind) else None
    except (OSError, InvalidArtifact, KeyError):
        return None
