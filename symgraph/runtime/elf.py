"""Loads relocatable ELF objects into executable memory, so that a warm start needs no llvmlite.

Made for the objects that our code generator emits (x86-64, `reloc="pic"`, no writable data): the
sections are laid out in one private mapping, code first and read-only data on its own pages,
relocations inside the image are patched, and then the pages become read+execute and read-only; no
page is ever writable and executable. Calls of a few C functions go through trampolines behind the
code. What is not understood raises `UnsupportedObject`, and the caller takes LLVM's linker.

    code | trampolines || slots (addresses) | read-only data

Several objects that are loaded together share the mapping, each part of one behind that of another.

Source: System V ABI, AMD64 supplement, chapter 4 (object files, relocation types).
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from symgraph.records import NamedTuple

#: C functions that LLVM calls by itself or that code may name: they touch no global state of ours
EXTERNALS = frozenset(
    "memcpy memmove memset memcmp bcmp fmod fmodf pow powf exp expf log logf sin sinf cos cosf tan"
    " tanf tgamma lgamma ldexp ldexpf frexp fma fmaf".split()
)

_ET_REL, _EM_X86_64 = 1, 62
_PROGBITS, _SYMTAB, _RELA, _NOBITS, _REL, _UNWIND = 1, 2, 4, 8, 9, 0x70000001
_WRITE, _ALLOC, _EXEC, _TLS = 0x1, 0x2, 0x4, 0x400
_SHN_UNDEF, _SHN_LORESERVE, _LOCAL = 0, 0xFF00, 0

# relocation types of the AMD64 supplement
_R64, _PC32, _PLT32, _GOTPCREL, _PC64, _GOTPCRELX, _REX_GOTPCRELX = 1, 2, 4, 9, 24, 41, 42

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_SYM = struct.Struct("<IBBHQQ")
_RELOC = struct.Struct("<QQq")

_PROT_READ, _PROT_EXEC = 1, 4
_MAX_SIZE = 1 << 30  # half the reach of a relative call, and more than any code of ours
_LINE = 64  # a line of the cache, at which the code of each object begins
_STUB = 8  # jmp *slot(%rip) is six bytes


class UnsupportedObject(Exception):
    """The bytes are no object of the plain kind that this loader understands."""


class LoadedCode(Protocol):
    """What the rest of the runtime asks of loaded machine code, whoever loaded it."""

    def address(self, symbol: str) -> int:
        """The address of a defined symbol; KeyError for others."""
        ...


class LoadedObject:
    """Machine code in memory. The memory is given back when this object is collected."""

    __slots__ = ("__weakref__", "_base", "_memory", "_symbols", "size")

    def __init__(self, memory: mmap.mmap, base: int, symbols: dict[str, int]) -> None:
        self._memory = memory  # unmaps itself when it dies
        self._base = base
        self._symbols = symbols
        self.size = len(memory)

    def address(self, symbol: str) -> int:
        """The address of a defined symbol; KeyError for others."""
        return self._base + self._symbols[symbol]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names that `address` knows."""
        return tuple(self._symbols)

    def __repr__(self) -> str:
        return f"<LoadedObject {self.size} bytes at {self._base:#x}: {', '.join(self._symbols)}>"


def load(blob: bytes) -> LoadedObject:
    """Lay out, link and protect a relocatable x86-64 ELF object. Raises as `load_all` does."""
    (loaded,) = load_all([blob])
    return loaded


def load_all(blobs: Sequence[bytes]) -> list[LoadedObject]:
    """The same for several objects, side by side in one mapping, as most are smaller than a page;
    it is given back with the last of them.

    Raises UnsupportedObject for another format or machine, writable data, unknown relocations,
    undefined symbols outside `EXTERNALS`, and where the system refuses executable memory.
    """
    if not supported_here():
        raise UnsupportedObject("this loader serves Linux on x86-64")
    try:
        return _linked([_Image(_parse(blob)) for blob in blobs])
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise UnsupportedObject(f"damaged object: {error}") from error
    except OSError as error:
        raise UnsupportedObject(f"no executable memory: {error}") from error


@functools.cache
def supported_here() -> bool:
    """Whether this loader can work on this system at all.

    >>> isinstance(supported_here(), bool)
    True
    """
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    return os.uname().machine == "x86_64"


# reading ------------------------------------------------------------------------------------------


_Relocation = tuple[int, int, int, int, int]  # section, offset in it, symbol, type, addend


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entsize: int


class _Symbol(NamedTuple):
    name: int
    info: int
    other: int
    section: int
    value: int
    size: int


# from what struct read, without a call of Python for each
_section = functools.partial(tuple.__new__, _Section)
_symbol = functools.partial(tuple.__new__, _Symbol)


