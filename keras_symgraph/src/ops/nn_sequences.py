"""`keras.ops.nn`: connectionist temporal classification."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import symgraph as sg
from keras_symgraph.src.ops.promotion import kind, result_type
from keras_symgraph.src.tensor import Tensor, node_of, wrap
from symgraph import Variable, nn


def ctc_loss(
    target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0
) -> Tensor:
    """``output`` are logits [batch, time, classes] (Graves et al., 2006)."""
    scores = node_of(output, result_type(kind(output), "float32"))
    log_probabilities = sg.swapaxes(nn.log_softmax(scores, -1), 0, 1)
    times, sizes = (node_of(n).astype("int64") for n in (output_length, target_length))
    labels = node_of(target).astype("int64")
    return wrap(nn.ctc_loss(log_probabilities, labels, times, sizes, mask_index))


def ctc_decode(
    inputs: Any, sequence_lengths: Any, strategy: str = "greedy", beam_width: int = 100,
    top_paths: int = 1, merge_repeated: bool = True, mask_index: int | None = 0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Raises ValueError for other strategies than "greedy" and "beam_search"."""
    x = node_of(inputs, result_type(kind(inputs), "float32"))
    lengths = node_of(sequence_lengths).astype("int64")
    blank = int(x.shape[-1]) - 1 if mask_index is None else mask_index
    if strategy == "greedy":
        found = _greedy(x, lengths, merge_repeated, blank)
    elif strategy == "beam_search":
        found = _beam_search(x, lengths, beam_width, top_paths, blank)
    else:
        raise ValueError(
            f"Invalid strategy {strategy}. Supported values are 'greedy' and 'beam_search'."
        )
    return wrap(found[0]), wrap(found[1])


def _past_end(x: Variable, lengths: Variable) -> Variable:
    """[batch, time]: whether a step is none of its sequence."""
    return sg.greater_equal(sg.reshape(sg.arange(x.shape[1]), (1, -1)), sg.expand_dims(lengths, 1))


def _greedy(x: Variable, lengths: Variable, merge: bool, blank: int) -> tuple[Variable, Variable]:
    """The likeliest class of each step; what is left of them stands first, then -1."""
    steps = x.shape[1]
    over = _past_end(x, lengths)
    best = sg.where(over, blank, sg.argmax(x, -1))
    scores = sg.where(over, 0.0, sg.max(x, -1)).astype(x.dtype)
    if merge:
        same = sg.equal(best[:, 1:], best[:, :-1])
        best = sg.where(sg.pad(same, ((0, 0), (1, 0))), blank, best)
    dropped = sg.equal(best, blank)
    best = sg.where(dropped, -1, best)
    place = sg.where(dropped, steps, sg.reshape(sg.arange(steps), (1, -1)))
    ordered = sg.take_along_axis(best, sg.argsort(place, -1), -1)
    return sg.expand_dims(ordered.astype("int32"), 0), sg.expand_dims(-sg.sum(scores, 1), 1)


# beam search --------------------------------------------------------------------------------------


class _Beam(NamedTuple):
    """The best paths so far, padded with -1; the second half are those that end in a blank."""

    paths: Variable  # [2 * width, time]
    scores: Variable  # [2 * width], logarithms
    masked: Variable  # [2 * width]


