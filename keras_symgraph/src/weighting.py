"""How much a batch counts in the means of an epoch, where its size has no number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def weighted_by_rows(compile_loss: Any, rows: Any) -> Iterator[None]:
    """Meanwhile the mean losses of single outputs weigh a batch by the number of its rows.

    Keras gives them ``y_pred.shape[0]`` as weight, which is None while a step is traced for any
    size of batch; all batches would count alike, also a last one that is shorter.
    """
    means = [] if compile_loss is None else [m for m in compile_loss.metrics if m is not None]

    def update(mean: Any) -> Any:
        original = mean.update_state

        def update_state(values: Any, sample_weight: Any = None) -> Any:
            return original(values, sample_weight=rows if sample_weight is None else sample_weight)

        return update_state

    for mean in means:
        vars(mean)["update_state"] = update(mean)
    try:
        yield
    finally:
        for mean in means:
            vars(mean).pop("update_state", None)
