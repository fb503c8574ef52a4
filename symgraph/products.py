"""The parts of matrix products (`codegen/gemm/leaves.py`) that this process has, by the key of
their tile; what a running product misses is read from the disk cache, or compiled and kept there.

What the calls of a function asked for is kept for it too, so that another process has all of it in
one file before the first call.
"""

from __future__ import annotations

import collections
import ctypes
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from symgraph import callbacks
from symgraph.executor import load_codes, parts
from symgraph.runtime.cache import Cache, Key
from symgraph.runtime.later import Later

_tiles = Later("symgraph.codegen.gemm.tiles")  # the names of parts, by which they are written
_text = Later("symgraph.codegen.gemm.parts")  # and their writers, which few processes need
_tuned = Later("symgraph.codegen.tuned")
_ASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
_records: dict[str, Record] = {}
_by_address: dict[int, Record] = {}
_lock = threading.Lock()

HEAD = 2  # words of a record before the addresses of parts, as in tiles.py
MOST = 64  # parts of a tile: a bit for each in one word
FUNCTIONS = 4  # of a process, for which what a record is asked for is kept: the latest


class Record:
    """The record of a tile's parts, which lives as long as the process, as products hold it.

    >>> record = Record("float32 16 8 3 1 0")
    >>> record.names[:2], record.words[0]
    (['tile_1x1', 'tile_1x2'], 0)
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.words = (ctypes.c_int64 * (HEAD + MOST))()
        self.words[1] = ctypes.cast(_ask, ctypes.c_void_p).value or 0
        self.address = ctypes.addressof(self.words)
        self.code: list[Any] = []
        self.functions: collections.deque[Asked] = collections.deque(maxlen=FUNCTIONS)

    @property
    def names(self) -> list[str]:
        """The parts in the order of their bits."""
        found: list[str] = _tiles.parts(_tiles.tile_of(self.key))
        return found

    def make(self, bits: int) -> None:
        """Fill in the parts that the bits stand for. Raises compile_object's errors."""
        numbers = [k for k in range(MOST) if bits >> k & 1]
        objects = parts("product", self.key, [*map(str, numbers)], self._text)
        made = load_codes([(objects[str(k)], ["part"]) for k in numbers])
        self.fill(dict(zip(numbers, made, strict=True)))
        for function in self.functions:
            function.add(self.key, objects)

    def fill(self, codes: Mapping[int, Any]) -> None:
        """Fill in parts by their numbers."""
        with _lock:
            for k, code in codes.items():
                self.code.append(code)
                self.words[HEAD + k] = code.address("part")
            self.words[0] |= sum(1 << k for k in codes)  # last: who sees a bit calls the part

    def _text(self, number: str) -> str:
        tile = _tiles.tile_of(self.key)
        text: str = _text.part_text(tile, self.names[int(number)])
        return text


class Asked:
    """What calls of one function asked for, in this process and in earlier ones."""

    def __init__(self, cache: Cache, function: Key) -> None:
        self.cache, self.key = cache, Key("asked", {"function": function.hexdigest})
        self.objects: dict[str, bytes] = {}

    def add(self, tile: str, objects: Mapping[str, bytes]) -> None:
        """Keep these parts of a tile, by their numbers, in the disk cache."""
        self.objects.update({f"{tile}/{number}": blob for number, blob in objects.items()})
        self.cache.put_later(self.key, {}, self.objects)

    def load(self) -> None:
        """Make what earlier processes kept."""
        found = self.cache.get(self.key)
        if found is None:
            return
        self.objects.update(found.sections)
        places = [name.rpartition("/") for name in self.objects]
        wanted = [
            (record_, int(number), blob)
            for (tile, _, number), blob in zip(places, self.objects.values(), strict=True)
            for record_ in [_record(tile)]
            if not record_.words[0] >> int(number) & 1
        ]
        made = load_codes([(bytes(blob), ["part"]) for _, _, blob in wanted]) if wanted else []
        for (each, number, _), code in zip(wanted, made, strict=True):
            each.fill({number: code})


def tiles_chosen() -> str:
    """What was chosen for tiles on this machine, of which functions with products know: one that
    was compiled with another choice is compiled again."""
    found: str = _tuned.state()
    return found


def remember(cache: Cache, function: Key, tiles: Iterable[str], warm: bool) -> None:
    """Keep what calls of a function ask for, of parts of these tiles; where the function is from
    the disk cache, load what they asked for before."""
    asked = Asked(cache, function)
    if warm:
        asked.load()
    for tile in dict.fromkeys(tiles):
        _record(tile).functions.append(asked)


@_ASK
def _ask(address: int, bits: int) -> None:
    """What a product calls, in the thread that called the program."""
    try:
        _by_address[address].make(bits)
    except BaseException as error:
        callbacks.keep(error)


def record(key: str) -> int:
    """The address of the record of a tile.

    >>> record("float32 16 8 3 1 0") == record("float32 16 8 3 1 0")
    True
    """
    return _record(key).address


def _record(key: str) -> Record:
    found = _records.get(key)
    if found is None:
        with _lock:
            found = _records.setdefault(key, Record(key))
            _by_address[found.address] = found
    return found
