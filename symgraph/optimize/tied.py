"""Values that know what they depend on: the derivative is that of the dependence, whatever loop
computed the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.batching.engine import Batch, Value, rule
from symgraph.batching.vectorize import vmap
from symgraph.ir.graph import Apply, Variable, apply
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.ops import reductions
from symgraph.ops.special import stop_gradient

Pulled = Sequence[Variable | None]


class Tied(Op, abstract=True):
    """The first input itself, y. How it depends on the other inputs a subclass says in ``pulled``.

    ``batched`` has an entry for each vmap around it, the innermost first: which of the inputs have
    its axis. The derivative of a batch is the batch of the derivatives; it is built when it is
    asked for, since it holds such values itself.
    """

    batched: tuple[tuple[bool, ...], ...] = ()

    def infer(self, y: TensorType, *rest: TensorType) -> TensorType:
        return y

    def reference(self, y: Any, *rest: Any) -> Any:
        return y

    def lower(self, out: TensorType, y: Operand, *rest: Operand) -> Compute:
        return pointwise(out.shape, lambda *i: y(*i))

    def vjp(self, g: Variable, y: Variable, *inputs: Variable) -> tuple[Any, ...]:
        return self.partial_vjp((True,) * len(inputs), (g,), (y,), *inputs)

    def partial_vjp(
        self, wanted: Sequence[bool], g: Any, y: Any, *inputs: Variable
    ) -> tuple[Any, ...]:
        """The cotangents of the ``wanted`` inputs but the first."""
        if self.batched:
            return self._of_batch(wanted, g[0], y[0], inputs)
        asked = [
            w and dtypes.is_inexact(v.dtype) for w, v in zip(wanted[1:], inputs[1:], strict=True)
        ]
        return (None, *self.pulled(asked, g[0], y[0], inputs[1:]))

    def pulled(
        self, wanted: Sequence[bool], g: Variable, y: Variable, given: Sequence[Variable]
    ) -> Pulled:
        """The cotangents of the ``wanted`` of the inputs after the first."""
        raise AssertionError

    def _of_batch(
        self, wanted: Sequence[bool], g: Variable, y: Variable, inputs: Sequence[Variable]
    ) -> tuple[Any, ...]:
        flags = self.batched[-1]
        single: Any = self.replace(batched=self.batched[:-1])
        places: list[int] = []

        def one(g: Variable, y: Variable, *inputs: Variable) -> list[Variable]:
            found = single.partial_vjp(wanted, (g,), (y,), *inputs)
            places[:] = [k for k, v in enumerate(found) if v is not None]
            return [found[k] for k in places]

        axes = (0, 0, *(0 if f else None for f in flags))
        rows = vmap(one, axes)(g, y, *inputs)
        sums = (
            r if flags[k] else reductions.sum(r, axis=0) for k, r in zip(places, rows, strict=True)
        )
        by_place = dict(zip(places, sums, strict=True))
        return tuple(by_place.get(k) for k in range(len(inputs)))


def tied_batch(batch: Batch, node: Apply, given: list[Value]) -> Sequence[Value]:
    """The batching rule of all of them."""
    values = [batch.full(given[0]), *(x.v for x in given[1:])]
    flags = (True, *(x.batched for x in given[1:]))
    op: Any = node.op
    fresh = apply(op.replace(batched=(*op.batched, flags)), values, node.origins)
    return [Value(v, True) for v in fresh.outputs]


rule("implicit")(tied_batch)


def frozen(values: Sequence[Variable]) -> list[Variable]:
    """The values without their derivatives, for the loop that computes what is tied to them."""
    return [stop_gradient(v) if dtypes.is_inexact(v.dtype) else v for v in values]
