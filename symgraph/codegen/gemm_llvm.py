"""Calls of our own matrix products: the job that `gemm/record.py` describes, filled in.

The module of a dtype is a kernel like any other: called through the table, kept in the disk cache,
the same for all functions of a machine.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from symgraph.codegen.gemm.driver import gemm_module
from symgraph.codegen.gemm.record import JOB
from symgraph.codegen.gemm.tiles import tile_for
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer

DTYPES = ("float32", "float64")
RATE = 64  # multiplications of one thread in a nanosecond, roughly


class Epilogue(NamedTuple):
    """What is done with rows of a product as soon as they are complete: a function for the thread
    team, its context, and how many of its turns make one row."""

    function: Value
    context: Value
    scale: Value


@functools.cache
def module_text(dtype: str, vector_bits: int, features: frozenset[str]) -> str:
    """The module of products of one dtype."""
    module = ModuleWriter()
    gemm_module(module, tile_for(dtype, vector_bits, features))
    return module.text()


def emit_product(
    fn: FunctionWriter, table: Table, values: Values, kernel: Value,
    operands: list[tuple[Value, Buffer]], ta: bool, tb: bool, accumulate: bool, least: int,
    epilogue: Epilogue | None = None,
) -> None:  # fmt: skip
    """C[..., m, n] = op(A)[..., m, k] op(B)[..., k, n], added to C when it accumulates. ``least``:
    from how many nanoseconds of work on threads take part."""
    (a, abuf), (b, bbuf), (c, cbuf) = operands
    job = JOB.slot(fn)
    m, n = map(values.uniform, cbuf.shape[-2:])
    k = values.uniform(abuf.shape[-2 if ta else -1])
    steps = [values.uniform(elements(x.shape[-2:])) for x in (abuf, bbuf, cbuf)]
    after = epilogue or Epilogue("null", "null", "0")
    a_steps, b_steps = ("1", m) if ta else (k, "1"), ("1", k) if tb else (n, "1")
    names = (("run", "run"), ("threads", "threads"), ("team", "state"))
    team = {w: table.load(fn, "team", x) for w, x in names}
    names = (("malloc", "arena_malloc"), ("free", "arena_free"), ("pool", "pool_state"))
    memory = {w: table.load(fn, "api", x) for w, x in names}
    JOB.put(
        fn, job, batch=values.uniform(elements(cbuf.shape[:-2])), m=m, n=n, k=k,
        a=a, a_row=a_steps[0], a_col=a_steps[1], a_next=steps[0],
        b=b, b_row=b_steps[0], b_col=b_steps[1], b_next=steps[1],
        c=c, c_row=n, c_next=steps[2], adds=int(accumulate),
        after=after.function, context=after.context, scale=after.scale,
        least=least * RATE, **team, **memory,
    )  # fmt: skip
    fn.raw(f"call void {kernel}(ptr {job})")
