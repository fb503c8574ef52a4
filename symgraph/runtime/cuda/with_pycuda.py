"""The driver where pycuda is installed: context, streams, events and memory are pycuda's.

pycuda hands out no handles of modules and functions, so those, launches and copies between
addresses go through the driver's library in the same primary context.
"""

from __future__ import annotations

from typing import Any

from symgraph.runtime.cuda.libcuda import CtypesDriver, library
from symgraph.runtime.cuda.protocol import OutOfDeviceMemory


def pycuda_driver() -> PycudaDriver | None:
    """A driver over pycuda; None where it is not installed or cannot be used."""
    try:
        import pycuda.driver
    except ImportError:
        return None
    library()  # which says best what is missing
    return PycudaDriver(pycuda.driver)


class PycudaDriver(CtypesDriver):
    """Memory, streams and events as pycuda's objects, kept here by their handles, so pycuda's own
    tools see them and arrays can be wrapped as its ``GPUArray``."""

    kind = "pycuda"

    def __init__(self, module: Any, number: int = 0) -> None:
        self.pycuda = module
        module.init()
        self.held = module.Device(number).retain_primary_context()
        super().__init__(number)
        self.objects: dict[int, Any] = {}

    def alloc(self, size: int) -> int:
        self.enter()
        try:
            block = self.pycuda.mem_alloc(size)
        except self.pycuda.MemoryError as error:
            raise OutOfDeviceMemory(f"pycuda: {error}", "CUDA_ERROR_OUT_OF_MEMORY") from None
        self.objects[int(block)] = block
        return int(block)

    def free(self, address: int) -> None:
        self.enter()
        self.objects.pop(address).free()

    def stream(self) -> int:
        self.enter()
        made = self.pycuda.Stream(1)  # not synchronized with the default stream
        self.objects[made.handle] = made
        return int(made.handle)

    def destroy_stream(self, stream: int) -> None:
        self.enter()
        del self.objects[stream]


def gpu_array(array: Any) -> Any:
    """An array of ours as pycuda's, of the same memory."""
    import pycuda.gpuarray

    return pycuda.gpuarray.GPUArray(array.shape, array.dtype, gpudata=array.address, base=array)
