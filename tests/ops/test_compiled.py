"""The rows of the registry as native code, against the ops' references.

Many rows share one function: a function for each would take most of the time.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from symgraph.compiler import compile
from symgraph.errors import DTypeError
from symgraph.ir.op import OPS
from symgraph.ops.elementwise import Elementwise
from tests.ops import evaluation
from tests.ops.samples import Sample
from tests.ops.test_registry import ALL, WIDE, operand_arrays, outputs_of

GROUP = 24
GROUPS = [ALL[k : k + GROUP] for k in range(0, len(ALL), GROUP)]
# ulp of the vector functions; NumPy's own differ by as much from the exact value
RTOL = {"float32": 2e-6, "float64": 8e-15, "complex64": 2e-6, "complex128": 8e-15}


def close(found: Any, wanted: Any, name: str) -> None:
    assert found.dtype == wanted.dtype and found.shape == wanted.shape, name
    rtol = RTOL.get(str(wanted.dtype), 0)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol / 10, err_msg=name)


def run_both(builds: list[tuple[str, Any, list[Any]]], symbolic: bool = False) -> None:
    """Compile all graphs as one function and compare each output with the reference."""
    names, inputs, arrays, outputs = [], [], [], []
    for name, build, operands in builds:
        own = evaluation.inputs_for(operands, symbolic)
        built = outputs_of(build(*own))
        names += [name] * len(built)
        inputs, arrays, outputs = inputs + own, arrays + operands, outputs + built
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        wanted = evaluation.run(outputs, dict(zip(inputs, arrays, strict=True)))
        for k, x in enumerate(inputs):
            x.name = f"a{k}"
        found = compile(inputs, outputs, on_unused_input="ignore")(*arrays)
    for name, f, w in zip(names, found, wanted, strict=True):
        close(f, w, name)


@pytest.mark.parametrize("dtype", WIDE)
def test_elementwise(dtype: str) -> None:
    builds = []
    for row in OPS.values():
        if isinstance(row, Elementwise) and not row.name.startswith("philox"):
            try:
                row.computes_in((dtype,) * row.arity)
            except DTypeError:
                continue
            builds.append((row.name, row, operand_arrays(row, dtype)))
    run_both(builds)


def _name(group: list[Sample]) -> str:
    """The op of a group's first sample and its place: samples hold arrays, which `==` compares."""
    place = next(k for k, sample in enumerate(ALL) if sample is group[0])
    return f"{place}-{group[0].op}"


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
@pytest.mark.parametrize("group", GROUPS, ids=_name)
def test_samples(group: list[Sample], symbolic: bool) -> None:
    run_both(
        [(s.op, s.build, list(s.arrays)) for s in group if s.symbolic or not symbolic], symbolic
    )
