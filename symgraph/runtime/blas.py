"""BLAS and LAPACK routines by address, from the library that NumPy has already loaded.

NumPy's wheels bring an OpenBLAS; taking its routines costs 0.4 ms, imports nothing and, what counts
most, keeps one thread pool: two copies of OpenBLAS that take turns are four times slower than one.
Where NumPy has no such library (other builds, other systems), SciPy's `cython_blas` and
`cython_lapack` export the same routines as capsules.

All routines follow Fortran's conventions: every argument is a pointer, matrices are column-major,
no hidden string lengths are needed for one-letter options. Integers are 64 or 32 bits wide as
`int_bits` says; a little-endian caller may store 64-bit integers for both as long as they fit.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from symgraph.records import NamedTuple

_MAPS = "/proc/self/maps"
# (before, after the routine's name, bits): NumPy's wheels, other ILP64 builds, then plain names
_SPELLINGS = (("scipy_", "_64_", 64), ("", "_64_", 64), ("scipy_", "_", 32), ("", "_", 32))


class Routine(NamedTuple):
    """One Fortran routine: its address, the width of its integers, and where it comes from."""

    address: int
    int_bits: int
    source: str


@functools.cache
def blas_routine(name: str) -> Routine:
    """The BLAS or LAPACK routine called `name`, as `dgemm` or `spotrf`.

    Raises KeyError for a name that neither library has.

    >>> blas_routine("dgemm").int_bits in (32, 64)
    True
    """
    if not name.isidentifier() or not name.islower():
        raise KeyError(name)
    for path in _numpy_libraries():
        found = _from_library(path, name)
        if found is not None and (name not in _CHECKS or _CHECKS[name](found)):
            return found
    return _from_scipy(name)


def available() -> str:
    """One line for `symgraph doctor`: which library serves `dgemm`, and its threads."""
    try:
        routine = blas_routine("dgemm")
    except (KeyError, ImportError) as error:
        return f"none ({error})"
    threads = get_blas_threads()
    tail = "" if threads is None else f", {threads} thread{'s' if threads != 1 else ''}"
    return f"{routine.source} ({routine.int_bits}-bit integers{tail})"


def get_blas_threads() -> int | None:
    """Threads that the library of `dgemm` uses; None where it cannot be asked."""
    function = _thread_function("get")
    return None if function is None else int(function())


def set_blas_threads(count: int) -> bool:
    """Set the threads of the library of `dgemm`; False where it cannot be told.

    Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"a BLAS needs at least one thread, not {count}")
    function = _thread_function("set")
    if function is None:
        return False
    function(count)
    return True


# NumPy's own library ------------------------------------------------------------------------------


@functools.cache
def _numpy_libraries() -> tuple[str, ...]:
    """Paths of loaded libraries that may hold NumPy's BLAS, the likeliest first."""
    if not sys.platform.startswith("linux"):
        return ()
    # the extension that links against BLAS is loaded with NumPy itself
    home = os.path.dirname(os.path.dirname(os.path.abspath(np.__file__)))
    try:
        with open(_MAPS, encoding="utf-8", errors="surrogateescape") as maps:
            paths = {line[line.index("/") : -1] for line in maps if "/" in line and ".so" in line}
    except OSError:
        return ()
    wheels = [p for p in paths if _is_openblas(p) and p.startswith(os.path.join(home, "numpy"))]
    # a system's OpenBLAS serves NumPy where the wheel has none; SciPy's own comes through SciPy
    shared = [p for p in paths if _is_openblas(p) and "scipy" not in p and p not in wheels]
    return (*sorted(wheels), *sorted(shared if not wheels else ()))


def _is_openblas(path: str) -> bool:
    return "openblas" in os.path.basename(path)


@functools.cache
def _library(path: str) -> ctypes.CDLL | None:
    try:  # only what is loaded: never a second copy
        return ctypes.CDLL(path, mode=getattr(os, "RTLD_NOLOAD", 4))
    except OSError:
        return None


