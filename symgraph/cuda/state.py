"""Where the value of a shared variable is: on the host, on the device, or the same on both.

A variable goes to the device when a function there first uses it, and stays: it is copied back when
somebody asks for the value. Native code for the CPU takes the host's memory without asking, so a
variable that it uses too is copied before and after each call on the GPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgraph.ir.shared import Shared
from symgraph.runtime.cuda.array import Array, download, upload
from symgraph.runtime.cuda.device import Device


class Residence:
    """A shared variable's memory on a device."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.array: Array | None = None
        self.newer = False  # the device's value is not on the host yet

    def to_host(self, array: np.ndarray, borrowed: bool) -> None:
        """Bring the host's ``array`` up to date; one who borrows it may change it."""
        if self.newer and self.array is not None:
            with self.device.lock:
                download(self.device, array, self.array.address)
                self.newer = False
                self.device.reports.tell()  # a check that failed has kept the old value
        if borrowed:
            self.array = None

    def changed(self) -> None:
        """The host has a new value."""
        self.array, self.newer = None, False


def enter(s: Shared, device: Device) -> Array:
    """The array of a shared variable on the device, with its present value."""
    place: Any = s.residence
    if not isinstance(place, Residence) or place.device is not device:
        s.get_value(borrow=True)
        place = s.residence = Residence(device)
    if place.array is None or s.native:
        value = s.get_value(borrow=True)
        place.array = upload(device, value)
    found: Array = place.array
    return found


def leave(s: Shared) -> None:
    """A call on the device has written the variable."""
    place: Any = s.residence
    place.newer = True
    if s.native:
        s.get_value()
