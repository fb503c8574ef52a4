"""Calls of our own matrix products: the job that `gemm/record.py` describes, filled in.

The module of a dtype is a kernel like any other: called through the table, kept in the disk cache,
the same for all functions of a machine.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

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
def module_text(
    dtype: str, vector_bits: int, features: frozenset[str], images: str = "",
    sizes: tuple[int, int] | None = None,
) -> str:  # fmt: skip
    """The module of products of one dtype; with the operand ``images`` in images, and with what
    results of known sizes need and no more."""
    module = ModuleWriter()
    tile = tile_for(dtype, vector_bits, features)
    if sizes is not None:
        tile = tile.cut(*sizes, images)
    gemm_module(module, tile)
    return module.text()


def module_name(
    dtype: str, vector_bits: int, features: frozenset[str], images: str, sizes: tuple[int, int]
) -> str:
    """The name of that module: one for all sizes that need the same."""
    tile = tile_for(dtype, vector_bits, features).cut(*sizes, images)
    shapes = ["".join(map(str, x)) for x in (tile.heights, tile.widths)]
    return f"convolution_{images}_{dtype}_{shapes[0]}x{shapes[1]}"


def emit_product(
    fn: FunctionWriter, table: Table, values: Values, kernel: Value,
    operands: list[tuple[Value, Buffer]], ta: bool, tb: bool, accumulate: bool, least: int,
    epilogue: Epilogue | None = None,
) -> None:  # fmt: skip
    """C[..., m, n] = op(A)[..., m, k] op(B)[..., k, n], added to C when it accumulates. ``least``:
    from how many nanoseconds of work on threads take part."""
    (a, abuf), (b, bbuf), (c, cbuf) = operands
    job = _job(fn, table, least, epilogue)
    m, n = map(values.uniform, cbuf.shape[-2:])
    k = values.uniform(abuf.shape[-2 if ta else -1])
    steps = [values.uniform(elements(x.shape[-2:])) for x in (abuf, bbuf, cbuf)]
    a_steps, b_steps = ("1", m) if ta else (k, "1"), ("1", k) if tb else (n, "1")
    JOB.put(
        fn, job, batch=values.uniform(elements(cbuf.shape[:-2])), m=m, n=n, k=k,
        a=a, a_row=a_steps[0], a_col=a_steps[1], a_next=steps[0],
        b=b, b_row=b_steps[0], b_col=b_steps[1], b_next=steps[1],
        c=c, c_row=n, c_next=steps[2], adds=int(accumulate),
    )  # fmt: skip
    fn.raw(f"call void {kernel}(ptr {job})")


def emit_convolution(
    fn: FunctionWriter, table: Table, values: Values, kernel: Value, operands: list[Value],
    params: Mapping[str, Any], least: int, after: Epilogue | None = None,
    before: Epilogue | None = None,
) -> None:  # fmt: skip
    """The products of a convolution's groups and images; `lower/convolution_direct.py` says what
    the parameters are."""
    job = _job(fn, table, least, after)
    a, b, rows, columns, c = operands
    before = before or Epilogue("null", "null", "0")
    words: dict[str, Value | int] = {"a": a, "b": b, "c": c}
    for x in "abc":
        for step, value in zip(("row", "col", "next", "group"), params[x], strict=True):
            if (x, step) != ("c", "col"):
                words[f"{x}_{step}"] = value
    JOB.put(
        fn, job, batch=values.uniform(params["batch"]), m=params["m"], n=params["n"],
        k=params["k"], groups=params["groups"], adds=params["adds"], row_table=rows,
        col_table=columns, run_length=params["run"], before=before.function,
        before_context=before.context, before_scale=before.scale, **words,
    )  # fmt: skip
    fn.raw(f"call void {kernel}(ptr {job})")


def _job(fn: FunctionWriter, table: Table, least: int, epilogue: Epilogue | None) -> Value:
    """A record on the stack with what all products need: memory, threads, what follows."""
    job = JOB.slot(fn)
    after = epilogue or Epilogue("null", "null", "0")
    names = (("run", "run"), ("threads", "threads"), ("team", "state"))
    team = {w: table.load(fn, "team", x) for w, x in names}
    names = (("malloc", "arena_malloc"), ("free", "arena_free"), ("pool", "pool_state"))
    memory = {w: table.load(fn, "api", x) for w, x in names}
    JOB.put(
        fn, job, after=after.function, context=after.context, scale=after.scale,
        least=least * RATE, **team, **memory,
    )  # fmt: skip
    return job
