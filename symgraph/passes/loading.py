"""Passes that are imported when a graph holds something for them: the first function of a process
does not wait for rules about logarithms to add two numbers."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from symgraph.ir.graph import Graph
from symgraph.rewrite.rules import Rule, RuleSet

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


class LaterRules(RuleSet):
    """The set of that name in the module of that name, ``module.NAME``. ``plain`` are ops of
    graphs in which none of its rules fires, ``needs`` those of which one must be there."""

    def __init__(
        self, name: str, plain: frozenset[str] = frozenset(), needs: frozenset[str] = frozenset()
    ) -> None:
        self.name, self.plain, self.needs = name, plain, needs
        self._tables = {}

    def __getattr__(self, name: str) -> tuple[Rule, ...]:
        """``rules``, imported by the first who asks."""
        if name != "rules":
            raise AttributeError(name)
        module = importlib.import_module(f"symgraph.passes.{self.name}")
        self.rules = getattr(module, self.name.upper()).rules
        return self.rules

    def concerns(self, graph: Graph) -> bool:
        """Whether a rule may fire."""
        order = graph.toposort()
        if self.needs and not any(node.op.name in self.needs for node in order):
            return False
        return any(node.op.name not in self.plain for node in order)


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
