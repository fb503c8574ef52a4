"""A cuFFT that is not there: NumPy's transforms behind its names. What a transform to real numbers
reads is spoilt, as the library may do."""

from __future__ import annotations

import re
from ctypes import c_int, c_longlong, c_size_t, c_void_p
from typing import Any

import numpy as np

from tests.cuda.fake_library import FakeLibrary, Work, int32, put

TYPES = {0x29: "C2C", 0x69: "Z2Z", 0x2A: "R2C", 0x6A: "D2Z", 0x2C: "C2R", 0x6C: "Z2D"}
DTYPES = {"C": np.complex64, "Z": np.complex128, "R": np.float32, "D": np.float64}


class FakeCufft(FakeLibrary):
    """Plans by number."""

    def __init__(self, driver: Any) -> None:
        super().__init__(driver)
        self.plans: dict[int, dict[str, Any]] = {}
        self.destroyed = 0

    def cufftCreate(self, place: Any) -> int:
        number = 7 + len(self.plans) + self.destroyed
        self.plans[number] = {}
        put(place, c_int, number)
        return 0

    def cufftDestroy(self, plan: c_int) -> int:
        del self.plans[plan.value]
        self.destroyed += 1
        return 0

    def cufftSetAutoAllocation(self, plan: c_int, automatic: c_int) -> int:
        assert "rows" not in self.plans[plan.value]
        self.plans[plan.value]["automatic"] = automatic.value
        return 0

    def cufftMakePlanMany64(
        self, plan: c_int, rank: c_int, n: Any, in_embed: Any, in_step: c_longlong,
        in_apart: c_longlong, out_embed: Any, out_step: c_longlong, out_apart: c_longlong,
        kind: c_int, count: c_longlong, size: Any,
    ) -> int:  # fmt: skip
        assert rank.value == 1 and in_embed is not None and out_embed is not None
        length = n._obj.value
        room = 64 + 16 * length
        self.plans[plan.value].update(
            kind=TYPES[kind.value], size=room,
            rows=(length, in_step.value, in_apart.value, out_step.value, out_apart.value,
                  count.value),
        )  # fmt: skip
        put(size, c_size_t, room)
        return 0

    def cufftSetStream(self, plan: c_int, stream: c_void_p) -> int:
        self.plans[plan.value]["stream"] = stream.value
        return 0

    def cufftSetWorkArea(self, plan: c_int, room: c_void_p) -> int:
        assert self.plans[plan.value]["automatic"] == 0
        self.plans[plan.value]["room"] = room.value
        return 0

    def __getattr__(self, name: str) -> Any:
        found = re.fullmatch(r"cufftExec([CZRD])2([CZRD])", name)
        if found is None:
            raise AttributeError(name)
        kind = name[-3:]
        return self.function(
            name, lambda *words: self._ready(kind, *words),
            lambda words: self.plans[int32(words[0])]["stream"],
        )  # fmt: skip

    def _lines(
        self, address: int, dtype: Any, length: int, step: int, apart: int, count: int
    ) -> Any:
        """A view of all lines."""
        flat = self.array(address, 1 + (length - 1) * step + (count - 1) * apart, dtype)
        size = flat.itemsize
        return np.lib.stride_tricks.as_strided(flat, (count, length), (apart * size, step * size))

    def _ready(self, kind: str, plan: int, source: int, target: int, way: int, *_: int) -> Work:
        held = self.plans[int32(plan)]
        assert held["kind"] == kind
        length, step, apart, out_step, out_apart, count = held["rows"]
        half = length // 2 + 1
        lengths = {"C2R": (half, length), "Z2D": (half, length), "R2C": (length, half),
                   "D2Z": (length, half)}.get(kind, (length, length))  # fmt: skip
        x = self._lines(source, DTYPES[kind[0]], lengths[0], step, apart, count)
        y = self._lines(target, DTYPES[kind[2]], lengths[1], out_step, out_apart, count)
        way = int32(way)

        def work() -> None:
            self.driver.at(held["room"], held["size"])[...] = 123
            if kind in ("C2C", "Z2Z"):
                assert way in (-1, 1)
                y[...] = np.fft.fft(x) if way < 0 else np.fft.ifft(x, norm="forward")
            elif kind in ("R2C", "D2Z"):
                y[...] = np.fft.rfft(x)
            else:
                ends = x[:, :: max(1, length // 2)] if length % 2 == 0 else x[:, :1]
                assert not ends.imag.any(), "the library does not say what it makes of these"
                y[...] = np.fft.irfft(x, length, norm="forward")
                x[...] = 123

        return work
