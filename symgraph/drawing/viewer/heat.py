"""The times of a profile, given to the units of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def profile_rows(profile: Any, name: str) -> Mapping[str, Any]:
    """The part of a profile that is about the function of this name, or the only one; empty where
    there is none. A profile is what `symgraph profile --json` writes, or has a method ``data`` that
    gives one."""
    if profile is None:
        return {}
    if callable(getattr(profile, "data", None)):
        profile = profile.data()
    several = profile.get("profiles") if isinstance(profile, Mapping) else profile
    if several is None:
        return profile if isinstance(profile, Mapping) else {}
    named = [p for p in several if p.get("function") == name]
    chosen = named or (several if len(several) == 1 else [])
    return chosen[0] if chosen else {}


def heat_units(units: Sequence[dict[str, Any]], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes ``seconds`` and ``calls`` to the units. Rows and units of a word ("matmul", "kernel3")
    belong together in their order; where their numbers differ, all units have equal parts.

    >>> units = [{"name": "kernel0"}]
    >>> phases = [{"name": f"kernel0 phase {k}", "seconds": 1.0} for k in (1, 2)]
    >>> heat_units(units, phases)
    >>> units[0]["seconds"]
    2.0
    """
    spent: dict[str, list[list[Any]]] = {}
    for row in rows:
        name, seconds = str(row.get("name", "")), row.get("seconds")
        if not isinstance(seconds, int | float) or row.get("kind") == "entry":
            continue
        found = spent.setdefault(_word(name), [])
        if " phase " in name and not name.endswith(" phase 1") and found:
            found[-1][0] += seconds
        elif not (" phase " in name and found and found[-1][2] == _whole(name)):
            found.append([float(seconds), row.get("calls"), name])
        else:
            found[-1][0] += seconds
    places: dict[str, list[dict[str, Any]]] = {}
    for u in units:
        places.setdefault(_word(u["name"]), []).append(u)
    for word, found in spent.items():
        here = places.get(word, [])
        if len(here) != len(found):
            total = sum(f[0] for f in found) / max(len(here), 1)
            found = [[total, found[0][1], ""]] * len(here)
        for u, (seconds, calls, _) in zip(here, found, strict=True):
            u["seconds"], u["calls"] = seconds, calls


def _whole(name: str) -> str:
    return name.partition(" phase ")[0]


def _word(name: str) -> str:
    """``matmul`` of ``matmul(n, 3, 4)``, ``kernel4`` of ``kernel4 phase 1``, ``loop``."""
    return _whole(name).partition("(")[0].partition(" ")[0]
