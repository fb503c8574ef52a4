"""Calls of our own matrix products: the job that `gemm/record.py` describes, filled in.

The module of a dtype is a kernel like any other: called through the table, kept in the disk cache,
the same for all functions of a machine.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from symgraph import dtypes
from symgraph.codegen import llvm, team_llvm
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.tiles import Tile
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer
from symgraph.loops.statements import Size
from symgraph.records import NamedTuple
from symgraph.runtime.later import Later
from symgraph.scalar import as_expr, as_size

_driver = Later("symgraph.codegen.gemm.driver")  # comes compiled with the package, mostly

DTYPES = ("float32", "float64")
RATE = 64  # multiplications of one thread in a nanosecond, roughly


class Epilogue(NamedTuple):
    """What is done with rows of a product as soon as they are complete: a function for the thread
    team, its context, and how many of its turns make one row."""

    function: Value
    context: Value
    scale: Value


class Product(NamedTuple):
    """The addresses of a module of products and of the record of its parts."""

    address: Value
    parts: Value


@functools.cache
def module(tile: Tile) -> llvm.Known:
    """The module of products of a tile."""
    name = " ".join(map(str, ("product", *tile))).rstrip()
    return llvm.Known(name, functools.partial(_module_text, tile))


def _module_text(tile: Tile) -> str:
    module = ModuleWriter()
    _driver.gemm_module(module, tile)
    return llvm.MOSTLY_CALLS + module.text()


def emit_product(
    fn: FunctionWriter, table: Table, values: Values, kernel: Product,
    operands: list[tuple[Value, Buffer]], ta: bool, tb: bool, accumulate: bool, least: int,
    epilogue: Epilogue | None = None,
) -> Value:  # fmt: skip
    """C[..., m, n] = op(A)[..., m, k] op(B)[..., k, n], added to C when it accumulates. ``least``:
    from how many nanoseconds of work on threads take part. Complex numbers are two columns each.
    The value is 0 where it was done."""
    (a, abuf), (b, bbuf), (c, cbuf) = operands
    job = _job(fn, table, least, kernel, epilogue)

    def real(size: Size, held: Buffer) -> Value:
        each = 2 if dtypes.is_complex(held.dtype) else 1
        return values.uniform(as_size(as_expr(size) * each))

    m, n, k = (
        values.uniform(cbuf.shape[-2]),
        real(cbuf.shape[-1], cbuf),
        real(abuf.shape[-2 if ta else -1], abuf),
    )
    steps = [real(elements(x.shape[-2:]), x) for x in (abuf, bbuf, cbuf)]
    a_steps, b_steps = ("1", m) if ta else (k, "1"), ("1", k) if tb else (n, "1")
    JOB.put(
        fn, job, batch=values.uniform(elements(cbuf.shape[:-2])), m=m, n=n, k=k,
        a=a, a_row=a_steps[0], a_col=a_steps[1], a_next=steps[0],
        b=b, b_row=b_steps[0], b_col=b_steps[1], b_next=steps[1],
        c=c, c_row=n, c_next=steps[2], adds=int(accumulate),
    )  # fmt: skip
    return fn.fresh(f"call i32 {kernel.address}(ptr {job})")


def emit_convolution(
    fn: FunctionWriter, table: Table, values: Values, kernel: Product, operands: list[Value],
    params: Mapping[str, Any], least: int, after: Epilogue | None = None,
    before: Epilogue | None = None,
) -> Value:  # fmt: skip
    """The products of a convolution's groups and images; `lower/convolution_direct.py` says what
    the parameters are. The value is 0 where they were made."""
    job = _job(fn, table, least, kernel, after)
    a, b, rows, columns, c = operands
    before = before or Epilogue("null", "null", "0")
    words: dict[str, Value | int] = {"a": a, "b": b, "c": c}
    for x in "abc":
        for step, value in zip(("row", "col", "next", "group"), params[x], strict=True):
            words[f"{x}_{step}"] = values.uniform(value)
    JOB.put(
        fn, job, groups=params["groups"], adds=params["adds"], row_table=rows, col_table=columns,
        run_length=values.uniform(params["run"]), before=before.function,
        before_context=before.context, before_scale=before.scale, **words,
        **{size: values.uniform(params[size]) for size in ("batch", "m", "n", "k")},
    )  # fmt: skip
    return fn.fresh(f"call i32 {kernel.address}(ptr {job})")


def _job(
    fn: FunctionWriter, table: Table, least: int, kernel: Product, epilogue: Epilogue | None
) -> Value:
    """A record on the stack with what all products need: memory, threads, what follows."""
    job = JOB.slot(fn)
    after = epilogue or Epilogue("null", "null", "0")
    JOB.put(
        fn, job, after=after.function, context=after.context, scale=after.scale,
        least=least * RATE, parts=kernel.parts, **team_llvm.services(fn, table),
    )  # fmt: skip
    return job
