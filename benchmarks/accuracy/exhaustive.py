"""All 2^32 arguments of a float32 function, compared in machine code with its float64 version.

A kernel makes the arguments, calls both functions and keeps the largest error and the number of
wrong special values of each block of 65536 bit patterns: some nanoseconds an argument. The float64
version errs by 2^-29 of what is measured here, and is itself measured against long doubles, SciPy
and mpmath; the worst places are measured again by mpmath (measure.py).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from symgraph.codegen import llvm, vmath
from symgraph.codegen.literals import constant, llvm_type
from symgraph.codegen.vmath.lanes import Lanes
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

Array = Any
BLOCK = 1 << 16
TURN = 1 << 8  # blocks of a call
_LARGEST = float(np.finfo("float32").max)
_INFINITY = float("inf")


def scan(
    name: str, first: int = 0, stop: int = 1 << 32
) -> Iterator[tuple[int, tuple[Array, Array]]]:
    """(number of the first bit pattern, (largest errors in ulp, counts of wrong special values)) of
    runs of blocks between two bit patterns, which are multiples of 65536."""
    native, library = _compiled(name)
    for at in range(first, stop, BLOCK * TURN):
        count = min(TURN, (stop - at) // BLOCK)
        worst, wrong = np.zeros(count), np.zeros(count, np.int64)
        for k in range(count):
            native(worst[k:].ctypes.data, wrong[k:].ctypes.data, at + k * BLOCK)
        yield at, (worst, wrong)
    del library


def _compiled(name: str) -> tuple[Callable[..., None], Any]:
    lanes = llvm.host().vector_bits // 32
    module = ModuleWriter(llvm.host().features)
    params = [("ptr", "worst", ""), ("ptr", "wrong", ""), ("i64", "first", "")]
    fn = module.function("scan", params)
    half = llvm_type("float64", lanes // 2), llvm_type("int64", lanes // 2)
    zeros = constant("float64", lanes // 2, 0.0), constant("int64", lanes // 2, 0)
    start = [(half[k], zeros[k]) for _ in range(2) for k in range(2)]

    def body(i: Value, carried: list[Value]) -> list[Value]:
        x = _arguments(fn, fn.val(f"add i64 %first, {i}"), lanes)
        y = vmath.call(fn, module, name, "float32", lanes, [x])
        out = []
        for k in range(2):
            error, bad = _errors(fn, module, name, lanes, _half(fn, x, lanes, k),
                                 _half(fn, y, lanes, k))  # fmt: skip
            b = Lanes(fn, module, "d", lanes // 2)
            so_far, count = carried[2 * k], carried[2 * k + 1]
            out.append(b.sel(b.cmp("ogt", error, so_far), error, so_far))
            out.append(b.int_op("add", count, fn.val(f"zext {b.M} {bad} to {b.I}")))
        return out

    ends = fn.loop(0, BLOCK, lanes, start, body)
    b = Lanes(fn, module, "d", lanes // 2)
    greatest = b.sel(b.cmp("ogt", ends[0], ends[2]), ends[0], ends[2])
    total = b.int_op("add", ends[1], ends[3])
    found = fn.call("double", f"llvm.vector.reduce.fmax.v{lanes // 2}f64", [(b.F, greatest)])
    count = fn.call("i64", f"llvm.vector.reduce.add.v{lanes // 2}i64", [(b.I, total)])
    fn.raw(f"store double {found}, ptr %worst, align 8")
    fn.raw(f"store i64 {count}, ptr %wrong, align 8")
    library = llvm.load_orc(llvm.compile_object(module.text()), ["scan"])
    types = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    return ctypes.CFUNCTYPE(None, *types)(library.address("scan")), library


def _arguments(fn: FunctionWriter, first: Value, lanes: int) -> Value:
    """The floats of `lanes` bit patterns from `first`."""
    type_ = llvm_type("int32", lanes)
    low = fn.val(f"trunc i64 {first} to i32")
    one = fn.val(f"insertelement {type_} poison, i32 {low}, i32 0")
    zeros = constant("int32", lanes, 0)
    same = fn.val(f"shufflevector {type_} {one}, {type_} poison, {type_} {zeros}")
    steps = ", ".join(f"i32 {k}" for k in range(lanes))
    bits = fn.val(f"add {type_} {same}, <{steps}>")
    return fn.val(f"bitcast {type_} {bits} to {llvm_type('float32', lanes)}")


def _half(fn: FunctionWriter, x: Value, lanes: int, k: int) -> Value:
    """The lower (k = 0) or upper half of float32 lanes, as float64."""
    narrow = llvm_type("float32", lanes)
    places = ", ".join(f"i32 {k * lanes // 2 + j}" for j in range(lanes // 2))
    part = fn.val(f"shufflevector {narrow} {x}, {narrow} poison, <{lanes // 2} x i32> <{places}>")
    half = lanes // 2
    return fn.val(f"fpext {llvm_type('float32', half)} {part} to {llvm_type('float64', half)}")


def _errors(
    fn: FunctionWriter, module: ModuleWriter, name: str, lanes: int, x: Value, got: Value
) -> tuple[Value, Value]:
    """Errors in ulp of float32, 0 where a special value decides, and which of those are wrong."""
    b = Lanes(fn, module, "d", lanes // 2)
    true = vmath.call(fn, module, name, "float64", lanes // 2, [x])
    narrow = llvm_type("float32", lanes // 2)
    rounded = fn.val(f"fptrunc {b.F} {true} to {narrow}")
    rounded = fn.val(f"fpext {narrow} {rounded} to {b.F}")
    exponent = b.int_op("and", b.to_bits(true), 0x7FF << 52)
    lowest = (1023 - 126) << 52
    exponent = b.int_sel(b.int_cmp("slt", exponent, lowest), lowest, exponent)
    inverse = b.from_bits(b.int_op("sub", (2046 + 23) << 52, exponent))
    error = b.mul(b.abs(b.sub(got, true)), inverse)
    size = b.abs(got)
    finite = b.both(b.cmp("olt", b.abs(rounded), _INFINITY), b.cmp("olt", size, _INFINITY))
    nan = b.both(b.cmp("uno", got, got), b.cmp("uno", true, true))
    same = b.either(b.cmp("oeq", got, rounded), nan)
    edge = b.cmp("ogt", b.abs(true), _LARGEST * (1 - 2.0**-23))  # rounded either way
    fine = b.either(finite, b.either(same, b.both(edge, b.cmp("oge", size, _LARGEST))))
    zeros = b.both(b.cmp("oeq", got, 0.0), b.cmp("oeq", rounded, 0.0))
    signs = b.int_cmp("slt", b.int_op("xor", b.to_bits(got), b.to_bits(rounded)), 0)
    wrong = b.either(b.invert(fine), b.both(zeros, signs))
    return b.sel(finite, error, 0.0), wrong
