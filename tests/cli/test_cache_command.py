"""`symgraph cache`: every verb on a cache with known entries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from symgraph import config
from symgraph.runtime.cache import Cache, Key

ONE = Key("function", {"graph": "a", "host": "h"})
TWO = Key("function", {"graph": "b", "host": "h"})


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    made = Cache(tmp_path / "cache")
    made.put(ONE, {"name": "train"}, {"object": b"x" * 3000})
    made.put(TWO, {"name": "predict"}, {"object": b"y"})
    with config.change(cache_dir=made.directory, cache_size=1 << 20):
        yield made


def test_dir(run: Callable, cache: Cache) -> None:
    assert run("cache", "dir").out == f"{cache.directory}\n"


def test_ls(run: Callable, cache: Cache) -> None:
    lines = run("cache", "ls").out.splitlines()
    assert lines[0].split() == ["entry", "kind", "name", "size", "last", "used"]
    assert {line.split()[2] for line in lines[1:]} == {"train", "predict"}
    found = json.loads(run("cache", "ls", "--json").out)
    assert found["schema"] == "symgraph.cache.ls" and len(found["entries"]) == 2
    assert found["entries"][0]["ingredients"]["host"] == "h"


def test_stats(run: Callable, cache: Cache) -> None:
    lines = run("cache", "stats").out.splitlines()
    assert lines[1] == "entries    2 (2 function)"
    assert lines[2].endswith("of at most 1.0 MiB")
    assert json.loads(run("cache", "stats", "--json").out)["entries"] == 2


def test_verify_removes_what_is_damaged(run: Callable, cache: Cache) -> None:
    assert run("cache", "verify").out == "2 entries are good, 0 were removed\n"
    path = Path(cache._path(ONE.hexdigest))
    path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    said = run("cache", "verify")
    assert said.status == 1
    assert said.out == f"removed {path}: damaged\n1 entries are good, 1 were removed\n"


def test_prune_and_clear(run: Callable, cache: Cache) -> None:
    assert run("cache", "prune").out == "removed 0 B\n"
    assert run("cache", "clear").out == "removed 2 entries\n"
    assert run("cache", "ls", "--json").out.count("digest") == 0


def test_why_names_the_ingredient(run: Callable, cache: Cache) -> None:
    a, b = ONE.hexdigest[:12], TWO.hexdigest[:12]
    expected = f"graph differs\n  {a}  a\n  {b}  b\n"
    assert run("cache", "why", a, b).out == expected
    assert run("cache", "why", a).out == expected
    assert run("cache", "why", a, a).out == "the keys are the same\n"
    found = json.loads(run("cache", "why", a, b, "--json").out)
    assert found["differences"] == [{"name": "graph", "a": "a", "b": "b"}]


def test_why_of_a_subject(run: Callable, cache: Cache) -> None:
    said = run("cache", "why", "tests/cli/subjects.py:train")
    assert said.out == "tests/cli/subjects.py:train is in the cache\n"
    said = run("cache", "why", "tests/cli/subjects.py:total")
    assert said.status == 0 and "differs" in said.out


def test_why_of_an_unknown_entry(run: Callable, cache: Cache) -> None:
    said = run("cache", "why", "abcdef")
    assert said.status == 2
    assert said.err.startswith("SubjectError SG901: cache why: 0 entries with the digest abcdef...")


def test_a_cache_that_is_switched_off(run: Callable) -> None:
    with config.change(cache=False):
        said = run("cache", "ls")
    assert said.status == 2 and "hint: SYMGRAPH_CACHE is 0" in said.err


def test_a_directory_that_is_refused(run: Callable, tmp_path: Path) -> None:
    foreign = tmp_path / "open"
    foreign.mkdir(mode=0o777)
    foreign.chmod(0o777)
    with config.change(cache_dir=str(foreign)):
        said = run("cache", "dir")
    assert said.status == 1 and "not used: " in said.out
