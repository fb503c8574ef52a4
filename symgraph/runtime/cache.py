"""The disk cache: artefacts by key, shared by processes, safe by doubting everything.

A directory of self-describing files (`runtime/artifact.py`), `ab/cdef....sgc` after the digest of
the key. Publishing is one atomic rename of a finished temporary file in the same directory; reading
takes no lock. Whatever is doubtful (a file cut short, flipped bits, another schema, a foreign
owner, a symbolic link, a full disk, missing rights) is a miss or an unwritten entry and never an
exception.

The directory must belong to the user and be writable for nobody else, because its files become
machine code; it is created with mode 0700, and one that is not so is not used.

Several kinds share it: `function` (the hash of the user's graph, options and target finds the
finished artefact), `kernel` (shared between functions), `part`, `parts` and `asked` (of products,
singly, as they are asked for, and all for the calls of a function), `repaired` (what rules made of
a graph before its derivatives were taken), `tiles` (what `symgraph tune` chose); `runtime` holds
our own modules.
"""

from __future__ import annotations

import importlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from symgraph import config
from symgraph.records import NamedTuple
from symgraph.runtime.artifact import (
    Artifact,
    Difference,
    InvalidArtifact,
    Key,
    canonical_json,
    decode,
    decode_header,
    encode,
    header_size,
    key_of,
    why,
)
from symgraph.runtime.private_files import (
    TEMPORARY,
    NotPrivate,
    make_private,
    publish,
    read,
    refusal,
    unlink,
)

if TYPE_CHECKING:
    from symgraph.runtime.postponed import Postponed

__all__ = [
    "Artifact",
    "Cache",
    "Difference",
    "Entry",
    "Key",
    "default_directory",
    "open_cache",
    "settle",
    "why",
]

_SUFFIX = ".sgc"
_HEX = frozenset("0123456789abcdef")
_MAX_FILE = 1 << 31
_BLOCK = 4096  # what a small file really takes
_STALE_AFTER = 3600.0  # seconds after which a temporary file's writer is taken for dead
_SLACK = 32  # pruning is expected once in cap/32 written bytes, and makes that much room at least


class Entry(NamedTuple):
    """One row of `Cache.ls`."""

    hexdigest: str
    kind: str  # "?" for a file whose header cannot be read
    size: int
    used: float  # seconds since the epoch, to the hour
    key: Key | None
    meta: Mapping[str, Any]


class Removed(NamedTuple):
    """A file that `Cache.verify` took away, and why."""

    path: str
    reason: str


