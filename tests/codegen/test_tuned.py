"""Tiles that were chosen on this machine: used, kept, forgotten, and never believed blindly."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.codegen import llvm, tuned
from symgraph.codegen.gemm.tiles import Tile, parts, tile_for
from symgraph.runtime.cache import open_cache

DTYPES = ("float32", "float64")


def base(dtype: str = "float32") -> Tile:
    host = llvm.instructions()
    return tile_for(dtype, host.vector_bits, host.features)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path) -> Iterator[None]:
    with config.change(cache=True, cache_dir=str(tmp_path / "cache")):
        yield


def tile(dtype: str = "float32") -> Tile:
    host = llvm.instructions()
    return tuned.tile_for(dtype, host.vector_bits, host.features)


def product(dtype: str = "float32") -> Any:
    a, b = sg.matrix("a", dtype=dtype), sg.matrix("b", dtype=dtype)
    return sg.compile([a, b], a @ b)


def other_shape(dtype: str = "float32") -> dict[str, Any]:
    """A choice of another shape of tile."""
    shape = {24: (6, 4), 12: (4, 3)}[base(dtype).rows * base(dtype).vectors]
    if shape == (base(dtype).rows, base(dtype).vectors):
        shape = 4, 4
    return tuned.change(base(dtype), rows=shape[0], vectors=shape[1], height=64)


def test_a_choice_is_used_by_what_is_compiled_later_and_changes_no_bit() -> None:
    rng = np.random.default_rng(3)
    sizes = [(5, 7, 9), (70, 600, 130), (300, 40, 310), (130, 1024, 270)]
    for dtype in DTYPES:
        pairs = [(rng.standard_normal((m, k)).astype(dtype),
                  rng.standard_normal((k, n)).astype(dtype)) for m, k, n in sizes]  # fmt: skip
        before = product(dtype)
        wanted = [before(*pair) for pair in pairs]
        with tuned.trying({dtype: other_shape(dtype)}):
            assert tile(dtype)[2:4] != base(dtype)[2:4]
            after = product(dtype)
        for pair, want in zip(pairs, wanted, strict=True):
            np.testing.assert_allclose(want, pair[0] @ pair[1], rtol=0, atol=2e-3)
            for threads in (1, 2):
                with config.change(num_threads=threads, parallel_from=0):
                    assert after(*pair).tobytes() == want.tobytes()


def test_convolutions_do_not_change_a_bit_either() -> None:
    rng = np.random.default_rng(4)
    for filters, side in itertools.product((20, 64), (9, 20)):
        images = rng.standard_normal((2, 30, side, side)).astype("float32")
        weights = rng.standard_normal((filters, 30, 3, 3)).astype("float32")
        found = []
        for choice in ({}, {"float32": other_shape()}):
            with config.change(cache=False), tuned.trying(choice):
                x = sg.tensor("x", dtype="float32", shape=("batch", *images.shape[1:]))
                w = sg.tensor("w", dtype="float32", shape=weights.shape)
                y = sg.nn.conv2d(x, w, 1, 1)
                f = sg.compile([x, w], [y, *sg.grad((y * y).sum(), [x, w])])
            found.append([v.tobytes() for v in f(images, weights)])
        assert found[0] == found[1]


def test_functions_of_the_cache_are_compiled_again_for_another_choice() -> None:
    assert not product().statistics["cached"]
    assert product().statistics["cached"]
    choice = {"float32": other_shape()}
    assert tuned.keep(choice, {"measured": "today"})
    assert tile() == tuned.changed(base(), choice["float32"]) != base()
    assert tuned.summary().startswith("float32 ") and tuned.summary().endswith("measured today")
    assert not product().statistics["cached"]
    assert product().statistics["cached"]
    assert tuned.forget() and not tuned.forget()
    assert tile() == base() and not tuned.summary()
    assert not product().statistics["cached"]
    x = sg.vector("x")
    sg.compile([x], x + 1)
    assert tuned.keep(choice, {})
    assert sg.compile([x], x + 1).statistics["cached"]  # it has no products


def test_a_choice_goes_with_the_cache() -> None:
    assert tuned.keep({"float32": other_shape()}, {})
    with config.change(cache=False):
        assert tile() == base() and not tuned.keep({}, {}) and not tuned.forget()
    cache = open_cache()
    assert cache is not None and [e.kind for e in cache.ls()] == ["tiles"]
    cache.clear()
    tuned._found.clear()  # as in another process
    assert tile() == base()


@pytest.mark.parametrize("damaged", [True, False])
def test_what_cannot_be_understood_is_ignored(damaged: bool) -> None:
    assert tuned.keep({"float32": other_shape()} if damaged else {"float32": [1, 2]}, {})
    cache = open_cache()
    assert cache is not None
    if damaged:
        path = Path(cache._path(tuned._key().hexdigest))
        path.write_bytes(path.read_bytes()[:-40] + b"x" * 40)
    assert tile() == base()


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": 0}, {"rows": 9}, {"vectors": 5}, {"rows": 8, "vectors": 4}, {"height": "much"},
        {"height": True}, {"height": 0}, {"depth": 100}, {"near": 7}, {"ahead": -1},
        {"rows": 2.0}, {"of": "float32 16 8 3 1 0 of another processor"},
    ],
)  # fmt: skip
def test_a_choice_that_makes_no_sense_is_ignored(fields: dict[str, Any]) -> None:
    """A foreign file names what decides about bits, more sums than registers hold, or nonsense."""
    choice = tuned.change(base(), height=64) | fields
    assert tuned.changed(base(), choice) is None
    with tuned.trying({"float32": choice}):
        assert tile() == base()


def test_every_tile_that_may_be_chosen_has_its_parts_in_a_record() -> None:
    host = llvm.instructions()
    for dtype in DTYPES:
        table = tile_for(dtype, host.vector_bits, host.features)
        for rows, vectors in itertools.product(range(1, 9), range(1, 5)):
            choice = tuned.change(table, rows=rows, vectors=vectors)
            made = tuned.changed(table, choice)
            assert (made is None) == (rows * vectors > table.rows * table.vectors)
            for images in ("", "a", "b") if made is not None else ():
                assert len(parts(made.of_images(images, 64))) <= 64
