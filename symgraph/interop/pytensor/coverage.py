"""What of PyTensor has a row in the table: ``python -m symgraph.interop.pytensor.coverage``."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from symgraph.interop.pytensor.table import OPS, SCALAR_OPS, row_of

# scalar ops that run by their Python form, with the reason
WITHOUT_A_ROW = frozenset({
    "ScalarLoop",  # a loop for each element: derivatives of hypergeometric functions
    "Grad2F1Loop",  # the same
    "ComplexFromPolar",  # rarely met
})  # fmt: skip


def _below(cls: Any) -> list[Any]:
    found = []
    for sub in cls.__subclasses__():
        found += [sub, *_below(sub)]
    return found


def missing_scalar_ops() -> set[str]:
    """Names of PyTensor's scalar ops without a row."""
    basic = importlib.import_module("pytensor.scalar.basic")
    importlib.import_module("pytensor.scalar.math")
    bases = {"UnaryScalarOp", "BinaryScalarOp", "ScalarInnerGraphOp", "LogicalComparison",
             "FixedLogicalComparison", "BinaryBitOp", "UnaryBitOp"}  # fmt: skip
    classes = [c for c in _below(basic.ScalarOp) if c.__module__.startswith("pytensor.")]
    instances = {c.__name__: object.__new__(c) for c in classes if c.__name__ not in bases}
    return {name for name, op in instances.items() if row_of(op, SCALAR_OPS) is None}


def missing_ops() -> set[str]:
    """Names of the op classes, of the modules that are loaded, without a row."""
    op = importlib.import_module("pytensor.graph.op").Op
    importlib.import_module("pytensor.tensor")
    scalar = importlib.import_module("pytensor.scalar.basic").ScalarOp
    classes = [
        c for c in _below(op) if c.__module__.startswith("pytensor.") and not issubclass(c, scalar)
    ]
    whole = [c for c in classes if not getattr(c, "__abstractmethods__", None)]
    return {c.__name__ for c in whole if row_of(object.__new__(c), OPS) is None}


def main() -> None:
    """Print what is missing."""
    scalars, others = missing_scalar_ops(), missing_ops()
    sys.stdout.write(f"scalar ops without a row: {', '.join(sorted(scalars)) or 'none'}\n")
    sys.stdout.write(f"rows: {len(OPS)} ops, {len(SCALAR_OPS)} scalar ops\n")
    sys.stdout.write(f"ops that run by perform: {', '.join(sorted(others))}\n")


if __name__ == "__main__":
    main()
