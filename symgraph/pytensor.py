"""The short name of `symgraph.interop.pytensor`: symgraph as a linker and mode of PyTensor.

import symgraph.pytensor

f = pytensor.function([x], y, mode="SYMGRAPH")
"""

from __future__ import annotations

from symgraph.interop.pytensor import NAME, Program, SymgraphLinker, mode

__all__ = ["NAME", "Program", "SymgraphLinker", "mode"]
