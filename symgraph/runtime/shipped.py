"""Machine code that comes with the package: the output pool and the thread team, compiled for any
processor with x86-64 under Linux.

Every process needs them with its first function, and both are always the same: to compile them took
a sixth of a first call. They are kept with the digests of the files that write their text, so an
edit of those leads to the compiler again; `make shipped` writes the file anew.
"""

from __future__ import annotations

import functools
import os
import platform
import sys

from symgraph.runtime.artifact import Artifact, InvalidArtifact, decode
from symgraph.runtime.digest import hexdigest

NAMES = ("pool", "team")
_WRITERS = (*NAMES, "placement")  # symgraph/codegen/*_ir.py
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATH = os.path.join(_ROOT, "runtime", "x86_64-linux.sgc")


def writers() -> dict[str, str]:
    """The digests of the sources that write the objects. Raises OSError where there is none."""
    found = {}
    for name in _WRITERS:
        with open(os.path.join(_ROOT, "codegen", f"{name}_ir.py"), "rb", 0) as file:
            found[name] = hexdigest(file.read())
    return found


def shipped_object(name: str) -> bytes | None:
    """The object file of "pool" or "team" for this system, None where it has to be compiled.

    >>> shipped_object("team") is None or shipped_object("team")[1:4]  # elsewhere there is none
    b'ELF'
    """
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return None
    found = _artifact()
    return None if found is None else bytes(found.sections[name])


@functools.cache
def _artifact() -> Artifact | None:
    """The whole file, unless it is damaged or made by other writers than these."""
    try:
        with open(PATH, "rb", 0) as file:
            found = decode(file.read())
        fresh = all(found.key.ingredients.get(n) == d for n, d in writers().items())
    except (OSError, InvalidArtifact):
        return None
    return found if fresh else None
