"""Calls of BLAS routines through addresses in the table, for products of two complex matrices (real
ones, and many complex ones, are our own, gemm_llvm.py, unless the setting `matmul` says "blas").

BLAS is column-major, so a row-major C = A B is asked for as C' = B' A'. Integers are passed by
address as 64 bits, of which a library with 32-bit integers reads the low half (little-endian).
"""

from __future__ import annotations

from symgraph.codegen.literals import constant, llvm_type
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer
from symgraph.loops.statements import Size

GEMM = {"float32": "sgemm", "float64": "dgemm", "complex64": "cgemm", "complex128": "zgemm"}


def emit_product(
    fn: FunctionWriter, table: Table, values: Values, operands: list[tuple[Value, Buffer]],
    ta: bool, tb: bool, accumulate: bool,
) -> None:  # fmt: skip
    """C[..., m, n] = op(A)[..., m, k] op(B)[..., k, n], one gemm for each leading index; added to C
    when it accumulates."""
    (a, abuf), (b, bbuf), (c, cbuf) = operands
    m, n = cbuf.shape[-2:]
    k = abuf.shape[-2] if ta else abuf.shape[-1]
    kind = llvm_type(cbuf.dtype)
    address = table.load(fn, "blas", GEMM[cbuf.dtype])
    letters = {False: _byte(fn, 78), True: _byte(fn, 84)}
    ints = [_integer(fn, values, s) for s in (n, m, k)]
    lda = _integer(fn, values, abuf.shape[-1], at_least_one=True)
    ldb = _integer(fn, values, bbuf.shape[-1], at_least_one=True)
    ldc = _integer(fn, values, n, at_least_one=True)
    factors = (1.0, 1.0 if accumulate else 0.0)
    one, old = (_scalar(fn, kind, constant(cbuf.dtype, 1, x)) for x in factors)
    batch = values.uniform(elements(cbuf.shape[:-2]))
    steps = [values.uniform(elements(x.shape[-2:])) for x in (abuf, bbuf, cbuf)]

    def turn(i: Value, _: list[Value]) -> list[Value]:
        places = []
        for base, step in zip((a, b, c), steps, strict=True):
            offset = "0" if i == "0" else fn.val(f"mul i64 {i}, {step}")
            places.append(fn.val(f"getelementptr {kind}, ptr {base}, i64 {offset}"))
        words = [letters[tb], letters[ta], *ints, one, places[1], ldb, places[0], lda]
        words += [old, places[2], ldc]
        fn.raw(f"call void {address}({', '.join(f'ptr {w}' for w in words)})")
        return []

    def some() -> None:
        with values.inside():
            fn.loop(0, batch, 1, [], turn)

    # Some BLAS complain about empty operands instead of doing nothing.
    size = values.uniform(elements(cbuf.shape))
    if size.isdigit():
        if size != "0":
            some()
        return
    fn.if_(fn.val(f"icmp ne i64 {size}, 0"), some)


def _byte(fn: FunctionWriter, code: int) -> Value:
    return _scalar(fn, "i8", str(code))


def _scalar(fn: FunctionWriter, kind: str, value: Value) -> Value:
    place = fn.slot(kind, 1, 8)
    fn.raw(f"store {kind} {value}, ptr {place}")
    return place


def _integer(fn: FunctionWriter, values: Values, size: Size, at_least_one: bool = False) -> Value:
    value = values.uniform(size)
    if at_least_one and not value.isdigit():
        fn.declare("i64", "llvm.smax.i64", ["i64", "i64"])
        value = fn.val(f"call i64 @llvm.smax.i64(i64 {value}, i64 1)")
    elif at_least_one:
        value = str(max(1, int(value)))
    return _scalar(fn, "i64", value)
