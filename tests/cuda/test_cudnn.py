"""Convolutions by cuDNN: what it is asked for, over a library and a device that are not there."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config
from symgraph.runtime.cuda import cudnn
from symgraph.runtime.cuda.protocol import DeviceError
from tests.cuda.fake_cudnn import FMA, FakeCudnn
from tests.cuda.fake_library import Setting, installed
from tests.cuda.test_convolutions import made

RNG = np.random.default_rng(101)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Any:
    with installed(monkeypatch, "cudnn", FakeCudnn) as setting:
        yield setting


def agree(inputs: list[Any], outputs: list[Any], arrays: list[np.ndarray]) -> None:
    found = sg.compile(inputs, outputs, target="cuda")(*arrays)
    for a, b in zip(found, sg.compile(inputs, outputs)(*arrays), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=3e-5, atol=3e-5)


# loop nests (depthwise) and plain products (one tap, channels last) are no windows
@pytest.mark.parametrize(
    ("case", "last"),
    [("plain", False), ("plain", True), ("strides", True), ("dilated", False), ("groups", False),
     ("groups", True), ("one axis", False), ("one tap", False)],
)  # fmt: skip
def test_the_three_of_them(there: Setting, case: str, last: bool) -> None:
    agree(*made(case, False, last))
    assert [w for w, _, _ in sorted(there.library.used)] == [
        "BackwardData", "BackwardFilter", "Forward"
    ]  # fmt: skip
    assert set(there.library.used) == {
        ("Forward", 1, FMA), ("BackwardData", 1, FMA), ("BackwardFilter", 1, FMA)
    }  # fmt: skip


def test_three_axes_of_doubles(there: Setting) -> None:
    x, w = sg.tensor("x", shape=(None,) * 5), sg.tensor("w", shape=(None,) * 5)
    y = sg.nn.conv(x, w, padding=(1, 0, 1), stride=(1, 2, 1), layout="NCDHW")
    arrays = [RNG.standard_normal(s) for s in ((2, 2, 3, 4, 3), (3, 2, 2, 2, 2))]
    agree([x, w], [y, sg.grad(sg.sum(y**2), w)], arrays)
    assert len(there.library.used) == 2


@pytest.mark.parametrize(
    ("padding", "stride", "asked"),
    [(((1, 1),), 1, True), (((1, 0),), 1, False), (((2, 1),), 2, True), (((0, 2),), 1, False)],
)
def test_padding_that_the_library_cannot_say(
    there: Setting, padding: Any, stride: int, asked: bool
) -> None:
    """Two and one are as two and two where the last element is never seen."""
    x, w = sg.tensor("x", shape=(1, 2, 6)), sg.tensor("w", shape=(3, 2, 3))
    arrays = [RNG.standard_normal((1, 2, 6)), RNG.standard_normal((3, 2, 3))]
    y = sg.nn.conv(x, w, padding=padding, stride=stride, layout="NCW")
    agree([x, w], [y], arrays)
    assert bool(there.library.used) == asked


def test_arithmetic_on_request(there: Setting) -> None:
    x, w = (sg.tensor(n, dtype="float32", shape=s) for n, s in (("x", (1, 2, 5, 5)),
                                                               ("w", (3, 2, 2, 2))))  # fmt: skip
    arrays = [RNG.standard_normal(v.shape).astype("f") for v in (x, w)]
    with config.change(products="tf32"):
        agree([x, w], [sg.nn.conv2d(x, w)], arrays)
    assert there.library.used == [("Forward", 6, 1)]
    with config.change(products="bfloat16"):
        sg.compile([x, w], sg.nn.conv2d(x, w), target="cuda")(*arrays)
    assert len(there.library.used) == 1


def test_what_the_library_cannot_do_is_done_all_the_same(there: Setting) -> None:
    there.library.refuses = True
    agree(*made("plain", False, False))
    with config.change(libraries=False):
        agree(*made("one axis", False, False))
    assert not there.library.used


def test_steps_become_graphs(there: Setting) -> None:
    x = sg.tensor("x", dtype="float32", shape=(None, 1, 6, 6))
    w = sg.shared(RNG.standard_normal((2, 1, 3, 3)).astype("f"), "w")
    loss = sg.mean(sg.nn.conv2d(x, w) ** 2)
    start = w.get_value()
    values = []
    for target in ("cpu", "cuda"):
        w.set_value(start)
        f = sg.compile([x], loss, updates={w: w - 0.1 * sg.grad(loss, w)}, target=target)
        batch = np.linspace(-1, 1, 72, dtype="f").reshape(2, 1, 6, 6)
        values.append([f(batch) for _ in range(5)] + [w.get_value()])
    for a, b in zip(*values, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
    (frame,) = f.frames.values()
    assert frame.replays == 3 and there.gpu.driver.replayed["library"] == 6
    assert len(there.library.made) == 8
    del f, frame
    gc.collect()
    assert not there.library.made


def test_out_of_the_disk_cache(there: Setting, tmp_path: Path) -> None:
    inputs, outputs, arrays = made("strides", False, True)
    found = []
    with config.change(cache=True, cache_dir=tmp_path):
        for _ in range(2):
            f = sg.compile(inputs, outputs, target="cuda")
            found.append(f(*arrays))
        assert f.statistics["cached"]
        with config.change(libraries=False):
            assert not sg.compile(inputs, outputs, target="cuda").statistics["cached"]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(there.library.used) == 6


FAULTS: dict[str, tuple[str, int]] = {
    "layout of weights": ("CHANNELS_LAST", 0), "correlation": ("CORRELATION", 0),
    "determinism": ("DETERMINISTIC", 0), "dtype": ("KINDS", {"float32": 1, "float64": 0}),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_number_is_noticed(
    there: Setting, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(cudnn, *FAULTS[fault])
    wrong = False
    try:
        agree(*made("plain", False, True))
        assert ("BackwardData", 1, FMA) in there.library.used
    except (AssertionError, DeviceError):
        wrong = True
    assert wrong