def _from_library(path: str, name: str) -> Routine | None:
    library = _library(path)
    if library is None:
        return None
    base = os.path.basename(path)
    for before, after, bits in _SPELLINGS:
        if bits == 32 and "64" in base:
            continue  # plain names in such a library say nothing about the width of integers
        address = _symbol(library, before + name + after)
        if address:
            owner = "NumPy's " if path in _numpy_libraries() and "numpy" in path else ""
            return Routine(address, bits, owner + base)
    return None


def _symbol(library: ctypes.CDLL, name: str) -> int:
    try:
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    except AttributeError:
        return 0


def _gemm_is_right(routine: Routine) -> bool:
    """A product of two small matrices, before the address is given to anyone."""
    number = ctypes.c_int64
    n, letter = number(2), ctypes.c_char(b"N")
    one, zero = ctypes.c_double(1.0), ctypes.c_double(0.0)
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    b = np.array([[5.0, -1.0], [0.5, 2.0]])
    c = np.full((2, 2), np.nan)
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(routine.address)
    at = ctypes.addressof
    size, option = at(n), at(letter)
    call(
        option, option, size, size, size, at(one), b.ctypes.data, size, a.ctypes.data, size,
        at(zero), c.ctypes.data, size,
    )  # fmt: skip
    return c.tolist() == [[6.0, 3.0], [17.0, 5.0]]


_CHECKS = {"dgemm": _gemm_is_right}


# SciPy's ------------------------------------------------------------------------------------------


def _from_scipy(name: str) -> Routine:
    for module in _scipy_modules():
        capsule = module.__pyx_capi__.get(name)
        if capsule is not None:
            return Routine(capsule_address(capsule), 32, f"SciPy's {module.__name__}")
    raise KeyError(name)


def _scipy_modules() -> Iterator[Any]:
    from scipy.linalg import cython_blas  # 100 ms or more: only when it is needed

    yield cython_blas
    from scipy.linalg import cython_lapack

    yield cython_lapack


def capsule_name(capsule: Any) -> str:
    """The name of a capsule: of Cython's the C signature of the function that it holds."""
    name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(
        ("PyCapsule_GetName", ctypes.pythonapi)
    )
    return bytes(name(capsule)).decode()


def capsule_address(capsule: Any) -> int:
    """The pointer that a capsule holds."""
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return int(pointer(capsule, capsule_name(capsule).encode()))


# threads ------------------------------------------------------------------------------------------


@functools.cache
def _thread_function(verb: str) -> Any:
    """`openblas_get_num_threads` or `openblas_set_num_threads` of the library that serves dgemm."""
    source = blas_routine("dgemm").source
    for path in _numpy_libraries():
        library = _library(path)
        if library is None or os.path.basename(path) not in source:
            continue
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", ""):
                address = _symbol(library, f"{prefix}_{verb}_num_threads{suffix}")
                if address and verb == "get":
                    return ctypes.CFUNCTYPE(ctypes.c_int)(address)
                if address:
                    return ctypes.CFUNCTYPE(None, ctypes.c_int)(address)
    return None


# one thread for a while ---------------------------------------------------------------------------

#: where in a record of 32 bytes compiled code finds a lock (i32), how many have asked for quiet
#: (i32), the threads that there were before (i64), and the functions that get and set them
QUIET = {"lock": 0, "users": 4, "before": 8, "get": 16, "set": 24}


@functools.cache
def quiet_record() -> int:
    """The address of the record by which compiled code has the library use one thread while the
    team's threads call it, each for matrices of its own. Its functions are 0 where the library
    cannot be told. A child process begins with what its parent had before."""
    memory = ctypes.create_string_buffer(32)
    record = ctypes.addressof(memory)
    for verb in ("get", "set"):
        function = _thread_function(verb)
        address = 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value
        ctypes.c_int64.from_address(record + QUIET[verb]).value = address or 0
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=functools.partial(_after_fork, memory))
    return record


def _after_fork(memory: Any) -> None:
    record = ctypes.addressof(memory)
    users = ctypes.c_int32.from_address(record + QUIET["users"])
    if users.value:
        set_blas_threads(ctypes.c_int64.from_address(record + QUIET["before"]).value)
    users.value = ctypes.c_int32.from_address(record + QUIET["lock"]).value = 0
