"""The parts of transforms that not all need: passes, what brings bundles in and back, what stands
beside transforms of real numbers and of long rows.

Each is a module of its own, whose function ``part`` plans name; `fourier_plans.py` makes it when
the first plan that needs it is asked for.
"""

from __future__ import annotations

from symgraph.codegen.fourier import memory, passes, reals, rows, squares
from symgraph.codegen.fourier.record import AT_ONCE, ENDS_OF_BUNDLES
from symgraph.codegen.writer import ModuleWriter

ATTRIBUTES = 'noinline nounwind "prefer-vector-width"="512"'


def part_text(dtype: str, lanes: int, name: str) -> str:
    """The module of the part of that name: that of a pass has a space in it."""
    module = ModuleWriter()
    if " " in name:
        params, write = passes.PARAMS, passes.write_pass
    elif name.startswith(AT_ONCE):
        params, write = squares.params_of(dtype), squares.write_matrix
    elif name in ENDS_OF_BUNDLES:
        params, write = memory.params_of(dtype, name), memory.write_end
    elif name in reals.STEPS:
        params, write = reals.params_of(name), reals.write_step
    else:
        params, write = rows.params_of(dtype, name), rows.write_part
    write(module.function("part", params, "void", "", ATTRIBUTES), dtype, lanes, name)
    return module.text()
