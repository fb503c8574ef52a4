"""Running folds (cumsum and its kin) in registers.

A vector becomes its own running fold in log2(lanes) rounds: in each, the second half of every 2, 4,
8 ... lanes is combined with the last lane of the first half (Sklansky, 1960), which processors do
as one shuffle and one operation under a mask. UNROLL vectors become a block in the same way; what
was carried so far joins each of them, and the block's last lane joins what is carried. Only that
last step waits for the block before.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen.folds_llvm import Carried, Host, two_sum
from symgraph.codegen.literals import constant, llvm_type
from symgraph.codegen.writer import Value
from symgraph.loops.compute import identity
from symgraph.loops.running import Running
from symgraph.loops.statements import Fold

UNROLL = 4  # vectors of a block


def emit(host: Host, s: Fold, extent: Value, found: Running, vector_bits: int) -> None:
    """Write a running fold whose elements come one after another."""
    _Writer(host, s, found, vector_bits // (8 * dtypes.itemsize(found.term.dtype))).write(extent)


class _Writer:
    def __init__(self, host: Host, s: Fold, found: Running, lanes: int) -> None:
        self.host, self.s, self.found = host, s, found
        self.values, self.fn = host.values, host.values.fn
        self.dtype, self.lanes, self.width = found.term.dtype, lanes, UNROLL * lanes
        self.kind, self.wide = llvm_type(self.dtype, lanes), llvm_type(self.dtype, self.width)
        self.neutral = constant(self.dtype, lanes, identity(found.combiner, self.dtype))

    def write(self, extent: Value) -> None:
        fn, start = self.fn, []
        for v in self.s.starts:
            held = scalars.splat(fn, self.values.uniform(v), self.dtype, self.lanes)
            start.append((self.kind, held))
        carried: Carried = start
        size = dtypes.itemsize(self.dtype)
        finals = self.host.vectors(extent, self.width, carried, self._block, size=size)
        for name, value in zip(self.s.names, finals, strict=True):
            self.values.bind(name, (fn.val(f"extractelement {self.kind} {value}, i64 0"), 1))

    def _block(self, base: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
        fn, store = self.fn, self.found.store
        with self.values.vector(self.s.index, self.width, base, mask):
            term = self.values.wide(self.found.term)
            if mask is not None:
                flags = llvm_type("bool", self.width)
                other = constant(self.dtype, self.width, identity(self.found.combiner, self.dtype))
                term = fn.val(f"select {flags} {mask}, {self.wide} {term}, {self.wide} {other}")
            parts = self._block_alone(term)
            if self.found.compensated:
                after, parts = self._corrected(carried, parts)
                self.values.store_wide(store.buffer, store.indices, self._joined(parts), self.dtype)
                return after
            total = self._op(carried[0], self._last(parts[-1]))
            parts = [self._op(carried[0], p) for p in parts]
            self.values.bind(self.found.new, (self._joined(parts), self.width))
            self.values.store(store.buffer, store.indices, store.value)
            return [total]

    def _block_alone(self, term: Value) -> list[Value]:
        """The running fold of a block by itself."""
        parts: list[Value] = []
        for k in range(UNROLL):
            order = list(range(k * self.lanes, (k + 1) * self.lanes))
            parts.append(self._vector_alone(self._shuffle(self.wide, term, "poison", order)))
        step = 1
        while step < UNROLL:
            for first in range(step, UNROLL, 2 * step):
                last = self._last(parts[first - 1])
                for k in range(first, first + step):
                    parts[k] = self._op(last, parts[k])
            step *= 2
        return parts

    def _vector_alone(self, part: Value) -> Value:
        step = 1
        while step < self.lanes:
            order = [n // (2 * step) * 2 * step + step - 1 if n & step else self.lanes
                     for n in range(self.lanes)]  # fmt: skip
            part = self._op(self._shuffle(self.kind, part, self.neutral, order), part)
            step *= 2
        return part

    def _corrected(
        self, carried: list[Value], parts: list[Value]
    ) -> tuple[list[Value], list[Value]]:
        """What is carried on, and the parts with what was carried, errors included. Beyond an
        infinity the error is NaN and left out."""
        fn, (total, error) = self.fn, carried
        flags, zero = llvm_type("bool", self.lanes), constant(self.dtype, self.lanes, 0.0)
        sane = fn.val(f"fcmp ord {self.kind} {error}, {zero}")
        kept = fn.val(f"select {flags} {sane}, {self.kind} {error}, {self.kind} {zero}")
        out = [self._op(total, self._op(kept, p)) for p in parts]
        return two_sum(fn, self.kind, total, error, self._last(parts[-1])), out

    def _op(self, a: Value, b: Value) -> Value:
        args, kinds = [a, b], [self.dtype] * 2
        module, name = self.values.module, self.found.combiner
        return scalars.emit(self.fn, module, name, self.dtype, self.lanes, args, kinds)

    def _last(self, part: Value) -> Value:
        """The last lane in all lanes."""
        return self._shuffle(self.kind, part, "poison", [self.lanes - 1] * self.lanes)

    def _joined(self, parts: list[Value]) -> Value:
        """The vectors one after another."""
        lanes = self.lanes
        while len(parts) > 1:
            kind = llvm_type(self.dtype, lanes)
            parts = [
                self._shuffle(kind, a, b, range(2 * lanes))
                for a, b in zip(parts[::2], parts[1::2], strict=True)
            ]
            lanes *= 2
        return parts[0]

    def _shuffle(self, kind: str, a: Value, b: Value, order: Sequence[int]) -> Value:
        picks = ", ".join(f"i32 {k}" for k in order)
        return self.fn.val(f"shufflevector {kind} {a}, {kind} {b}, <{len(order)} x i32> <{picks}>")
