"""sg.random: random numbers from explicit keys, or from streams that advance by themselves.

A draw is a pure function of a key: the same key gives the same numbers, whether interpreted or
compiled, on every target and for any number of threads (random_bits.py). The bits, and what follows
from them by comparing and sorting (uniform floats, integers, counts, permutations), are the same
everywhere; floats that pass through a logarithm, a cosine or an exponential agree to a few units in
the last place, as those functions do.

Parameters broadcast as in NumPy. ``shape`` (or ``size``) is the shape of the whole draw and may
hold names and expressions of sizes; without it the parameters say the shape. An element depends on
its position alone, so a longer draw begins with the shorter one of the same trailing sizes.
Parameters known when the graph is built are checked then; where a tensor's element is impossible
the result is NaN, or -1 for counts.
"""

from __future__ import annotations

from symgraph.ops import (
    random_bits,
    random_continuous,
    random_discrete,
    random_gamma,
    random_implicit,
    random_picking,
    random_streams,
    random_vectors,
)
from symgraph.ops.random_bits import *  # noqa: F403
from symgraph.ops.random_bits import _WORDS  # noqa: F401  (shown by tests)
from symgraph.ops.random_continuous import *  # noqa: F403
from symgraph.ops.random_discrete import *  # noqa: F403
from symgraph.ops.random_gamma import *  # noqa: F403
from symgraph.ops.random_implicit import *  # noqa: F403
from symgraph.ops.random_picking import *  # noqa: F403
from symgraph.ops.random_streams import *  # noqa: F403
from symgraph.ops.random_vectors import *  # noqa: F403

__all__ = sorted([
    *random_bits.__all__, *random_continuous.__all__, *random_discrete.__all__,
    *random_gamma.__all__, *random_implicit.__all__, *random_picking.__all__,
    *random_streams.__all__, *random_vectors.__all__,
])  # fmt: skip


def __dir__() -> list[str]:
    return __all__
