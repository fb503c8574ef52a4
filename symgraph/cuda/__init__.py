"""Functions that run on an NVIDIA GPU: target="cuda", and what their arrays and streams need.

import symgraph.cuda

with symgraph.cuda.on_stream(stream): ...       calls follow another library's stream
symgraph.cuda.from_dlpack(tensor)               another library's array, without a copy
symgraph.cuda.upload(array)                     a copy of a NumPy array on the GPU
symgraph.cuda.synchronize()                     wait for everything
symgraph.cuda.statistics()                      memory of the pool
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph.runtime.cuda import array
from symgraph.runtime.cuda.array import Array
from symgraph.runtime.cuda.device import current_stream, device, on_stream
from symgraph.runtime.cuda.memory import Statistics

__all__ = [
    "Array", "current_stream", "from_dlpack", "on_stream", "release", "statistics", "synchronize",
    "upload",
]  # fmt: skip


def upload(value: Any) -> Array:
    """A copy of an array on the GPU. Raises TargetError where there is none."""
    found = device()
    with found.lock:
        return array.upload(found, np.asarray(value))


def from_dlpack(value: Any) -> Array:
    """An array that another library has on the GPU, without a copy.

    Raises InputValueError for one of the host's, on another GPU, or not dense in C order.
    """
    found = device()
    with found.lock:
        found.driver.enter()
        return array.from_dlpack(found, value)


def synchronize() -> None:
    """Wait for all work; raises the error of a call that could only be found on the device."""
    found = device()
    found.driver.enter()
    found.synchronize()


def statistics() -> Statistics:
    """The memory of the GPU that is used and held."""
    return device().pool.statistics()


def release() -> None:
    """Give the memory that is held but not used back to the driver."""
    found = device()
    with found.lock:
        found.driver.enter()
        found.give_up_workspace()
        found.pool.release()
