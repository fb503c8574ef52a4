"""Products by cuBLASLt: what it is asked for, over a library and a device that are not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.lower.cuda import products
from symgraph.runtime.cuda import libraries
from tests.cuda.fake_cublaslt import FakeCublasLt
from tests.cuda.fake_library import Setting, installed

RNG = np.random.default_rng(71)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(products, "LEAST", 2)
    with installed(monkeypatch, "cublasLt", FakeCublasLt) as setting:
        yield setting


def called(there: Setting) -> int:
    return int(there.gpu.driver.calls["library"] + there.gpu.driver.replayed["library"])


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_four_transpositions(there: Setting, turned: tuple[bool, bool], dtype: str) -> None:
    a, b = RNG.standard_normal((5, 7)).astype(dtype), RNG.standard_normal((7, 3)).astype(dtype)
    x, y = sg.matrix("x", dtype=dtype), sg.matrix("y", dtype=dtype)
    f = sg.compile([x, y], (x.T if turned[0] else x) @ (y.T if turned[1] else y), target="cuda")
    given = a.T.copy() if turned[0] else a, b.T.copy() if turned[1] else b
    for _ in range(4):
        np.testing.assert_allclose(f(*given), a @ b, rtol=1e-5, atol=1e-5)
    assert called(there) == 4 and there.library.calls == {"create": 1, "heuristic": 1}
    assert there.library.computes == [70 if dtype == "float64" else 68]


def test_batches_and_an_operand_for_all(there: Setting) -> None:
    a, b = RNG.standard_normal((4, 5, 6)), RNG.standard_normal((6, 3))
    x, y = sg.tensor("x", dtype="float64", shape=(None,) * 3), sg.matrix("y")
    f = sg.compile([x, y], [x @ y, x @ sg.transpose(x, (0, 2, 1))], target="cuda")
    found = f(a, b)
    np.testing.assert_allclose(found[0], a @ b, rtol=1e-10)
    np.testing.assert_allclose(found[1], a @ a.transpose(0, 2, 1), rtol=1e-10)
    assert called(there) == 2


@pytest.mark.parametrize(("mode", "number"), [("tf32", 77), ("bfloat16", 75), ("float16", 74)])
def test_tensor_cores_on_request(there: Setting, mode: str, number: int) -> None:
    x, y = sg.matrix("x", dtype="float32"), sg.matrix("y", dtype="float32")
    with config.change(products=mode):
        sg.compile([x, y], x @ y, target="cuda")(np.ones((3, 4), "f"), np.ones((4, 2), "f"))
    assert there.library.computes == [number]


def test_what_the_library_cannot_do_is_done_all_the_same(there: Setting) -> None:
    there.library.refuses = True
    x, y = sg.matrix("x", dtype="float32"), sg.matrix("y", dtype="float32")
    f = sg.compile([x, y], x @ y, target="cuda")
    a, b = RNG.standard_normal((4, 6)).astype("f"), RNG.standard_normal((6, 3)).astype("f")
    np.testing.assert_allclose(f(a, b), a @ b, rtol=1e-5, atol=1e-6)
    assert f(np.ones((2, 0), "f"), np.ones((0, 3), "f")).tolist() == [[0.0] * 3] * 2
    assert called(there) == 0


def test_small_products_and_those_with_an_activation_are_kernels(
    there: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = (sg.tensor(n, dtype="float32", shape=(20, 20)) for n in "xy")
    sg.compile([x, y], sg.maximum(x @ y, 0), target="cuda")(*[np.ones((20, 20), "f")] * 2)
    monkeypatch.setattr(products, "LEAST", 128)
    sg.compile([x, y], x @ y, target="cuda")(*[np.ones((20, 20), "f")] * 2)
    assert called(there) == 0 and not there.library.made


def test_where_a_library_is_looked_for(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # as outside of tests
    place = tmp_path / "nvidia" / "cu13" / "lib"
    place.mkdir(parents=True)
    (place / "libcublasLt.so.13").write_bytes(b"no library")
    monkeypatch.syspath_prepend(str(tmp_path))
    libraries.path.cache_clear()
    libraries.library.cache_clear()
    try:
        assert libraries.path("cublasLt") == str(place / "libcublasLt.so.13")
        assert libraries.library("cublasLt") is None  # it cannot be loaded
        assert libraries.path("cudnn") is None and not libraries.present("cudnn")
        assert libraries.present("cublasLt") and "libcublasLt.so.13" in libraries.names()
        with config.change(libraries=False):
            assert not libraries.present("cublasLt") and libraries.names() == ""
    finally:
        libraries.path.cache_clear()
        libraries.library.cache_clear()
