"""A scan whose derivative leaves the products with its weights to one large product after the loop.

In the step h' = f(z + h @ u, ...) the derivative by u is a sum of products over the steps. Taken
one by one they are small, and the running sum is as large as u at every step. Here the loop
backwards only keeps the derivatives d by the products h @ u, row by row, and the sum becomes
h.T @ d over all rows of all steps at once. It also reads the products that the loop forwards made,
instead of multiplying again. (Appleyard, Kocisky and Blunsom, "Optimizing performance of recurrent
neural networks on GPUs", 2016, section 3.2.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.ir.graph import Graph, Input, Variable, rebuild
from symgraph.ir.types import Size, TensorType
from symgraph.ops.control import Scan, results, reverse_inside
from symgraph.ops.functions import function_graph
from symgraph.ops.matrix import MatMul, matmul
from symgraph.ops.shape import reshape, transpose
from symgraph.ops.slicing import zeros
from symgraph.scalar import as_expr, as_size


class Loop:
    """A scan of ``body`` over rows: its inputs are states, rows and captured constants; its outputs
    the new states and one output."""

    def __init__(self, body: Graph, states: int, rows: int, length: Size) -> None:
        self.body, self.states, self.rows, self.length = body, states, rows, length
        inputs = body.inputs
        self.state_inputs = inputs[:states]
        self.row_inputs = inputs[states : states + rows]
        self.captured = inputs[states + rows :]
        self.products = [
            node.outputs[0] for node in body.toposort()
            if isinstance(node.op, MatMul) and not (node.op.ta or node.op.tb)
            and any(node.inputs[0] is s for s in self.state_inputs)
            and any(node.inputs[1] is c for c in self.captured) and node.inputs[1].ndim == 2
        ]  # fmt: skip
        kept = [*body.outputs, *self.state_inputs, *self.products]
        self.op = Scan(Graph(inputs, kept), states, rows, length)

    def run(
        self, begin: Sequence[Variable], rows: Sequence[Variable], captured: Sequence[Variable]
    ) -> Any:
        """The last states and the stacked outputs."""
        plain = [*begin, *rows, *captured]
        if not self.products:
            out = results(Scan(self.body, self.states, self.rows, self.length), plain)
            return list(out[: self.states]), out[self.states]
        whole = function_graph(
            lambda *given: list(results(self.op, given)[: self.states + 1]), vjp=self._vjp,
            name="recurrent_loop",
        )  # fmt: skip
        out = whole(*plain)
        return out[: self.states], out[self.states]

    def _vjp(self, g: Sequence[Variable], y: Any, *given: Variable) -> list[Any]:
        """The cotangents of the initial states, the rows and the captured constants."""
        n = self.states
        saved = results(self.op, given)[n + 1 :]
        before, made = saved[:n], saved[n:]
        step = _Backwards(self)
        out = results(step.op, [*g[:n], *(zeros(t) for t in step.totals),
                                *before, *given[n : n + self.rows], *made, g[n],
                                *given[n + self.rows :]])  # fmt: skip
        found: dict[Variable, Any] = dict(zip(self.state_inputs, out[:n], strict=True))
        found |= dict(zip(step.summed, out[n : n + len(step.summed)], strict=True))
        stacked = out[n + len(step.summed) :]
        found |= {r: stacked[k] for r, k in zip(step.by_rows, step.row_places, strict=True)}
        for product, k in zip(self.products, step.product_places, strict=True):
            d = stacked[k]
            state, weight = product.owner.inputs
            h = before[_place(self.state_inputs, state)]
            part = matmul(transpose(_flat(h)), _flat(d))
            found[weight] = found[weight] + part if weight in found else part
        return [found.get(v) for v in self.body.inputs]


def _flat(x: Variable) -> Variable:
    """[steps, batch, n] as [steps * batch, n]."""
    return reshape(x, (as_size(as_expr(x.shape[0]) * x.shape[1]), x.shape[2]))


def _place(values: Sequence[Variable], v: Variable) -> int:
    """The position of a variable, which list.index does not find: its == is an expression."""
    return next(k for k, other in enumerate(values) if other is v)


class _Backwards:
    """The loop from the last step to the first: it carries the cotangents of the states and sums
    for constants, and stacks the cotangents of the rows and of the products."""

    def __init__(self, loop: Loop) -> None:
        body = loop.body
        made = [Input(p.type) for p in loop.products]
        outputs = rebuild(body.outputs, dict(zip(loop.products, made, strict=True)))
        seeds = [Input(o.type) for o in body.outputs]
        real = [v for v in (*loop.row_inputs, *loop.captured) if dtypes.is_float(v.dtype)]
        wrt = [*loop.state_inputs, *real, *made]
        pulled = reverse_inside(outputs, seeds, wrt)
        by = {v: d for v, d in zip(wrt, pulled, strict=True) if d is not None}
        by_made = [by[m] if m in by else zeros(m.type) for m in made]
        by_states = [by[s] if s in by else zeros(s.type) for s in loop.state_inputs]
        for product, d in zip(loop.products, by_made, strict=True):
            state, weight = product.owner.inputs
            k = _place(loop.state_inputs, state)
            by_states[k] = by_states[k] + matmul(d, transpose(weight))
        self.summed = [c for c in loop.captured if c in by]
        self.totals: list[TensorType] = [c.type for c in self.summed]
        totals = [Input(t) for t in self.totals]
        self.by_rows = [r for r in loop.row_inputs if r in by]
        sums = [t + by[c] for t, c in zip(totals, self.summed, strict=True)]
        stacked = list(dict.fromkeys([*(by[r] for r in self.by_rows), *by_made]))
        self.row_places = [_place(stacked, by[r]) for r in self.by_rows]
        self.product_places = [_place(stacked, d) for d in by_made]
        outputs = [*by_states, *sums, *stacked]
        carries = [*seeds[: loop.states], *totals]
        rows = [*loop.state_inputs, *loop.row_inputs, *made, seeds[loop.states]]
        graph = Graph([*carries, *rows, *loop.captured], outputs)
        self.op = Scan(graph, len(carries), len(rows), loop.length, reverse=True)
