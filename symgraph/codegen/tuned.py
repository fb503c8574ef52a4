"""Tiles of matrix products that `symgraph tune` found to be better on this machine than those of
the table (`gemm/tiles.py`), kept in the disk cache for this processor and this symgraph.

They change how long products take and never their bits: what those depend on is not chosen here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from symgraph.codegen import llvm
from symgraph.runtime.cache import Key, open_cache
from symgraph.runtime.later import Later
from symgraph.runtime.sources import compiler_digest

if TYPE_CHECKING:
    from symgraph.codegen.gemm import tiles
    from symgraph.codegen.gemm.tiles import Tile
else:  # a warm start asks whether something is chosen, which takes a fifth of the time without
    tiles = Later("symgraph.codegen.gemm.tiles")

Choice = Mapping[str, Mapping[str, Any]]

#: what may be chosen, with the least and the most of it
FIELDS = {"rows": (1, 8), "vectors": (1, 4), "height": (8, 1 << 14), "ahead": (0, 64),
          "far": (0, 1 << 62)}  # fmt: skip
_found: dict[tuple[str, str], dict[str, Any]] = {}  # what was read, by the cache's directory
_tried: list[Choice] = []  # in place of what is kept, the last one


def entry() -> dict[str, Any]:
    """What is kept: ``tiles``, by dtype what differs from the table and the key of the table's own
    tile, and facts for who asks; empty where nothing is, or nothing that can be understood."""
    cache = open_cache()
    if cache is None:
        return {}
    place = cache.directory, _key().hexdigest
    if place not in _found:
        artifact = cache.get(_key())
        _found[place] = dict(artifact.meta) if artifact is not None else {}
    return _found[place]


def chosen() -> Choice:
    """What is chosen for each dtype."""
    if _tried:
        return _tried[-1]
    kept = entry().get("tiles")
    return kept if isinstance(kept, dict) else {}


def state() -> str:
    """The choice in a word, for functions that were compiled with it: "" where there is none."""
    found = chosen()
    return json.dumps(found, sort_keys=True) if found else ""


def keep(choice: Choice, facts: Mapping[str, Any]) -> bool:
    """Choose from now on, in this process and in others; False where that cannot be kept."""
    cache = open_cache()
    _found.clear()
    return cache is not None and cache.put(_key(), {**facts, "tiles": choice}, {"object": b""})


def forget() -> bool:
    """Choose nothing any more; whether anything had been chosen."""
    cache = open_cache()
    _found.clear()
    return cache is not None and cache.remove(_key())


@contextlib.contextmanager
def trying(choice: Choice) -> Iterator[None]:
    """Use a choice in place of what is kept."""
    _tried.append(choice)
    try:
        yield
    finally:
        _tried.pop()


def tile_for(dtype: str, vector_bits: int, features: Iterable[str]) -> Tile:
    """The tile for a processor: the table's, with what is chosen for it on this machine."""
    base = tiles.tile_for(dtype, vector_bits, features)
    return changed(base, chosen().get(dtype)) or base


def change(base: Tile, **fields: int) -> dict[str, Any]:
    """The choice of other fields for a tile of the table."""
    return {"of": base.key, **fields}


def changed(base: Tile, choice: Any) -> Tile | None:
    """The tile with what was chosen for it; None where that is for another one, or makes no sense:
    it comes from a file."""
    if not isinstance(choice, dict) or choice.get("of") != base.key:
        return None
    fields = {name: choice[name] for name in choice if name != "of"}
    for name, value in fields.items():
        low, high = FIELDS.get(name, (1, 0))
        if type(value) is not int or not low <= value <= high:
            return None
    made = base._replace(**fields)
    fits = made.rows * made.vectors <= base.rows * base.vectors  # sums, which fill the registers
    return made if fits and made.height >= made.rows else None


def words(base: Tile, fields: Mapping[str, Any]) -> str:
    """What a choice changes, or the shape of the table's tile.

    >>> base = tiles.tile_for("float32", 512, ["avx512f"])
    >>> words(base, {}), words(base, {"rows": 6, "vectors": 4, "far": 1 << 17})
    ('8x3', '6x4, far 131072')
    """
    shape = f"{fields.get('rows', base.rows)}x{fields.get('vectors', base.vectors)}"
    others = [name for name in FIELDS if name in fields and name not in ("rows", "vectors")]
    named = [shape] if not others or "rows" in fields else []
    for name in others:
        named.append(f"{name} {'never' if fields[name] == tiles.NEVER else fields[name]}")
    return ", ".join(named)


def summary() -> str:
    """One line for `symgraph doctor`; empty where this machine was not measured."""
    kept = entry()
    if not kept:
        return ""
    host, found = llvm.instructions(), []
    for dtype, choice in chosen().items():
        base = tiles.tile_for(dtype, host.vector_bits, host.features)
        if changed(base, choice) is not None:
            found.append(f"{dtype} {words(base, choice)}")
    return f"{'; '.join(found) or 'the table is best'}, measured {kept.get('measured', '')}"


def _key() -> Key:
    ingredients = {"host": llvm.host_fingerprint(), "compiler": compiler_digest()}
    return Key("tiles", ingredients)
