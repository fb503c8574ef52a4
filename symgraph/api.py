"""The public names of symgraph, by family. What is not here is not for users.

Every module of `ops/` and `autodiff/` says in its ``__all__`` what it offers, so that a new
operation needs no line here.
"""

from __future__ import annotations

import math
from typing import Any, TextIO

from symgraph import config, errors
from symgraph.autodiff.check import *  # noqa: F403
from symgraph.autodiff.products import *  # noqa: F403
from symgraph.autodiff.reverse import *  # noqa: F403
from symgraph.compiler import compile
from symgraph.function import Function
from symgraph.ir.export import to_networkx
from symgraph.ir.graph import Apply, Constant, Graph, Input, Variable, constant
from symgraph.ir.op import Op
from symgraph.ir.save import load, save
from symgraph.ir.shared import Shared, shared
from symgraph.ir.text import tree_text as _tree_text
from symgraph.ir.types import TensorType
from symgraph.ops import nn, random
from symgraph.ops.arithmetic import *  # noqa: F403
from symgraph.ops.cast import *  # noqa: F403
from symgraph.ops.comparison import *  # noqa: F403
from symgraph.ops.contraction import *  # noqa: F403
from symgraph.ops.control import *  # noqa: F403
from symgraph.ops.creation import *  # noqa: F403
from symgraph.ops.cumulative import *  # noqa: F403
from symgraph.ops.elementwise import *  # noqa: F403
from symgraph.ops.exponential import *  # noqa: F403
from symgraph.ops.indexing import *  # noqa: F403
from symgraph.ops.joining import *  # noqa: F403
from symgraph.ops.matrix import *  # noqa: F403
from symgraph.ops.protocol import *  # noqa: F403
from symgraph.ops.reductions import *  # noqa: F403
from symgraph.ops.scanning import *  # noqa: F403
from symgraph.ops.shape import *  # noqa: F403
from symgraph.ops.special import *  # noqa: F403
from symgraph.ops.trigonometric import *  # noqa: F403

pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None


def dprint(*outputs: Any, types: bool = True, file: TextIO | None = None) -> None:
    """Print expressions as an indented tree, each above what it is computed from.

    >>> import symgraph as sg
    >>> x = sg.vector("x", shape=("n",))
    >>> sg.dprint(sg.exp(x) + 1)
    add : float64[n]
      exp : float64[n]
        x : float64[n]
      const<float64>(1.0) : float64
    """
    print(_tree_text(outputs, types), file=file)


_PRIVATE = ("Any", "TextIO", "annotations", "math")
__all__ = sorted(n for n in dir() if not n.startswith("_") and n not in _PRIVATE)
