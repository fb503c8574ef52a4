"""A compiled function as callers in C see it: an address and a context, without Python.

    int32_t f(void *context, const void *const *inputs, const int64_t *shapes, void *const *outputs)

``inputs`` and ``outputs`` are addresses of aligned memory in C order; ``shapes`` are the sizes of
all inputs' axes, one input after the other (those of outputs follow from them). The function needs
no lock of Python's and keeps its temporaries to itself, so any number of threads may call it at
once, provided it updates no shared variables. Values of shared variables are read in place.
"""

from __future__ import annotations

import ctypes
from typing import Any

NAME = "c_entry"
WRONG_SIZES = -(2**31) + 1  # the shapes do not fit the function
NO_MEMORY = -(2**31) + 2  # for the temporaries

PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)


class CEntry:
    """``address`` of the C function and the ``context`` that is its first argument.

    Both are valid while this object lives. ``prototype`` is the function's type for ctypes; a call
    by ctypes releases Python's lock. Returned are 0, a positive number for a failed check (an index
    out of range, a failed assertion), WRONG_SIZES, NO_MEMORY, or another negative number when an
    op that runs in Python raised.

    >>> import symgraph as sg, numpy as np
    >>> x = sg.vector("x")
    >>> entry = sg.compile([x], 2 * x).c_entry
    >>> a, b = np.array([1.0, 2.0]), np.empty(2)
    >>> pointers = [(ctypes.c_void_p * 1)(v.ctypes.data) for v in (a, b)]
    >>> entry.prototype(entry.address)(entry.context, pointers[0], (ctypes.c_int64 * 1)(2),
    ...                                pointers[1])
    0
    >>> b
    array([2., 4.])
    """

    __slots__ = ("address", "context", "owner")

    prototype = PROTOTYPE

    def __init__(self, address: int, context: int, owner: Any) -> None:
        self.address, self.context, self.owner = address, context, owner

    def __repr__(self) -> str:
        return f"<CEntry at {self.address:#x}, context {self.context:#x}>"
