"""The driver through ctypes: libcuda.so.1, which comes with NVIDIA's driver; nothing is installed.

The primary context of the device is used, which other libraries of the process share.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from ctypes import (
    byref,
    c_char_p,
    c_float,
    c_int,
    c_size_t,
    c_ubyte,
    c_uint,
    c_uint64,
    c_ulonglong,
    c_void_p,
)
from typing import Any

from symgraph.errors import TargetError
from symgraph.runtime.cuda.protocol import ENTRIES, DeviceError, OutOfDeviceMemory, Properties

LIBRARY = "libcuda.so.1"
OUT_OF_MEMORY = 2
NOT_SYNCHRONIZED = 1  # CU_STREAM_NON_BLOCKING
_PORTABLE = 1  # CU_MEMHOSTALLOC_PORTABLE
_THIS_THREAD = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may do as they like
_MAJOR, _MINOR, _PROCESSORS = 75, 76, 16  # CUdevice_attribute
_LOG, _LOG_SIZE = 5, 6  # CUjit_option: the translator's error log
_HINTS = {
    46: "another process has the GPU for itself, or it is in a state that only a reset ends",
    209: 'the machine code is not for this GPU: compile with target="cuda", which asks the GPU',
    218: "the driver cannot read the PTX: it may be older than the code; update it, or install "
         "nvidia-cuda-nvcc, which makes machine code",
    222: "the driver is older than the PTX: update it, or install nvidia-cuda-nvcc of its version",
    803: "driver and libcuda.so.1 do not fit: restart the machine after updating the driver",
}  # fmt: skip
_P = c_void_p
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,), "cuDeviceGetCount": (_P,), "cuDeviceGet": (_P, c_int),
    "cuDeviceGetName": (_P, c_int, c_int), "cuDeviceGetAttribute": (_P, c_int, c_int),
    "cuDeviceTotalMem_v2": (_P, c_int), "cuDevicePrimaryCtxRetain": (_P, c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,), "cuCtxSetCurrent": (_P,), "cuCtxGetCurrent": (_P,),
    "cuMemGetInfo_v2": (_P, _P), "cuMemAlloc_v2": (_P, c_size_t), "cuMemFree_v2": (c_uint64,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, _P, c_size_t, _P),
    "cuMemcpyDtoHAsync_v2": (_P, c_uint64, c_size_t, _P),
    "cuMemcpyDtoDAsync_v2": (c_uint64, c_uint64, c_size_t, _P),
    "cuMemsetD8Async": (c_uint64, c_ubyte, c_size_t, _P),
    "cuModuleLoadDataEx": (_P, c_char_p, c_uint, _P, _P), "cuModuleUnload": (_P,),
    "cuModuleGetFunction": (_P, _P, c_char_p),
    "cuLaunchKernel": (_P, *[c_uint] * 7, _P, _P, _P),
    "cuStreamCreate": (_P, c_uint), "cuStreamDestroy_v2": (_P,), "cuStreamSynchronize": (_P,),
    "cuStreamWaitEvent": (_P, _P, c_uint), "cuEventCreate": (_P, c_uint),
    "cuEventDestroy_v2": (_P,), "cuEventRecord": (_P, _P), "cuEventSynchronize": (_P,),
    "cuEventElapsedTime": (_P, _P, _P), "cuMemHostAlloc": (_P, c_size_t, c_uint),
    "cuMemFreeHost": (_P,), "cuStreamBeginCapture_v2": (_P, c_int),
    "cuStreamEndCapture": (_P, _P), "cuGraphInstantiateWithFlags": (_P, _P, c_ulonglong),
    "cuGraphLaunch": (_P, _P), "cuGraphDestroy": (_P,), "cuGraphExecDestroy": (_P,),
    "cuGetErrorName": (c_int, _P), "cuGetErrorString": (c_int, _P),
}  # fmt: skip


@functools.cache
def library(name: str = LIBRARY) -> ctypes.CDLL:
    """The driver's library, initialized.

    Raises TargetError where it is not installed or finds no device.
    """
    try:
        found = ctypes.CDLL(name)
    except OSError as error:
        raise TargetError(
            f'target="cuda" needs NVIDIA\'s driver, and {name} cannot be loaded ({error})',
            hint='install the driver of the GPU, or compile with target="cpu"; '
            "`symgraph dump --target cuda:sm_90` shows the code without one",
        ) from None
    for function, signature in _SIGNATURES.items():
        entry = getattr(found, function, None)
        if entry is None:
            raise TargetError(
                f"the driver of NVIDIA is too old: {name} has no {function}",
                hint="install a driver of version 470 (CUDA 11.4) or newer",
            )
        entry.argtypes, entry.restype = signature, c_int
    status = found.cuInit(0)
    count = c_int(0)
    status = status or found.cuDeviceGetCount(byref(count))
    if status or not count.value:
        said = f" ({_name(found, status)})" if status else ""
        raise TargetError(
            f"the driver of NVIDIA finds no GPU{said}",
            hint="look at nvidia-smi and CUDA_VISIBLE_DEVICES; in a container, --gpus all",
        )
    return found


def _name(found: ctypes.CDLL, status: int) -> str:
    text = c_char_p()
    found.cuGetErrorName(status, byref(text))
    return (text.value or b"error %d" % status).decode(errors="replace")


def _text(found: ctypes.CDLL, status: int) -> str:
    text = c_char_p()
    found.cuGetErrorString(status, byref(text))
    return (text.value or b"?").decode(errors="replace")


class CtypesDriver:
    """A Driver over one device, by its number.

    Raises TargetError where there is none.
    """

    kind = "ctypes"
    reads_cubins = True

    def __init__(self, number: int = 0) -> None:
        self.lib = library()
        self.device = int(self._out(c_int, "cuDeviceGet", number))
        self.context = int(self._out(c_void_p, "cuDevicePrimaryCtxRetain", self.device))
        self._end = weakref.finalize(self, _release, self.lib, self.device)
        self._end.atexit = False  # the process's end releases it, in an order of its own
        name = ctypes.create_string_buffer(128)
        self("cuDeviceGetName", name, 128, self.device)
        numbers = [self._attribute(k) for k in (_MAJOR, _MINOR, _PROCESSORS)]
        memory = int(self._out(c_size_t, "cuDeviceTotalMem_v2", self.device))
        said = name.value.decode(errors="replace")
        self.properties = Properties(said, (numbers[0], numbers[1]), numbers[2], memory)

    def __call__(self, function: str, *arguments: Any) -> None:
        """A call with the context current; raises DeviceError with the driver's words."""
        self.enter()
        status = getattr(self.lib, function)(*arguments)
        if status:
            raise self.failure(function, status)

    def enter(self) -> None:
        """Make the primary context current in this thread; where it is, that costs nothing."""
        status = self.lib.cuCtxSetCurrent(self.context) if hasattr(self, "context") else 0
        if status:
            raise self.failure("cuCtxSetCurrent", status)

    def failure(self, function: str, status: int) -> DeviceError:
        """The error of a status."""
        name = _name(self.lib, status)
        what = f"{function} failed: {name}, {_text(self.lib, status)}"
        if status in _HINTS:
            return DeviceError(what, name, _HINTS[status])
        if status == OUT_OF_MEMORY:
            return OutOfDeviceMemory(what, name)
        lost = status in (700, 702, 714, 715, 716, 717, 718, 719)
        hint = "the GPU's context is lost: start the process again" if lost else ""
        return DeviceError(what, name, hint)

    def _out(self, kind: Any, function: str, *arguments: Any) -> Any:
        value = kind()
        self(function, byref(value), *arguments)
        return value.value or 0

    def _attribute(self, which: int) -> int:
        return int(self._out(c_int, "cuDeviceGetAttribute", which, self.device))

    # memory ---------------------------------------------------------------------------------------

    def memory(self) -> tuple[int, int]:
        free, whole = c_size_t(), c_size_t()
        self("cuMemGetInfo_v2", byref(free), byref(whole))
        return free.value, whole.value

    def alloc(self, size: int) -> int:
        return int(self._out(c_uint64, "cuMemAlloc_v2", size))

    def free(self, address: int) -> None:
        self("cuMemFree_v2", address)

    def host_alloc(self, size: int) -> int:
        return int(self._out(c_void_p, "cuMemHostAlloc", size, _PORTABLE))

    def host_free(self, address: int) -> None:
        self("cuMemFreeHost", address)

    def to_device(self, address: int, host: int, size: int, stream: int) -> None:
        self("cuMemcpyHtoDAsync_v2", address, host, size, stream)

    def to_host(self, host: int, address: int, size: int, stream: int) -> None:
        self("cuMemcpyDtoHAsync_v2", host, address, size, stream)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        self("cuMemcpyDtoDAsync_v2", target, source, size, stream)

    def fill(self, address: int, byte: int, size: int, stream: int) -> None:
        self("cuMemsetD8Async", address, byte, size, stream)

    # code -----------------------------------------------------------------------------------------

    def load(self, image: bytes) -> int:
        log = ctypes.create_string_buffer(4096)
        names = (c_int * 2)(_LOG, _LOG_SIZE)
        values = (c_void_p * 2)(ctypes.addressof(log), len(log))
        module = c_void_p()
        self.enter()
        status = self.lib.cuModuleLoadDataEx(byref(module), image + b"\0", 2, names, values)
        if status:
            error = self.failure("cuModuleLoadDataEx", status)
            said = " ".join(log.value.decode(errors="replace").split())
            raise type(error)(f"{error.what}: {said}" if said else error.what, error.name)
        return module.value or 0

    def unload(self, module: int) -> None:
        self("cuModuleUnload", module)

    def function(self, module: int, name: str) -> int:
        return int(self._out(c_void_p, "cuModuleGetFunction", module, name.encode()))

    def entries(self) -> dict[str, int]:
        found = {n: ctypes.cast(getattr(self.lib, n), c_void_p).value for n in ENTRIES}
        return {n: address or 0 for n, address in found.items()}

    # streams and events ---------------------------------------------------------------------------

    def stream(self) -> int:
        return int(self._out(c_void_p, "cuStreamCreate", NOT_SYNCHRONIZED))

    def destroy_stream(self, stream: int) -> None:
        self("cuStreamDestroy_v2", stream)

    def synchronize(self, stream: int) -> None:
        self("cuStreamSynchronize", stream)

    def event(self) -> int:
        return int(self._out(c_void_p, "cuEventCreate", 0))

    def destroy_event(self, event: int) -> None:
        self("cuEventDestroy_v2", event)

    def record(self, event: int, stream: int) -> None:
        self("cuEventRecord", event, stream)

    def wait(self, stream: int, event: int) -> None:
        self("cuStreamWaitEvent", stream, event, 0)

    def finish(self, event: int) -> None:
        self("cuEventSynchronize", event)

    def elapsed(self, start: int, end: int) -> float:
        self("cuEventSynchronize", end)
        return float(self._out(c_float, "cuEventElapsedTime", start, end))

    # graphs ---------------------------------------------------------------------------------------

    def capture(self, stream: int) -> None:
        self("cuStreamBeginCapture_v2", stream, _THIS_THREAD)

    def end_capture(self, stream: int) -> int:
        graph = c_void_p()
        self("cuStreamEndCapture", stream, byref(graph))
        return graph.value or 0

    def instantiate(self, graph: int) -> int:
        try:
            return int(self._out(c_void_p, "cuGraphInstantiateWithFlags", graph, 0))
        finally:
            self("cuGraphDestroy", graph)

    def launch_graph(self, executable: int, stream: int) -> None:
        self("cuGraphLaunch", executable, stream)

    def destroy_executable(self, executable: int) -> None:
        self("cuGraphExecDestroy", executable)


def _release(lib: ctypes.CDLL, device: int) -> None:
    lib.cuDevicePrimaryCtxRelease_v2(device)
