"""The public names of symgraph, by family. What is not here is not for users.

Every module of `ops/` says in its ``__all__`` what it offers, so a new operation needs no line here.
"""

from __future__ import annotations

from symgraph import config, errors
from symgraph.autodiff import check, products, reverse
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
from symgraph.ir.text import tree_text
from symgraph.ir.types import TensorType
from symgraph.ops import (
    arithmetic,
    cast,
    comparison,
    contraction,
    control,
    creation,
    cumulative,
    elementwise,
    exponential,
    indexing,
    joining,
    matrix,
    nn,
    protocol,
    random,
    reductions,
    scanning,
    shape,
    special,
    trigonometric,
)
from symgraph.ops.arithmetic import *  # noqa: F403
from symgraph.ops.cast import *  # noqa: F403
from symgraph.ops.comparison import *  # noqa: F403
