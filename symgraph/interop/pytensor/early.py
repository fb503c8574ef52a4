"""Taking a function's graph before PyTensor rewrites it.

The first of the rewrites that the mode asks for digests the graph as the user (or PyMC) made it.
When a finished program is kept under this digest, one node stands in the whole graph's place, and
PyTensor's rewrites have nothing to do; else they run as ever, and the program is kept afterwards.

Data in the graph are part of the digest, because PyTensor computes with constants while it
rewrites; a graph with other data of the same shapes is rewritten again, and then finds the machine
code, in which data are no part.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from typing import Any

import pytensor
from pytensor.compile.mode import Mode, optdb
from pytensor.graph.basic import Apply
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.op import Op
from pytensor.graph.replace import clone_replace
from pytensor.graph.rewriting.basic import GraphRewriter

from symgraph import config
from symgraph.codegen import llvm
from symgraph.interop.pytensor.digest import Digester, Unstable
from symgraph.runtime.cache import Key, open_cache
from symgraph.runtime.sources import compiler_digest

TAG = "symgraph_early"
FROM_NODES = 12  # smaller graphs are rewritten at once, and can be looked at afterwards
MOST_BYTES = 1 << 26


class Captured(Op):  # type: ignore[misc]
    """A whole graph whose finished program is kept under ``key``."""

    __props__ = ("key",)

    def __init__(self, key: str, inputs: list[Any], outputs: list[Any], record: Any) -> None:
        self.key = key
        self.source = inputs, outputs
        self.record = record  # what the cache held, until the linker takes it

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "record": None}

    def make_node(self, *inputs: Any) -> Any:
        return Apply(self, list(inputs), [v.type() for v in self.source[1]])

    def do_constant_folding(self, fgraph: Any, node: Any) -> bool:
        return False

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        """Only where another linker meets the node: the graph itself, compiled by it."""
        function = pytensor.function(*self.source, on_unused_input="ignore")
        for cell, value in zip(output_storage, function(*inputs), strict=True):
            cell[0] = value

    def expanded(self, node: Any) -> list[Any]:
        """The graph over the inputs of a node."""
        inputs, outputs = self.source
        return list(clone_replace(outputs, dict(zip(inputs, node.inputs, strict=True))))


class Capture(GraphRewriter):  # type: ignore[misc]
    """The rewrite that looks for a finished program."""

    def __init__(self) -> None:
        super().__init__()
        self.name = TAG

    def apply(self, fgraph: Any) -> None:
        """Nothing is left to do."""

    def add_requirements(self, fgraph: Any) -> None:
        """Here and not in `apply`: other rewrites' requirements already look at the whole graph."""
        mode = pytensor.config.mode
        linker = getattr(mode, "linker", None)
        # functions have this feature, whose class has moved between versions; graphs inside ops not
        outermost = any(type(f).__name__ == "Supervisor" for f in fgraph._features)
        if not outermost or not getattr(linker, "takes_early", False):
            return
        _expand(fgraph)
        plain = len({v for v in fgraph.outputs if v.owner is not None}) == len(fgraph.outputs)
        if len(fgraph.apply_nodes) < FROM_NODES or not plain:
            return
        key = key_of(fgraph, mode)
        cache = open_cache()
        if key is None or cache is None:
            return
        fgraph.symgraph_key = key
        found = cache.get(key)
        if found is None:
            return
        op = Captured(key.hexdigest, list(fgraph.inputs), list(fgraph.outputs), found)
        new = op.make_node(*fgraph.inputs).outputs
        for old, v in zip(list(fgraph.outputs), new, strict=True):
            fgraph.replace(old, v, reason=TAG, import_missing=True)


def _expand(fgraph: Any) -> None:
    """The graph in the place of a node that stands for it, as in copies of functions."""
    for node in [n for n in fgraph.apply_nodes if isinstance(n.op, Captured)]:
        pairs = list(zip(node.outputs, node.op.expanded(node), strict=True))
        used = [(a, b) for a, b in pairs if a in fgraph.variables]
        fgraph.replace_all(used, reason=TAG, import_missing=False)


def key_of(fgraph: Any, mode: Mode) -> Key | None:
    """All that the finished program depends on; None for a graph without a stable form."""
    query = mode.provided_optimizer
    tags = [getattr(query, n, None) or () for n in ("include", "exclude", "require")]
    if getattr(query, "extra_rewrites", None) or getattr(query, "subquery", None):
        return None
    try:
        digester = Digester()
        graph = digester.graph(fgraph.inputs, fgraph.outputs)
    except Unstable:
        return None
    return Key("pytensor", {
        "graph": graph,
        "updates": str(sorted((fgraph.update_mapping or {}).items())),
        "rewrites": " | ".join(" ".join(sorted(map(str, t))) for t in tags),
        "versions": " ".join(_versions(digester)),
        "floats": str(pytensor.config.floatX),
        "parallel": " ".join(str(config.get(n)) for n in ("parallel_from", "matmul", "winograd")),
        "host": llvm.host_fingerprint(),
        "compiler": compiler_digest(),
    })  # fmt: skip


def _versions(digester: Digester) -> list[str]:
    """The versions of the packages whose ops are in a graph, whatever else is loaded."""
    homes = {type(op).__module__.partition(".")[0] for op, _ in digester.ops.values()}
    loaded = ((n, sys.modules.get(n)) for n in sorted(homes | {"numpy", "pytensor"}))
    return [f"{n}-{getattr(m, '__version__', '')}" for n, m in loaded if m is not None]


def captured(fgraph: Any) -> Any:
    """The node that stands for the whole graph, or None."""
    nodes = fgraph.apply_nodes
    if len(nodes) != 1:
        return None
    (node,) = nodes
    whole = isinstance(node.op, Captured) and list(node.outputs) == list(fgraph.outputs)
    return node if whole and list(node.inputs) == list(fgraph.inputs) else None


def source_graph(node: Any) -> Any:
    """The graph that a node stands for, to be rewritten and translated after all."""
    inputs, outputs = node.op.source
    return FunctionGraph(inputs, outputs, clone=True)


def kept(fgraph: Any) -> dict[str, Any] | None:
    """The record of a captured graph, None when it cannot be read any more."""
    node = captured(fgraph)
    if node is None or node.op.record is None:
        return None
    found, node.op.record = node.op.record, None
    with contextlib.suppress(Exception):  # a class that has moved since, for example
        return pickle.loads(found.sections["record"])  # type: ignore[no-any-return]
    return None


def keep(fgraph: Any, record: dict[str, Any]) -> bool:
    """Keep the record of a program that was made from a graph with a digest."""
    key, cache = getattr(fgraph, "symgraph_key", None), open_cache()
    if key is None or cache is None:
        return False
    try:
        data = pickle.dumps(record, protocol=5)
    except Exception:  # an op of a user that pickle does not know
        return False
    return len(data) <= MOST_BYTES and cache.put(key, {}, {"record": data})


def install() -> None:
    """Put the rewrite before all others, for modes that ask for its tag."""
    if TAG not in optdb.__db__:
        optdb.register(TAG, Capture(), position=-100)
