"""The public names of symgraph, by family. What is not here is not for users.

Every module of `ops/` and `autodiff/` says in its ``__all__`` what it offers, so that a new
operation needs no line here.
"""
# ruff: noqa: F401, F403

from __future__ import annotations

import importlib as _importlib
import math
from typing import TYPE_CHECKING, Any, TextIO

from symgraph import config, errors
from symgraph.autodiff.check import *
from symgraph.autodiff.products import *
from symgraph.autodiff.reverse import *
from symgraph.batching.vectorize import *
from symgraph.compiler import compile
from symgraph.function import Compiled as _Compiled
from symgraph.function import Function
from symgraph.ir.export import to_networkx
from symgraph.ir.graph import Apply, Constant, Graph, Input, Variable, constant
from symgraph.ir.op import Op
from symgraph.ir.operators import LANGUAGE as _LANGUAGE
from symgraph.ir.save import load, save
from symgraph.ir.shared import Shared, shared
from symgraph.ir.text import expression_text as _expression_text
from symgraph.ir.text import tree_text as _tree_text
from symgraph.ir.types import TensorType
from symgraph.ops import checkpoint_policies, fft, linalg, nn, random, signal, sparse
from symgraph.ops import neighbours as _neighbours  # ops that only rules make
from symgraph.ops import quadratics as _quadratics
from symgraph.ops import special_functions as special
from symgraph.ops.arithmetic import *
from symgraph.ops.assembling import *
from symgraph.ops.cast import *
from symgraph.ops.changing import *
from symgraph.ops.comparison import *
from symgraph.ops.complex_numbers import *
from symgraph.ops.contraction import *
from symgraph.ops.control import *
from symgraph.ops.counting import *
from symgraph.ops.creation import *
from symgraph.ops.cumulative import *
from symgraph.ops.custom import *
from symgraph.ops.data_sizes import *
from symgraph.ops.debugging import *
from symgraph.ops.differences import *
from symgraph.ops.eigen import roots
from symgraph.ops.elementwise import *
from symgraph.ops.exponential import *
from symgraph.ops.functions import *
from symgraph.ops.gradient_gates import *
from symgraph.ops.graph_surgery import *
from symgraph.ops.grids import *
from symgraph.ops.indexing import *
from symgraph.ops.joining import *
from symgraph.ops.looping import *
from symgraph.ops.matrix import *
from symgraph.ops.moments import *
from symgraph.ops.nests import *
from symgraph.ops.nonzeros import *
from symgraph.ops.numbers import *
from symgraph.ops.numpy_names import *
from symgraph.ops.padding import *
from symgraph.ops.polynomials import *
from symgraph.ops.protocol import *
from symgraph.ops.quantiles import *
from symgraph.ops.reductions import *
from symgraph.ops.scanning import *
from symgraph.ops.selecting import *
from symgraph.ops.sets import *
from symgraph.ops.shape import *
from symgraph.ops.sorting import *
from symgraph.ops.special import *
from symgraph.ops.stable_forms import *
from symgraph.ops.statistics import *
from symgraph.ops.trigonometric import *
from symgraph.ops.windows import *
from symgraph.runtime.collecting import *
from symgraph.runtime.later import LaterFunctions as _LaterFunctions
from symgraph.structure import Structure as _Structure

# derivatives are taken of what the compiler's rules have repaired, which loads the rules
_LANGUAGE["repaired"] = _LaterFunctions("symgraph.passes.before_derivatives").repaired

pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None


def dprint(*outputs: Any, types: bool = True, file: TextIO | None = None) -> None:
    """Print expressions, or lists of them, as indented trees: each above what it is made from.

    >>> import symgraph as sg
    >>> x = sg.vector("x", shape=("n",))
    >>> sg.dprint(sg.exp(x) + 1)
    add : float64[n]
      exp : float64[n]
        x : float64[n]
      const<float64>(1.0) : float64
    """
    print(_tree_text(_Structure(outputs).leaves, types), file=file)


def view(subject: Any, path: Any = None, **options: Any) -> Any:
    """Write an offline page about an expression, several, or a compiled function: source, rewrites,
    kernels, loops, LLVM IR, machine code and memory, linked both ways. Returns its path.

    Without a ``path`` the page goes to a temporary file that a browser opens. The options are those
    of `drawing/notebook.py`: ``sizes``, ``until``, ``profile`` and ``target``.
    """
    return _drawing().view(subject, path, **options)


def latex(*outputs: Any) -> str:
    r"""The formulas of expressions in LaTeX, without dollar signs; values that are used more than
    once get names and lines of their own. Raises ArgumentError for what is no expression.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> print(sg.latex(sg.sqrt(x ** 2 + 1) / 2))
    \frac{\sqrt{ x^{2} + 1 }}{2}
    """
    return str(_importlib.import_module("symgraph.drawing.latex").latex(*outputs))


def _drawing() -> Any:
    """The pictures, which stand above the public names and are loaded when one is asked for."""
    return _importlib.import_module("symgraph.drawing.notebook")


def _repr_html_(value: Any) -> str:
    return str(_drawing().html_of(value))


def _repr_svg_(value: Any) -> str | None:
    picture: str | None = _drawing().svg_of(value)
    return picture


for _shown in (Variable, _Compiled):  # notebooks ask for them
    setattr(_shown, _repr_html_.__name__, _repr_html_)
    setattr(_shown, _repr_svg_.__name__, _repr_svg_)
Variable.__str__ = _expression_text  # type: ignore[method-assign, assignment]


def __getattr__(name: str) -> Any:
    """The namespaces that are loaded when they are asked for."""
    if name in ("integrate", "optim", "optimize"):
        return _importlib.import_module(f"symgraph.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_PRIVATE = ("TYPE_CHECKING", "Any", "TextIO", "annotations", "math")
if not TYPE_CHECKING:  # type checkers take all names without an underscore
    __all__ = sorted(n for n in dir() if not n.startswith("_") and n not in _PRIVATE)
