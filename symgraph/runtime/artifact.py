"""One artefact of the disk cache: its key, its sections, and the bytes of its file.

    0    8 bytes   SYMGRAPH
    8    uint32    schema of this layout
    12   uint32    length of the header
    16   header    canonical JSON: kind, ingredients of the key by name, meta, sections
    ...  sections  raw bytes, each at a multiple of 16 from the end of the padded header
    -32  32 bytes  BLAKE2b-256 of everything before

Numbers are little-endian. A file describes itself: its key can be computed from its header, so that
`symgraph cache why` names the ingredient in which two files differ.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from symgraph.records import NamedTuple
from symgraph.runtime.digest import SIZE, digest, hexdigest

MAGIC = b"SYMGRAPH"
SCHEMA = 1
_HEAD = struct.Struct("<8sII")
_ALIGN = 16
_MAX_HEADER = 1 << 24


class InvalidArtifact(ValueError):
    """The bytes are no whole, unchanged artefact of this schema."""


class Key:
    """What an artefact depends on: a kind and named ingredients, all strings.

    Two keys are equal when everything is equal; `hexdigest` names the file. Raises TypeError for
    ingredients that are not strings.

    >>> key = Key("kernel", {"cpu": "znver4", "graph": "f00d"})
    >>> key == Key("kernel", {"graph": "f00d", "cpu": "znver4"}), len(key.hexdigest)
    (True, 64)
    """

    __slots__ = ("_hexdigest", "ingredients", "kind")

    def __init__(self, kind: str, ingredients: Mapping[str, str]) -> None:
        pairs = sorted(ingredients.items())
        for text in (kind, *(part for pair in pairs for part in pair)):
            if not isinstance(text, str):
                raise TypeError(f"an ingredient of a cache key must be a string, not {text!r}")
        self.kind = kind
        self.ingredients: Mapping[str, str] = dict(pairs)
        self._hexdigest = ""

    @property
    def hexdigest(self) -> str:
        """64 hexadecimal digits; another schema gives other names."""
        if not self._hexdigest:
            content = {"ingredients": self.ingredients, "kind": self.kind, "schema": SCHEMA}
            self._hexdigest = hexdigest(canonical_json(content))
        return self._hexdigest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return self.kind == other.kind and self.ingredients == other.ingredients

    def __hash__(self) -> int:
        return hash((self.kind, tuple(self.ingredients.items())))

    def __repr__(self) -> str:
        return f"Key({self.kind!r}, {dict(self.ingredients)!r})"


class Artifact(NamedTuple):
    """What `Cache.get` returns: the key, small facts (`meta`) and named byte strings."""

    key: Key
    meta: Mapping[str, Any]
    sections: Mapping[str, bytes]


class Difference(NamedTuple):
    """One ingredient in which two keys differ; None where a key lacks it."""

    name: str
    a: str | None
    b: str | None


def why(a: Key, b: Key) -> list[Difference]:
    """The ingredients in which two keys differ, by name.

    >>> why(Key("kernel", {"cpu": "znver4"}), Key("kernel", {"cpu": "skylake", "isa": "avx2"}))
    [Difference(name='cpu', a='znver4', b='skylake'), Difference(name='isa', a=None, b='avx2')]
    """
    kinds = [] if a.kind == b.kind else [Difference("kind", a.kind, b.kind)]
    names = sorted({*a.ingredients, *b.ingredients})
    pairs = ((n, a.ingredients.get(n), b.ingredients.get(n)) for n in names)
    return kinds + [Difference(n, x, y) for n, x, y in pairs if x != y]


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value. Raises TypeError or ValueError for what JSON cannot hold.

    >>> canonical_json({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def encode(key: Key, meta: Mapping[str, Any], sections: Mapping[str, bytes]) -> bytes:
    """The bytes of a file."""
    table, parts, end = [], [], 0
    for name, data in sections.items():
        parts += [b"\0" * (-end % _ALIGN), data]
        end += -end % _ALIGN
        table.append({"name": name, "offset": end, "size": len(data)})
        end += len(data)
    header = canonical_json(
        {
            "ingredients": dict(key.ingredients),
            "kind": key.kind,
            "meta": dict(meta),
            "sections": table,
        }
    )
    head = _HEAD.pack(MAGIC, SCHEMA, len(header)) + header
    content = b"".join([head, b"\0" * (-len(head) % _ALIGN), *parts])
    return content + digest(content)


def decode(content: bytes) -> Artifact:
    """The artefact in the bytes of a file. Raises InvalidArtifact for anything unusual."""
    if len(content) < _HEAD.size + SIZE:
        raise InvalidArtifact("too short")
    view = memoryview(content)
    if digest(view[:-SIZE]) != content[-SIZE:]:
        # the commonest reasons by name; which one it is makes no difference to readers
        magic, schema, _ = _HEAD.unpack_from(content)
        if magic != MAGIC:
            raise InvalidArtifact("no artefact")
        raise InvalidArtifact("damaged" if schema == SCHEMA else f"schema {schema}")
    header, start = decode_header(content)
    end = len(content) - SIZE
    try:
        sections = {}
        for row in header["sections"]:
            first = start + row["offset"]
            last = first + row["size"]
            if not start <= first <= last <= end:
                raise InvalidArtifact("a section lies outside the file")
            sections[row["name"]] = content[first:last]
        return Artifact(key_of(header), header["meta"], sections)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidArtifact(f"unusual header: {error!r}") from None


def decode_header(content: bytes) -> tuple[dict[str, Any], int]:
    """The header of a file, from its first bytes, and where the sections start. The digest is not
    looked at. Raises InvalidArtifact."""
    if len(content) < _HEAD.size:
        raise InvalidArtifact("too short")
    magic, schema, length = _HEAD.unpack_from(content)
    if magic != MAGIC:
        raise InvalidArtifact("no artefact")
    if schema != SCHEMA:
        raise InvalidArtifact(f"schema {schema}")
    if length > _MAX_HEADER or _HEAD.size + length > len(content):
        raise InvalidArtifact("header cut short")
    try:
        header = json.loads(content[_HEAD.size : _HEAD.size + length])
    except (ValueError, RecursionError):
        raise InvalidArtifact("header is no JSON") from None
    if not isinstance(header, dict) or not isinstance(header.get("meta"), dict):
        raise InvalidArtifact("unusual header")
    return header, _HEAD.size + length + -(_HEAD.size + length) % _ALIGN


def header_size(content: bytes) -> int:
    """How many bytes of a file `decode_header` needs, from its first 16 bytes (0: no artefact)."""
    if len(content) < _HEAD.size:
        return 0
    length = int(_HEAD.unpack_from(content)[2])
    return _HEAD.size + length if length <= _MAX_HEADER else 0


def key_of(header: Mapping[str, Any]) -> Key:
    """The key that a header tells. Raises InvalidArtifact."""
    try:
        return Key(header["kind"], header["ingredients"])
    except (KeyError, TypeError, AttributeError):
        raise InvalidArtifact("unusual key") from None
