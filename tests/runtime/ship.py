"""`python -m tests.runtime.ship` writes the machine code that comes with the package."""

from __future__ import annotations

from pathlib import Path

from symgraph.codegen import llvm, pool_ir, team_ir
from symgraph.codegen.libllvm import Machine, library
from symgraph.runtime import shipped
from symgraph.runtime.artifact import Key, encode

TRIPLE, PROCESSOR, LEVEL = "x86_64-unknown-linux-gnu", "x86-64", llvm.KERNELS


def content() -> bytes:
    """The bytes of the file, by the LLVM that is installed."""
    machine = Machine(library(), TRIPLE, PROCESSOR, "", LEVEL)
    texts = {"pool": pool_ir.pool_module(), "team": team_ir.team_module("x86_64")}
    objects = {name: machine.emit(texts[name], True) for name in shipped.NAMES}
    return encode(Key("runtime", shipped.writers()), {"llvm": library().version()}, objects)


if __name__ == "__main__":
    Path(shipped.PATH).write_bytes(content())
