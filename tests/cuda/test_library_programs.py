"""The programs for hardware with NVIDIA's libraries, tiny and over libraries of tests'."""

from __future__ import annotations

from typing import Any

import pytest

from symgraph import config
from symgraph.lower.cuda import products
from symgraph.runtime.cuda import cublas, cusolver
from symgraph.runtime.cuda.device import using
from tests.cuda.fake_cublaslt import FakeCublasLt
from tests.cuda.fake_cudnn import FakeCudnn
from tests.cuda.fake_cufft import FakeCufft
from tests.cuda.fake_cusolver import FakeCublas, FakeCusolver
from tests.cuda.fake_driver import FakeDriver
from tests.cuda.fake_library import install
from tests.cuda.library_programs import CASES, check


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Any:
    driver = FakeDriver()
    install(
        monkeypatch, cublasLt=FakeCublasLt(driver), cublas=FakeCublas(driver),
        cusolver=FakeCusolver(driver), cufft=FakeCufft(driver), cudnn=FakeCudnn(driver),
    )  # fmt: skip
    for name in ("LEAST", "WIDE", "SURE"):
        monkeypatch.setattr(cublas, name, 1)
    monkeypatch.setattr(cusolver, "ITERATED", 1)
    monkeypatch.setattr(products, "LEAST", 2)
    with using(driver) as gpu, config.change(cache=False):
        yield gpu


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_with_libraries(there: Any, name: str) -> None:
    assert check(name, 7) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["solve complex", "eigh", "real fourier", "convolution"])
def test_without(there: Any, name: str) -> None:
    with config.change(libraries=False):
        assert check(name, 7) == 0
