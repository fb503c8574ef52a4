"""Artefacts that are written a moment later: found at once, on the disk before the process ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from symgraph.runtime import cache as cache_module
from symgraph.runtime.cache import Cache, Key
from symgraph.runtime.postponed import DELAY, Postponed

KEY = Key("kernel", {"text": "a"})


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def names() -> list[str]:
    return [t.name for t in threading.enumerate()]


def test_it_is_found_at_once_and_written_by_itself(cache: Cache) -> None:
    cache.put_later(KEY, {"rows": (1, 2)}, {"object": b"code"})
    early = cache.get(KEY)
    assert early is not None and early.meta == {"rows": [1, 2]}  # as JSON keeps it
    for _ in range(400):
        if Path(cache._path(KEY.hexdigest)).exists() and "symgraph-cache" not in names():
            break
        time.sleep(0.005)
    late = cache.get(KEY)
    assert late == early and cache.hits == 2 and cache.writes == 1
    assert "symgraph-cache" not in names()


def test_who_looks_at_the_directory_sees_all(cache: Cache) -> None:
    for k in range(5):
        cache.put_later(Key("kernel", {"text": str(k)}), {}, {"object": bytes(k)})
    assert len(cache.ls()) == 5 == cache.stats()["writes"]
    cache.put_later(KEY, {}, {"object": b"x"})
    assert cache.verify() == []
    cache.put_later(KEY, {}, {"object": b"x"})
    assert cache.clear() == 6 and cache.get(KEY) is None


def test_it_waits_for_the_last_one_and_hurries_when_asked() -> None:
    later, done = Postponed(), []
    start = time.monotonic()
    for k in range(4):
        later.add(k, k, lambda k=k: done.append((k, time.monotonic() - start)))
        time.sleep(DELAY / 3)
    assert later.find(3) == 3 or done
    later.settle()
    assert [k for k, _ in done] == [0, 1, 2, 3] and later.find(3) is None
    assert later._thread is None


def test_a_task_that_fails_does_not_keep_the_others(recwarn: Any) -> None:
    later, done = Postponed(), []
    with pytest.raises(ZeroDivisionError):
        later.add("bad", 1, lambda: 1 // 0)
        later.settle()
    later.add("good", 1, lambda: done.append(1))
    later.settle()
    assert done == [1] and later.find("bad") is None


def test_many_threads_add_and_settle(cache: Cache) -> None:
    def work(first: int) -> None:
        for k in range(first, 40, 4):
            key = Key("kernel", {"text": str(k)})
            cache.put_later(key, {}, {"object": b"%d" % k})
            found = cache.get(key)
            assert found is not None and found.sections["object"] == b"%d" % k
            if k % 3 == 0:
                cache_module.settle()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(cache.ls()) == 40


PROGRAM = """
import os, sys
from symgraph.runtime.cache import Cache, Key
cache = Cache(sys.argv[1])
cache.put_later(Key("kernel", {"text": "a"}), {}, {"object": b"code"})
if sys.argv[2] == "fork":
    child = os.fork()
    if child == 0:
        found = Cache(sys.argv[1]).get(Key("kernel", {"text": "a"}))
        cache.put_later(Key("kernel", {"text": "b"}), {}, {"object": b"code"})
        sys.exit(0 if found is not None else 1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if sys.argv[2] == "error":
    raise SystemExit("gone")
"""


@pytest.mark.parametrize("how", ["end", "error", "fork"])
def test_it_is_written_before_the_process_ends(how: str, tmp_path: Path) -> None:
    if how == "fork" and not hasattr(os, "fork"):
        return
    folder = str(tmp_path / "cache")
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, folder, how]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == (how == "error"), done.stderr
    assert len(Cache(folder).ls()) == 1 + (how == "fork")
    assert time.monotonic() - start < 30