class Cache:
    """Artefacts under `directory`, at most about `cap` bytes of them. Making one touches no file.

    >>> import tempfile
    >>> cache = Cache(os.path.join(tempfile.mkdtemp(), "cache"))
    >>> key = Key("kernel", {"graph": "f00d"})
    >>> cache.put(key, {"name": "gelu"}, {"object": b"code"})
    True
    >>> cache.get(key).sections["object"]
    b'code'
    >>> cache.get(Key("kernel", {"graph": "other"})) is None
    True
    """

    def __init__(self, directory: str | os.PathLike[str], cap: int = 1 << 30) -> None:
        self.directory = os.path.abspath(os.fspath(directory))
        self.cap = cap
        self.hits = self.misses = self.writes = 0

    # reading and writing --------------------------------------------------------------------------

    def get(self, key: Key) -> Artifact | None:
        """The artefact of a key, or None. Never raises for anything found on the disk."""
        path = self._path(key.hexdigest)
        artifact = _postponed.find((self, key)) if _postponed is not None else None
        if artifact is not None:  # as it will be read
            self.hits += 1
            return Artifact(key, json.loads(canonical_json(artifact.meta)), artifact.sections)
        try:
            if refusal(self.directory) is None and refusal(os.path.dirname(path)) is None:
                artifact = decode(read(path, _MAX_FILE, note_use=True))
                if artifact.key != key:  # another's file under this name
                    artifact = None
        except (OSError, InvalidArtifact, MemoryError):
            artifact = None
        if artifact is None:
            self.misses += 1
        else:
            self.hits += 1
        return artifact

    def put(self, key: Key, meta: Mapping[str, Any], sections: Mapping[str, bytes]) -> bool:
        """Store an artefact; True when it is there for everyone. Full disks, missing rights and
        refused directories give False.

        Raises TypeError or ValueError for `meta` that JSON cannot hold.
        """
        content = encode(key, meta, sections)
        if len(content) > min(self.cap, _MAX_FILE):
            return False
        path = self._path(key.hexdigest)
        try:
            os.makedirs(os.path.dirname(self.directory), exist_ok=True)
            for directory in (self.directory, os.path.dirname(path)):
                if not make_private(directory):
                    return False
            publish(path, content)
        except (OSError, MemoryError):
            return False
        self.writes += 1
        # each write prunes with a chance of its size in cap/32, taken from its own digest: no
        # counter is shared between processes, and the cost of scanning is spread evenly
        draw = int.from_bytes(content[-8:], "little") / 2.0**64
        if draw * self.cap < _SLACK * _taken(len(content)):
            self.prune()
        return True

    def remove(self, key: Key) -> bool:
        """Take the artefact of a key away; whether there was one."""
        settle()
        try:
            return refusal(self.directory) is None and unlink(self._path(key.hexdigest))
        except OSError:
            return False

    def put_later(self, key: Key, meta: Mapping[str, Any], sections: Mapping[str, bytes]) -> None:
        """The same a moment later, by another thread, before the process ends; `get` finds it at
        once."""
        global _postponed
        if _postponed is None:
            _postponed = importlib.import_module("symgraph.runtime.postponed").LATER
        artifact = Artifact(key, dict(meta), dict(sections))
        _postponed.add((self, key), artifact, lambda: self.put(*artifact))

    def _path(self, hexdigest: str) -> str:
        return os.path.join(self.directory, hexdigest[:2], hexdigest[2:] + _SUFFIX)

    # looking --------------------------------------------------------------------------------------

    def refusal(self) -> str | None:
        """Why the directory is not used, in words; None when it is good (or not there yet)."""
        try:
            return refusal(self.directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{self.directory}: {error.strerror or error}"

    def ls(self) -> list[Entry]:
        """All entries, the most recently used first. Headers are read, digests not checked."""
        settle()
        entries = [_entry(path, status) for path, status in self._files() if _is_entry(path)]
        return sorted(entries, key=lambda e: (-e.used, e.hexdigest))

    def stats(self) -> dict[str, Any]:
        """Directory, entries and bytes in all and by kind, the cap, and this process's hits."""
        entries = self.ls()
        kinds: dict[str, int] = {}
        for e in entries:
            kinds[e.kind] = kinds.get(e.kind, 0) + 1
        return {
            "directory": self.directory,
            "refused": self.refusal(),
            "entries": len(entries),
            "bytes": sum(e.size for e in entries),
            "cap": self.cap,
            "kinds": dict(sorted(kinds.items())),
            "hits": self.hits,
            "misses": self.misses,
            "writes": self.writes,
        }

    def find(self, prefix: str) -> list[Entry]:
        """The entries whose digest starts with `prefix`."""
        return [e for e in self.ls() if e.hexdigest.startswith(prefix)]

    def nearest(self, key: Key) -> tuple[Key, list[Difference]] | None:
        """The stored key of the same kind that differs in the fewest ingredients, and these: why a
        lookup missed. Of equally near ones the most recently used."""
        stored = [e.key for e in self.ls() if e.key is not None and e.kind == key.kind]
        if not stored:
            return None
        return min(((k, why(k, key)) for k in stored), key=lambda pair: len(pair[1]))

    # keeping in order -----------------------------------------------------------------------------

    def clear(self) -> int:
        """Remove all entries and temporary files; returns how many entries. Other files stay."""
        settle()
        removed = sum(unlink(path) and _is_entry(path) for path, _ in self._files())
        for shard in self._shards():
            try:
                os.rmdir(shard)
            except OSError:  # not empty, as somebody writes
                continue
        return removed

    def verify(self) -> list[Removed]:
        """Check every entry's digest and name; take bad ones away and tell which and why."""
        settle()
        removed = []
        for path, status in self._files():
            reason = self._fault(path, status)
            if reason is not None and unlink(path):
                removed.append(Removed(path, reason))
        return removed

    def _fault(self, path: str, status: os.stat_result) -> str | None:
        if not _is_entry(path):
            return "left by a writer that died" if _stale(status) else None
        if not stat.S_ISREG(status.st_mode):
            return "no regular file"
        try:
            artifact = decode(read(path, _MAX_FILE))
        except InvalidArtifact as error:
            return str(error)
        except (NotPrivate, PermissionError) as error:
            return str(error)
        except (OSError, MemoryError):  # removed meanwhile, or a fault that is not the file's
            return None
        return None if self._path(artifact.key.hexdigest) == path else "under a wrong name"

    def prune(self) -> int:
        """Remove the least recently used entries until the cap holds, and what dead writers left;
        returns the bytes removed."""
        entries, removed = [], 0
        for path, status in self._files():
            if _is_entry(path):
                entries.append((status.st_mtime, path, _taken(status.st_size)))
            elif _stale(status) and unlink(path):
                removed += _taken(status.st_size)
        total = sum(size for _, _, size in entries)
        if total <= self.cap:
            return removed
        goal = self.cap - self.cap // _SLACK
        for _, path, size in sorted(entries):
            if total <= goal:
                break
            if unlink(path):
                total -= size
                removed += size
        return removed

    def _shards(self) -> Iterator[str]:
        """The directories that hold entries; none where the cache's own is refused."""
        try:
            if refusal(self.directory) is not None:
                return
            names = sorted(os.listdir(self.directory))
        except OSError:
            return
        for name in names:
            path = os.path.join(self.directory, name)
            try:
                if len(name) == 2 and _HEX.issuperset(name) and refusal(path) is None:
                    yield path
            except OSError:
                continue

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Entries and temporary files, and nothing else that may lie about."""
        for shard in self._shards():
            try:
                names = sorted(os.listdir(shard))
            except OSError:
                continue
            for name in names:
                if not (_is_entry(name) or name.startswith(TEMPORARY)):
                    continue
                path = os.path.join(shard, name)
                try:
                    yield path, os.lstat(path)
                except OSError:
                    continue


def open_cache() -> Cache | None:
    """The cache that the settings name, None when `SYMGRAPH_CACHE=0`. Touches no file.

    Raises ConfigError for settings that make no sense.
    """
    if not config.get("cache"):
        return None
    directory, cap = config.get("cache_dir") or default_directory(), config.get("cache_size")
    if not os.path.isabs(directory):
        try:
            directory = os.path.abspath(directory)
        except OSError:  # the working directory was removed
            return None
    found = _opened.get((directory, cap))
    if found is None:
        found = _opened[directory, cap] = Cache(directory, cap)
    return found


_opened: dict[tuple[str, int], Cache] = {}
_postponed: Postponed | None = None  # of the process, from the first artefact on that can wait


def settle() -> None:
    """Return when everything that waits is on the disk."""
    if _postponed is not None:
        _postponed.settle()


def default_directory() -> str:
    """`symgraph` in the user's cache directory, as the system's conventions place it."""
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    elif os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # the specification says to ignore relative ones
            base = os.path.join(home, ".cache")
    return os.path.join(base, "symgraph")


# one file or directory ----------------------------------------------------------------------------


def _entry(path: str, status: os.stat_result) -> Entry:
    directory, name = os.path.split(path)
    hexdigest = os.path.basename(directory) + name.removesuffix(_SUFFIX)
    try:
        header = _read_header(path)
        key = key_of(header)
        return Entry(hexdigest, key.kind, status.st_size, status.st_mtime, key, header["meta"])
    except (OSError, InvalidArtifact):
        return Entry(hexdigest, "?", status.st_size, status.st_mtime, None, {})


def _read_header(path: str) -> dict[str, Any]:
    start = read(path, _BLOCK)
    size = header_size(start)
    return decode_header(start if size <= len(start) else read(path, size))[0]


def _is_entry(path: str) -> bool:
    name = os.path.basename(path)
    return len(name) == 66 and name.endswith(_SUFFIX) and _HEX.issuperset(name[:62])


def _stale(status: os.stat_result) -> bool:
    return time.time() - status.st_mtime > _STALE_AFTER


def _taken(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
