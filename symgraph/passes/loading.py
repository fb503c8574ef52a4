"""Passes that are imported when a graph holds something for them: the first function of a process
does not wait for rules about logarithms to add two numbers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from symgraph.ir.graph import Apply, Constant, Graph
from symgraph.rewrite.rules import Rule, RuleSet, Table

#: ops of which alone no rule of stabilize is made (a test looks at all of them)
PLAIN = frozenset(
    "absolute add all any argmax argmin argsort broadcast_to cast ceil clip concatenate cond"
    " convolution convolution_input convolution_weights cumprod cumsum embed equal expand_dims"
    " flip floor gather greatest in_range iota isfinite isinf isnan less less_equal"
    " logical_and logical_not logical_or matmul max maximum min minimum multiply negative"
    " not_equal pad patches_sum pool pool_position relu reshape scan scatter size_value slice"
    " slice_update sort squeeze stop_gradient sum top_positions transpose trunc where".split()
)

#: ops of which the rules about matrices with known properties need one
MATRICES = frozenset(
    "assume cholesky det det_sign diagonal diagonal_embed eigh log_abs_det qr solution"
    " triangular_solve".split()
)


#: ops of which, in graphs without constants, no rule of canonicalize, ranges and specialize is made
SETTLED = frozenset(
    "add argmax argmin argsort cholesky convolution convolution_input convolution_weights cos"
    " cumprod cumsum divide erf exp expm1 gather log log1p matmul pool pool_position scatter"
    " sigmoid sin softplus sort tanh top_positions triangular_solve".split()
)

#: and those of which none is made if they are the only node and have axes
REDUCTIONS = frozenset("all any max min prod sum".split())


class LaterRules(RuleSet):
    """The set of that name in the module of that name, ``module.NAME``, for graphs that it
    ``concerns``: a function of their nodes, false only where no rule fires."""

    def __init__(self, name: str, concerns: Callable[[Sequence[Apply]], bool]) -> None:
        self.name, self._concerns = name, concerns

    def _set(self) -> RuleSet:
        """The set itself, imported by the first who asks."""
        module = importlib.import_module(f"symgraph.passes.{self.name}")
        found: RuleSet = getattr(module, self.name.upper())
        return found

    def __getattr__(self, name: str) -> Any:
        if name != "rules":
            raise AttributeError(name)
        return self._set().rules

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._set())

    def table(self, admit: Iterable[str]) -> Table:
        """The admitted rules, indexed by the op at their root."""
        return self._set().table(admit)

    def concerns(self, graph: Graph) -> bool:
        """Whether a rule may fire."""
        return self._concerns(graph.toposort())


def cancelling(nodes: Sequence[Apply]) -> bool:
    """Whether a rule of stabilize may fire."""
    return any(node.op.name not in PLAIN for node in nodes)


def structured(nodes: Sequence[Apply]) -> bool:
    """Whether a rule about matrices with known properties may fire."""
    return any(node.op.name in MATRICES for node in nodes)


def with_constants(nodes: Sequence[Apply]) -> bool:
    """Whether a rule of fold_constants may fire."""
    return any(
        node.op.name == "size_value" or any(isinstance(v, Constant) for v in node.inputs)
        for node in nodes
    )


def unsettled(nodes: Sequence[Apply]) -> bool:
    """Whether a rule of canonicalize, ranges or specialize may fire."""
    if len(nodes) == 1 and nodes[0].op.name in REDUCTIONS:
        axes: tuple[int, ...] = nodes[0].op.axes  # type: ignore[attr-defined]
        return not axes or isinstance(nodes[0].inputs[0], Constant)
    return any(node.op.name not in SETTLED for node in nodes) or with_constants(nodes)


def over_loops(name: str) -> Callable[[Graph], Graph]:
    """The pass of that name in the module of that name, which changes graphs with loops and choices
    only."""

    def work(graph: Graph) -> Graph:
        if not any(hasattr(node.op, "inner") for node in graph.toposort()):
            return graph
        module = importlib.import_module(f"symgraph.passes.{name}")
        after: Graph = getattr(module, name)(graph)
        return after

    work.__name__ = name
    return work
