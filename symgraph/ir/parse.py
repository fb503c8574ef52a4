"""Reading the text of a graph back: a lexer and a parser for what ir.text prints.

Nothing in the text is executed: words are looked up in the table of ops, values are numbers,
strings, tuples and sizes, and every node goes through its op's type rule like one that a user
makes. Whatever is wrong raises GraphFileError with line and column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from symgraph import dtypes
from symgraph.errors import GraphFileError, SymgraphError
from symgraph.ir.graph import Constant, Graph, Input, Variable, apply, constant
from symgraph.ir.op import OPS, Op
from symgraph.ir.shared import Shared
from symgraph.ir.text import RESERVED, digest
from symgraph.ir.types import Size, TensorType
from symgraph.ir.verify import types_agree, verify
from symgraph.scalar import SCALAR_OPS, Expr, as_expr, as_size, call, const, fresh_size, node, var

_TOKEN = re.compile(
    r"""(?P<space>(?:[ \t\r\n]+|\#[^\n]*)+)
      |(?P<string>\$?"(?:[^"\\\n]|\\.)*")
      |(?P<float>\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+))
      |(?P<int>\d+)
      |(?P<unnamed>\?\d+)
      |(?P<word>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
      |(?P<mark>//|<<|>>|<=|==|!=|[()\[\]{},:=<>+\-*%&|^~])
      |(?P<end>\Z)""",
    re.VERBOSE,
)
_DEEPEST = 60  # nesting of brackets and of graphs: far above what programs need, below the stack
_LEVELS = (
    {"|": "or"}, {"^": "xor"}, {"&": "and"},
    {"<": "lt", "<=": "le", "==": "eq", "!=": "ne"},
    {"<<": "shl", ">>": "shr"}, {"+": "add", "-": "sub"},
    {"*": "mul", "//": "floordiv", "%": "mod"},
)  # fmt: skip
_BINDING = {mark: (level, op) for level, row in enumerate(_LEVELS) for mark, op in row.items()}


def parse_graph(
    text: str,
    constants: Mapping[str, np.ndarray] | None = None,
    shared: Mapping[str, Any] | None = None,
) -> Graph:
    """The graph that a text describes; equal to the printed one, with new inputs.

    ``constants`` holds the values of the constants that the text only names, ``shared`` the shared
    variables or their values (zeros when left out), both by their word in the text. Raises
    GraphFileError.

    >>> parse_graph("graph(x: float64[n, 3]) { return x }").inputs[0].type.text()
    'float64[n, 3]'
    """
    parser = _Parser(text, constants or {}, shared or {})
    try:
        graph = parser.whole()
    except GraphFileError:
        raise
    except SymgraphError as error:
        parser.fail(f"{type(error).__name__}: {error.what}")
    except RecursionError:
        parser.fail("nested too deeply")
    except Exception as error:  # a value that an op or NumPy cannot take
        parser.fail(f"{type(error).__name__}: {error}")
    try:
        verify(graph, "the text")
    except SymgraphError as error:
        raise GraphFileError(error.what) from error
    return graph


class _Parser:
    def __init__(self, text: str, constants: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        self.text, self.constants, self.shared = text, constants, shared
        self.names: dict[str, Variable] = {}
        self.unnamed: dict[str, Expr] = {}
        self.depth = 0
        self.kinds: list[str] = []
        self.words: list[str] = []
        self.places: list[int] = []
        self.at = 0
        self._split()

    def _split(self) -> None:
        position = 0
        while True:
            found = _TOKEN.match(self.text, position)
            if found is None:
                self.fail(f"unexpected {self.text[position]!r}", position)
            kind = found.lastgroup or ""
            if kind != "space":
                self.kinds.append(kind)
                self.words.append(found[0])
                self.places.append(position)
            if kind == "end":
                return
            position = found.end()

    # tokens

    def fail(self, what: str, place: int | None = None) -> NoReturn:
        at = self.places[min(self.at, len(self.places) - 1)] if place is None else place
        line = self.text.count("\n", 0, at) + 1
        column = at - self.text.rfind("\n", 0, at)
        raise GraphFileError(f"line {line}, column {column}: {what}")

    def take(self, word: str) -> None:
        if self.words[self.at] != word or self.kinds[self.at] == "string":
            self.fail(f"expected {word!r}, found {self.words[self.at][:40] or 'the end'!r}")
        self.at += 1

    def skip(self, word: str) -> bool:
        """Step over the word if it comes next."""
        if self.words[self.at] == word and self.kinds[self.at] != "string":
            self.at += 1
            return True
        return False

    def kind(self, kind: str) -> str:
        if self.kinds[self.at] != kind:
            self.fail(f"expected a {kind}, found {self.words[self.at][:40] or 'the end'!r}")
        self.at += 1
        return self.words[self.at - 1]

    def string(self) -> str:
        return json.loads(self.kind("string").removeprefix("$"))  # type: ignore[no-any-return]

    def quoted_next(self) -> bool:
        return self.words[self.at].startswith('$"')

    def integer(self) -> int:
        sign = -1 if self.skip("-") else 1
        return sign * int(self.kind("int"))

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail("nested too deeply")

    # graphs and lines

    def whole(self) -> Graph:
        graph = self.graph()
        if self.kinds[self.at] != "end":
            self.fail("text after the end of the graph")
        return graph

    def graph(self) -> Graph:
        self.deeper()
        self.take("graph")
        self.take("(")
        inputs: list[Variable] = []
        while not self.skip(")"):
            word, name = self.binder()
            self.take(":")
            inputs.append(self.define(word, Input(self.type(), name), None))
            if not self.skip(","):
                self.take(")")
                break
        self.take("{")
        while not self.skip("return"):
            self.line()
        outputs: list[Variable] = []
        while not self.skip("}"):
            outputs.append(self.operand())
            self.skip(",")
        self.depth -= 1
        return Graph(inputs, outputs)

    def line(self) -> None:
        binders = [self.binder()]
        while self.skip(","):
            binders.append(self.binder())
        self.take("=")
        word = self.words[self.at]
        if word in ("shared", "constant") and self.words[self.at + 1] not in "({":
            if len(binders) != 1:
                self.fail(f"{word} gives one value")
            self.at += 1
            target, name = binders[0]
            self.define(target, self._data(word, target), name)
            return
        op = self.op()
        outputs = apply(op, self.operands(), ()).outputs
        if len(outputs) != len(binders):
            self.fail(f"{op.name} has {len(outputs)} outputs, {len(binders)} are named")
        if self.skip(":"):
            self._check_types(outputs)
        for (word, name), v in zip(binders, outputs, strict=True):
            self.define(word, v, name)

    def binder(self) -> tuple[str, str | None]:
        """The word of a new variable and its name."""
        if self.words[self.at] == "%":
            word = self.reference()
            return word, (self.string() if self.quoted_next() else None)
        word = self.kind("word")
        if word in RESERVED:
            self.at -= 1
            self.fail(f"{word!r} cannot be a name")
        return word, word

    def reference(self) -> str:
        self.take("%")
        if self.kinds[self.at] not in ("int", "word"):
            self.fail("expected the number of a variable")
        self.at += 1
        return "%" + self.words[self.at - 1]

    def define(self, word: str, v: Variable, name: str | None) -> Variable:
        if word in self.names:
            self.fail(f"{word} is defined twice")
        self.names[word] = v
        if name is not None and v.name is None:
            v.name = name
        return v

    def operands(self) -> list[Variable]:
        self.take("(")
        found: list[Variable] = []
        while not self.skip(")"):
            found.append(self.operand())
            if not self.skip(","):
                self.take(")")
                break
        return found

    def operand(self) -> Variable:
        word = self.words[self.at]
        if word == "const":
            return self.constant()
        if word == "%":
            word = self.reference()
        else:
            self.kind("word")
        found = self.names.get(word)
        if found is None:
            self.at -= 1
            self.fail(f"{word} is not defined")
        return found

    def _data(self, kind: str, word: str) -> Variable:
        t = self.type()
        given = (self.shared if kind == "shared" else self.constants).get(word)
        if isinstance(given, Shared):
            if given.dtype != t.dtype or given.ndim != t.ndim:
                self.fail(f"{word} is {given.type.text()}")
            return given
        if given is None and kind == "shared":
            given = np.zeros([s if isinstance(s, int) else 0 for s in t.shape], t.dtype)
        if given is None:
            self.fail(f"the value of {word} is not given")
        fits = str(given.dtype) == t.dtype and given.ndim == t.ndim
        if not fits or any(
            isinstance(s, int) and s != n for s, n in zip(t.shape, given.shape, strict=True)
        ):
            self.fail(f"{word} is {t.text()}, its value is {given.dtype}{list(given.shape)}")
        if kind == "shared":
            return Shared(np.array(given, order="C"), t, None)
        self.take("digest")
        self.take("=")
        if digest(np.ascontiguousarray(given)) != self.string():
            self.fail(f"the value of {word} is damaged")
        return constant(given)

    def _check_types(self, outputs: Sequence[Variable]) -> None:
        before = len(self.unnamed)
        types = [self.type()]
        while self.skip(","):
            types.append(self.type())
        inferred = tuple(v.type for v in outputs)
        if inferred == tuple(types):
            return
        if len(self.unnamed) > before and types_agree(inferred, tuple(types)):
            sizes = zip(inferred, types, strict=True)
            same = {n: m for s, t in sizes for m, n in zip(s.shape, t.shape, strict=True)}
            for key, own in self.unnamed.items():
                found = same.get(own)
                if isinstance(found, Expr) and found.op == "var":
                    self.unnamed[key] = found  # the name that the type rule made just now
            return
        self.fail(f"the type is {', '.join(t.text() for t in inferred)}")

    # ops and values

    def op(self) -> Op:
        name = self.string() if self.quoted_next() else self.kind("word")
        found = OPS.get(name)
        if found is None:
            self.at -= 1
            self.fail(f"unknown op {name}")
        values: dict[str, Any] = {}
        if self.skip("{"):
            while not self.skip("}"):
                field = self.kind("word")
                self.take("=")
                if field in values:
                    self.fail(f"{field} is given twice")
                values[field] = self.value()
                if not self.skip(","):
                    self.take("}")
                    break
        if isinstance(found, Op):
            if values:
                self.fail(f"{name} takes no parameters")
            return found
        made = found(**values)
        assert isinstance(made, Op)
        return made

    def value(self) -> Any:
        """A parameter: a size expression, or a string, tuple, type, slice or graph."""
        kind, word = self.kinds[self.at], self.words[self.at]
        if kind == "string" and word[0] == '"':
            return self.string()
        if word == "graph":
            return self.graph()
        if word == "type":
            self.at += 1
            self.take("<")
            t = self.type()
            self.take(">")
            return t
        if word == "slice":
            self.at += 1
            parts = self._tuple()
            if not isinstance(parts, tuple) or len(parts) != 3:
                self.fail("a slice has three parts")
            return slice(*parts)
        return _simplest(self.expression(0))

    def expression(self, level: int) -> Any:
        """Binary operators by precedence; operands other than numbers and sizes stand alone."""
        left = self.unary()
        while self.kinds[self.at] == "mark":
            found = _BINDING.get(self.words[self.at])
            if found is None or found[0] < level:
                return left
            self.at += 1
            right = self.expression(found[0] + 1)
            left = self.combine(found[1], left, right)
        return left

    def combine(self, op: str, *operands: Any) -> Expr:
        if any(isinstance(x, float) or not isinstance(x, bool | int | Expr) for x in operands):
            self.fail("arithmetic is for sizes only")
        a = [const(x, "bool") if isinstance(x, bool) else as_expr(x) for x in operands]
        if op == "select":
            if len(a) != 3 or a[0].dtype != "bool":
                self.fail("select takes a condition and two values")
            return node("select", (a[0], a[1], a[2]), a[1].dtype)
        python = {"add": "__add__", "sub": "__sub__", "mul": "__mul__", "floordiv": "__floordiv__",
                  "mod": "__mod__"}.get(op)  # fmt: skip
        if python is not None and all(x.dtype == "int64" for x in a) and len(a) == 2:
            return getattr(a[0], python)(a[1])  # type: ignore[no-any-return]
        return call(op, *a)

    def unary(self) -> Any:
        kind, word = self.kinds[self.at], self.words[self.at]
        if word == "(" and kind == "mark":
            return self._tuple()
        self.at += 1
        if kind == "int":
            return int(word)
        if kind == "float":
            return float(word)
        if kind == "unnamed":
            if word not in self.unnamed:
                self.unnamed[word] = fresh_size()
            return self.unnamed[word]
        if kind == "string" and word[0] == "$":
            return var(json.loads(word[1:]))
        if word == "-" and kind == "mark":
            self.deeper()
            x = self.unary()
            self.depth -= 1
            return -x if isinstance(x, int | float) else self.combine("neg", x)
        if word == "~" and kind == "mark":
            self.deeper()
            x = self.combine("not", self.unary())
            self.depth -= 1
            return x
        if kind == "word":
            return self._word(word)
        self.at -= 1
        self.fail(f"expected a value, found {word[:40] or 'the end'!r}")

    def _word(self, word: str) -> Any:
        if word in _LITERALS:
            return _LITERALS[word]
        if self.words[self.at] == "(" and word in SCALAR_OPS:
            operands = self._tuple()
            return self.combine(word, *(operands if isinstance(operands, tuple) else (operands,)))
        if word in RESERVED:
            self.at -= 1
            self.fail(f"{word!r} is not a value")
        return var(word)

    def _tuple(self) -> Any:
        """``(a, b)`` or ``(a,)``; a single value in brackets is that value."""
        self.deeper()
        self.take("(")
        found: list[Any] = []
        comma = True
        while not self.skip(")"):
            if not comma:
                self.take(")")
            found.append(self.value())
            comma = self.skip(",")
        self.depth -= 1
        return found[0] if len(found) == 1 and not comma else tuple(found)

    # types and constants

    def type(self) -> TensorType:
        dtype = self.kind("word")
        if dtype not in dtypes.ALL:
            self.at -= 1
            self.fail(f"unknown dtype {dtype}")
        shape: list[Size] = []
        if self.skip("["):
            while not self.skip("]"):
                size = _simplest(self.expression(0))
                if not isinstance(size, Expr) and (type(size) is not int or size < 0):
                    self.fail(f"{size!r} is not a size")
                shape.append(size)
                if not self.skip(","):
                    self.take("]")
                    break
        return TensorType(dtype, tuple(shape))

    def constant(self) -> Constant:
        self.take("const")
        self.take("<")
        t = self.type()
        self.take(">")
        self.take("(")
        shape = [s for s in t.shape if isinstance(s, int)]
        if len(shape) != t.ndim:
            self.fail("the shape of a constant is known")
        count = int(np.prod(shape, dtype=object))
        if self.skip("bits"):
            data = np.frombuffer(bytes.fromhex(self.string()), dtypes.numpy_dtype(t.dtype))
        else:
            data = self.elements(t.dtype, bool(shape))
        if data.size != count:
            self.fail(f"{count} elements are needed, found {data.size}")
        self.take(")")
        return constant(data.reshape(shape))

    def elements(self, dtype: str, several: bool) -> np.ndarray:
        if not several:
            return np.array([self.element(dtype)])
        found = []
        self.take("[")
        while not self.skip("]"):
            found.append(self.element(dtype))
            if not self.skip(","):
                self.take("]")
                break
        return np.array(found, dtypes.numpy_dtype(dtype))

    def element(self, dtype: str) -> Any:
        kind = dtypes.numpy_dtype(dtype).type
        if dtypes.is_complex(dtype):
            self.take("(")
            real = self.element(dtypes.real_of(dtype))
            self.take(",")
            imag = self.element(dtypes.real_of(dtype))
            self.take(")")
            return kind(complex(real, imag))
        if dtypes.is_int(dtype):
            return kind(self.integer())
        sign = -1.0 if self.skip("-") else 1.0
        word = self.words[self.at]
        self.at += 1
        if word in ("True", "False") and dtype == "bool":
            return kind(word == "True")
        if dtypes.is_float(dtype) and self.kinds[self.at - 1] in ("int", "float"):
            return kind(sign * float(word))
        if dtypes.is_float(dtype) and word in ("inf", "nan"):
            return kind(sign * float(word)) if word == "inf" else kind(np.nan)
        self.at -= 1
        self.fail(f"{word[:40]!r} is not a {dtype}")


_LITERALS = {
    "None": None, "True": True, "False": False, "inf": float("inf"), "nan": float("nan"),
}  # fmt: skip


def _simplest(value: Any) -> Any:
    """Sizes as ints where they are constant."""
    if not isinstance(value, Expr) or value.op == "var" or value.dtype != "int64":
        return value
    return as_size(value)
