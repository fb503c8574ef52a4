"""SciPy's special functions: by address for native code, by name for the interpreters.

`scipy.special.cython_special` exports plain C functions of doubles as capsules, so that a kernel
calls them without Python. Importing it takes a quarter of a second; that happens only when a
function with such a call is loaded, or the reference of one is evaluated.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from symgraph.runtime.blas import capsule_address, capsule_name


@functools.cache
def special_function(name: str, arity: int) -> int:
    """The address of ``double name(double, ..., int)``, the last argument being ignored.

    Raises KeyError where SciPy has no such function of `arity` doubles.

    >>> special_function("gammainc", 2) > 0
    True
    """
    from scipy.special import cython_special

    wanted = f"double ({'double, ' * arity}int __pyx_skip_dispatch)"
    table = cython_special.__pyx_capi__
    # functions of several types are exported once for each, with a prefix that counts them
    for key in (name, *(f"__pyx_fuse_{k}{name}" for k in range(3))):
        capsule = table.get(key)
        if capsule is not None and capsule_name(capsule) == wanted:
            return capsule_address(capsule)
    raise KeyError(f"scipy.special.cython_special has no {name} of {arity} doubles")


@functools.cache
def _ufunc(name: str) -> Callable[..., Any]:
    import scipy.special

    return getattr(scipy.special, name)  # type: ignore[no-any-return]


def reference(name: str) -> Callable[..., Any]:
    """The function of NumPy arrays, computed in float64 and rounded to the operands' dtype."""

    def call(*operands: Any) -> Any:
        found = _ufunc(name)(*(np.asarray(x, "float64") for x in operands))
        with np.errstate(all="ignore"):
            return np.asarray(found).astype(np.result_type(*operands))[()]

    return call
