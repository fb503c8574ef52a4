"""Where PyTensor means something else than NumPy: what its own Python mode gives is right."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytensor = pytest.importorskip("pytensor")
pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():  # of PyTensor's about its own past and compilers that are not there
    warnings.simplefilter("ignore")
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode
    from pytensor.graph.traversal import explicit_graph_inputs

    import symgraph.interop.pytensor as door

OURS = door.mode(exclude=("symgraph_early",))
X = np.arange(12.0).reshape(3, 4)


def both(inputs: list[Any], outputs: list[Any]) -> list[Any]:
    """The function by symgraph, and by PyTensor's own Python."""
    theirs = Mode("py", "fast_compile")
    return [pytensor.function(inputs, outputs, mode=m) for m in (OURS, theirs)]


def agree(inputs: list[Any], outputs: list[Any], *values: Any, **close: float) -> Any:
    """Compare what both give, NaN with NaN; returns our function."""
    ours, theirs = both(inputs, outputs)
    for a, b in zip(ours(*values), theirs(*values), strict=True):
        np.testing.assert_allclose(a, b, strict=True, **{"rtol": 1e-10, **close})
    return ours


def test_clip_takes_the_lower_bound_first() -> None:
    x, low, high = pt.dvectors("x", "low", "high")
    nan = np.nan
    agree([x, low, high], [pt.clip(x, low, high)],
          np.array([0.0, 5.0, nan, 2.0]), np.array([3.0, 3.0, 0.0, nan]),
          np.array([1.0, 1.0, 1.0, 1.0]))  # fmt: skip


def test_derivatives_by_a_loop_for_each_element() -> None:
    inputs = pt.dvectors("a", "b", "c", "z")
    gradients = pt.grad(pt.hyp2f1(*inputs).sum(), list(inputs))
    values = np.array([[1.5, 2.0], [0.5, 3.0], [2.5, 1.0], [0.3, -0.8]])
    ours = pytensor.function(list(inputs), gradients, mode=OURS)
    assert not ours.vm.program.performed
    step = 1e-6
    plain = pytensor.function(list(inputs), pt.hyp2f1(*inputs), mode=OURS)
    for k, found in enumerate(ours(*values)):
        up, down = values.copy(), values.copy()
        up[k] += step
        down[k] -= step
        np.testing.assert_allclose(found, (plain(*up) - plain(*down)) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("assume", ["gen", "sym", "her"])
@pytest.mark.parametrize("lower", [True, False])
def test_systems_read_one_triangle(assume: str, lower: bool) -> None:
    rng = np.random.default_rng(4)
    for dtype in ("float64", "complex128"):
        a, b = pt.matrix("a", dtype=dtype), pt.matrix("b", dtype=dtype)
        value = rng.normal(size=(4, 4)) + 5 * np.eye(4)
        if dtype == "complex128":
            value = value + 1j * rng.normal(size=(4, 4))
        right = rng.normal(size=(4, 2)).astype(dtype)
        agree([a, b], [pt.linalg.solve(a, b, assume_a=assume, lower=lower)], value, right)


def test_singular_systems_give_nan() -> None:
    a, b = pt.dmatrix("a"), pt.dmatrix("b")
    outputs = [
        pt.linalg.solve(a, b), pt.linalg.solve(a, b, assume_a="pos"),
        pt.linalg.solve_triangular(a, b, lower=True),
    ]  # fmt: skip
    f = pytensor.function([a, b], outputs, mode=OURS)
    for x in f(np.diag([1.0, 0.0]), np.ones((2, 2))):
        assert np.isnan(x).all()


@pytest.mark.parametrize(
    "sizes", [((3,), (1,)), ((1,), (3,)), ((2,), (2,)), ((1,), (2, 2)), ((2,), (2, 1))], ids=str
)
def test_index_arrays_of_one_element_stretch(sizes: Any) -> None:
    x, i = pt.dmatrix("x"), pt.lvector("i")
    j = pt.tensor("j", dtype="int64", shape=(None,) * len(sizes[1]))
    places = np.arange(3)[: sizes[0][0]], np.arange(4)[-sizes[1][0] :].reshape(-1, 1)
    given = places[0], np.resize(places[1], sizes[1])
    agree([x, i, j], [x[i, j], pt.set_subtensor(x[i, j], 9.0)], X, *given)


def test_index_arrays_of_other_sizes_raise() -> None:
    x, i, j = pt.dmatrix("x"), pt.lvector("i"), pt.lvector("j")
    for f in both([x, i, j], [x[i, j]]):
        with pytest.raises(IndexError):
            f(X, np.arange(3), np.arange(2))


def test_a_new_part_of_one_element_stretches() -> None:
    x, y = pt.dmatrix("x"), pt.dmatrix("y")
    agree([x, y], [pt.inc_subtensor(x[:2], y), pt.set_subtensor(x[:, 1:], y)], X, np.ones((1, 1)))


def test_one_vector_of_places_does_not_stretch() -> None:
    x, y, i = pt.dmatrix("x"), pt.dmatrix("y"), pt.lvector("i")
    f = pytensor.function([x, y, i], [pt.set_subtensor(x[i], y)], mode=OURS)
    with pytest.raises(ValueError, match="sizes differ"):
        f(X, np.ones((1, 4)), np.arange(2))


def test_results_are_in_the_lists_of_the_outputs() -> None:
    """A Scan in PyTensor's Python mode looks there for what its step by symgraph has given."""
    x, a = pt.dvector("x"), pt.dmatrix("a")
    found = pytensor.scan(
        lambda x, a: (a @ x, x.sum()),
        outputs_info=[x, None], non_sequences=[a], n_steps=4, mode=OURS,
    )  # fmt: skip
    xs = found[0] if isinstance(found[0], list | tuple) else found
    theirs = pytensor.function([x, a], list(xs), mode=Mode("py", "fast_run"))
    mine = pytensor.function([x, a], list(xs), mode=OURS)
    values = np.arange(3.0), np.eye(3) * 2 + 0.1
    for left, right in zip(mine(*values), theirs(*values), strict=True):
        np.testing.assert_allclose(left, right)
    cells = mine.vm.outputs
    mine.vm.allow_gc = False
    assert mine(*values)[1] is cells[1][0]


def test_padding_whose_widths_are_data() -> None:
    x, width = pt.dmatrix("x"), pt.lmatrix("width")
    outputs = [pt.pad(x, width, mode=m) for m in ("edge", "wrap", "mean")]
    assert set(explicit_graph_inputs(outputs)) == {x, width}
    agree([x, width], outputs, X, np.array([[3, 3], [2, 1]]))
