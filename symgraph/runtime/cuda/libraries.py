"""Where NVIDIA's libraries are: cuBLAS, cuBLASLt, cuSOLVER, cuFFT and cuDNN, through ctypes.

They are looked for in wheels of NVIDIA's on ``sys.path``, under CUDA_HOME, and in the folders of
LD_LIBRARY_PATH, and are loaded when a function first needs them. A handle of a library belongs to a
device and works in its stream; where a library cannot make one (no GPU, another version than the
driver's) it is as if it were not installed.
"""

from __future__ import annotations

import ctypes
import functools
import glob
import os
import sys
from collections.abc import Callable
from typing import Any

from symgraph import config

FILES = {
    "cublasLt": ("libcublasLt.so.13", "libcublasLt.so.12"),
    "cublas": ("libcublas.so.13", "libcublas.so.12"),
    "cusolver": ("libcusolver.so.12", "libcusolver.so.11"),
    "cufft": ("libcufft.so.12", "libcufft.so.11"),
    "cudnn": ("libcudnn.so.9",),
}


class Refused(Exception):
    """A status of a library that is not success."""


@functools.cache
def path(name: str) -> str | None:
    """Where a library is; None where there is none."""
    files = FILES[name]
    for folder in sys.path:
        for file in files:
            found = sorted(glob.glob(os.path.join(glob.escape(folder), "nvidia", "*", "lib", file)))
            if found:
                return found[0]
    homes = [os.environ[w] for w in ("CUDA_HOME", "CUDA_PATH") if w in os.environ]
    folders = [os.path.join(h, "lib64") for h in homes]
    folders += os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    places = (os.path.join(f, file) for f in folders if f for file in files)
    return next((p for p in places if os.path.exists(p)), None)


@functools.cache
def library(name: str) -> Any:
    """A library, loaded; None where there is none or it cannot be loaded."""
    found = path(name)
    if found is None:
        return None
    try:
        return ctypes.CDLL(found)
    except OSError:
        return None


def present(name: str) -> bool:
    """Whether a library is installed and may be used."""
    return bool(config.get("libraries")) and path(name) is not None


def names() -> str:
    """The libraries that are installed and may be used, for the key of the disk cache."""
    return " ".join(os.path.basename(path(n) or "") for n in FILES if present(n))


def do(lib: Any, function: str, *arguments: Any) -> None:
    """Call a function of a library. Raises Refused when it does not succeed."""
    if getattr(lib, function)(*arguments):
        raise Refused(function)


def on_stream(lib: Any, device: Any, create: str, set_stream: str) -> int:
    """A handle, by a library's two functions, whose calls enter a device's stream."""
    made = ctypes.c_void_p()
    do(lib, create, ctypes.byref(made))
    do(lib, set_stream, made, ctypes.c_void_p(device.stream))
    return int(made.value or 0)


def handle(device: Any, name: str, make: Callable[[Any], int]) -> int | None:
    """The handle of a library for a device, which ``make(lib)`` makes once; None where there is no
    such library or no handle."""
    key = f"library {name}"
    if key not in device.kept:
        lib, made = library(name), None
        if lib is not None:
            try:
                made = make(lib)
            except Refused:
                made = None
        device.kept[key] = made
    found: int | None = device.kept[key]
    return found
