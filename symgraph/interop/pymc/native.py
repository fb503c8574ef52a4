"""The functions in C that samplers call: a log-density with its gradient, and an expansion.

    int64_t logp(uint64_t dim, const double *x, double *gradient, double *logp, const void *user)
    int64_t expand(uint64_t dim, uint64_t count, const double *x, double *out, const void *user)

Both are the same code for every model; ``user`` is a table of words that says what to run and
where in ``x``, ``gradient`` and ``out`` the inputs and outputs lie. logp returns 0, 1 where a check
of the model failed, 3 or 4 where the gradient or the value is not finite (samplers count these
three as divergences), and a negative number for what must stop the sampling: -1 for a wrong
dimension, -2 for anything else (no memory, an error in Python). The codes are nutpie's.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgraph.executor import cached_object, load_code
from symgraph.records import NamedTuple
from symgraph.runtime.c_entry import CEntry

# The table: address, context, dimension, number of inputs, of outputs, shapes of the inputs, number
# of results of expand, then pairs of words: an input is base + offset, where the base is x or, for
# data, 0; an output lies at an offset in bytes. Outputs of logp begin with the value itself.
_HEAD = 7
_TEXT = """\
define internal i32 @run(ptr %user, ptr %x, ptr %out, ptr %first) {
begin:
  %f = load ptr, ptr %user
  %p1 = getelementptr i8, ptr %user, i64 8
  %context = load ptr, ptr %p1
  %p3 = getelementptr i8, ptr %user, i64 24
  %n = load i64, ptr %p3
  %p4 = getelementptr i8, ptr %user, i64 32
  %m = load i64, ptr %p4
  %p5 = getelementptr i8, ptr %user, i64 40
  %shapes = load ptr, ptr %p5
  %pairs = getelementptr i8, ptr %user, i64 $head$
  %inputs = alloca ptr, i64 %n
  %outputs = alloca ptr, i64 %m
  %xi = ptrtoint ptr %x to i64
  br label %in
in:
  %i = phi i64 [0, %begin], [%i1, %one]
  %more = icmp ult i64 %i, %n
  br i1 %more, label %one, label %mid
one:
  %pa = getelementptr {i64, i64}, ptr %pairs, i64 %i
  %is = load i64, ptr %pa
  %pb = getelementptr i8, ptr %pa, i64 8
  %offset = load i64, ptr %pb
  %mine = icmp ne i64 %is, 0
  %b = select i1 %mine, i64 %xi, i64 0
  %at = add i64 %b, %offset
  %pi = getelementptr i64, ptr %inputs, i64 %i
  store i64 %at, ptr %pi
  %i1 = add i64 %i, 1
  br label %in
mid:
  %outs = getelementptr {i64, i64}, ptr %pairs, i64 %n
  store ptr %first, ptr %outputs
  %has = icmp ne ptr %first, null
  %skip = zext i1 %has to i64
  br label %to
to:
  %j = phi i64 [%skip, %mid], [%j1, %two]
  %rest = icmp ult i64 %j, %m
  br i1 %rest, label %two, label %call
two:
  %pc = getelementptr i64, ptr %outs, i64 %j
  %place = load i64, ptr %pc
  %o = getelementptr i8, ptr %out, i64 %place
  %po = getelementptr ptr, ptr %outputs, i64 %j
  store ptr %o, ptr %po
  %j1 = add i64 %j, 1
  br label %to
call:
  %status = call i32 %f(ptr %context, ptr %inputs, ptr %shapes, ptr %outputs)
  ret i32 %status
}

