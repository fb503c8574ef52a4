"""Scan: PyTensor's loop over buffers as a loop over values.

PyTensor gives each recurrent output a buffer that begins with the initial values, and keeps as many
of its last rows as are read later. Here the loop makes the rows of all steps; initial rows come
before them, and the last rows are taken.

A buffer that is read and written at offsets (mit-mot, made by derivatives) needs no buffer either:
what is read at an offset below that of a write has been written some steps before, so it is a
recurrence with this lag, whose first values are the buffer's; anything else is read from the
buffer as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import api as sg
from symgraph.interop.pytensor.sparse_values import number_of
from symgraph.interop.pytensor.table import Untranslatable, translates
from symgraph.interop.pytensor.translation import Translation
from symgraph.ir.types import Size
from symgraph.records import NamedTuple
from symgraph.scalar import as_expr, as_size
from symgraph.scalar.sizes import at_least_zero


class State(NamedTuple):
    """A recurrent value: ``initial`` rows, oldest first, and the lags that the step reads."""

    initial: Any
    lags: tuple[int, ...]


class Buffer(NamedTuple):
    """A mit-mot buffer: for each offset read, the write that it follows (or None)."""

    reads: tuple[int, ...]
    writes: tuple[int, ...]

    def source(self, read: int) -> int | None:
        later = [w for w in self.writes if w > read]
        return min(later) if later else None

    def lags(self, write: int) -> tuple[int, ...]:
        return tuple(sorted({write - r for r in self.reads if self.source(r) == write}))


def _rows(x: Any, start: Size, stop: Size) -> Any:
    return x[as_size(as_expr(start)) : as_size(as_expr(stop))]


@translates("Scan")
def scan(op: Any, node: Any, t: Any) -> Any:
    """A loop with sequences, recurrent and collected outputs."""
    info = op.info
    outer = list(node.inputs)
    steps = t.size(outer[0])
    if t.outer is not None and not isinstance(steps, int) and t.known(outer[0]) is None:
        raise Untranslatable("the number of steps depends on data")
    t.inner(op.fgraph)
    loop = _Loop(op, node, t, steps)
    return loop.outputs(info)


scan.objects = True  # type: ignore[attr-defined]


class _Loop:
    def __init__(self, op: Any, node: Any, t: Any, steps: Size) -> None:
        self.op, self.node, self.t, self.steps = op, node, t, steps
        outer = list(node.inputs)
        info = op.info
        get = t.get
        self.sequences = [_rows(get(v), 0, steps) for v in op.outer_seqs(outer)]
        self.buffers = [get(v) for v in op.outer_mitmot(outer)]
        slices = getattr(info, "normalized_mit_mot_in_slices", None) or info.mit_mot_in_slices
        writes = getattr(info, "normalized_mit_mot_out_slices", None) or info.mit_mot_out_slices
        self.plans = [Buffer(tuple(r), tuple(w)) for r, w in zip(slices, writes, strict=True)]
        if any(min((*p.reads, *p.writes), default=0) < 0 for p in self.plans):
            raise Untranslatable("a buffer with negative offsets")
        self.several = [get(v) for v in op.outer_mitsot(outer)]
        self.single = [get(v) for v in op.outer_sitsot(outer)]
        untraced = getattr(op, "outer_untraced_sit_sot", None) or op.outer_shared
        self.untraced = [number_of(get(v)) for v in untraced(outer)]
        self.fixed = list(op.outer_non_seqs(outer))
        self.kept = [t.size(v) for v in op.outer_nitsot(outer)]
        if info.as_while and (self.plans or t.outer is not None):
            raise Untranslatable("a loop with a condition here")

    # the step -------------------------------------------------------------------------------------

    def _infos(self) -> list[Any]:
        """What sg.scan needs to know of each output, in the order in which the step returns."""
        infos: list[Any] = []
        for buffer, p in zip(self.buffers, self.plans, strict=True):
            for w in p.writes:
                lags = p.lags(w)
                if not lags:
                    infos.append(None)
                    continue
                infos.append(_info(_rows(buffer, w - lags[-1], w), lags))
        for buffer, taps in zip(self.several, self.op.info.mit_sot_in_slices, strict=True):
            lags = tuple(sorted(-k for k in taps))
            infos.append(_info(_rows(buffer, 0, lags[-1]), lags))
        infos += [_info(_rows(buffer, 0, 1), (1,)) for buffer in self.single]
        infos += [None] * len(self.kept)
        infos += [_info(sg.expand_dims(x, 0), (1,)) for x in self.untraced]
        return infos

    def _direct(self) -> list[tuple[int, int]]:
        """Reads of a buffer as it was: (which, offset)."""
        return [(k, r) for k, p in enumerate(self.plans) for r in p.reads if p.source(r) is None]

    def run(self) -> Any:
        """The outputs of sg.scan."""
        direct = self._direct()
        steps = self.steps
        rows = [_rows(self.buffers[k], r, as_size(as_expr(r) + steps)) for k, r in direct]
        infos = self._infos()
        total = len(self.sequences) + len(rows)

        def step(*given: Any) -> Any:
            values = list(given)
            return self._step(values[: len(self.sequences)],
                              dict(zip(direct, values[len(self.sequences) : total], strict=True)),
                              values[total:], infos)  # fmt: skip

        cut = {"cut": True} if self.op.info.as_while else {}
        found = sg.scan(step, [*self.sequences, *rows], infos, n_steps=steps, **cut)
        if self.op.info.as_while:
            found = found[0]
        return list(found) if isinstance(found, tuple | list) else [found]

    def _step(
        self, rows: list[Any], direct: dict[Any, Any], taps: list[Any], infos: Sequence[Any]
    ) -> Any:
        op, info = self.op, self.op.info
        queue = iter(taps)
        read: list[dict[int, Any]] = []
        for entry in infos:
            if entry is None:
                read.append({})
                continue
            lags = [-k for k in entry["taps"]] if isinstance(entry, dict) else [1]
            read.append({lag: next(queue) for lag in lags})
        at = 0
        inner: list[Any] = list(rows)
        for k, p in enumerate(self.plans):
            own = read[at : at + len(p.writes)]
            for r in p.reads:
                w = p.source(r)
                inner.append(direct[k, r] if w is None else own[p.writes.index(w)][w - r])
            at += len(p.writes)
        for taps_of in info.mit_sot_in_slices:
            inner += [read[at][-k] for k in taps_of]
            at += 1
        for _ in self.single:
            inner.append(read[at][1])
            at += 1
        at += len(self.kept)
        inner += [r[1] for r in read[at:]]
        translation = Translation(self.t.objects, self.t)
        targets = list(op.fgraph.inputs)
        for v, x in zip(targets, inner, strict=False):
            translation.values[v] = translation.fitted(x, v) if x.ndim else x
        for v, o in zip(targets[len(inner) :], self.fixed, strict=True):
            known = self.t.known(o)
            if known is not None:
                translation.sizes[v] = known
            else:
                translation.values[v] = self.t.get(o)
        outs = [number_of(x) for x in translation.graph(op.fgraph)]
        return self._ordered(outs, infos)

    def _ordered(self, outs: list[Any], infos: Sequence[Any]) -> Any:
        """The outputs of the step with the shapes of what they continue."""
        stop = outs.pop() if self.op.info.as_while else None
        found = []
        for x, entry in zip(outs, infos, strict=True):
            if entry is not None:
                initial = entry["initial"] if isinstance(entry, dict) else entry
                wanted = initial.shape[1:] if isinstance(entry, dict) else initial.shape
                if x.shape != wanted:
                    x = sg.specify_shape(x, wanted)
            found.append(x)
        return found if stop is None else (found, sg.until(sg.cast(stop, "bool")))

    # the results ----------------------------------------------------------------------------------

    def outputs(self, info: Any) -> list[Any]:
        """The outputs of PyTensor's node."""
        found = self.run()
        results: list[Any] = []
        at = 0
        for buffer, p in zip(self.buffers, self.plans, strict=True):
            own = found[at : at + len(p.writes)]
            at += len(p.writes)
            for w, rows in sorted(zip(p.writes, own, strict=True), key=lambda e: -e[0]):
                stop = as_size(as_expr(w) + self.steps)
                buffer = buffer.at[as_size(as_expr(w)) : stop].set(rows)
            results.append(buffer)
        for buffer, taps in zip(self.several, info.mit_sot_in_slices, strict=True):
            results.append(self._trace(buffer, max(-k for k in taps), found[at]))
            at += 1
        for buffer in self.single:
            results.append(self._trace(buffer, 1, found[at]))
            at += 1
        for size in self.kept:
            results.append(self._last(found[at], size))
            at += 1
        for first, rows in zip(self.untraced, found[at:], strict=True):
            if not (isinstance(self.steps, int) and self.steps > 0):  # perhaps no step at all
                rows = sg.concatenate([sg.expand_dims(first, 0), rows])
            results.append(rows[-1])
        return results

    def _last(self, rows: Any, size: Size) -> Any:
        """The last ``size`` rows; zeros follow where there are fewer, as after a truncated
        derivative, but not where a condition has ended the loop."""
        gap = as_size(as_expr(rows.shape[0]) - size)
        drop, missing = at_least_zero(gap), at_least_zero(as_size(0 - as_expr(gap)))
        if not (isinstance(drop, int) and drop == 0):
            rows = rows[drop:]
        if self.op.info.as_while or (isinstance(missing, int) and missing == 0):
            return rows
        return sg.concatenate([rows, sg.zeros((missing, *rows.shape[1:]), rows.dtype)])

    def _trace(self, buffer: Any, count: int, rows: Any) -> Any:
        """Initial and new rows, as many of the last as the buffer holds."""
        return self._last(sg.concatenate([_rows(buffer, 0, count), rows]), buffer.shape[0])


def _info(initial: Any, lags: tuple[int, ...]) -> Any:
    """The entry of sg.scan for a state with these initial rows."""
    return initial[0] if lags == (1,) else {"initial": initial, "taps": [-k for k in lags]}
