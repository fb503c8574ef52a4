"""LLVM's library through ctypes: parse, verify, emit, and what it knows of the host.

The library is the one inside llvmlite. Its Python half is not imported (15 of 20 ms, for classes of
every LLVM object), and its lock around all of LLVM is not taken: each module here has a context of
its own and each thread its own target machines, so threads compile at the same time.

The functions and their types are those of `llvmlite.binding`; a test compares the two.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from ctypes import byref, c_bool, c_char_p, c_int, c_size_t, c_uint, c_void_p
from typing import Any

_NAMES = {"darwin": "libllvmlite.dylib", "win32": "llvmlite.dll"}
_OUT = ctypes.POINTER(c_char_p)

# name: (result, arguments); pointers to LLVM's own types are plain addresses
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "InitializeNativeTarget": (None, []),
    "InitializeNativeAsmPrinter": (None, []),
    "InitializeNativeAsmParser": (None, []),
    "GetVersionInfo": (c_uint, []),
    "GetProcessTriple": (None, [_OUT]),
    "GetHostCPUName": (None, [_OUT]),
    "GetHostCPUFeatures": (c_int, [_OUT]),
    "DisposeString": (None, [c_char_p]),
    "ContextCreate": (c_void_p, []),
    "ContextDispose": (None, [c_void_p]),
    "ParseAssembly": (c_void_p, [c_void_p, c_char_p, _OUT]),
    "VerifyModule": (c_bool, [c_void_p, _OUT]),
    "DisposeModule": (None, [c_void_p]),
    "GetTargetFromTriple": (c_void_p, [c_char_p, _OUT]),
    "CreateTargetMachine": (c_void_p, [
        c_void_p, c_char_p, c_char_p, c_char_p, c_int, c_char_p, c_char_p, c_int, c_int, c_char_p,
    ]),
    "DisposeTargetMachine": (None, [c_void_p]),
    "TargetMachineEmitToMemory": (c_void_p, [c_void_p, c_void_p, c_int, _OUT]),
    "GetBufferStart": (c_void_p, [c_void_p]),
    "GetBufferSize": (c_size_t, [c_void_p]),
    "DisposeMemoryBuffer": (None, [c_void_p]),
}  # fmt: skip


# During these other threads run. To get the interpreter back from a busy thread takes a while
# (`runtime/crew.py`), so the others, of a few microseconds, keep it.
_LONG = frozenset(["ParseAssembly", "VerifyModule", "TargetMachineEmitToMemory"])


class LLVMError(RuntimeError):
    """What LLVM says against a module or a target."""


class Machine:
    """A target machine: code for one target at one level. Not to be shared between threads."""

    def __init__(self, library: Library, triple: str, cpu: str, features: str, opt: int) -> None:
        self._call = call = library.call
        found = library.told(lambda out: call["GetTargetFromTriple"](triple.encode(), out))
        words = (triple.encode(), cpu.encode(), features.encode(), opt, b"pic", b"small", 0, 0, b"")
        self._address = call["CreateTargetMachine"](found, *words)
        if not self._address:
            raise LLVMError(f"no code generator for {triple}")
        self._library = library

    def __del__(self) -> None:
        if getattr(self, "_address", None):
            self._call["DisposeTargetMachine"](self._address)

    def emit(self, text: str, as_object: bool) -> bytes:
        """The object file of a module, or its assembly language.

        Raises LLVMError for text that LLVM refuses.
        """
        call, told = self._call, self._library.told
        context = call["ContextCreate"]()
        module = None
        try:
            module = told(lambda out: call["ParseAssembly"](context, text.encode(), out))
            told(lambda out: call["VerifyModule"](module, out))
            buffer = told(
                lambda out: call["TargetMachineEmitToMemory"](self._address, module, as_object, out)
            )
            try:
                start, size = call["GetBufferStart"](buffer), call["GetBufferSize"](buffer)
                return ctypes.string_at(start, size)
            finally:
                call["DisposeMemoryBuffer"](buffer)
        finally:
            if module:
                call["DisposeModule"](module)
            call["ContextDispose"](context)


class Library:
    """The loaded library with the host's code generator ready."""

    def __init__(self, path: str) -> None:
        handle = _opened(path)
        quick = ctypes.PyDLL(path, handle=handle._handle)
        self.call: dict[str, Any] = {}
        for name, (result, arguments) in FUNCTIONS.items():
            # of our own: attributes would be llvmlite's too
            function = (handle if name in _LONG else quick)["LLVMPY_" + name]
            function.restype, function.argtypes = result, arguments
            self.call[name] = function
        self.call["InitializeNativeTarget"]()
        self.call["InitializeNativeAsmPrinter"]()
        self.call["InitializeNativeAsmParser"]()

    def told(self, function: Any) -> Any:
        """The result of a function that is handed a place for a complaint.

        Raises LLVMError with the complaint.
        """
        out = c_char_p()
        result = function(byref(out))
        if not out:
            return result
        message = (out.value or b"").decode(errors="replace")
        self.call["DisposeString"](out)
        if message:
            raise LLVMError(message)
        return result

    def _text(self, name: str) -> str:
        out = c_char_p()
        self.call[name](byref(out))
        found = (out.value or b"").decode()
        self.call["DisposeString"](out)
        return found

    def version(self) -> str:
        """The version of LLVM."""
        packed: int = self.call["GetVersionInfo"]()
        parts = [packed >> shift & 0xFF for shift in (24, 16, 8, 0)]
        while parts and not parts[0]:
            parts.pop(0)
        return ".".join(map(str, parts))

    def host(self) -> tuple[str, str, str]:
        """Triple, processor and its features, sorted by name."""
        features = self._text("GetHostCPUFeatures").split(",")
        ordered = ",".join(sorted((f for f in features if f), key=lambda f: f[1:]))
        return self._text("GetProcessTriple"), self._text("GetHostCPUName"), ordered


def _opened(path: str) -> ctypes.CDLL:
    """The library at a path. ctypes itself holds the interpreter's lock while a library is loaded
    (a third of a million relocations here, 12 ms); a foreign function is called without."""
    if not sys.platform.startswith("linux"):
        return ctypes.CDLL(path)
    function = ctypes.CDLL(None)["dlopen"]
    function.restype, function.argtypes = c_void_p, [c_char_p, c_int]
    handle = function(os.fsencode(path), os.RTLD_NOW | os.RTLD_LOCAL)
    return ctypes.CDLL(path, handle=handle) if handle else ctypes.CDLL(path)


@functools.cache
def library() -> Library:
    """The process's LLVM; the first call loads it."""
    return Library(_path())


def _path() -> str:
    """Where the library lies; llvmlite itself is asked where it is not in its usual place."""
    spec = importlib.util.find_spec("llvmlite")
    if spec is not None and spec.origin is not None:
        name = _NAMES.get(sys.platform, "libllvmlite.so")
        path = os.path.join(os.path.dirname(spec.origin), "binding", name)
        if os.path.exists(path):
            return path
    import llvmlite.binding.ffi

    found: str = llvmlite.binding.ffi.lib._name
    return found