class _Object(NamedTuple):
    blob: bytes
    sections: list[_Section]
    symbols: list[_Symbol]
    symbol_names: _Section
    section_names: _Section

    def name(self, symbol: _Symbol) -> str:
        return self._text(self.symbol_names.offset + symbol.name).decode("utf-8")

    def section_name(self, section: _Section) -> bytes:
        return self._text(self.section_names.offset + section.name)

    def _text(self, start: int) -> bytes:
        return self.blob[start : self.blob.index(b"\0", start)]


def _parse(blob: bytes) -> _Object:
    ident, kind, machine, _, _, _, shoff, _, _, _, _, entsize, count, names = _EHDR.unpack_from(
        blob
    )
    if ident[:6] != b"\x7fELF\x02\x01" or (kind, machine) != (_ET_REL, _EM_X86_64):
        raise UnsupportedObject("not a relocatable x86-64 ELF object")
    if entsize != _SHDR.size or not count:
        raise UnsupportedObject("unusual section table")
    table = blob[shoff : shoff + count * entsize]
    if len(table) < count * entsize:
        raise UnsupportedObject("the section table lies outside the file")
    sections: list[_Section] = list(map(_section, _SHDR.iter_unpack(table)))
    for s in sections:
        if s.type != _NOBITS and s.offset + s.size > len(blob):
            raise UnsupportedObject("a section lies outside the file")
    tables = [s for s in sections if s.type == _SYMTAB]
    if len(tables) != 1:
        raise UnsupportedObject(f"{len(tables)} symbol tables")
    table = blob[tables[0].offset : tables[0].offset + tables[0].size]
    symbols: list[_Symbol] = list(map(_symbol, _SYM.iter_unpack(table)))
    return _Object(blob, sections, symbols, sections[tables[0].link], sections[names])


# linking ------------------------------------------------------------------------------------------


class _Image:
    """One object on its way into memory. Offsets count from the start of the mapping."""

    def __init__(self, obj: _Object) -> None:
        self.obj = obj
        # unwind tables describe frames for C++ exceptions: nothing here throws or registers them
        self.placed = [
            k
            for k, s in enumerate(obj.sections)
            if s.flags & _ALLOC and s.size and obj.section_name(s) != b".eh_frame"
        ]
        self.place: dict[int, int] = {}  # section -> offset
        self.slots: dict[int, int] = {}  # symbol -> offset of the word that holds its address
        self.stubs: dict[int, int] = {}  # undefined symbol -> offset of its trampoline
        self.values: dict[int, int] = {}  # undefined symbol -> its address in the process
        self.relocations = list(self._relocations())
        self.code, self.data = self._sorted()

    def _relocations(self) -> Iterator[_Relocation]:
        obj = self.obj
        for s in obj.sections:
            if s.type not in (_RELA, _REL) or s.info not in self.placed:
                continue
            if s.type == _REL:
                raise UnsupportedObject("relocations without addends")
            for offset, info, addend in _RELOC.iter_unpack(obj.blob[s.offset : s.offset + s.size]):
                yield s.info, offset, info >> 32, info & 0xFFFFFFFF, addend

    def _sorted(self) -> tuple[list[int], list[int]]:
        """The sections of code and those of data."""
        code: list[int] = []
        data: list[int] = []
        for k in self.placed:
            s = self.obj.sections[k]
            if s.flags & (_TLS | _WRITE):
                relro = self.obj.section_name(s).startswith(b".data.rel.ro")  # constant once linked
                if s.flags & _TLS or not relro:
                    raise UnsupportedObject("writable or thread-local data")
            if s.type not in (_PROGBITS, _UNWIND, _NOBITS):
                raise UnsupportedObject(f"section type {s.type:#x}")
            if s.align & (s.align - 1) or s.align > mmap.PAGESIZE:
                raise UnsupportedObject(f"alignment {s.align}")
            (code if s.flags & _EXEC else data).append(k)
        return code, data

    def lay_out_code(self, start: int) -> int:
        """Give places to code and trampolines, from ``start`` on; where they end."""
        stubs, self.wanted = self._indirections()
        end = self._stack(self.code, start)
        return self._number(stubs, self.stubs, _up(end, 16), _STUB)

    def lay_out_data(self, start: int) -> int:
        """Give places to words with addresses and to data, from ``start`` on; where they end."""
        return self._stack(self.data, self._number(self.wanted, self.slots, _up(start, 8), 8))

    def _indirections(self) -> tuple[list[int], list[int]]:
        """Symbols that need a trampoline, and symbols that need a word with their address."""
        stubs: dict[int, None] = {}
        slots: dict[int, None] = {}
        for _, _, symbol, kind, _ in self.relocations:
            undefined = self.obj.symbols[symbol].section == _SHN_UNDEF
            if undefined:
                self.values[symbol] = _external(self.obj.name(self.obj.symbols[symbol]))
            if undefined and kind in (_PC32, _PLT32):
                stubs[symbol] = slots[symbol] = None
            elif kind in (_GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX):
                slots[symbol] = None
        return list(stubs), list(slots)

    def _stack(self, sections: list[int], end: int) -> int:
        for k in sections:
            s = self.obj.sections[k]
            self.place[k] = _up(end, max(1, s.align))
            end = self.place[k] + s.size
        return end

    @staticmethod
    def _number(symbols: list[int], table: dict[int, int], start: int, step: int) -> int:
        table.update((symbol, start + step * k) for k, symbol in enumerate(symbols))
        return start + step * len(symbols)

    def write(self, memory: mmap.mmap, base: int) -> dict[str, int]:
        """Copy and patch everything at its place in the mapping; what the object defines."""
        for k, start in self.place.items():
            s = self.obj.sections[k]
            if s.type != _NOBITS:
                memory[start : start + s.size] = self.obj.blob[s.offset : s.offset + s.size]
        for symbol, offset in self.slots.items():
            struct.pack_into("<Q", memory, offset, self._address(symbol, base))
        for symbol, offset in self.stubs.items():
            jump = struct.pack("<HiH", 0x25FF, self.slots[symbol] - (offset + 6), 0xCCCC)
            memory[offset : offset + _STUB] = jump
        for relocation in self.relocations:
            self._patch(memory, base, relocation)
        return self._defined()

    def _offset(self, symbol: int) -> int:
        """Where a defined symbol lies in the image."""
        s = self.obj.symbols[symbol]
        if s.section >= _SHN_LORESERVE or s.section not in self.place:
            raise UnsupportedObject(f"symbol {self.obj.name(s)!r} has no place in the image")
        if s.value > self.obj.sections[s.section].size:
            raise UnsupportedObject(f"symbol {self.obj.name(s)!r} lies outside its section")
        return self.place[s.section] + s.value

    def _address(self, symbol: int, base: int) -> int:
        known = self.values.get(symbol)
        return base + self._offset(symbol) if known is None else known

    def _patch(self, memory: mmap.mmap, base: int, relocation: _Relocation) -> None:
        section, offset, symbol, kind, addend = relocation
        wide = kind in (_R64, _PC64)
        if offset + (8 if wide else 4) > self.obj.sections[section].size:
            raise UnsupportedObject("a relocation lies outside its section")
        at = self.place[section] + offset
        if kind in (_PC32, _PLT32):
            stub = self.stubs.get(symbol)
            target = self._offset(symbol) if stub is None else stub
            struct.pack_into("<i", memory, at, target + addend - at)
        elif kind in (_GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX):
            struct.pack_into("<i", memory, at, self.slots[symbol] + addend - at)
        elif kind == _R64:
            value = (self._address(symbol, base) + addend) % (1 << 64)
            struct.pack_into("<Q", memory, at, value)
        elif kind == _PC64:
            value = self._address(symbol, base) + addend - (base + at)
            struct.pack_into("<q", memory, at, value)
        else:
            raise UnsupportedObject(f"relocation type {kind}")

    def _defined(self) -> dict[str, int]:
        """Offsets of the global symbols of placed sections."""
        found: dict[str, int] = {}
        for k, (name, info, _, section, _, _) in enumerate(self.obj.symbols):
            if info >> 4 != _LOCAL and name and section in self.place:
                found[self.obj.name(self.obj.symbols[k])] = self._offset(k)
        return found