define i64 @logp(i64 %dim, ptr %x, ptr %gradient, ptr %value, ptr %user) {
begin:
  %p2 = getelementptr i8, ptr %user, i64 16
  %n = load i64, ptr %p2
  %right = icmp eq i64 %dim, %n
  br i1 %right, label %go, label %wrong
go:
  %status = call i32 @run(ptr %user, ptr %x, ptr %gradient, ptr %value)
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %look, label %failed
look:
  %wide = and i64 %n, -8
  br label %test8
test8:
  %i = phi i64 [0, %look], [%i8, %turn8]
  %seen = phi <8 x i64> [zeroinitializer, %look], [%seen1, %turn8]
  %more = icmp ult i64 %i, %wide
  br i1 %more, label %turn8, label %gather
turn8:
  %p = getelementptr double, ptr %gradient, i64 %i
  %g = load <8 x i64>, ptr %p, align 8
  %e = and <8 x i64> %g, splat (i64 9218868437227405312)
  %bad8 = icmp eq <8 x i64> %e, splat (i64 9218868437227405312)
  %mark = zext <8 x i1> %bad8 to <8 x i64>
  %seen1 = or <8 x i64> %seen, %mark
  %i8 = add i64 %i, 8
  br label %test8
gather:
  %any8 = call i64 @llvm.vector.reduce.or.v8i64(<8 x i64> %seen)
  br label %test
test:
  %k = phi i64 [%wide, %gather], [%k1, %turn]
  %any = phi i64 [%any8, %gather], [%any1, %turn]
  %left = icmp ult i64 %k, %n
  br i1 %left, label %turn, label %all
turn:
  %q = getelementptr double, ptr %gradient, i64 %k
  %h = load i64, ptr %q
  %he = and i64 %h, 9218868437227405312
  %hb = icmp eq i64 %he, 9218868437227405312
  %hm = zext i1 %hb to i64
  %any1 = or i64 %any, %hm
  %k1 = add i64 %k, 1
  br label %test
all:
  %finite = icmp eq i64 %any, 0
  %v = load i64, ptr %value
  %ve = and i64 %v, 9218868437227405312
  %vb = icmp eq i64 %ve, 9218868437227405312
  %code = select i1 %vb, i64 4, i64 0
  %result = select i1 %finite, i64 %code, i64 3
  ret i64 %result
failed:
  %check = icmp sgt i32 %status, 0
  %what = select i1 %check, i64 1, i64 -2
  ret i64 %what
wrong:
  ret i64 -1
}

define i64 @expand(i64 %dim, i64 %count, ptr %x, ptr %out, ptr %user) {
begin:
  %p2 = getelementptr i8, ptr %user, i64 16
  %n = load i64, ptr %p2
  %right = icmp eq i64 %dim, %n
  %p6 = getelementptr i8, ptr %user, i64 48
  %c = load i64, ptr %p6
  %right2 = icmp eq i64 %count, %c
  %both = and i1 %right, %right2
  br i1 %both, label %go, label %wrong
go:
  %bytes = shl i64 %n, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %out, ptr %x, i64 %bytes, i1 false)
  %status = call i32 @run(ptr %user, ptr %x, ptr %out, ptr null)
  %fine = icmp eq i32 %status, 0
  %code = select i1 %fine, i64 0, i64 -2
  ret i64 %code
wrong:
  ret i64 -1
}

declare i64 @llvm.vector.reduce.or.v8i64(<8 x i64>)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""


@functools.cache
def _code() -> Any:
    text = _TEXT.replace("$head$", str(8 * _HEAD))
    ingredients = {"module": text}
    return load_code(cached_object("runtime", ingredients, lambda: text), ["logp", "expand"])


class Layout(NamedTuple):
    """Where inputs and outputs of a function lie: ``inputs`` are places (counted in doubles) in x,
    or arrays of data; ``outputs`` places in the result."""

    dimension: int
    inputs: tuple[int | np.ndarray, ...]
    shapes: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]
    results: int = 0


class Native:
    """A function under a sampler's prototype: ``address`` and ``user``, valid while this lives.

    Threads may call it at once. Raises KeyError for a kind other than "logp" and "expand".
    """

    def __init__(self, kind: str, entry: CEntry, layout: Layout) -> None:
        code = _code()
        self.address: int = code.address({"logp": "logp", "expand": "expand"}[kind])
        sizes = [n for shape in layout.shapes for n in shape]
        shapes = (ctypes.c_int64 * max(1, len(sizes)))(*sizes)
        words = [entry.address, entry.context, layout.dimension, len(layout.inputs)]
        words += [len(layout.outputs), ctypes.addressof(shapes), layout.results]
        for place in layout.inputs:
            words += [0, place.ctypes.data] if isinstance(place, np.ndarray) else [1, 8 * place]
        words += [8 * place for place in layout.outputs]
        table = (ctypes.c_int64 * len(words))(*words)
        self.user: int = ctypes.addressof(table)
        self._kept: Sequence[Any] = (code, entry, layout, shapes, table)
