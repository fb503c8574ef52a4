"""A graph as a Python program that builds it again: `symgraph dump --format python`.

Nodes are unique, so each spelling is tried on the graph itself: where the function or operator that
a user would write gives the very node, it is written; where none does, the op is named with its
parameters. What is printed is therefore the graph and not one that looks like it.
"""

from __future__ import annotations

import base64
import keyword
import operator
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.cli.problems import SubjectError
from symgraph.cli.spellings import Spelling, spellings
from symgraph.ir.graph import Apply, Constant, Graph, Variable, toposort
from symgraph.ir.hashing import inner_graphs
from symgraph.ir.op import OPS, Op
from symgraph.ir.shared import Shared
from symgraph.ir.text import is_plain
from symgraph.ir.types import Size, TensorType
from symgraph.scalar import Expr, postorder, substitute, var, variables

WRITTEN_OUT = 64  # elements of an array up to which its numbers are written one by one
_ARITHMETIC = frozenset("const var add sub mul floordiv mod neg".split())
_OF_SIZES = frozenset("select minimum maximum lt le eq ne".split())
_OWN = frozenset("sg np op OPS Graph array graph outputs updates var fresh_size making base64 slice"
                 " float ml_dtypes"
                 " select minimum maximum lt le eq ne".split())  # fmt: skip

_OP = """

def op(name, **parameters):
    row = OPS[name]
    return row(**parameters) if isinstance(row, type) else row"""
_ARRAY = """

def array(dtype, shape, text):
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)"""


