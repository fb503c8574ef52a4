"""A case as a Python program to paste: it builds the graph node by node and asserts that native
code and the interpreter agree."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

import symgraph as sg
from symgraph.ir.graph import Constant, Graph, Variable, toposort
from symgraph.ir.op import OPS, Op
from symgraph.ir.shared import Shared
from symgraph.ir.text import GraphPrinter
from symgraph.ir.types import TensorType
from symgraph.ops.elementwise import Elementwise
from symgraph.scalar import Expr, variables
from tests.fuzz.case import Case, definition


def python_text(case: Case) -> str:
    """The program."""
    return "\n".join(_Writer(case).lines()) + "\n"


class _Writer:
    def __init__(self, case: Case) -> None:
        self.case, self.words = case, dict[Variable, str]()
        self.sizes: dict[str, None] = {}
        self.words_of_sizes: dict[str, None] = {}  # functions in the text of sizes
        self.graphs = False

    def lines(self) -> list[str]:
        d = definition(self.case)
        body: list[str] = []
        for x in self.case.inputs:
            self.words[x] = x.name or f"x{len(self.words)}"
            shape = tuple(str(s) if isinstance(s, Expr) else s for s in x.shape)
            body.append(f"{self.words[x]} = sg.tensor({x.name!r}, {x.dtype!r}, {shape!r})")
        for k, s in enumerate(d.shared):
            self.words[s] = f"s{k}"
            shape = tuple(str(n) if isinstance(n, Expr) else n for n in s.shape)
            named = f", shape={shape!r}" if any(isinstance(n, str) for n in shape) else ""
            body.append(f's{k} = sg.shared({array_text(s.get_value())}, "s{k}"{named})')
        for node in toposort(d.graph.outputs):
            operands = ", ".join(map(self.word, node.inputs))
            body.append(f"{self.results(node)} = {self.op(node.op)}({operands})")
        outputs = ", ".join(map(self.word, self.case.outputs))
        pairs = ", ".join(f"{self.word(s)}: {self.word(v)}" for s, v in self.case.updates)
        inputs = ", ".join(map(self.word, self.case.inputs))
        updates = f", updates={{{pairs}}}" if pairs else ""
        body.append(f"calls = [{', '.join(self.call(c) for c in self.case.calls)}]")
        body.append(f"start = [s.get_value() for s in [{', '.join(map(self.word, d.shared))}]]")
        body += ["results = []", 'for mode in ("interpret", "run"):']
        reset = ", ".join(map(self.word, d.shared))
        body.append(f"    [s.set_value(a) for s, a in zip([{reset}], start)]")
        body.append(
            f"    f = sg.compile([{inputs}], [{outputs}]{updates}, mode=mode, "
            'on_unused_input="ignore")'
        )
        body.append("    results.append([a for call in calls for a in f(*call)])")
        body.append(f"    results[-1] += [s.get_value() for s in [{reset}]]")
        body.append("for a, b in zip(*results, strict=True):")
        body.append("    assert a.dtype == b.dtype and a.shape == b.shape")
        body.append("    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)")
        narrow = any("bfloat16" in line for line in body)
        return [*["import ml_dtypes  # noqa: F401"] * narrow, *self.head(), "", *body]

    def head(self) -> list[str]:
        out = ["import numpy as np", "", "import symgraph as sg"]
        if self.graphs:
            out.append("from symgraph.ir.parse import parse_graph")
        out += ["from symgraph.ir.op import OPS", "", "_ = sg.compile  # fills the table of ops"]
        if self.sizes:
            out.append("from symgraph.scalar import var")
            if self.words_of_sizes:
                names = ", ".join(self.words_of_sizes)
                out.append(f"from symgraph.scalar.functions import {names}")
            out.append("")
            out.append("; ".join(f'{n} = var("{n}")' for n in self.sizes))
        return out

    def results(self, node: Any) -> str:
        for v in node.outputs:
            self.words[v] = f"v{len(self.words)}"
        return ", ".join(self.words[v] for v in node.outputs)

    def word(self, v: Variable) -> str:
        if isinstance(v, Constant) and not isinstance(v, Shared):
            return f"sg.constant({array_text(v.data)})"
        return self.words[v]

    def op(self, op: Op) -> str:
        if isinstance(op, Elementwise):
            return f"sg.{op.name}" if getattr(sg, op.name, None) is op else f'OPS["{op.name}"]'
        fields = ", ".join(f"{n}={self.field(getattr(op, n))}" for n in op.fields)
        row = f'OPS["{op.name}"]' if isinstance(OPS.get(op.name), type) else repr(op)
        return f"{row}({fields})"

    def field(self, value: Any) -> str:
        if isinstance(value, Graph):
            self.graphs = True
            printer = GraphPrinter(value)
            data = ", ".join(f"{w!r}: {array_text(a)}" for w, a in printer.data.items())
            return 'parse_graph("""' + "\n".join(printer.lines) + f'""", {{{data}}})'
        if isinstance(value, Expr):
            self.sizes.update({v.attr: None for v in variables(value)})
            self.words_of_sizes.update(dict.fromkeys(re.findall(r"([a-z_]+)\(", str(value))))
            return str(value)
        if isinstance(value, TensorType):
            return f"sg.TensorType({value.dtype!r}, {self.field(value.shape)})"
        if isinstance(value, tuple):
            return "(" + "".join(f"{self.field(v)}, " for v in value).rstrip() + ")"
        return repr(value)

    def call(self, arrays: list[np.ndarray]) -> str:
        return "[" + ", ".join(map(array_text, arrays)) + "]"


def array_text(a: np.ndarray) -> str:
    """An expression that makes the array."""
    if not a.size:
        return f"np.zeros({a.shape}, {str(a.dtype)!r})"
    flat = plain_list(a)
    if a.size > 3 and (a.reshape(-1)[:1].tobytes() * a.size) == np.ascontiguousarray(a).tobytes():
        return f"np.full({a.shape}, {plain_list(a.reshape(-1)[0])}, {str(a.dtype)!r})"
    return f"np.array({flat}, {str(a.dtype)!r})"


def plain_list(a: Any) -> str:
    """Nested lists of Python numbers."""
    return repr(a.tolist()).replace("nan", "np.nan").replace("inf", "np.inf")
