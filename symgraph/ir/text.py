"""The text of a graph: typed let-lines, deterministic, numbered by first use.

    graph(x: float32[batch, 784], y: int64[batch]) {
      w = shared float32[784, 10]
      %0 = matmul{ta=False, tb=False}(x, w) : float32[batch, 10]
      %1 = sum{axes=(1,)}(%0) : float32[batch]
      return %1
    }

ir.parse reads it back. A name given by the user stands where it is an identifier and unique; any
other name stands as ``%0 $"the name"``, quoted as JSON so that it can do nothing. Small constants
are written out, others are named and their data travel beside the text (ir.save).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.ir.graph import Apply, Constant, Graph, Variable, toposort
from symgraph.ir.hashing import inner_graphs
from symgraph.ir.op import OPS, Op
from symgraph.ir.shared import Shared
from symgraph.ir.types import Size, TensorType
from symgraph.layout import WIDTH, shorten
from symgraph.rewrite import pattern
from symgraph.runtime.digest import hexdigest
from symgraph.scalar import Expr, substitute, var, variables

MOST_OPERANDS = 8  # of an operation that one line shows
INLINE = 16  # elements of a constant up to which it is written out
RESERVED = frozenset(
    "return graph shared constant const None True False inf nan slice type opaque bits".split()
)


def graph_text(graph: Graph, types: bool = True, origins: bool = False) -> str:
    """The graph as text; ``types`` marks lines with their types, ``origins`` with the user's line.

    >>> from symgraph.ir.graph import Input
    >>> from symgraph.ir.types import tensor_type
    >>> x = Input(tensor_type("float64", ("n", 3)), "x")
    >>> print(graph_text(Graph((x,), (x,))))
    graph(x: float64[n, 3]) {
      return x
    }
    """
    return "\n".join(GraphPrinter(graph, types, origins).lines)


def type_text(t: TensorType) -> str:
    """A type alone, its names quoted where they need it."""
    return GraphPrinter(Graph((), ())).type(t)


def digest(data: np.ndarray) -> str:
    """16 hexadecimal digits that tell a large constant from another."""
    return hexdigest(data.tobytes())[:16]


class GraphPrinter:
    """``lines`` is the text; ``data`` and ``shared`` are the leaves whose values it leaves out, by
    the word that names them in the text."""

    def __init__(self, graph: Graph, types: bool = True, origins: bool = False) -> None:
        self.types, self.origins = types, origins
        self.lines: list[str] = []
        self.words: dict[Variable, str] = {}
        self.outside: list[list[tuple[Variable, str]]] = []  # words hidden by those of inner graphs
        self.taken: set[str] = set()
        self.count = self.count_constants = 0
        self.sizes: dict[Expr, Expr] = {}
        self.ops: dict[Op, str] = {}
        self.data: dict[str, np.ndarray] = {}
        self.shared: dict[str, Shared] = {}
        self._graph(graph, "", "")

    # lines

    def _graph(self, graph: Graph, indent: str, head: str) -> None:
        self.outside.append([])
        inputs = ", ".join(f"{self._bind(v)}: {self.type(v.type)}" for v in graph.inputs)
        self.lines.append(f"{indent}{head}graph({inputs}) {{")
        for node in toposort(graph.outputs, sized=not indent):
            self._declare(node.inputs, indent + "  ")
            self._node(node, indent + "  ")
        self._declare(graph.outputs, indent + "  ")
        self.lines.append(f"{indent}  return {', '.join(map(self._use, graph.outputs))}".rstrip())
        self.lines.append(indent + "}")
        self.words.update(reversed(self.outside.pop()))

    def _node(self, node: Apply, indent: str) -> None:
        inputs = ", ".join([self._use(v) for v in node.inputs])
        if any(isinstance(v, Graph) for v in node.op._values):
            left = self._op_with_graphs(node, indent)
        else:
            op = self.ops.get(node.op)
            if op is None:
                op = self.ops[node.op] = self._op(node.op)
            left = f"{indent}{', '.join(map(self._bind, node.outputs))} = {op}"
        end = f" : {', '.join(self.type(v.type) for v in node.outputs)}" if self.types else ""
        if self.origins and node.origin is not None:
            end += f"  # {_one_line(node.origin.text())}"
        self.lines.append(f"{left}({inputs}){end}")

    def _op_with_graphs(self, node: Apply, indent: str) -> str:
        """Print the head of the op and its graphs as blocks; returns the last line's beginning."""
        outputs = ", ".join(map(self._bind, node.outputs))
        head = f"{indent}{outputs} = {_word(node.op.name)}{{"
        for name, value in zip(node.op.fields, node.op._values, strict=True):
            if isinstance(value, Graph):
                self.lines.append(head.rstrip())
                self._graph(value, indent + "    ", f"{name}=")
                head = self.lines.pop() + ", "
            else:
                head += f"{name}={self._value(value)}, "
        return head.removesuffix(", ") + "}"

    def _op(self, op: Op) -> str:
        row = OPS.get(op.name)
        if not op.fields or (isinstance(row, Op) and row == op):
            return _word(op.name)
        values = zip(op.fields, op._values, strict=True)
        return f"{_word(op.name)}{{{', '.join(f'{n}={self._value(v)}' for n, v in values)}}}"

    # names

    def _bind(self, v: Variable) -> str:
        """A new name for the variable, with the user's name quoted behind it if it cannot be it."""
        if v in self.words:
            self.outside[-1].append((v, self.words[v]))
        name = v.name
        if name and name not in self.taken and is_plain(name):
            self.taken.add(name)
            self.words[v] = name
            return name
        word = self.words[v] = f"%{self.count}"
        self.count += 1
        return f"{word} {quoted(name)}" if name else word

    def _use(self, v: Variable) -> str:
        word = self.words.get(v)
        if word is not None:
            return word
        if isinstance(v, Constant):
            word = self.words[v] = constant_text(v.data)
            return word
        return f"free {self._bind(v)}"  # not closed: ir.verify names it, ir.parse refuses it

    def _declare(self, variables: Sequence[Variable], indent: str) -> None:
        for v in variables:
            if v.owner is not None or v in self.words:
                continue
            if isinstance(v, Shared):
                self.lines.append(f"{indent}{self._bind(v)} = shared {self.type(v.type)}")
                self.shared[self.words[v]] = v
            elif isinstance(v, Constant) and v.data.size > INLINE:
                word = self.words[v] = f"%c{self.count_constants}"
                self.count_constants += 1
                self.data[word] = v.data
                left = f"{word} {quoted(v.name)}" if v.name else word
                right = f'constant {self.type(v.type)} digest="{digest(v.data)}"'
                self.lines.append(f"{indent}{left} = {right}")

    # values

    def type(self, t: TensorType) -> str:
        return t.dtype + (f"[{', '.join(map(self._size, t.shape))}]" if t.shape else "")

    def _size(self, size: Size) -> str:
        if not isinstance(size, Expr):
            return str(size)
        for v in variables(size):
            if v not in self.sizes:
                self.sizes[v] = self._size_name(v)
        return str(substitute(size, self.sizes))

    def _size_name(self, v: Expr) -> Expr:
        name = v.attr
        if name.startswith("?"):
            unnamed = sum(s.attr.startswith("?") for s in self.sizes)
            return var(f"?{unnamed}", v.dtype)
        return v if is_plain(name) else var(quoted(name), v.dtype)

    def _value(self, value: Any) -> str:
        """A parameter of an op."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | float):
            return repr(value)
        if isinstance(value, str):
            return json.dumps(value)
        if isinstance(value, Expr):
            return self._size(value)
        if isinstance(value, TensorType):
            return f"type<{self.type(value)}>"
        if type(value) is tuple:
            inner = ", ".join(map(self._value, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if isinstance(value, slice):
            parts = (value.start, value.stop, value.step)
            return f"slice({', '.join(map(self._value, parts))})"
        return f"opaque({json.dumps(_one_line(repr(value)))})"  # shown, but refused by ir.parse


# words --------------------------------------------------------------------------------------------


def is_plain(name: str) -> bool:
    """Whether a name can stand in the text as it is."""
    if not name.isidentifier() or len(name) > 100 or name in RESERVED:
        return False
    return all(c.isalnum() or c == "_" for c in name)  # letters as the parser knows them


def quoted(name: str) -> str:
    """A name in quotes: harmless whatever it holds."""
    return "$" + json.dumps(name)


def _word(name: str) -> str:
    return name if all(part.isidentifier() for part in name.split(".")) else quoted(name)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def constant_text(data: np.ndarray) -> str:
    """A constant written out so that every bit comes back.

    >>> constant_text(np.array([1, 2], "int64")), constant_text(np.array(0.1, "float32"))
    ('const<int64[2]>([1, 2])', 'const<float32>(0.1)')
    """
    shape = f"[{', '.join(map(str, data.shape))}]" if data.ndim else ""
    dtype = str(data.dtype)
    flat = data.ravel()
    if data.dtype.kind == "c":  # (real, imaginary)
        flat = flat.view(dtypes.real_of(dtype))
    kind = dtypes.numpy_dtype(dtypes.real_of(dtype)).type
    parts = [_number(x) for x in flat]
    again = np.array([kind(_python(p)) for p in parts], flat.dtype)
    if again.tobytes() != data.tobytes():  # NaNs with a payload or a sign
        return f"const<{dtype}{shape}>(bits {json.dumps(data.tobytes().hex())})"
    if data.dtype.kind == "c":
        parts = [f"({x}, {y})" for x, y in zip(parts[::2], parts[1::2], strict=True)]
    inner = f"[{', '.join(parts)}]" if data.ndim else parts[0]
    return f"const<{dtype}{shape}>({inner})"


def _number(x: Any) -> str:
    if x.dtype.kind not in "fV":
        return repr(x.item())
    text = str(x)  # the shortest digits that this dtype reads back (six of bfloat16 always do)
    return text if any(c in text for c in ".en") else text + ".0"


def _python(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    return float(text) if any(c in text for c in ".en") else int(text)


# one line, for looking ----------------------------------------------------------------------------


def expression_text(v: Variable, depth: int = 6) -> str:
    """An expression as it might have been written, and its type; what lies deeper is dots.

    >>> from symgraph.ir.graph import Input
    >>> x = Input(TensorType("float64", (3,)), "x")
    >>> expression_text(x)
    'x: float64[3]'
    """
    line = pattern.text(_pattern(v, depth))
    return f"{shorten(line, WIDTH * 2)}: {type_text(v.type)}"


def _pattern(v: Variable, depth: int) -> pattern.Pattern:
    """The same in the language of rules, which knows operators and their precedence."""
    node = v.owner
    if isinstance(v, Constant):
        number = v.data.item() if v.data.size == 1 and v.dtype[0] not in "cb" else None
        if isinstance(number, int | float):
            return pattern.Number(number)
        return pattern.Wild(constant_text(v.data) if v.data.size <= INLINE else "constant")
    if node is None or not depth:
        name = v.name or ("..." if node is not None else "value")
        return pattern.Wild(name if is_plain(name) or name == "..." else quoted(name))
    inputs = [_pattern(i, depth - 1) for i in node.inputs[:MOST_OPERANDS]]
    inputs += [pattern.Wild("...")] * (len(node.inputs) > MOST_OPERANDS)
    fields: tuple[str, ...] = node.op.fields
    if inner_graphs(node.op) or isinstance(OPS.get(node.op.name), Op):
        fields = ()
    values = {n: getattr(node.op, n) for n in fields}
    words = GraphPrinter(Graph((), ()))
    params = {n: words._value(x) for n, x in values.items() if x is not False}
    made = pattern.OpPattern(node.op.name, tuple(inputs), params)
    several = len(node.outputs) > 1
    return pattern.OpPattern(f"output{v.index}", (made,), {}) if several else made


# a tree, for looking ------------------------------------------------------------------------------

_DEEPEST = 40  # levels of indentation; deeper lines tell their depth in figures


def tree_text(variables: Variable | Iterable[Variable], types: bool = True) -> str:
    """Expressions as an indented tree, each variable above what it is computed from.

    What is used more than once is printed once, marked ``[1]``, and then only as ``= [1]``.
    """
    roots = [variables] if isinstance(variables, Variable) else list(variables)
    uses: dict[Variable, int] = {}
    for node in toposort(roots):
        for v in node.inputs:
            uses[v] = uses.get(v, 0) + 1
    for v in roots:
        uses[v] = uses.get(v, 0) + 1
    printer = GraphPrinter(Graph((), ()), types)
    lines: list[str] = []
    marks: dict[Variable, int] = {}
    stack = [(v, 0) for v in reversed(roots)]
    while stack:
        v, depth = stack.pop()
        indent = "  " * depth if depth <= _DEEPEST else "  " * _DEEPEST + f"({depth}) "
        if v in marks:
            lines.append(f"{indent}= [{marks[v]}] {_tree_label(v, printer)}")
            continue
        mark = ""
        if v.owner is not None and uses[v] > 1:
            marks[v] = len(marks) + 1
            mark = f" [{marks[v]}]"
        kind = f" : {printer.type(v.type)}" if types else ""
        lines.append(f"{indent}{_tree_label(v, printer)}{mark}{kind}")
        if v.owner is not None:
            stack.extend((i, depth + 1) for i in reversed(v.owner.inputs))
    return "\n".join(lines)


def _tree_label(v: Variable, printer: GraphPrinter) -> str:
    name = v.name if v.name and is_plain(v.name) else quoted(v.name) if v.name else ""
    if isinstance(v, Constant):
        return constant_text(v.data) if v.data.size <= INLINE else f"constant {digest(v.data)}"
    if v.owner is None:
        return ("shared " if isinstance(v, Shared) else "") + (name or "input")
    op = v.owner.op
    label = op.name if inner_graphs(op) else printer._op(op)
    part = f".{v.index}" if len(v.owner.outputs) > 1 else ""
    return f"{label}{part}" + (f" ({name})" if name else "")