def python_text(
    graph: Graph, subject: str, updates: Sequence[Shared] = (), data: bool = True
) -> str:
    """A program whose ``graph`` is this one; ``updates`` are what the last outputs go to. Without
    ``data`` arrays are zeros and sizes have names that say nothing.

    Raises SubjectError, at the user's line, for a node that has no text: one whose op holds a
    function of Python.

    >>> import symgraph as sg
    >>> x = sg.vector("x", shape=("n",))
    >>> print(python_text(sg.Graph([x], [sg.exp(x) * 2]), "twice"))
    # twice
    import symgraph as sg
    from symgraph import Graph
    <BLANKLINE>
    x = sg.tensor("x", "float64", ("n",))
    v1 = sg.exp(x)
    v2 = v1 * 2.0
    <BLANKLINE>
    graph = Graph([x], [v2])
    """
    writer = _Writer(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of spellings that are only tried
        body = [*writer.of(graph), "", *writer.end(graph, updates)]
    return "\n".join([f"# {' '.join(subject.split())}", *writer.head(), *body])


class _NoText(SubjectError):
    """A parameter or an op that no text stands for."""


class _Writer:
    def __init__(self, data: bool) -> None:
        self.data = data
        self.words: dict[Variable, str] = {}
        self.sizes: dict[Expr, Expr] = {}
        self.taken = {*_OWN, *keyword.kwlist}
        self.uses: set[str] = set()  # words of the program's head
        self.graphs: dict[int, tuple[Graph, str]] = {}
        self.lines: list[str] = []
        self.known: dict[Op, list[Spelling]] = {}
        self.hidden: dict[str, str] = {}  # names of sizes that are not to be seen

    # the program ----------------------------------------------------------------------------------

    def head(self) -> Iterator[str]:
        if "base64" in self.uses:
            yield "import base64"
            yield ""
        if "ml_dtypes" in self.uses:
            yield "import ml_dtypes  # for bfloat16"
        if "np" in self.uses:
            yield "import numpy as np"
            yield ""
        yield "import symgraph as sg"
        yield "from symgraph import Graph"
        if "making" in self.uses:
            yield "from symgraph.ir.graph import making"
        if "op" in self.uses:
            yield "from symgraph.ir.op import OPS"
        for module in ("scalar", "scalar.functions"):
            names = sorted(n for n in self.uses if n.startswith(f"{module}:"))
            if names:
                yield f"from symgraph.{module} import {', '.join(n.split(':')[1] for n in names)}"
        for module in sorted(n[7:] for n in self.uses if n.startswith("import ")):
            yield f"import {module}  # which defines operations"
        yield from self._helpers()
        yield from [""] * (1 + bool(self.uses & {"op", "base64"}))

    def _helpers(self) -> Iterator[str]:
        if "op" in self.uses:
            yield _OP
        if "base64" in self.uses:
            yield _ARRAY

    def of(self, graph: Graph) -> list[str]:
        self._graph(graph, whole=True)
        return self.lines

    def _graph(self, graph: Graph, whole: bool = False) -> None:
        for v in graph.inputs:
            self._leaf(v)
        for node in toposort(graph.outputs, sized=whole):
            if node.outputs[0] in self.words:
                continue
            for v in node.inputs:
                self._leaf(v)
            self._node(node)
        for v in graph.outputs:
            self._leaf(v)

    def end(self, graph: Graph, updates: Sequence[Shared]) -> Iterator[str]:
        count = len(graph.outputs) - len(updates)
        inputs = f"[{', '.join(map(self.word, graph.inputs))}]"
        outputs = f"[{', '.join(map(self.word, graph.outputs[:count]))}]"
        if not updates:
            yield f"graph = Graph({inputs}, {outputs})"
            return
        new = zip(updates, graph.outputs[count:], strict=True)
        yield f"outputs = {outputs}"
        yield f"updates = {{{', '.join(f'{self.word(s)}: {self.word(v)}' for s, v in new)}}}"
        yield f"graph = Graph({inputs}, [*outputs, *updates.values()])"

    # leaves ---------------------------------------------------------------------------------------

    def _leaf(self, v: Variable) -> None:
        """Define an input, a shared variable or a constant that is too long to stand in a line."""
        if v.owner is not None or v in self.words:
            return
        if isinstance(v, Shared):
            value = v.get_value(borrow=True)
            free = any(isinstance(s, Expr) for s in v.shape)
            shape = f", shape={self.shape(v.shape)}" if free else ""
            name = f", {_quoted(v.name)}" if v.name else ""
            text = f"sg.shared({self.array(value)}{name}{shape})"
        elif isinstance(v, Constant):
            if v.data.size <= 4:
                return
            text = f"sg.constant({self.array(v.data)})"
        else:
            name = _quoted(v.name) if v.name else "None"
            text = f'sg.tensor({name}, "{v.dtype}", {self.shape(v.shape)})'
        self.lines.append(f"{self._bind(v)} = {text}")

    def word(self, v: Variable) -> str:
        """An expression for an operand."""
        if isinstance(v, Constant) and v not in self.words:
            number = self._number(v)
            if number is not None:
                return f'sg.constant({number[1]}, "{v.dtype}")'
            return f"sg.constant({self.array(v.data)})"
        if v not in self.words:
            raise SubjectError(f"dump: {v.label()} is no input, so no program can build the graph")
        return self.words[v]

    def _bind(self, v: Variable) -> str:
        self.words[v] = self._new(v.name or "", "v")
        return self.words[v]

    def _new(self, name: str, letter: str) -> str:
        """A word that nothing else has, the user's where that is possible."""
        if not is_plain(name) or name in self.taken or not name.isascii():
            count = 0
            while (name := f"{letter}{count + len(self.words)}") in self.taken:
                count += 1
        self.taken.add(name)
        return name

    # nodes ----------------------------------------------------------------------------------------

    def _node(self, node: Apply) -> None:
        try:
            text = self._text(node)
        except _NoText as error:  # inside a loop it is the node there that is named
            raise SubjectError(
                f"dump: {node.op.name} cannot be written as Python: {error.what}",
                origin=node.origin, hint="--format text, tree and json show it",
            ) from None  # fmt: skip
        if node.op.makes:
            self.uses.add("making")
            words = [self._bind(v) for v in node.outputs]
            self.lines.append(f"{', '.join(words)}{',' * (len(words) == 1)} = {text}.outputs")
            made = getattr(node.op, node.op.makes)
            word = self._new("", "size")
            self.sizes[made] = var(word)
            self.lines.append(f"{word} = {words[0]}.owner.op.{node.op.makes}")
        else:
            words = [self._bind(v) for v in node.outputs]
            self.lines.append(f"{', '.join(words)} = {text}")
        for v, word in zip(node.outputs, words, strict=True):
            if v.name:
                self.lines.append(f"{word}.name = {_quoted(v.name)}")

    def _text(self, node: Apply) -> str:
        op = node.op
        if not op.makes and not inner_graphs(op):
            for numbers in (True, False):
                found = self._spelled(node, numbers)
                if found is not None:
                    return found
        operands = [self.word(v) for v in node.inputs]
        if op.makes:
            return f"making({self._op(op)}, [{', '.join(operands)}])"
        return f"{self._op(op)}({', '.join(operands)})"

    def _spelled(self, node: Apply, numbers: bool) -> str | None:
        """A user's way to write a node, with constants as Python numbers or as they are."""
        values: list[Any] = list(node.inputs)
        words = [self.word(v) for v in node.inputs]
        if numbers:
            plain = [self._number(v) for v in node.inputs]
            if not any(plain) or all(plain):
                return None
            values = [v if p is None else p[0] for v, p in zip(values, plain, strict=True)]
            words = [w if p is None else p[1] for w, p in zip(words, plain, strict=True)]
        for s in self._spellings(node.op):
            try:
                made = s.make(values)
            except Exception:  # it is not meant for these operands
                continue
            made = tuple(made) if isinstance(made, tuple | list) else (made,)
            if len(made) == len(node.outputs) and all(map(operator.is_, made, node.outputs)):
                return s.text(words)
        return None

    def _spellings(self, op: Op) -> list[Spelling]:
        found = self.known.get(op)
        if found is None:
            found = self.known[op] = list(spellings(op, self.value))
        return found

    def _op(self, op: Op) -> str:
        """An op with its parameters, as the table of ops has it."""
        self.uses.add("op")
        row = OPS.get(op.name)
        home = type(op).__module__
        if row is None or not (row == op if isinstance(row, Op) else row is type(op)):
            raise _NoText("it is not in the table of operations")
        if not home.startswith("symgraph."):
            self.uses.add(f"import {home}")
        if isinstance(row, Op):
            return f'op("{op.name}")'
        fields = [f", {n}={self.value(getattr(op, n))}" for n in op.fields if n != op.makes]
        made = f", {op.makes}=0" if op.makes else ""
        return f'op("{op.name}"{"".join(fields)}{made})'

    # values ---------------------------------------------------------------------------------------

    def value(self, value: Any) -> str:
        """A parameter of an op."""
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, Graph):
            return self._graph_word(value)
        if isinstance(value, Expr):
            return self.size(value)
        if isinstance(value, float):
            return _float(value)
        if value is None or isinstance(value, bool | int | complex):
            return repr(value)
        if isinstance(value, str):
            return _quoted(value)
        if isinstance(value, TensorType):
            return f'sg.TensorType("{value.dtype}", {self.value(tuple(value.shape))})'
        if type(value) is tuple:
            return f"({', '.join(map(self.value, value))}{',' * (len(value) == 1)})"
        if isinstance(value, slice):
            parts = (value.start, value.stop, value.step)
            return f"slice({', '.join(map(self.value, parts))})"
        named = getattr(value, "__name__", "") if callable(value) else ""
        raise _NoText(f"it holds {f'the Python function {named}' if named else f'{value!r:.60}'}")

    def _graph_word(self, graph: Graph) -> str:
        if id(graph) not in self.graphs:
            self._graph(graph)
            word = self._new("", "graph")
            inputs, outputs = (", ".join(map(self.word, v)) for v in (graph.inputs, graph.outputs))
            self.lines.append(f"{word} = Graph([{inputs}], [{outputs}])")
            self.graphs[id(graph)] = graph, word
        return self.graphs[id(graph)][1]

    def shape(self, shape: Sequence[Size]) -> str:
        """A shape as it is given to a new variable: a size that has a name needs no more."""
        named = [s if isinstance(s, int) else self._size_name(s) for s in shape]
        parts = [f'"{n}"' if isinstance(n, str) and _is_name(n) else self.value(s)
                 for n, s in zip(named, shape, strict=True)]  # fmt: skip
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"

    def _size_name(self, size: Expr) -> str:
        """The name of a size that is one, else ""."""
        name = str(size.attr) if size.op == "var" else ""
        if not self.data and _is_name(name):
            name = self.hidden.setdefault(name, f"s{len(self.hidden)}")
        return name

    def size(self, size: Expr) -> str:
        for v in variables(size):
            if v not in self.sizes:
                name = self._size_name(v)
                word = self._new(name, "size")
                self.sizes[v] = var(word)
                made = "fresh_size()" if name.startswith("?") else f"var({_quoted(name)})"
                self.uses.add(f"scalar:{made.partition('(')[0]}")
                self.lines.append(f"{word} = {made}")
        words = dict(self.sizes)
        for e in postorder([size]):
            if e.op not in _ARITHMETIC:  # a function, written as one
                if e.op not in _OF_SIZES:
                    raise SubjectError(f"dump: the size {size} has no text in Python")
                self.uses.add(f"scalar.functions:{e.op}")
                operands = ", ".join(str(substitute(a, words)) for a in e.args)
                words[e] = var(f"{e.op}({operands})", e.dtype)
        return str(substitute(size, words))

    def _number(self, v: Variable) -> tuple[Any, str] | None:
        """A scalar constant as a Python number and its text, where that keeps every bit."""
        if not isinstance(v, Constant) or v.data.ndim or dtypes.kind(v.dtype) == "c":
            return None
        number = v.data.item() if dtypes.kind(v.dtype) != "f" else float(v.data)
        if not _same_bits(number, v.data):
            return None
        text = _float(number) if isinstance(number, float) else repr(number)
        return number, f"({text})" if text.startswith("-") else text

    def array(self, a: np.ndarray) -> str:
        """An expression that makes the array, every bit of it."""
        self.uses.add("np")
        dtype = str(a.dtype)
        if dtype == "bfloat16":
            self.uses.add("ml_dtypes")
        if not a.size or not (self.data or not a.ndim):
            return f'np.zeros({a.shape}, "{dtype}")'
        first = a.reshape(-1)[:1]
        if a.size > 3 and first.tobytes() * a.size == np.ascontiguousarray(a).tobytes():
            text = self._numbers(first[0])
            if text is not None:
                return f'np.full({a.shape}, {text}, "{dtype}")'
        text = self._numbers(a) if a.size <= WRITTEN_OUT else None
        if text is not None:
            return f'np.array({text}, "{dtype}")'
        self.uses.add("base64")
        code = base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()
        return f'array("{dtype}", {a.shape}, "{code}")'

    def _numbers(self, a: Any) -> str | None:
        """Numbers in nested lists; None where they would lose a bit."""
        wide = a.astype("float32") if dtypes.is_narrow(str(a.dtype)) else a
        parts = wide.real, wide.imag
        if np.iscomplexobj(a) and not all((np.isfinite(p) & ~np.signbit(p)).all() for p in parts):
            return None  # Python adds the parts, which changes the signs of zeros
        if not _same_bits(wide.tolist(), a):
            return None
        return re.sub(r"\b(nan|inf)\b", r"np.\1", repr(wide.tolist()))


def _same_bits(numbers: Any, a: Any) -> bool:
    """Whether the text of numbers gives the array: of a NaN it says only that it is one."""
    again = np.array(numbers, a.dtype)
    if again.dtype.kind in "fcV" and again.shape == a.shape:
        again = np.where(np.isnan(again), np.array(np.nan, a.dtype), again)
    return again.shape == a.shape and again.tobytes() == a.tobytes()


def _is_name(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_")


def _float(x: float) -> str:
    text = repr(x)
    return text if text.strip("-")[0].isdigit() else f'float("{text}")'


def _quoted(text: str) -> str:
    """Text of Python in the quotes that people write, harmless whatever it holds."""
    plain = ascii(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain else plain
