"""Calls of LAPACK routines (and the triangular solve of BLAS) through addresses in the table.

LAPACK is column-major. What it factorises in place is a buffer that a kernel has filled before:
for Cholesky the matrix itself, whose lower triangle in rows is an upper one in columns; otherwise
the transposed matrix. Workspaces are buffers of the Program. Integers are passed by address as 64
bits, of which a library with 32-bit integers reads the low half (little-endian).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from symgraph import dtypes
from symgraph.codegen import cholesky_llvm, lu_llvm
from symgraph.codegen.lapack_writer import Writer
from symgraph.codegen.literals import constant, llvm_type
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer, Call
from symgraph.runtime.later import Later

if TYPE_CHECKING:
    from symgraph.codegen import batches_llvm as batches
    from symgraph.codegen import cholesky_lanes_llvm as cholesky_lanes
    from symgraph.codegen import in_lanes_llvm as in_lanes
    from symgraph.codegen import lu_lanes_llvm as lu_lanes
    from symgraph.codegen import trsm_lanes_llvm as trsm_lanes
    from symgraph.codegen.program_llvm import ProgramModule
else:
    batches = Later("symgraph.codegen.batches_llvm")
    cholesky_lanes = Later("symgraph.codegen.cholesky_lanes_llvm")
    in_lanes = Later("symgraph.codegen.in_lanes_llvm")
    lu_lanes = Later("symgraph.codegen.lu_lanes_llvm")
    trsm_lanes = Later("symgraph.codegen.trsm_lanes_llvm")

SMALL = 12  # up to this many unknowns a triangular system is solved in line


# routines -----------------------------------------------------------------------------------------


def _potrf(w: Writer, params: dict[str, Any]) -> Value:
    """Operands a, l: l holds the lower triangle of a and becomes the factor."""
    n = w.shape(1)[-1]
    routine, info = w.routine("potrf", 1), w.place("i64", "0")
    words = [w.letter("U"), w.integer(n)]
    lead = w.leading(n)
    kind, nan = llvm_type(w.dtype(1)), constant(w.dtype(1), 1, float("nan"))
    count = w.values.uniform(elements((n, n)))

    def fill(place: Value) -> None:
        def one(i: Value, _: list[Value]) -> list[Value]:
            at = w.fn.val(f"getelementptr {kind}, ptr {place}, i64 {i}")
            w.fn.raw(f"store {kind} {nan}, ptr {at}")
            return []

        w.fn.loop(0, count, 1, [], one)

    def turn(at: list[Value]) -> Value | None:
        failed = w.checked(routine, info, *words, at[1], lead)
        if params["on_failure"] == "raise":
            return failed
        w.fn.if_(failed, lambda: fill(at[1]), likely=False)
        return None

    return w.batch((2, 2), turn, 1)


def _trsm(w: Writer, params: dict[str, Any]) -> Value:
    """Operands a, b, x: x holds b and becomes the solution; fails on a 0 in the diagonal.

    x^T op(a)^T = b^T in columns, where the memory of a is a^T. One column goes as a vector.
    """
    n, k = w.shape(2)[-2:]
    turned = params["trans"] != (k == 1)
    flags = [w.letter("U" if params["low"] else "L"), w.letter("T" if turned else "N")]
    flags.append(w.letter("U" if params["unit"] else "N"))
    size, lead_a, lead_x = w.integer(n), w.leading(n), w.leading(k)
    if k == 1:
        routine, one = w.routine("trsv", 2), w.place("i64", "1")
    else:
        routine, one = w.routine("trsm", 2), w.place(
            llvm_type(w.dtype(2)), constant(w.dtype(2), 1, 1.0)
        )  # fmt: skip
        side, columns = w.letter("R"), w.integer(k)
    rows, width = w.values.uniform(n), w.values.uniform(k)
    small = w.fn.val(f"icmp ule i64 {rows}, {SMALL}")

    def turn(at: list[Value]) -> Value | None:
        failed = None if params["unit"] else _zero_on_diagonal(w, at[0], rows)

        def library() -> None:
            if k == 1:
                w.call(routine, *flags, size, at[0], lead_a, at[2], one)
            else:
                w.call(routine, side, *flags, columns, size, one, at[0], lead_a, at[2], lead_x)

        if dtypes.is_complex(w.dtype(2)):
            library()
            return failed
        w.fn.if_(small, lambda: _substitute(w, params, at[0], at[2], rows, width), library)
        return failed

    return w.batch((2, 2, 2), turn, 2)


def _substitute(
    w: Writer, params: dict[str, Any], a: Value, x: Value, n: Value, width: Value
) -> None:
    """Substitution by plain loops, for systems so small that a library call takes longer."""
    fn, kind = w.fn, llvm_type(w.dtype(2))
    forward = params["low"] != params["trans"]

    def at(base: Value, row: Value, column: Value, length: Value) -> Value:
        place = fn.val(f"add i64 {fn.val(f'mul i64 {row}, {length}')}, {column}")
        return fn.val(f"getelementptr {kind}, ptr {base}, i64 {place}")

    def element(i: Value, j: Value) -> Value:
        place = at(a, j, i, n) if params["trans"] else at(a, i, j, n)
        return fn.fresh(f"load {kind}, ptr {place}")

    def turned(i: Value) -> Value:
        return i if forward else fn.val(f"sub i64 {fn.val(f'sub i64 {n}, 1')}, {i}")

    def row(step: Value, _: list[Value]) -> list[Value]:
        i = turned(step)

        def column(c: Value, _: list[Value]) -> list[Value]:
            place = at(x, i, c, width)

            def before(earlier: Value, carried: list[Value]) -> list[Value]:
                j = turned(earlier)
                known = fn.fresh(f"load {kind}, ptr {at(x, j, c, width)}")
                product = fn.fresh(f"fmul {kind} {element(i, j)}, {known}")
                return [fn.fresh(f"fsub {kind} {carried[0]}, {product}")]

            start = fn.fresh(f"load {kind}, ptr {place}")
            value = fn.loop(0, step, 1, [(kind, start)], before)[0]
            if not params["unit"]:
                value = fn.fresh(f"fdiv {kind} {value}, {element(i, i)}")
            fn.raw(f"store {kind} {value}, ptr {place}")
            return []

        fn.loop(0, width, 1, [], column)
        return []

    fn.loop(0, n, 1, [], row)


def _zero_on_diagonal(w: Writer, matrix: Value, n: Value) -> Value:
    """Whether an element of the diagonal is 0, as i1."""
    fn, kind = w.fn, llvm_type(w.dtype(0))
    step = fn.val(f"add i64 {n}, 1")

    def one(i: Value, carried: list[Value]) -> list[Value]:
        at = fn.val(f"getelementptr {kind}, ptr {matrix}, i64 {fn.val(f'mul i64 {i}, {step}')}")
        zero = _is_zero(fn, w.dtype(0), fn.fresh(f"load {kind}, ptr {at}"))
        return [fn.fresh(f"or i1 {carried[0]}, {zero}")]

    return fn.loop(0, n, 1, [("i1", "false")], one)[0]


def _is_zero(fn: FunctionWriter, dtype: str, value: Value) -> Value:
    if not dtypes.is_complex(dtype):
        return fn.fresh(f"fcmp oeq {llvm_type(dtype)} {value}, 0.0")
    part, kind = llvm_type(dtypes.real_of(dtype)), llvm_type(dtype)
    parts = [fn.fresh(f"extractvalue {kind} {value}, {k}") for k in (0, 1)]
    flags = [fn.fresh(f"fcmp oeq {part} {p}, 0.0") for p in parts]
    return fn.fresh(f"and i1 {flags[0]}, {flags[1]}")


def _getrf(w: Writer, params: dict[str, Any]) -> Value:
    """Operands t, pivots: t holds the matrix by columns and becomes its factors."""
    n, m = w.shape(0)[-2:]
    routine, info = w.routine("getrf", 0), w.place("i64", "0")
    words = [w.integer(m), w.integer(n)]
    lead = w.leading(m)
    count = w.values.uniform(w.shape(1)[-1])

    def turn(at: list[Value]) -> None:
        w.fn.raw(f"store i64 0, ptr {at[1]}")
        w.checked(routine, info, *words, at[0], lead, at[1])  # info > 0: singular, and factorised
        _count_pivots_from_zero(w.fn, at[1], count)

    return w.batch((2, 1), turn, 0)


def _count_pivots_from_zero(fn: FunctionWriter, place: Value, count: Value) -> None:
    """Pivots as 64-bit integers from 0, of whatever width the library wrote them from 1.

    Two 32-bit pivots in the first word make it large. Going downwards no pivot is overwritten
    before it is read.
    """
    first = fn.fresh(f"load i64, ptr {place}")
    narrow = fn.fresh(f"icmp ugt i64 {first}, 4294967295")
    shift = fn.fresh(f"select i1 {narrow}, i64 2, i64 3")

    def one(i: Value, _: list[Value]) -> list[Value]:
        from_end = fn.fresh(f"sub i64 {count}, {i}")
        k = fn.fresh(f"sub i64 {from_end}, 1")
        source = fn.fresh(f"getelementptr i8, ptr {place}, i64 {fn.fresh(f'shl i64 {k}, {shift}')}")
        low = fn.fresh(f"zext i32 {fn.fresh(f'load i32, ptr {source}')} to i64")
        target = fn.fresh(f"getelementptr i64, ptr {place}, i64 {k}")
        fn.raw(f"store i64 {fn.fresh(f'sub i64 {low}, 1')}, ptr {target}")
        return []

    fn.loop(0, count, 1, [], one)


def _geqrf(w: Writer, params: dict[str, Any]) -> Value:
    """Operands t, work, tau: t holds the matrix by columns and becomes reflectors and r."""
    n, m = w.shape(0)[-2:]
    routine, info = w.routine("geqrf", 0), w.place("i64", "0")
    words = [w.integer(m), w.integer(n)]
    lead, room = w.leading(m), w.leading(w.shape(1)[0])

    def turn(at: list[Value]) -> None:
        w.checked(routine, info, *words, at[0], lead, at[2], at[1], room)

    return w.batch((2, -1, 1), turn, 0)


def _orgqr(w: Writer, params: dict[str, Any]) -> Value:
    """Operands tau, work, q: q holds reflectors by columns and becomes orthonormal columns."""
    columns, m = w.shape(2)[-2:]
    routine, info = w.routine("orgqr", 2), w.place("i64", "0")
    words = [w.integer(m), w.integer(columns), w.integer(w.shape(0)[-1])]
    lead, room = w.leading(m), w.leading(w.shape(1)[0])

    def turn(at: list[Value]) -> None:
        w.checked(routine, info, *words, at[2], lead, at[0], at[1], room)

    return w.batch((1, -1, 2), turn, 2)


def _syevd(w: Writer, params: dict[str, Any]) -> Value:
    """Operands t, work, integers, w: the lower triangle of t is read, t becomes eigenvectors."""
    n = w.shape(0)[-1]
    routine, info = w.routine("syevd", 0), w.place("i64", "0")
    words = [w.letter("V" if params["vectors"] else "N"), w.letter("L"), w.integer(n)]
    lead, room, integers = w.leading(n), w.leading(w.shape(1)[0]), w.leading(w.shape(2)[0])

    def turn(at: list[Value]) -> Value:
        return w.checked(
            routine, info, *words, at[0], lead, at[3], at[1], room, at[2], integers
        )  # fmt: skip

    return w.batch((2, -1, -1, 1), turn, 0)


def _gesdd(w: Writer, params: dict[str, Any]) -> Value:
    """Operands t, work, integers, u, v, s: t is by columns, u and v become the factors by columns
    (they are not touched, and may be anything, for job N)."""
    n, m = w.shape(0)[-2:]
    routine, info = w.routine("gesdd", 0), w.place("i64", "0")
    words = [w.letter(params["job"]), w.integer(m), w.integer(n)]
    lead, room = w.leading(m), w.leading(w.shape(1)[0])
    if params["job"] == "N":
        lead_u = lead_v = w.leading(1)
        cores = (2, -1, -1, -1, -1, 1)
    else:
        lead_u, lead_v = w.leading(w.shape(3)[-1]), w.leading(w.shape(4)[-1])
        cores = (2, -1, -1, 2, 2, 1)

    def turn(at: list[Value]) -> Value:
        t, work, integers, u, v, s = at
        return w.checked(
            routine, info, *words, t, lead, s, u, lead_u, v, lead_v, work, room, integers
        )

    return w.batch(cores, turn, 0)


ROUTINES: dict[str, Callable[[Writer, dict[str, Any]], Value]] = {
    "potrf": _potrf, "trsm": _trsm, "getrf": _getrf, "geqrf": _geqrf, "orgqr": _orgqr,
    "syevd": _syevd, "gesdd": _gesdd, "cholesky_pull": cholesky_llvm.pull,
    "cholesky_push": cholesky_llvm.push, "lower_product": cholesky_llvm.lower_product,
    "lu_pull": lu_llvm.pull, "lu_push": lu_llvm.push,
}  # fmt: skip


def emit_call(
    fn: FunctionWriter, shared: ProgramModule, values: Values, step: Call,
    operands: Sequence[tuple[Value, Buffer]],
) -> Value:  # fmt: skip
    """Write a Call step of routine "lapack"; the result says whether it failed, as i1."""
    params, table = dict(step.params), shared.table

    def library() -> list[Value]:
        # of a, turned, lu, pivots the library has the second and the last
        own = operands[1::2] if params["name"] == "getrf" and params.get("lanes") else operands
        routine = ROUTINES[params["name"]]
        if max(len(buffer.shape) for _, buffer in own) > 2:  # many matrices
            return [batches.emit(fn, shared, values, own, params, routine)]
        return [routine(Writer(fn, table, values, own), params)]

    if not params.get("lanes"):
        return library()[0]
    # many matrices: small ones in lanes, without the library
    bits, made = shared.vector_bits, _IN_LANES[params["name"]]
    name, text, emit = made(operands[0][1].dtype, params, bits)
    if name not in shared.kernels:
        shared.keep(name, text())

    def small() -> list[Value]:
        with values.inside():
            return [emit(fn, table, values, name, operands, bits, shared.parallel_from)]

    def large() -> list[Value]:
        with values.inside():
            return library()

    sizes = [operands[0][1].shape[-1]]
    if params["name"] == "trsm":
        sizes.append(operands[2][1].shape[-1])
    unknown = [n for n in map(values.uniform, sizes) if not n.isdigit()]
    if not unknown:
        return small()[0]
    flags = [fn.val(f"icmp ule i64 {n}, {in_lanes.MOST}") for n in dict.fromkeys(unknown)]
    fits = functools.reduce(lambda x, y: fn.val(f"and i1 {x}, {y}"), flags)
    return fn.if_(fits, small, large, ["i1"])[0]


# of a routine in lanes: the name of its kernel, what writes its text, what writes calls of it


def _cholesky_in_lanes(dtype: str, params: dict[str, Any], bits: int) -> tuple[str, Any, Any]:
    words = params["symmetrize"], params["on_failure"] == "nan"
    text = functools.partial(cholesky_lanes.module_text, dtype, *words, bits)
    return _named("cholesky", dtype, *words), text, cholesky_lanes.emit_factors


def _lu_in_lanes(dtype: str, params: dict[str, Any], bits: int) -> tuple[str, Any, Any]:
    text = functools.partial(lu_lanes.module_text, dtype, bits)
    return _named("lu", dtype), text, lu_lanes.emit_factors


def _trsm_in_lanes(dtype: str, params: dict[str, Any], bits: int) -> tuple[str, Any, Any]:
    words = [params[w] for w in ("low", "trans", "unit")]
    text = functools.partial(trsm_lanes.module_text, dtype, *words, bits)
    return _named("trsm", dtype, *words), text, trsm_lanes.emit_solutions


def _named(*words: Any) -> str:
    return "_".join(str(w).lower() for w in words)


_IN_LANES = {"potrf": _cholesky_in_lanes, "getrf": _lu_in_lanes, "trsm": _trsm_in_lanes}
