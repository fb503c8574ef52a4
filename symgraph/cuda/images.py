"""The machine code of kernels, from the disk cache or made and kept there.

A kernel's PTX is found by its LLVM IR and architecture, its cubin likewise with the assembler;
where no assembler is installed the driver translates the PTX (and has a cache of its own).
"""

from __future__ import annotations

from symgraph.codegen import llvm
from symgraph.codegen.ptx.architecture import Architecture, architecture
from symgraph.codegen.ptx.assemble import assemble, assemblers
from symgraph.codegen.ptx.nvptx import ptx
from symgraph.errors import TargetError
from symgraph.runtime.cache import Key, open_cache
from symgraph.runtime.cuda.protocol import Driver
from symgraph.runtime.digest import hexdigest
from symgraph.runtime.sources import compiler_digest

OLDEST = 70


def kept_ptx(text: str, arch: Architecture) -> str:
    """The PTX of a module of LLVM IR.

    Raises what ``codegen.ptx.nvptx.ptx`` raises.
    """
    cache = open_cache()
    key = Key("ptx", {
        "text": hexdigest(text.encode()), "arch": arch.name, "version": str(arch.ptx),
        "host": llvm.host_fingerprint(), "compiler": compiler_digest(),
    })  # fmt: skip
    found = cache.get(key) if cache is not None else None
    if found is not None:
        return bytes(found.sections["ptx"]).decode()
    made = ptx(text, arch)
    if cache is not None:
        cache.put(key, {}, {"ptx": made.encode()})
    return made


def assembler(arch: Architecture, driver: Driver) -> str:
    """What makes machine code for a driver here; "" where the driver gets PTX."""
    names = assemblers() if driver.reads_cubins else []
    same = arch.number // 10 == driver.properties.capability[0]  # a cubin runs on one generation
    return names[0] if names and same else ""


def image(text: str, arch: Architecture, driver: Driver) -> bytes:
    """What a driver loads of a kernel's PTX: a cubin where one can be made that runs there."""
    name = assembler(arch, driver)
    if not name:
        return text.encode()
    cache = open_cache()
    words = {"ptx": hexdigest(text.encode()), "arch": arch.name, "assembler": name}
    found = cache.get(Key("cubin", words)) if cache is not None else None
    if found is not None:
        return bytes(found.sections["cubin"])
    made = assemble(text, arch, name).data
    if cache is not None:
        cache.put(Key("cubin", words), {}, {"cubin": made})
    return made


def fitting(asked: str, driver: Driver) -> Architecture:
    """The architecture to compile for: the one asked for, else the newest that the device runs.

    Raises TargetError for a name that is not known and a device that cannot run its code.
    """
    p = driver.properties
    own = 10 * p.capability[0] + p.capability[1]
    if asked:
        found = architecture(asked)
        special = not asked[-1].isdigit()  # code with an a or f runs on that very architecture
        if found.number > own or (special and found.number != own):
            raise TargetError(
                f"code for {asked} does not run on {p.name}, which is sm_{own}",
                hint='target="cuda" takes the architecture of the device',
            )
        return found
    for number in range(own, OLDEST - 1, -1):
        try:
            return architecture(f"sm_{number}")
        except TargetError:
            continue
    raise TargetError(
        f"{p.name} is sm_{own}; the oldest architecture that code is written for is sm_{OLDEST}",
        hint='compile with target="cpu"',
    )
