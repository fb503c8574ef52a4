"""Calls of C functions of float64, lane by lane, from inside a kernel.

A kernel that needs such functions takes their addresses as further parameters, after its sizes, in
the order of `library_functions`; the program reads them from the function's table.
"""

from __future__ import annotations

import functools

from symgraph.codegen.literals import llvm_type
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.statements import Kernel, expressions, walk
from symgraph.scalar import postorder
from symgraph.scalar.special import LIBRARY


@functools.lru_cache(maxsize=64)  # asked by the kernel and by those that call it
def library_functions(kernel: Kernel) -> tuple[str, ...]:
    """The names of the library functions that a kernel calls, sorted."""
    roots = [e for s in walk(kernel.body) for e in expressions(s)]
    return tuple(sorted({n.op for n in postorder(roots) if n.op in LIBRARY}))


def parameter(name: str) -> str:
    """The parameter of a kernel that holds the address of a function."""
    return f"library_{name}"


def call(
    fn: FunctionWriter, module: ModuleWriter, name: str, dtype: str, lanes: int, args: list[Value]
) -> Value:
    """The function of each lane; float32 is computed in float64 and rounded."""
    arity, kind = LIBRARY[name].arity, llvm_type(dtype, lanes)
    helper = f"sg_each_{arity}_f{dtype[5:]}_{lanes}"
    operands = [f"x{k}" for k in range(arity)]
    params = [("ptr", "function", ""), *((kind, x, "") for x in operands)]

    def build(inner: FunctionWriter) -> None:
        inner.ret(kind, _each(inner, dtype, lanes, [f"%{x}" for x in operands]))

    module.once(helper, params, kind, build, "noinline nounwind")
    words = ", ".join([f"ptr %{parameter(name)}", *(f"{kind} {a}" for a in args)])
    return fn.val(f"call {kind} @{helper}({words})")


def _each(fn: FunctionWriter, dtype: str, lanes: int, args: list[Value]) -> Value:
    kind, element = llvm_type(dtype, lanes), llvm_type(dtype)
    narrow = dtype != "float64"
    if lanes == 1:
        return _one(fn, args, narrow)
    places = []
    for a in args:
        places.append(fn.slot(element, lanes))
        fn.raw(f"store {kind} {a}, ptr {places[-1]}, align 4")
    result = fn.slot(element, lanes)

    def turn(i: Value, _: list[Value]) -> list[Value]:
        at = [fn.val(f"getelementptr {element}, ptr {p}, i64 {i}") for p in (*places, result)]
        value = _one(fn, [fn.fresh(f"load {element}, ptr {p}") for p in at[:-1]], narrow)
        fn.raw(f"store {element} {value}, ptr {at[-1]}")
        return []

    fn.loop(0, lanes, 1, [], turn)
    return fn.fresh(f"load {kind}, ptr {result}, align 4")


def _one(fn: FunctionWriter, args: list[Value], narrow: bool) -> Value:
    wide = [fn.val(f"fpext float {a} to double") for a in args] if narrow else args
    words = ", ".join(f"double {a}" for a in wide)
    value = fn.fresh(f"call double %function({words}, i32 0)")
    return fn.val(f"fptrunc double {value} to float") if narrow else value
