"""Models of PyMC, sampled by nutpie through symgraph's machine code.

    import symgraph

    trace = symgraph.pymc.sample(model=model)

nutpie calls a log-density and its gradient by their addresses in C, from a thread for each chain;
see docs/pymc.md. PyMC's own samplers take symgraph as a mode (docs/pytensor.md).
"""

from __future__ import annotations

from symgraph.interop.pymc.densities import Densities, densities
from symgraph.interop.pymc.model import compile_pymc_model, sample

__all__ = ["Densities", "compile_pymc_model", "densities", "sample"]
