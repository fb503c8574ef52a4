"""Products of 32-bit words in 64 bits: the same numbers, by the interpreter and by vectors."""

from __future__ import annotations

import numpy as np

import symgraph as sg
from symgraph import stages
from symgraph.compiler import stage_definition
from symgraph.loops.interpret import run_kernel
from symgraph.loops.legalize import legal_kernel
from symgraph.loops.program import Run
from symgraph.loops.statements import For, Kernel, Param, Store, expressions, walk
from symgraph.loops.verify import verify_kernel
from symgraph.scalar import const, load, postorder, var
from symgraph.scalar import functions as F

I = var("_i")  # noqa: E741
SHAPE = (9,)


def ops(kernel: Kernel) -> set[tuple[str, str]]:
    return {(e.op, e.dtype) for s in walk(kernel.body) for e in postorder(expressions(s))}


def test_halves_of_products_are_the_same() -> None:
    x, factor = load("x", (I,), "uint32"), const(0xD2511F53, "uint32")
    high, low = F.mulhi(x, factor), F.mul(x, factor)
    chain = F.mulhi(F.add(F.xor(high, low), const(0x9E3779B9, "uint32")), factor)
    stores = (Store("y", (I,), F.xor(chain, x)), Store("z", (I,), F.cast(low, "float64")))
    params = (Param("x", "uint32", SHAPE, "in"), Param("y", "uint32", SHAPE, "out"),
              Param("z", "float64", SHAPE, "out"))  # fmt: skip
    given = Kernel("k", params, (), (For(I, 9, "vector", stores),))
    made = legal_kernel(given, vectors=True)
    verify_kernel(made)
    assert ("mulhi", "uint32") in ops(given) and ("mulhi", "uint32") not in ops(made)
    assert ("mul", "uint64") in ops(made) and legal_kernel(given) is given
    data = np.random.default_rng(0).integers(0, 2**32, 9, "uint32")
    data[:3] = 0, 2**32 - 1, 1
    found = []
    for kernel in (given, made):
        held = {"x": data, "y": np.empty(9, "uint32"), "z": np.empty(9)}
        run_kernel(kernel, held, {})
        found.append((held["y"], held["z"]))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    np.testing.assert_array_equal(found[0][1], data * np.uint32(0xD2511F53))


def test_random_words_have_no_narrow_products() -> None:
    key = sg.tensor("key", "uint32", (2,))
    d = stage_definition(sg.random.uniform(key, (1000,)))
    program = stages.lower(d, stages.optimized_graph(d))
    kernels = [legal_kernel(s.kernel, vectors=True) for s in program.steps if isinstance(s, Run)]
    found = set().union(*map(ops, kernels))
    assert ("mul", "uint64") in found and ("mul", "uint32") not in found
    f, k = sg.compile([key], sg.random.bits(key, (37,))), np.array([3, 5], "uint32")
    slow = sg.compile([key], sg.random.bits(key, (37,)), mode="interpret")
    np.testing.assert_array_equal(f(k), slow(k))
