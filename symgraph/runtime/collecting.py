"""Python's collector of cycles, kept from running where nearly everything that is made stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: a stage makes a million objects of a large graph, nearly all
    of which stay, and the collector would go over all of them again and again. Afterwards they
    count as old, or it would go over all of them at the next object: 6 ms after the first function
    of a process. (What the user has frozen is left alone, hence the question.)

    For who builds large graphs, as embedders do.

    >>> import symgraph as sg
    >>> with sg.uncollected():
    ...     gc.isenabled()
    False
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():
                gc.freeze()  # all generations become the permanent one,
                gc.unfreeze()  # and that the oldest
            gc.enable()