def _linked(images: Sequence[_Image]) -> list[LoadedObject]:
    """Executable code of the images: first the code of all, then the data of all."""
    end = 0
    for image in images:
        end = image.lay_out_code(_up(end, _LINE))
    end = code_end = _up(end, mmap.PAGESIZE)
    for image in images:
        end = image.lay_out_data(end)
    size = max(mmap.PAGESIZE, _up(end, mmap.PAGESIZE))
    if size > _MAX_SIZE:
        raise UnsupportedObject(f"an image of {size} bytes")
    # private: a forked child must not share pages with its parent
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    loaded = [LoadedObject(memory, base, image.write(memory, base)) for image in images]
    _protect(base, code_end, _PROT_READ | _PROT_EXEC)
    _protect(base + code_end, size - code_end, _PROT_READ)
    return loaded


def _up(value: int, align: int) -> int:
    return -(-value // align) * align


@functools.cache
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None)


@functools.cache
def _external(name: str) -> int:
    """The address of an allowed C function in this process."""
    if name not in EXTERNALS:
        raise UnsupportedObject(f"undefined symbol {name!r}")
    for library in (_process, _libm):
        try:
            return ctypes.cast(getattr(library(), name), ctypes.c_void_p).value or 0
        except (AttributeError, OSError):
            continue
    raise UnsupportedObject(f"this system has no {name!r}")


@functools.cache
def _libm() -> ctypes.CDLL:
    return ctypes.CDLL("libm.so.6")


@functools.cache
def _mprotect() -> Any:
    function = ctypes.CDLL(None, use_errno=True).mprotect
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function


def _protect(address: int, size: int, protection: int) -> None:
    if size and _mprotect()(address, size, protection):
        raise OSError(ctypes.get_errno(), "mprotect")
