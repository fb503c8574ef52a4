"""The parts of matrix products (`codegen/gemm/leaves.py`) that this process has, by the key of
their tile; what a running product misses is read from the disk cache, or compiled and kept there.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from symgraph import callbacks
from symgraph.codegen.gemm.tiles import HEAD, parts, tile_of
from symgraph.executor import cached_objects, load_codes
from symgraph.runtime.later import Later
from symgraph.runtime.sources import compiler_digest

_text = Later("symgraph.codegen.gemm.parts")  # the writers of parts, which few processes need
_ASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
_records: dict[str, Record] = {}
_by_address: dict[int, Record] = {}
_lock = threading.Lock()


class Record:
    """The record of a tile's parts, which lives as long as the process, as products hold it.

    >>> record = Record("float32 16 8 3 1")
    >>> record.names[:2], record.words[0]
    (['tile_1x1', 'tile_1x2'], 0)
    """

    def __init__(self, key: str) -> None:
        self.key, self.tile = key, tile_of(key)
        self.names = parts(self.tile)
        self.words = (ctypes.c_int64 * (HEAD + len(self.names)))()
        self.words[1] = ctypes.cast(_ask, ctypes.c_void_p).value or 0
        self.address = ctypes.addressof(self.words)
        self.code: list[Any] = []

    def make(self, bits: int) -> None:
        """Fill in the parts that the bits stand for. Raises compile_object's errors."""
        wanted = [name for k, name in enumerate(self.names) if bits >> k & 1]
        digest = compiler_digest()
        modules = {n: {"part": n, "tile": self.key, "compiler": digest} for n in wanted}
        objects = cached_objects("part", modules, self._text)
        made = load_codes([(objects[name], ["part"]) for name in wanted])
        with _lock:
            for name, code in zip(wanted, made, strict=True):
                self.code.append(code)
                self.words[HEAD + self.names.index(name)] = code.address("part")
            self.words[0] |= bits  # last: a thread that sees a bit calls the part

    def _text(self, name: str) -> str:
        text: str = _text.part_text(self.tile, name)
        return text


@_ASK
def _ask(address: int, bits: int) -> None:
    """What a product calls, in the thread that called the program."""
    try:
        _by_address[address].make(bits)
    except BaseException as error:
        callbacks.keep(error)


def record(key: str) -> int:
    """The address of the record of a tile.

    >>> record("float32 16 8 3 1") == record("float32 16 8 3 1")
    True
    """
    found = _records.get(key)
    if found is None:
        with _lock:
            found = _records.setdefault(key, Record(key))
            _by_address[found.address] = found
    return found.address