class _Search:
    """A prefix beam search over one sequence of fixed sizes (Graves, 2012, as in TensorFlow)."""

    def __init__(self, steps: int, classes: int, width: int, blank: int) -> None:
        self.steps, self.classes, self.width, self.blank = steps, classes, width, blank
        self.rows = 2 * width * classes

    def start(self, x: Variable) -> _Beam:
        """The beam after the first step."""
        first, room = min(self.classes, self.width), 2 * self.width
        best = sg.argsort(x, -1)[-first:]
        labels = sg.where(sg.equal(best, self.blank), -1, best)
        column = sg.pad(labels, (0, room - first), constant_values=-1)
        rest = sg.full((room, self.steps - 1), -1, "int64")
        paths = sg.concatenate([sg.expand_dims(column, 1), rest], 1)
        scores = sg.pad(sg.take(x, best), (0, room - first), constant_values=-math.inf)
        return _Beam(paths, scores, sg.equal(column, -1))

    def step(self, beam: _Beam, x: Variable) -> _Beam:
        """The beam after one step more."""
        return self.pruned(self.extended(beam, x))

    def extended(self, beam: _Beam, x: Variable) -> _Beam:
        """Every path with every class; a class that is repeated adds nothing."""
        paths = sg.repeat(beam.paths, self.classes, 0)
        end = sg.argmax(sg.equal(paths, -1), 1)
        before = sg.mod(end - 1, self.steps)
        last = sg.take_along_axis(paths, sg.expand_dims(before, 1), 1)[:, 0]
        last = sg.where(sg.equal(end, 0), -1, last)
        one = sg.arange(self.classes)
        labels = sg.tile(sg.where(sg.equal(one, self.blank), -1, one), 2 * self.width)
        masked = sg.equal(labels, -1)
        was_masked = sg.repeat(beam.masked, self.classes)
        again = sg.logical_and(sg.logical_not(was_masked), sg.equal(last, labels))
        labels = sg.where(again, -1, labels)
        here = sg.equal(sg.reshape(sg.arange(self.steps), (1, -1)), sg.expand_dims(end, 1))
        paths = sg.where(here, sg.expand_dims(labels, 1), paths)
        scores = sg.repeat(beam.scores, self.classes) + sg.tile(x, 2 * self.width)
        return _Beam(paths, scores, masked)

    def merged(self, inverse: Variable, scores: Variable) -> Variable:
        """The scores of equal paths added, as probabilities."""
        top = sg.max(scores)
        added = sg.zeros(self.rows, scores.dtype).at[inverse].add(sg.exp(scores - top))
        return sg.log(added) + top

    def distinct(self, paths: Variable) -> tuple[Variable, Variable]:
        """The different paths, and which of them each is."""
        found, inverse = sg.unique(
            paths, return_inverse=True, axis=0, size=self.rows, fill_value=-1
        )
        return found, sg.reshape(inverse, (paths.shape[0],))

    def pruned(self, beam: _Beam) -> _Beam:
        """The best paths, with their scores for both ends."""
        paths, inverse = self.distinct(beam.paths)
        nothing = sg.full_like(beam.scores, -math.inf)
        open_ = self.merged(inverse, sg.where(beam.masked, nothing, beam.scores))
        closed = self.merged(inverse, sg.where(beam.masked, beam.scores, nothing))
        top = sg.argsort(sg.logaddexp(open_, closed))[-self.width :]
        kept = sg.take(paths, top, 0)
        scores = sg.concatenate([sg.take(open_, top), sg.take(closed, top)])
        ends = sg.greater_equal(sg.arange(2 * self.width), self.width)
        return _Beam(sg.concatenate([kept, kept], 0), scores, ends)

    def best(self, beam: _Beam, count: int) -> tuple[Variable, Variable]:
        """The best paths of all, best first."""
        paths, inverse = self.distinct(beam.paths)
        scores = self.merged(inverse, beam.scores)
        top = sg.flip(sg.argsort(scores)[-count:], 0)
        return sg.take(paths, top, 0), sg.take(scores, top)


def _beam_search(
    x: Variable, lengths: Variable, width: int, count: int, blank: int
) -> tuple[Variable, Variable]:
    """Classes are turned round meanwhile, so that of equal scores the lower class wins."""
    steps, classes = (int(n) for n in x.shape[1:])
    search = _Search(steps, classes, width, classes - 1 - blank)
    scores = sg.flip(nn.log_softmax(x, -1), 2)

    def of_one(rows: Variable, over: Variable) -> tuple[Variable, Variable]:
        beam = search.start(rows[0])
        if steps > 1:

            def step(row: Variable, past: Variable, *old: Variable) -> list[Variable]:
                new = search.step(_Beam(*old), row)
                return [sg.where(past, a, b) for a, b in zip(old, new, strict=True)]

            found = sg.scan(step, [rows[1:], over[1:]], list(beam))
            beam = _Beam(*(v[-1] for v in found))
        return search.best(beam, count)

    paths, found = sg.vmap(of_one)(scores, _past_end(x, lengths))
    paths = sg.where(sg.equal(paths, -1), -1, classes - 1 - paths).astype("int32")
    return sg.swapaxes(paths, 0, 1), found
