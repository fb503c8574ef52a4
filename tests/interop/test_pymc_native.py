"""Log-densities by their addresses in C: their values, codes, threads and data."""

from __future__ import annotations

import ctypes
import threading
import warnings
from typing import Any

import numpy as np
import pytest

pm = pytest.importorskip("pymc")
pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pytensor
    import pytensor.tensor as pt

    import symgraph
    import symgraph.interop.pytensor
    from benchmarks.pymc.measure import compiled
    from benchmarks.pymc.models import MODELS
    from symgraph.errors import ArgumentError, AssertionFailed
    from symgraph.interop.pymc import Densities, densities


def logp(made: Densities, x: np.ndarray, dim: int | None = None) -> tuple[int, float, np.ndarray]:
    """The code, the value and the gradient that the address gives."""
    native, _ = made.addresses() or pytest.fail("no address")
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *[ctypes.c_void_p] * 4)
    gradient, value = np.empty(x.size), np.empty(())
    code = kind(native.address)(
        x.size if dim is None else dim, x.ctypes.data, gradient.ctypes.data, value.ctypes.data,
        native.user,
    )  # fmt: skip
    return code, float(value), gradient


def expand(made: Densities, x: np.ndarray, count: int) -> tuple[int, np.ndarray]:
    _, native = made.addresses() or pytest.fail("no address")
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_uint64] * 2, *[ctypes.c_void_p] * 3)
    out = np.full(made.expanded, np.nan)
    code = kind(native.address)(x.size, count, x.ctypes.data, out.ctypes.data, native.user)
    return code, out


@pytest.mark.parametrize("name", MODELS)
def test_models_against_pytensor(name: str) -> None:
    model = MODELS[name]()
    made = densities(model)
    theirs, point = compiled(model, "FAST_COMPILE")
    code, value, gradient = logp(made, point)
    wanted = theirs(point)
    assert code == 0
    assert made.gradient_by == "symgraph"
    tolerance = 1e-6 if name == "gp_latent" else 1e-9  # of a badly conditioned matrix
    np.testing.assert_allclose(value, wanted[0], rtol=1e-10)
    np.testing.assert_allclose(gradient, wanted[1], rtol=tolerance, atol=1e-9)
    code, out = expand(made, point, made.expanded)
    assert code == 0
    parts = {v.name: a for v, a in zip(model.value_vars, made.split(point), strict=True)}
    told = model.compile_fn(model.unobserved_value_vars, mode="FAST_COMPILE")(parts)
    expected = dict(zip([v.name for v in model.unobserved_value_vars], told, strict=True))
    flat = np.concatenate([np.ravel(expected[n]) for n in made.names])
    np.testing.assert_allclose(out, flat, rtol=1e-9, atol=1e-8 if name == "gp_latent" else 1e-12)


def small(observed: Any = (1.0, 2.0, 4.0)) -> Any:
    with pm.Model(coords={"row": list("abc")}) as model:
        data = pm.Data("data", np.array(observed))
        mu = pm.Normal("mu", 0, 2)
        sigma = pm.HalfNormal("sigma", 1)
        pm.Deterministic("both", pt.stack([mu, sigma, mu + sigma]), dims="row")
        pm.Normal("y", mu, sigma, observed=data)
    return model


def test_codes_of_trouble() -> None:
    made = densities(small())
    assert made.dimension == 2
    assert logp(made, np.zeros(2))[0] == 0
    assert logp(made, np.zeros(2), 3)[0] == -1
    assert expand(made, np.zeros(2), 1)[0] == -1
    assert logp(made, np.array([0.0, -800.0]))[0] in (1, 3, 4)  # sigma is 0 there
    assert logp(made, np.array([np.nan, 0.0]))[0] in (3, 4)


def test_a_failed_check_of_the_model_is_a_divergence() -> None:
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Normal("y", 0, x, observed=1.0)  # negative scales are refused
    made = densities(model)
    assert logp(made, np.array([2.0]))[0] == 0
    assert logp(made, np.array([-2.0]))[0] == 1
    with pytest.raises(AssertionFailed):
        made.logp_and_gradient(np.array([-2.0]))


def test_threads_share_an_address() -> None:
    made = densities(MODELS["radon"]())
    points = [made.initial_point(k) for k in range(4)]
    wanted = [logp(made, x) for x in points]
    wrong: list[int] = []

    def chain(k: int) -> None:
        for _ in range(200):
            code, value, gradient = logp(made, points[k])
            if (code, value) != wanted[k][:2] or (gradient != wanted[k][2]).any():
                wrong.append(k)

    threads = [threading.Thread(target=chain, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_other_data_without_compiling() -> None:
    made = densities(small())
    x, longer = np.array([0.3, 0.1]), np.array([0.5, 1.5, 2.0, -1.0])
    again = made.with_data({"data": longer})
    value = logp(again, x)[1]
    assert value != logp(made, x)[1]
    assert value == pytest.approx(logp(densities(small(longer)), x)[1], rel=1e-13)
    with pytest.raises(ArgumentError, match="no data 'other'"):
        made.with_data({"other": longer})
    with pytest.raises(ArgumentError, match="rank"):
        made.with_data({"data": longer[:, None]})


def test_only_the_named_values_are_stored() -> None:
    made = densities(small(), var_names=["sigma"])
    assert made.names == ("mu", "sigma_log__", "sigma")
    assert densities(small()).shapes == ((), (), (), (3,))


def test_single_precision() -> None:
    with pytensor.config.change_flags(floatX="float32"):
        model = small()
        made = densities(model)
        x = np.array([0.3, 0.1])
        code, value, gradient = logp(made, x)
    assert code == 0
    wanted, slopes = densities(small()).logp_and_gradient(x)
    assert value == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4)


class Doubled(pytensor.graph.op.Op):
    """A user's op, which only Python can run."""

    def make_node(self, x: Any) -> Any:
        return pytensor.graph.basic.Apply(self, [pt.as_tensor(x)], [pt.as_tensor(x).type()])

    def perform(self, node: Any, inputs: Any, output_storage: Any) -> None:
        output_storage[0][0] = np.asarray(2 * inputs[0])

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> Any:
        return [2 * cotangents[0]]

    def grad(self, inputs: Any, output_grads: Any) -> Any:
        return [2 * output_grads[0]]


def test_an_op_of_the_user_takes_pytensors_derivative_and_python() -> None:
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Normal("y", Doubled()(x), 1.0, observed=3.0)
    made = densities(model)
    assert made.gradient_by == "pytensor"
    assert made.addresses() is None
    value, gradient = made.logp_and_gradient(np.array([1.0]))
    assert value == pytest.approx(-0.5 - 0.5 - np.log(2 * np.pi))
    np.testing.assert_allclose(gradient, [-1.0 + 2.0])


def test_discrete_variables_are_refused() -> None:
    with pm.Model() as model:
        pm.Poisson("k", 3.0)
    with pytest.raises(ArgumentError, match="discrete variables k"):
        symgraph.pymc.densities(model)
