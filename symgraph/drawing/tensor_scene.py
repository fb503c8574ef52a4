"""The scene of a tensor graph: a box for each op, input and shared variable, and for each result.

Constants of a few elements are written into the boxes that read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symgraph.drawing.families import family
from symgraph.drawing.scene import Box, Edge, Scene, shorten
from symgraph.ir.graph import Apply, Constant, Graph, Variable
from symgraph.ir.shared import Shared
from symgraph.ir.text import INLINE, constant_text, digest, type_text
from symgraph.rewrite.pattern import COMMUTATIVE

WIDEST = 34  # characters of a line in a box
INNER = 80  # nodes of an inner graph that is still drawn inside its box


class Keys:
    """What numbers the boxes of a scene: ``key_of`` gives the number of a node or a leaf. Boxes are
    made once for each, for the scenes that share them."""

    def __init__(self, key_of: Callable[[Any], int]) -> None:
        self.key_of = key_of
        self.made: dict[Any, Box] = {}

    def box(self, thing: Any, make: Callable[[], Box]) -> Box:
        """The box of a node or a leaf, with its number."""
        box = self.made.get(thing)
        if box is None:
            box = self.made[thing] = make()
        return box._replace(key=self.key_of(thing))


def tensor_scene(
    graph: Graph, results: Sequence[str] = (), title: str = "graph", keys: Keys | None = None
) -> Scene:
    """The scene; ``results`` are the words on the boxes of the outputs, ``keys`` numbers boxes.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> [b.title for b in tensor_scene(Graph([x], [sg.exp(x)]), ["y"]).boxes]
    ['x', 'exp', 'y']
    """
    return _Maker(graph, list(results), title, keys or Keys(lambda _: -1)).scene()


class _Maker:
    def __init__(self, graph: Graph, results: list[str], title: str, keys: Keys) -> None:
        self.graph, self.title, self.keys = graph, title, keys
        self.results = results + [f"output {k}" for k in range(len(results), len(graph.outputs))]
        self.boxes: list[Box] = []
        self.edges: list[Edge] = []
        self.place: dict[Variable, int] = {}

    def scene(self) -> Scene:
        for v in self.graph.inputs:
            self._leaf(v)
        for node in self.graph.toposort():
            self._node(node)
        for k, (v, word) in enumerate(zip(self.graph.outputs, self.results, strict=True)):
            self._result(v, word, self.keys.key_of(("result", k)))
        return Scene(self.title, self.boxes, self.edges)

    def _leaf(self, v: Variable) -> int:
        number = self.place.get(v)
        if number is None:
            number = self.place[v] = len(self.boxes)
            self.boxes.append(self.keys.box(v, lambda: _leaf_box(v)))
        return number

    def _node(self, node: Apply) -> None:
        read = []
        for k, v in enumerate(node.inputs):
            if v.owner is None and not _is_small(v):
                self._leaf(v)
            if v in self.place:
                read.append((self.place[v], k))
        number = len(self.boxes)
        self.boxes.append(self.keys.box(node, lambda: _node_box(node, self.keys)))
        ordered = node.op.name not in COMMUTATIVE  # then no numbers stand at the edges
        self.edges += [Edge(source, number, k if ordered else 0) for source, k in read]
        self.place.update(dict.fromkeys(node.outputs, number))

    def _result(self, v: Variable, word: str, key: int) -> None:
        if v.owner is None:
            self._leaf(v)
        details = (("result", word), ("type", type_text(v.type)))
        self.boxes.append(Box(shorten(word, WIDEST), (), "output", details, key=key))
        self.edges.append(Edge(self.place[v], len(self.boxes) - 1))


def _is_small(v: Variable) -> bool:
    return isinstance(v, Constant) and v.data.size <= 4


def _leaf_box(v: Variable) -> Box:
    kind = type_text(v.type)
    if isinstance(v, Constant):
        small = v.data.size <= INLINE
        title = constant_text(v.data) if small else f"constant {digest(v.data)}"
        return Box(shorten(title, WIDEST), (kind,), "constant", _details("constant", [v], v))
    word = "shared" if isinstance(v, Shared) else "input"
    title = shorten(v.name or word, WIDEST)
    return Box(title, (shorten(kind, WIDEST),), word, _details(word, [v], v))


def _node_box(node: Apply, keys: Keys) -> Box:
    lines = [shorten(t, WIDEST) for t in (_arguments(node), _parameters(node)) if t]
    names = ", ".join(v.name for v in node.outputs if v.name)
    lines += [shorten(type_text(v.type), WIDEST) for v in node.outputs[:4]]
    if len(node.outputs) > 4:
        lines.append(f"… {len(node.outputs)} outputs")
    title = f"{node.op.name}  {names}" if names else node.op.name
    kind = family(node)
    details = _details(repr(node.op), node.outputs, node.outputs[0], node)
    inner = tuple(_inner(node, keys)) if kind == "control" else ()
    return Box(shorten(title, WIDEST), tuple(lines), kind, details, inner)


def _arguments(node: Apply) -> str:
    """The operands that no edge shows: ``(·, 0.5)``; nothing when edges show them all."""
    if not any(_is_small(v) for v in node.inputs):
        return ""
    return f"({', '.join(_value(v) if _is_small(v) else '·' for v in node.inputs)})"


def _value(v: Any) -> str:
    flat = [_number(x) for x in v.data.ravel().tolist()]
    return flat[0] if v.ndim == 0 else f"[{', '.join(flat)}]"


def _number(x: Any) -> str:
    return f"{x:.6g}" if isinstance(x, float) else str(x)


def _parameters(node: Apply) -> str:
    """Parameters that neither the op's defaults nor the type of the result tell."""
    if node.op.elementwise and "name" in node.op.fields:
        return ""
    out = node.outputs[0].type
    shown = [
        f"{name}={_word(value)}"
        for name, value in zip(node.op.fields, node.op._values, strict=True)
        if not isinstance(value, Graph)
        and node.op.defaults.get(name, node) != value
        and not (name in ("shape", "dtype") and value in (out.shape, out.dtype))
    ]
    return ", ".join(shown)


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        inner = ", ".join(map(_word, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return str(value)


def _details(
    what: str, outputs: Iterable[Variable], first: Variable, node: Apply | None = None
) -> tuple[tuple[str, str], ...]:
    found = [("op" if node else "kind", what)]
    found += [("name", v.name) for v in outputs if v.name]
    found += [("type", type_text(v.type)) for v in outputs]
    if node is not None:
        found += [(f"operand {k}", _operand(v)) for k, v in enumerate(node.inputs)]
        origins: Iterable[Any] = node.origins
    else:
        origins = (first.origin,) if first.origin is not None else ()
    if isinstance(first, Constant):
        small = first.data.size <= INLINE
        found.append(("value", constant_text(first.data) if small else digest(first.data)))
    for origin in origins:
        found.append(("line", origin.text()))
        source = origin.location().source_line.strip()
        if source:
            found.append(("source", source))
    return tuple(found)


def _operand(v: Variable) -> str:
    if isinstance(v, Constant):
        return constant_text(v.data) if v.data.size <= INLINE else f"constant {digest(v.data)}"
    return f"{v.label()}: {type_text(v.type)}"


def _inner(node: Apply, keys: Keys) -> Iterable[tuple[str, Scene]]:
    """The graphs that the op owns, each with the name of its field."""
    for name, value in zip(node.op.fields, node.op._values, strict=True):
        if isinstance(value, Graph) and len(value.toposort()) <= INNER:
            yield name, tensor_scene(value, title=name, keys=keys)
