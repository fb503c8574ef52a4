"""Arrays in a GPU's memory: what functions return on request and take without copying.

Other libraries read them through ``__cuda_array_interface__`` or DLPack (``torch.from_dlpack``,
``cupy.asarray``); theirs are taken the same way. Work goes on while Python has the array:
``block_until_ready`` waits, ``numpy()`` waits and copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.errors import InputValueError
from symgraph.runtime.cuda import dlpack
from symgraph.runtime.cuda.device import Device
from symgraph.runtime.cuda.reports import Outcome
from symgraph.runtime.cuda.with_pycuda import gpu_array

DEFAULT_STREAM = 1  # CU_STREAM_LEGACY: what other libraries use when nothing is said


class Array:
    """A dense array of ``shape`` and NumPy ``dtype`` at an ``address`` of a device; ``owner`` keeps
    the memory alive, ``outcome`` knows whether the call that makes it has failed."""

    __slots__ = ("__weakref__", "address", "device", "dtype", "outcome", "owner", "shape")
    __array_priority__ = 1000

    def __init__(
        self, device: Device, shape: Sequence[int], dtype: np.dtype[Any], address: int, owner: Any,
        outcome: Outcome | None = None,
    ) -> None:  # fmt: skip
        self.device, self.shape, self.dtype = device, tuple(shape), dtype
        self.address, self.owner, self.outcome = address, owner, outcome

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for n in self.shape:
            count *= n
        return count

    @property
    def nbytes(self) -> int:
        """The bytes of the elements."""
        return self.size * self.dtype.itemsize

    def block_until_ready(self) -> Array:
        """Wait until the array has been computed; returns it. Raises the error of its call, if
        that could only be found on the device."""
        self.device.synchronize()
        self._check()
        return self

    def _check(self) -> None:
        if self.outcome is not None:
            self.device.reports.look()
            self.outcome.check()

    def numpy(self) -> np.ndarray:
        """A copy in the host's memory. Raises as ``block_until_ready``."""
        made = np.empty(self.shape, self.dtype)
        download(self.device, made, self.address)
        if not made.nbytes and self.outcome is not None:
            self.device.synchronize()
        self._check()
        return made

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an array on a GPU cannot become one of NumPy without a copy")
        made = self.numpy()
        return made if dtype is None else made.astype(dtype, copy=False)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __float__(self) -> float:
        return float(self.numpy())

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "strides": None, "version": 3,
            "data": (self.address if self.size else 0, False), "stream": self.device.stream,
        }  # fmt: skip

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CUDA, 0

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        """A DLPack capsule; ``stream`` is the consumer's, which is made to wait for this array
        (None: the default stream; -1: no stream). ``options`` (max_version, dl_device, copy) need
        nothing here: what is given is the plain form, on the same device, without a copy.

        Raises BufferError where a copy or another device is asked for.
        """
        elsewhere = options.get("dl_device") not in (None, self.__dlpack_device__())
        if options.get("copy") or elsewhere:
            raise BufferError("only this memory itself can be handed out: copy it there")
        if stream != -1:
            with self.device.lock:
                self.device.driver.enter()
                self.device.order(self.device.stream, stream or DEFAULT_STREAM)
        return dlpack.capsule(self, self.address, self.shape, self.dtype)

    def to_pycuda(self) -> Any:
        """The same memory as a ``pycuda.gpuarray.GPUArray``. Raises ImportError without pycuda."""
        return gpu_array(self)

    def __repr__(self) -> str:
        axes = ", ".join(map(str, self.shape))
        return f"<symgraph CUDA array {self.dtype}[{axes}]>"


def upload(device: Device, array: np.ndarray) -> Array:
    """A copy of a NumPy array on the device; the array may be changed on return."""
    dense = np.asarray(array, order="C")
    device.driver.enter()
    block = device.pool.take(dense.nbytes)
    device.staging.upload([(block.address, dense)])
    return Array(device, dense.shape, dense.dtype, block.address, block)


def download(device: Device, into: np.ndarray, address: int) -> None:
    """Copy memory of the device into a dense NumPy array."""
    if into.nbytes:
        with device.lock:
            device.driver.enter()
            device.staging.download([(into, address)])


def on_device(device: Device, value: Any) -> Array | None:
    """The array that a value of any library is on the device, None for one of the host's.

    Raises InputValueError for one that is not dense in C order, or on another GPU.
    """
    if isinstance(value, Array):
        return value
    if isinstance(value, np.ndarray | np.generic | float | int | list | tuple):
        return None
    said = getattr(value, "__cuda_array_interface__", None)
    if said is None:
        where = getattr(value, "__dlpack_device__", None)
        if where is None or where()[0] != dlpack.CUDA:
            return None
        return _from_dlpack(device, value, where()[1])
    if said.get("mask") is not None:
        raise InputValueError("an array on the GPU with a mask cannot be taken")
    dtype, shape = np.dtype(said["typestr"]), tuple(said["shape"])
    _check_dense(shape, said.get("strides"), dtype.itemsize)
    # before version 3 nothing was said of streams: work was expected on the default one
    stream = said.get("stream") if said.get("version", 0) >= 3 else DEFAULT_STREAM
    if stream is not None and stream != device.stream:
        device.order(stream, device.stream)
    return Array(device, shape, dtype, said["data"][0], value)


def _from_dlpack(device: Device, value: Any, number: int) -> Array:
    if number != 0:
        raise InputValueError(
            f"the array is on GPU {number}, functions run on GPU 0",
            hint="copy it there, or choose the GPU with CUDA_VISIBLE_DEVICES",
        )
    capsule = value.__dlpack__(stream=device.stream)
    address, shape, strides, dtype = dlpack.read(capsule)
    scaled = None if strides is None else [s * dtype.itemsize for s in strides]
    _check_dense(shape, scaled, dtype.itemsize)
    return Array(device, shape, dtype, address, (capsule, value))


def from_dlpack(device: Device, value: Any) -> Array:
    """The array of another library on the device, without a copy.

    Raises InputValueError for one of the host's.
    """
    found = on_device(device, value)
    if found is None:
        raise InputValueError(f"{type(value).__name__} is no array on this GPU")
    return found


def _check_dense(shape: Sequence[int], strides: Sequence[int] | None, itemsize: int) -> None:
    if strides is None or 0 in shape:
        return
    step = itemsize
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and s != step:
            raise InputValueError(
                f"an array on the GPU must be dense in C order; this one has strides "
                f"{tuple(strides)} for shape {tuple(shape)}",
                hint="make it contiguous first: cupy.ascontiguousarray, tensor.contiguous()",
            )
        step *= n
