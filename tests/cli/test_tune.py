"""`symgraph tune`: what it measures, keeps, says and forgets. Times are given, not measured."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from symgraph import config
from symgraph.cli import tune
from symgraph.codegen import tuned

DTYPES = {"float32", "float64"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rounds end at once, and a burst is a call of whatever is compiled."""
    monkeypatch.setattr(tune, "SECONDS", dict.fromkeys(tune.SECONDS, 1e-9))
    monkeypatch.setattr(tune, "SIZES", ((16, 16, 16), (8, 8, 64)))
    with config.change(cache=True, cache_dir=str(tmp_path / "cache")):
        yield


def force(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[dict[str, int], int], float]) -> None:
    """Bursts of a candidate last so long, by what differs and by the number of the burst."""
    made: dict[Any, dict[str, int]] = {}
    compiled = tune._product

    def product(dtype: str, base: Any, fields: dict[str, int]) -> Any:
        call = compiled(dtype, base, fields)
        made[call] = fields
        return call

    numbers = itertools.count()
    monkeypatch.setattr(tune, "_product", product)
    monkeypatch.setattr(
        tune, "_burst", lambda call, pair, count: seconds(made[call], next(numbers))
    )


def height_is_better(fields: dict[str, int], _: int) -> float:
    return 0.8 if "height" in fields and fields["height"] == 96 else 1.0


def test_what_is_clearly_ahead_is_kept(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, height_is_better)
    assert "the table's; symgraph tune" in run("doctor", "--quick").out
    said = run("tune")
    assert said.status == 0 and said.out.count("kept: height 96") == 2 and not said.err
    assert "height 96" in said.out and "1.250" in said.out
    assert {d: dict(c)["height"] for d, c in tuned.chosen().items()} == dict.fromkeys(DTYPES, 96)
    assert "float32 height 96; float64 height 96, measured 2" in run("doctor", "--quick").out
    said = run("tune", "--forget")
    assert (said.status, said.out) == (0, "forgotten: tiles are the table's again\n")
    assert not tuned.chosen()
    assert run("tune", "--forget").out == "nothing had been chosen\n"


def test_several_things_are_put_together(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(fields: dict[str, int], _: int) -> float:
        slower = 1.0 if fields.get("far") == 1 << 17 else 1.1
        return slower * height_is_better(fields, 0)

    force(monkeypatch, seconds)
    found = json.loads(run("tune", "--json").out)
    assert (found["schema"], found["version"]) == ("symgraph.tune", 1)
    assert found["tiles"].keys() == DTYPES
    for each in found["tiles"].values():
        assert each["chosen"] == {"height": 96, "far": 1 << 17}
        assert each["rows"][0]["fields"] == {} and each["rows"][0]["speed"] == 1
        assert abs(each["rows"][-1]["speed"] - 1.1 / 0.8) < 1e-9
    assert json.loads(run("tune", "--forget", "--json").out)["forgotten"] is True


@pytest.mark.parametrize("seconds", [
    lambda fields, number: 1.0, lambda fields, number: 0.98 if fields else 1.0,
    lambda fields, number: 1.0 if number % 41 else 0.5,
])  # fmt: skip
def test_nothing_is_kept_that_is_not_ahead(
    run: Callable, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[dict[str, int], int], float]
) -> None:
    force(monkeypatch, seconds)
    said = run("tune")
    assert said.out.count("kept: the table's, as nothing is ahead by more than 3%") == 2
    assert not tuned.chosen()
    assert "the table is best, measured" in run("doctor", "--quick").out  # it was measured


def test_candidates_differ_in_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype in DTYPES:
        base = tune._of_table(dtype)
        for fields in tune.candidates(base)[1:]:
            assert len({name.replace("vectors", "rows") for name in fields}) == 1
            made = tuned.changed(base, tuned.change(base, **fields))
            assert made is not None and made != base and made.depth == base.depth


def test_real_products_are_measured(run: Callable) -> None:
    """Without a clock of ours: it runs, and says something of every size."""
    said = run("tune")
    assert said.status == 0 and said.out.count("kept: ") == 2 and "8x64" in said.out


def test_without_a_cache(run: Callable) -> None:
    with config.change(cache=False):
        said = run("tune")
    assert said.status == 2 and "there is no cache to keep it in" in said.err


def test_the_cache_cannot_be_written(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    force(monkeypatch, height_is_better)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with config.change(cache_dir=str(tmp_path / "open")):
        said = run("tune")
    assert said.status == 2 and "tune: the cache cannot be written" in said.err
