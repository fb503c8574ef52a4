"""nutpie's sampler over symgraph's functions, beside PyMC's `sample`."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from typing import Any

from symgraph.errors import ArgumentError
from symgraph.interop.pymc.densities import densities


def compile_pymc_model(
    model: Any = None, *, native: bool = True, gradient: str = "symgraph",
    initial_points: Any = None, jitter_rvs: Any = None,
    default_initialization_strategy: str = "support_point", var_names: Sequence[str] | None = None,
    threads: bool = False,
) -> Any:  # fmt: skip
    """A compiled model for `nutpie.sample`, as nutpie's own `compile_pymc_model` gives.

    ``model``: a PyMC model (default: that of the `with` block); ``native``: hand nutpie addresses
    of machine code, which threads call without Python's lock; False, or a model with a size that
    depends on values, takes nutpie's public route through Python functions. ``gradient``: who
    differentiates, "symgraph" or "pytensor"; ``threads``: whether one call may use several threads,
    for few chains of a large model. The other arguments are nutpie's.

    Raises ArgumentError without nutpie or for a model with discrete variables.

    >>> compiled = symgraph.pymc.compile_pymc_model(model)               # doctest: +SKIP
    >>> trace = nutpie.sample(compiled, draws=1000, chains=4)            # doctest: +SKIP
    """
    made = densities(
        _model(model), initial_points=initial_points, jitter_rvs=jitter_rvs,
        default_initialization_strategy=default_initialization_strategy, var_names=var_names,
        gradient=gradient, threads=threads,
    )  # fmt: skip
    return _nutpie().compiled(_model(model), made, native)


def sample(
    draws: int = 1000, *, tune: int | None = None, chains: int | None = None,
    cores: int | None = None, random_seed: int | None = None, model: Any = None,
    progressbar: bool = False, compile_kwargs: dict[str, Any] | None = None, **options: Any,
) -> Any:  # fmt: skip
    """Draw from a model's posterior by nutpie's NUTS over symgraph's machine code.

    The arguments are `pm.sample`'s; ``compile_kwargs`` go to `compile_pymc_model`, other
    ``options`` to `nutpie.sample` (such as ``target_accept``). Returns the tree of data that
    nutpie makes, with observed and constant data where this PyMC adds them for nutpie.

    Raises ArgumentError without nutpie or for a model with discrete variables.

    >>> with model:                                                      # doctest: +SKIP
    ...     trace = symgraph.pymc.sample(1000, chains=4, random_seed=1)
    """
    model = _model(model)
    compiled = compile_pymc_model(model, **(compile_kwargs or {}))
    begin = time.perf_counter()
    # chains run side by side: a BLAS with threads of its own would have them wait for each other
    with importlib.import_module("threadpoolctl").threadpool_limits(1):
        trace = importlib.import_module("nutpie").sample(
            compiled, draws=draws, tune=tune, chains=chains, cores=cores, seed=random_seed,
            progress_bar=progressbar, **options,
        )  # fmt: skip
    complete = getattr(importlib.import_module("pymc.backends.arviz"), "patch_nutpie_idata", None)
    if complete is not None and hasattr(trace, "posterior"):
        complete(trace, model, sampling_time=time.perf_counter() - begin)
    return trace


def _model(model: Any) -> Any:
    return importlib.import_module("pymc").modelcontext(model)


def _nutpie() -> Any:
    try:
        return importlib.import_module("symgraph.interop.pymc.nutpie_model")
    except ImportError as error:
        if "nutpie" not in str(error):
            raise
        raise ArgumentError(
            "symgraph.pymc.sample needs nutpie", hint='pip install nutpie; or pm.sample(..., '
            'nuts_sampler="pymc", compile_kwargs={"mode": "SYMGRAPH"})',
        ) from error  # fmt: skip
