"""Compiled models in nutpie's form: by addresses of machine code, or by its public Python route.

nutpie's class for PyMC's models holds numba's functions. Ours derives from its base class and makes
the same objects of nutpie's library from our addresses (nutpie 0.16, src/pymc.rs).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from nutpie import _lib
from nutpie.compiled_pyfunc import from_pyfunc
from nutpie.sample import CompiledModel

from symgraph.errors import SymgraphError
from symgraph.interop.pymc.densities import Densities
from symgraph.interop.pymc.native import Native

_POINT = "unconstrained_parameter"


@dataclasses.dataclass(frozen=True)
class SymgraphModel(CompiledModel):  # type: ignore[misc]
    """A model whose density nutpie calls by its address."""

    densities: Densities
    logp: Native
    expand: Native
    _coords: dict[str, Any]
    _adaptation: dict[str, Any] | None = None

    @property
    def n_dim(self) -> int:
        """The dimension of the space that is sampled."""
        return self.densities.dimension

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the stored values."""
        return dict(zip(self.densities.names, self.densities.shapes, strict=True))

    @property
    def coords(self) -> dict[str, Any]:
        """The coordinates of the model's dimensions."""
        return self._coords

    def with_data(self, **updates: Any) -> SymgraphModel:
        """The same model over other data, without compiling."""
        made = self.densities.with_data(updates)
        logp, expand = made.addresses() or (self.logp, self.expand)
        return dataclasses.replace(self, densities=made, logp=logp, expand=expand)

    def with_transform_adapt(self, **options: Any) -> SymgraphModel:
        """The same model with options for nutpie's adaptation by normalizing flows."""
        return dataclasses.replace(self, _adaptation=options)

    def _make_sampler(
        self, settings: Any, init_mean: Any, cores: Any, progress_type: Any, extra_callback: Any,
        extra_callback_rate: Any, store: Any,
    ) -> Any:  # fmt: skip
        return _lib.PySampler.from_pymc(
            settings, cores, self._make_model(init_mean), progress_type, extra_callback,
            extra_callback_rate, store,
        )  # fmt: skip

    def _make_model(self, init_mean: Any) -> Any:
        d = self.densities
        sizes = {name: len(values) for name, values in self._coords.items()}
        variables = _lib.PyVariable.new_variables(
            list(d.names), ["float64"] * len(d.names), list(d.shapes), sizes, dict(self.dims or {})
        )
        expand = _lib.ExpandFunc(
            d.dimension, d.expanded, self.expand.address, self.expand.user, self
        )
        logp = _lib.LogpFunc(self.logp.address, self.logp.user, self)
        return _lib.PyMcModel(
            logp, expand, variables, d.dimension, sizes, dict(self._coords), d.initial_point,
            _adapter(self._adaptation or {}),
        )  # fmt: skip


def _adapter(options: dict[str, Any]) -> Callable[..., Any]:
    def make(*args: Any, **kwargs: Any) -> Any:
        from nutpie.transform_adapter import make_transform_adapter

        return make_transform_adapter(**options)(*args, **kwargs, logp_fn=None)

    return make


def _takes_addresses() -> bool:
    """Whether this nutpie has the parts of its library that are no public promise."""
    return all(hasattr(_lib, n) for n in ("ExpandFunc", "LogpFunc", "PyMcModel")) and hasattr(
        _lib.PySampler, "from_pymc"
    )


def compiled(model: Any, made: Densities, native: bool) -> Any:
    """The model for `nutpie.sample`."""
    dims, coords = _dims_and_coords(model, made)
    found = made.addresses() if native and _takes_addresses() else None
    names = list(made.reparameterized)
    if found is not None:
        return SymgraphModel(dims, made, *found, coords, reparameterized_names=names)

    def make_logp() -> Callable[..., Any]:
        def logp(x: np.ndarray, **data: Any) -> tuple[float, np.ndarray]:
            try:
                return made.with_data(data).logp_and_gradient(np.array(x))
            except SymgraphError as error:
                error.is_recoverable = True  # type: ignore[attr-defined]
                raise

        return logp

    def make_expand(*seeds: Any) -> Callable[..., Any]:
        return lambda x, **data: made.with_data(data).values(np.array(x))

    return from_pyfunc(
        made.dimension, make_logp, make_expand, [np.dtype("float64")] * len(made.names),
        list(made.shapes), list(made.names), shared_data=dict(made.data), dims=dims, coords=coords,
        make_initial_point_fn=made.initial_point, reparameterized_names=names,
    )  # fmt: skip


def _dims_and_coords(model: Any, made: Densities) -> tuple[dict[str, Any], dict[str, Any]]:
    """The dimensions of the stored values and their coordinates, as nutpie names them."""
    coords = {}
    for name, values in model.coords.items():
        given = pd.RangeIndex(int(model.dim_lengths[name].eval())) if values is None else values
        coords[name] = pd.Index(given)
    shapes = dict(zip(made.names, made.shapes, strict=True))
    labels = [
        ".".join([f"{name}_{index[0]}", *map(str, index[1:])]) if index else name
        for name in made.names[: made.free]
        for index in itertools.product(*map(range, shapes[name]))
    ]
    coords[_POINT] = pd.Index(labels)
    dims = dict(model.named_vars_to_dims)
    for rv in model.free_RVs:
        value = model.rvs_to_values[rv].name
        if value in made.reparameterized and dims.get(rv.name) is not None:
            if shapes.get(rv.name) == shapes[value]:
                dims[value] = dims[rv.name]
    return dims, coords
