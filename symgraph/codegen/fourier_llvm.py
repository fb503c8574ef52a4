"""Calls of our own Fourier transforms: the job that `fourier/record.py` describes, filled in."""

from __future__ import annotations

import functools

from symgraph import dtypes
from symgraph.codegen import llvm, team_llvm
from symgraph.codegen.fourier.record import (
    BY_LENGTH,
    BY_ROOT,
    COMPLEX,
    FROM_REAL,
    JOB,
    PLAIN,
    TO_REAL,
)
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer
from symgraph.runtime.later import Later

_driver = Later("symgraph.codegen.fourier.driver")  # comes compiled with the package, mostly

SCALES = {"": PLAIN, "length": BY_LENGTH, "root": BY_ROOT}


@functools.cache
def module(dtype: str, vector_bits: int) -> llvm.Known:
    """The module of transforms of real numbers of a dtype, and complex ones of such parts."""
    lanes = lanes_of(dtype, vector_bits)
    return llvm.Known(f"transform {dtype} {lanes}", functools.partial(_module_text, dtype, lanes))


def _module_text(dtype: str, lanes: int) -> str:
    module = ModuleWriter()
    _driver.fourier_module(module, dtype, lanes)
    return llvm.MOSTLY_CALLS + module.text()


def lanes_of(dtype: str, vector_bits: int) -> int:
    """How many sequences are transformed at once.

    >>> lanes_of("complex64", 512)
    16
    """
    return vector_bits // (8 * dtypes.itemsize(part_of(dtype)))


def part_of(dtype: str) -> str:
    """The dtype of real numbers, or of a complex number's parts."""
    return dtypes.real_of(dtype) if dtypes.is_complex(dtype) else dtype


def emit_transform(
    fn: FunctionWriter, table: Table, values: Values, name: str,
    operands: list[tuple[Value, Buffer]], axis: int, inverse: bool, scale: str, vector_bits: int,
    least: int,
) -> Value:  # fmt: skip
    """y = the transform of x over one axis, from or to real numbers where one of them is real; y
    may be x. ``least``: from how many nanoseconds of work on threads take part. The value is not 0
    where an exception waits."""
    (x, given), (y, made) = operands
    both = [dtypes.is_complex(b.dtype) for b in (given, made)]
    kind = COMPLEX if all(both) else FROM_REAL if both[1] else TO_REAL
    shape = given.shape if kind == FROM_REAL else made.shape
    job = JOB.slot(fn)
    dtype = part_of(given.dtype)
    plans = table.load(fn, "fourier", f"{dtype} {lanes_of(dtype, vector_bits)}")
    sizes = shape[:axis], shape[axis + 1 :]
    outer, inner = (values.uniform(elements(s)) for s in sizes)
    JOB.put(
        fn, job, outer=outer, inner=inner, n=values.uniform(shape[axis]), x=x, y=y, kind=kind,
        turn=int(inverse or kind == TO_REAL), norm=SCALES[scale], least=1000 * least, plans=plans,
        **team_llvm.services(fn, table),
    )  # fmt: skip
    return fn.fresh(f"call i32 {table.load(fn, 'kernel', name)}(ptr {job})")
