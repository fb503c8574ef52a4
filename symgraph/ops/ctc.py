"""Connectionist temporal classification: sequences of labels without alignment.

Source: Graves, Fernandez, Gomez and Schmidhuber, "Connectionist temporal classification", ICML
2006; the forward recursion in logarithms. Its derivative, the backward recursion, comes from the
derivative of the loop.
"""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.types import Size
from symgraph.ops.activations import as_floats
from symgraph.ops.arithmetic import maximum, negative
from symgraph.ops.bounds import InRange
from symgraph.ops.cast import cast
from symgraph.ops.comparison import equal, less, logical_and, logical_or, not_equal, where
from symgraph.ops.creation import full, iota
from symgraph.ops.exponential import exp, log
from symgraph.ops.indexing import take_along_axis
from symgraph.ops.joining import concatenate, part_of, stack
from symgraph.ops.labels import as_labels
from symgraph.ops.looping import foldl
from symgraph.ops.moments import mean
from symgraph.ops.operands import as_variable
from symgraph.ops.reductions import logsumexp, sum
from symgraph.ops.shape import broadcast_to, expand_dims, reshape
from symgraph.ops.special import stop_gradient
from symgraph.scalar import as_expr, as_size

__all__ = ["ctc_loss"]

# The logarithm of nothing: finite, so that differences of two of them and derivatives through them
# are numbers; what leads to a result is never so low.
NEVER = -1e30
IMPOSSIBLE = 1e29


def ctc_loss(
    log_probabilities: Any, targets: Any, input_lengths: Any = None, target_lengths: Any = None,
    blank: int = 0, reduction: str = "none", zero_infinity: bool = False,
) -> Variable:  # fmt: skip
    """-log of the probability that a frame-wise classifier emits the targets, over all alignments:
    repeated labels between blanks count once, and blanks are left out.

    ``log_probabilities`` are [time, batch, classes], logarithms that sum to probability 1 as
    :func:`log_softmax` gives them; ``targets`` are integers [batch, labels], padded with anything.
    ``input_lengths`` and ``target_lengths`` are integers [batch], the whole axes unless given.
    The loss is inf for targets that do not fit into the frames (0 with ``zero_infinity``), with
    derivative 0. "mean" is of the losses divided by the lengths of their targets, as in PyTorch.
    Raises RankError, DTypeError, ArgumentError; a target that is no class is an IndexOutOfRange
    (SG301) when the function runs.

    >>> import symgraph as sg
    >>> logp = sg.log([[[0.5, 0.5]], [[0.25, 0.75]]])
    >>> bool(sg.allclose(sg.exp(-sg.nn.ctc_loss(logp, [[1]])), [0.875]).eval())
    True
    """
    logp, targets = as_floats(log_probabilities), as_labels(targets, "ctc_loss")
    if dtypes.itemsize(logp.dtype) < 4:
        logp = cast(logp, "float32")
    if logp.ndim != 3 or targets.ndim != 2:
        raise RankError(
            f"ctc_loss: takes [time, batch, classes] and [batch, labels], not {logp.type.text()} "
            f"and {targets.type.text()}"
        )
    time, batch, _ = logp.shape
    frames = _lengths(input_lengths, batch, time)
    count = _lengths(target_lengths, batch, targets.shape[1])
    labels = _with_blanks(targets, count, blank, logp)
    last = _last_alphas(logp, labels, frames)
    states = expand_dims(iota(last.shape[1]), 0)
    final = expand_dims(2 * count, 1)
    ends = logical_or(equal(states, final), equal(states, final - 1))
    loss = negative(logsumexp(where(ends, last, NEVER), 1))
    possible = less(loss, IMPOSSIBLE)
    loss = where(possible, loss, 0.0 if zero_infinity else float("inf"))
    if reduction == "mean":
        return mean(loss / cast(maximum(count, 1), loss.dtype))
    if reduction not in ("none", "sum"):
        raise ArgumentError(f"unknown reduction {reduction!r}", hint="none, sum or mean")
    return sum(loss) if reduction == "sum" else loss


def _lengths(given: Any, batch: Size, whole: Size) -> Variable:
    if given is None:
        return full((batch,), as_variable(whole), "int64")
    lengths = as_labels(given, "ctc_loss: lengths")
    if lengths.ndim != 1:
        raise RankError(f"ctc_loss: lengths are a vector, not {lengths.type.text()}")
    return cast(lengths, "int64")


def _with_blanks(targets: Variable, count: Variable, blank: int, logp: Variable) -> Variable:
    """The targets with a blank before, between and after: int64[batch, 2 * labels + 1]."""
    size = targets.shape[1]
    inside = less(expand_dims(iota(size), 0), expand_dims(count, 1))
    labels = where(inside, cast(targets, "int64"), blank)  # padding is not checked
    labels = InRange(logp.shape[2])(labels)
    blanks = broadcast_to(as_variable(blank), labels.shape)
    pairs = reshape(stack([blanks, labels], 2), (labels.shape[0], as_size(2 * as_expr(size))))
    end = broadcast_to(as_variable(blank), (labels.shape[0], 1))
    return concatenate([pairs, end], 1)


def _last_alphas(logp: Variable, labels: Variable, frames: Variable) -> Variable:
    """Log probabilities of all ways into each state after the last frame: [batch, states]."""
    emitted = take_along_axis(logp, expand_dims(labels, 0), 2)  # [time, batch, states]
    emitted = maximum(emitted, NEVER)
    never = full((labels.shape[0], 2), NEVER, logp.dtype)
    states = expand_dims(iota(labels.shape[1]), 0)
    before = concatenate([full((labels.shape[0], 2), -1, "int64"), labels], 1)
    before = part_of(before, 1, 0, labels.shape[1])
    # from the label before to the next one without a blank, unless they are the same
    skips = logical_and(equal(states % 2, 1), not_equal(labels, before))
    # before the first frame all is in state 0, from where the first two states are reached
    start = where(less(states, 1), 0.0, full(labels.shape, NEVER, logp.dtype))

    def step(now: Variable, t: Variable, alpha: Variable) -> Variable:
        padded = concatenate([never, alpha], 1)
        one = part_of(padded, 1, 1, alpha.shape[1])
        two = where(skips, part_of(padded, 1, 0, alpha.shape[1]), NEVER)
        new = _summed(alpha, one, two) + now
        return where(less(t, expand_dims(frames, 1)), new, alpha)

    return foldl(step, [emitted, iota(logp.shape[0])], start)


def _summed(a: Variable, b: Variable, c: Variable) -> Variable:
    """log(exp(a) + exp(b) + exp(c)) for finite numbers."""
    top = stop_gradient(maximum(maximum(a, b), c))
    return top + log(exp(a - top) + exp(b - top) + exp(c - top))
