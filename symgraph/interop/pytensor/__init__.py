"""symgraph as a linker and mode of PyTensor.

    import symgraph.interop.pytensor

    f = pytensor.function([x], y, mode="SYMGRAPH")

Importing this module registers both; it is the only one that imports PyTensor.
"""

from __future__ import annotations

from symgraph.interop.pytensor.linker import NAME, Program, SymgraphLinker, install, mode

__all__ = ["NAME", "Program", "SymgraphLinker", "mode"]

install()
