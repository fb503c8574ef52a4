"""Matrix products: tiles, tensor cores, and what is done with their sums."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import config, cuda_stages
from symgraph.codegen.ptx.architecture import architecture
from symgraph.loops.text import kernels, program_text
from symgraph.lower.cuda import products
from tests.cuda import running
from tests.cuda.test_schedules import launches

RNG = np.random.default_rng(31)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


def pair(m: int, k: int, n: int, known: bool = False) -> tuple[Any, Any]:
    x = sg.tensor("x", dtype="float32", shape=(m, k) if known else ("m", "k"))
    y = sg.tensor("y", dtype="float32", shape=(k, n) if known else ("k", "n"))
    return x, y


def emulated(outputs: list[Any], arrays: dict[str, np.ndarray], arch: str = "sm_90") -> list[Any]:
    d, program = running.scheduled(*outputs)
    made = cuda_stages.emit(program, architecture(arch))
    return running.emulated(d, made, [arrays[v.name] for v in d.graph.inputs])


@pytest.mark.parametrize("sizes", [(70, 19, 130), (1, 33, 5), (64, 0, 3)])
@pytest.mark.parametrize("known", [False, True])
def test_float32_has_the_order_of_the_summed_axis(sizes: tuple[int, ...], known: bool) -> None:
    m, k, n = sizes
    x, y = pair(m, k, n, known)
    arrays = {"x": normal(m, k), "y": normal(k, n)}
    (found,) = emulated([x @ y], arrays)
    total = np.zeros((m, n), "float32")
    for j in range(k):  # one fused multiply-add after another
        exact = arrays["x"][:, j : j + 1].astype("float64") * arrays["y"][j]
        total = (exact + total).astype("float32")
    np.testing.assert_allclose(found, total, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("turned", [(False, True), (True, False), (True, True)])
def test_turned_operands(turned: tuple[bool, bool]) -> None:
    a, b = normal(20, 35), normal(35, 18)
    x, y = sg.matrix("x", dtype="float32"), sg.matrix("y", dtype="float32")
    product = (x.T if turned[0] else x) @ (y.T if turned[1] else y)
    arrays = {"x": a.T.copy() if turned[0] else a, "y": b.T.copy() if turned[1] else b}
    np.testing.assert_allclose(emulated([product], arrays)[0], a @ b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("mode", "tolerance"), [
    ("tf32", 2**-10), ("bfloat16", 2**-7), ("float16", 2**-10),
])  # fmt: skip
def test_tensor_cores_round_operands_and_add_in_float32(mode: str, tolerance: float) -> None:
    x, y = pair(40, 37, 72)
    arrays = {"x": normal(40, 37), "y": normal(37, 72)}
    with config.change(products=mode):
        (found,) = emulated([x @ y], arrays)
        (old,) = emulated([x @ y], arrays, "sm_75")
    exact = arrays["x"].astype("float64") @ arrays["y"]
    bound = np.abs(arrays["x"]).astype("float64") @ np.abs(arrays["y"])
    assert (np.abs(found - exact) <= tolerance * bound).all() and np.abs(found - exact).max() > 0
    np.testing.assert_allclose(found, old, rtol=1e-5, atol=1e-5)  # turn by turn, equal operands


def test_which_instructions_are_used() -> None:
    x, y = pair(256, 64, 256, True)
    for mode, word in (("tf32", "m16n8k8"), ("bfloat16", "bf16.bf16"), ("float16", "f16.f16.f32")):
        with config.change(products=mode):
            _, program = running.scheduled(x @ y)
        for arch, there in (("sm_90", True), ("sm_80", True), ("sm_75", False)):
            (kernel,) = cuda_stages.emit(program, architecture(arch)).kernels.values()
            assert (word in kernel.ptx and "mma.sync" in kernel.ptx) is there
    _, program = running.scheduled(x @ y)
    (kernel,) = cuda_stages.emit(program, running.ARCH).kernels.values()
    assert "mma" not in kernel.ptx and "ld.shared.v4" in kernel.ptx
    assert "ld.global.nc.v4" in kernel.ptx and "st.global.v4" in kernel.ptx


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_operands_are_multiplied_by_tensor_cores(dtype: str) -> None:
    x, y = (sg.tensor(n, dtype=dtype, shape=(128, 128)) for n in "xy")
    _, program = running.scheduled(x @ y)
    made = cuda_stages.emit(program, running.ARCH)
    assert "mma.sync" in made.ptx


def test_small_and_large_products_are_told_apart_at_the_call() -> None:
    x, y = pair(1, 1, 1)
    _, program = running.scheduled(x @ y)
    blocks = [running.launch(k).blocks for k in kernels(program)]  # type: ignore[union-attr]
    for m, n in ((5, 9), (4096, 4096)):
        counts = [running.evaluate_size(b, {"m": m, "n": n, "k": 3}) for b in blocks]
        tile = products.LARGE if m > 1000 else products.SMALL
        assert sorted(counts) == [0, -(-m // tile.rows) * -(-n // tile.columns)]


@pytest.mark.parametrize(("m", "n", "tile"), [
    (4096, 4096, products.LARGE), (512, 512, products.SMALL), (8, 4096, products.LOW),
    (4096, 10, products.NARROW),
])  # fmt: skip
def test_tiles_by_size(m: int, n: int, tile: products.Tile) -> None:
    assert products.tiles_for((m, n), "float32") == [(tile, None)]


@pytest.mark.parametrize("known", [False, True])
def test_bias_and_activation_join_the_product(known: bool) -> None:
    x, y = pair(20, 9, 33, known)
    b = sg.tensor("b", dtype="float32", shape=(33,) if known else ("n",))
    arrays = {"x": normal(20, 9), "y": normal(9, 33), "b": normal(33)}
    _, program = running.scheduled(sg.maximum(x @ y + b, 0))
    assert launches(program) == (1 if known else 2)  # without sizes: small or large
    (found,) = emulated([sg.maximum(x @ y + b, 0)], arrays)
    wanted = np.maximum(arrays["x"] @ arrays["y"] + arrays["b"], 0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_a_product_that_is_needed_again_is_stored_too() -> None:
    x, y = pair(20, 9, 33, True)
    h = x @ y
    outputs = [sg.maximum(h, 0), sg.sum(h, axis=0)]
    arrays = {"x": normal(20, 9), "y": normal(9, 33)}
    found = emulated(outputs, arrays)
    h = arrays["x"] @ arrays["y"]
    np.testing.assert_allclose(found[0], np.maximum(h, 0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[1], h.sum(axis=0), rtol=1e-4, atol=1e-4)


def test_what_reads_other_elements_does_not_join() -> None:
    x, y = pair(20, 20, 20, True)
    h = x @ y
    for outputs in ([h + h.T], [sg.exp(h)], [h[::-1] * 2.0]):
        arrays = {"x": normal(20, 20), "y": normal(20, 20)}
        (found,) = emulated(outputs, arrays)
        f = sg.compile([x, y], outputs[0], mode="interpret")
        np.testing.assert_allclose(found, f(arrays["x"], arrays["y"]), rtol=1e-4, atol=1e-5)


def test_banks_of_shared_memory() -> None:
    """Tensor cores' fragments, and strips on their way into shared memory, meet no conflicts."""
    x, y = pair(64, 16, 64, True)
    arrays = {"p0": normal(64, 16), "p1": normal(16, 64), "p2": np.zeros((64, 64), "float32")}
    with config.change(products="tf32"):
        _, program = running.scheduled(x @ y)
    made = cuda_stages.emit(program, running.ARCH)
    (name,) = made.kernels
    conflicts: Counter[str] = Counter()
    running.emulate(made, name, arrays, {}, conflicts=conflicts)
    loads = {what: n for what, n in conflicts.items() if what.startswith("ld")}
    assert loads and not any(loads.values())


def test_text_of_products(golden: Any) -> None:
    x, y = pair(64, 16, 64, True)
    with config.change(products="tf32"):
        _, program = running.scheduled(x @ y)
    golden("cuda/scheduled_product_tensor", program_text(program))
