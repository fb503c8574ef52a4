"""`symgraph cache`: the disk cache, looked at and kept in order."""

from __future__ import annotations

import argparse
import datetime
import importlib
import string
from typing import Any

from symgraph.cli.console import bytes_text, cut, table, write, write_json
from symgraph.cli.problems import SubjectError
from symgraph.runtime.artifact import Difference, Key, why
from symgraph.runtime.cache import Cache, Entry, open_cache


def run(arguments: argparse.Namespace) -> int:
    """Run a verb on the cache that the settings name."""
    cache = open_cache()
    if cache is None:
        raise SubjectError("cache: it is switched off", hint="SYMGRAPH_CACHE is 0")
    return _VERBS[arguments.verb](cache, arguments)


def _dir(cache: Cache, arguments: argparse.Namespace) -> int:
    refused = cache.refusal()
    if arguments.json:
        write_json("cache.dir", {"directory": cache.directory, "refused": refused})
    else:
        write(cache.directory)
        if refused:
            write(f"not used: {refused}")
    return 1 if refused else 0


def _ls(cache: Cache, arguments: argparse.Namespace) -> int:
    entries = cache.ls()
    if arguments.json:
        write_json("cache.ls", {"entries": [_entry(e) for e in entries]})
        return 0
    rows = [
        (e.hexdigest[:12], e.kind, _name(e), bytes_text(e.size), _when(e.used)) for e in entries
    ]
    write(cut(table(("entry", "kind", "name", "size", "last used"), rows, right=[3])))
    return 0


def _stats(cache: Cache, arguments: argparse.Namespace) -> int:
    found = cache.stats()
    del found["hits"], found["misses"], found["writes"]  # of this process, which compiled nothing
    if arguments.json:
        write_json("cache.stats", found)
        return 0
    kinds = ", ".join(f"{count} {kind}" for kind, count in found["kinds"].items())
    rows = [
        ("directory", found["directory"]),
        ("entries", f"{found['entries']}" + (f" ({kinds})" if kinds else "")),
        ("size", f"{bytes_text(found['bytes'])} of at most {bytes_text(found['cap'])}"),
    ]
    if found["refused"]:
        rows.append(("not used", found["refused"]))
    write("\n".join(f"{word:<10} {text}" for word, text in rows))
    return 1 if found["refused"] else 0


def _verify(cache: Cache, arguments: argparse.Namespace) -> int:
    removed = cache.verify()
    left = len(cache.ls())
    if arguments.json:
        rows = [{"path": r.path, "reason": r.reason} for r in removed]
        write_json("cache.verify", {"good": left, "removed": rows})
    else:
        for r in removed:
            write(f"removed {r.path}: {r.reason}")
        write(f"{left} entries are good, {len(removed)} were removed")
    return 1 if removed else 0


def _prune(cache: Cache, arguments: argparse.Namespace) -> int:
    removed = cache.prune()
    if arguments.json:
        write_json("cache.prune", {"bytes": removed})
    else:
        write(f"removed {bytes_text(removed)}")
    return 0


def _clear(cache: Cache, arguments: argparse.Namespace) -> int:
    removed = cache.clear()
    if arguments.json:
        write_json("cache.clear", {"entries": removed})
    else:
        write(f"removed {removed} entries")
    return 0


# why ----------------------------------------------------------------------------------------------


def _why(cache: Cache, arguments: argparse.Namespace) -> int:
    first, here = _key(cache, arguments.first)
    if arguments.second is not None:
        second, _ = _key(cache, arguments.second)
    elif here and ":" in arguments.first:
        return _report(arguments, first, first, [], f"{arguments.first} is in the cache")
    else:
        others = [
            e.key for e in cache.ls() if e.key and e.key.kind == first.kind and e.key != first
        ]
        if not others:
            return _report(arguments, first, None, [], f"no other entry of kind {first.kind}")
        second = min(others, key=lambda k: len(why(first, k)))
    found = why(first, second)
    return _report(arguments, first, second, found, "the keys are the same" if not found else "")


def _key(cache: Cache, text: str) -> tuple[Key, bool]:
    """The key of an entry or a subject, and whether it is stored."""
    if ":" in text or not set(text) <= set(string.hexdigits):
        dump = importlib.import_module("symgraph.cli.subject")
        key = dump.cache_key_of(text)
        return key, cache.get(key) is not None
    found = cache.find(text.lower())
    if len(found) != 1 or found[0].key is None:
        what = f"{len(found)} entries" if len(found) != 1 else "a damaged entry"
        raise SubjectError(f"cache why: {what} with the digest {text}...", hint="symgraph cache ls")
    return found[0].key, True


def _report(
    arguments: argparse.Namespace, a: Key, b: Key | None, found: list[Difference], what: str
) -> int:
    if arguments.json:
        rows = [{"name": d.name, "a": d.a, "b": d.b} for d in found]
        digests = {"a": a.hexdigest, "b": b.hexdigest if b else None}
        write_json("cache.why", {**digests, "differences": rows, "what": what})
        return 0
    if what:
        write(what)
    for d in found:
        write(f"{d.name} differs")
        write(f"  {a.hexdigest[:12]}  {d.a if d.a is not None else '(missing)'}")
        write(f"  {b.hexdigest[:12] if b else ''}  {d.b if d.b is not None else '(missing)'}")
    return 0


# one entry ----------------------------------------------------------------------------------------


def _entry(e: Entry) -> dict[str, Any]:
    return {
        "digest": e.hexdigest,
        "kind": e.kind,
        "name": _name(e),
        "size": e.size,
        "last_used": _when(e.used),
        "ingredients": dict(e.key.ingredients) if e.key else None,
    }


def _name(e: Entry) -> str:
    name = e.meta.get("name")
    return name if isinstance(name, str) else ""


def _when(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).isoformat(" ", "minutes")


_VERBS = {
    "dir": _dir, "ls": _ls, "stats": _stats, "verify": _verify, "prune": _prune, "clear": _clear,
    "why": _why,
}  # fmt: skip
_VERBS |= {"where": _dir, "list": _ls, "size": _stats}
