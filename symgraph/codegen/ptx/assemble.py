"""From PTX to the machine code of a GPU, by what is installed; none of it needs a GPU.

    ptxas       on PATH, under CUDA_HOME, or in the wheel nvidia-cuda-nvcc
    nvJitLink   the library in the wheel nvidia-nvjitlink, in this process

Where neither is there, the driver of the machine that runs the code translates the PTX itself.
"""

from __future__ import annotations

import ctypes
import functools
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p

from symgraph.codegen.ptx.architecture import Architecture
from symgraph.errors import TargetError
from symgraph.records import NamedTuple

_HINT = "pip install nvidia-cuda-nvcc or nvidia-nvjitlink, or put CUDA's bin folder on PATH"
_PTX_INPUT = 2  # nvJitLinkInputType


class Cubin(NamedTuple):
    """Machine code; ``assembler`` says what made it. The numbers are -1 where it does not tell."""

    data: bytes
    assembler: str
    registers: int = -1
    stack: int = -1
    spills: int = -1


def assemblers() -> list[str]:
    """The names of the assemblers that can be used here, the preferred one first."""
    return [name for name, there in (("ptxas", ptxas()), ("nvjitlink", _nvjitlink())) if there]


def assemble(ptx: str, arch: Architecture, assembler: str = "") -> Cubin:
    """The cubin of a PTX module.

    Raises TargetError where no assembler is installed, or with what it says against the module.
    """
    names = [assembler] if assembler else assemblers()
    if not names:
        raise TargetError("no assembler for PTX is installed", hint=_HINT)
    return _by_ptxas(ptx, arch) if names[0] == "ptxas" else _by_nvjitlink(ptx, arch)


def disassembler() -> str | None:
    """The path of nvdisasm, which prints machine code (SASS)."""
    return _program("nvdisasm")


def sass(cubin: bytes) -> str:
    """The machine code in the GPU's assembly language.

    Raises TargetError where nvdisasm is not installed.
    """
    path = disassembler()
    if path is None:
        raise TargetError(
            "no disassembler for machine code of NVIDIA's is installed",
            hint="pip install nvidia-cuda-nvdisasm, or put CUDA's bin folder on PATH",
        )
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "kernel.cubin")
        with open(name, "wb") as file:
            file.write(cubin)
        return _run([path, "-c", name]).stdout


# ptxas --------------------------------------------------------------------------------------------


@functools.cache
def ptxas() -> str | None:
    """The path of ptxas."""
    return _program("ptxas")


def _program(name: str) -> str | None:
    found = shutil.which(name)
    if found is not None:
        return found
    homes = [os.environ[w] for w in ("CUDA_HOME", "CUDA_PATH") if w in os.environ]
    places = [os.path.join(home, "bin", name) for home in homes]
    places += _in_wheels(f"bin/{name}")
    return next((p for p in places if os.access(p, os.X_OK)), None)


def _in_wheels(path: str) -> Iterator[str]:
    """Where NVIDIA's wheels put a file: nvidia/cu13, or a folder for each wheel before that."""
    for folder in sys.path:
        yield from sorted(glob.glob(os.path.join(glob.escape(folder), "nvidia", "*", path)))


def _by_ptxas(ptx: str, arch: Architecture) -> Cubin:
    path = ptxas()
    if path is None:
        raise TargetError("ptxas is not installed", hint=_HINT)
    with tempfile.TemporaryDirectory() as folder:
        source, target = (os.path.join(folder, n) for n in ("kernel.ptx", "kernel.cubin"))
        with open(source, "w", encoding="utf-8") as file:
            file.write(ptx)
        done = _run([path, f"-arch={arch.name}", "-O3", "-v", source, "-o", target])
        with open(target, "rb") as file:
            data = file.read()
    log = done.stderr
    used = re.search(r"Used (\d+) registers", log)
    stack = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", log)
    numbers = (int(used[1]) if used else -1, *(map(int, stack.groups()) if stack else (-1, -1)))
    return Cubin(data, "ptxas", *numbers)


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise TargetError(f"{os.path.basename(words[0])}: {'; '.join(said[:4])}")
    return done


# nvJitLink ----------------------------------------------------------------------------------------


@functools.cache
def _nvjitlink() -> ctypes.CDLL | None:
    names = [*_in_wheels("lib/libnvJitLink.so.*"), "libnvJitLink.so.13", "libnvJitLink.so.12"]
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _by_nvjitlink(ptx: str, arch: Architecture) -> Cubin:
    library = _nvjitlink()
    if library is None:
        raise TargetError("nvJitLink is not installed", hint=_HINT)
    options = [f"-arch={arch.name}".encode(), b"-O3"]
    words = (c_char_p * len(options))(*options)
    handle = c_void_p()
    if library.nvJitLinkCreate(byref(handle), c_uint32(len(options)), words):
        raise TargetError(f"nvJitLink does not know {arch.name}")
    try:
        source = ptx.encode() + b"\0"
        steps = (
            lambda: library.nvJitLinkAddData(
                handle, c_int(_PTX_INPUT), source, c_size_t(len(source)), b"kernel"
            ),
            lambda: library.nvJitLinkComplete(handle),
        )
        if any(step() for step in steps):
            raise TargetError(f"nvJitLink: {_text(library, handle).strip()}")
        size = c_size_t()
        library.nvJitLinkGetLinkedCubinSize(handle, byref(size))
        data = ctypes.create_string_buffer(size.value)
        library.nvJitLinkGetLinkedCubin(handle, data)
        return Cubin(data.raw, "nvjitlink")
    finally:
        library.nvJitLinkDestroy(byref(handle))


def _text(library: ctypes.CDLL, handle: c_void_p) -> str:
    size = c_size_t()
    library.nvJitLinkGetErrorLogSize(handle, byref(size))
    log = ctypes.create_string_buffer(size.value + 1)
    library.nvJitLinkGetErrorLog(handle, log)
    return log.value.decode(errors="replace")
