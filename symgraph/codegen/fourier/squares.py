"""The transform of a short row as one function: its matrix has as many rows and as many columns as
a pass may have, and consists of squares of as many of them as lanes. What `rows.py` does with
passes and bundles in memory is done in registers here, but for the matrix between.
"""

from __future__ import annotations

from symgraph.codegen.fourier.butterflies import transform
from symgraph.codegen.fourier.pairs import Pair, Pairs
from symgraph.codegen.fourier.record import AT_ONCE, LONG
from symgraph.codegen.gemm.lanes import Lanes, turn
from symgraph.codegen.literals import llvm_type
from symgraph.codegen.writer import FunctionWriter, Value


def params_of(dtype: str) -> list[tuple[str, str, str]]:
    """The parameters of all of them."""
    return [*(("ptr", w, "") for w in ("plan", "x", "y", "turned")),
            (llvm_type(dtype), "scale", "")]  # fmt: skip


def write_matrix(fn: FunctionWriter, dtype: str, lanes: int, name: str) -> None:
    """Write the part of that name."""
    high, wide = map(int, name.removeprefix(AT_ONCE).removesuffix("_i").split("x"))
    v = Lanes(fn, dtype, lanes)
    pairs = Pairs(v)
    near = LONG.get(fn, "%plan", "near")
    whole = ["<" + ", ".join(["i1 true"] * lanes) + ">"] * 2

    def exchanged(pair: Pair) -> Pair:
        return (pair[1], pair[0]) if name.endswith("_i") else pair

    def column(j: Value, _: list[Value]) -> list[Value]:
        first = pairs.ints.mul(j, lanes)

        def source(k: int) -> Value:
            return v.at("%x", pairs.ints.mul(pairs.ints.add(first, k * wide), 2))

        made = transform(pairs, [exchanged(pairs.numbers(source(k), whole)) for k in range(high)])
        factors = pairs.place(near, pairs.ints.mul(j, high))
        made = [z if k == 0 else pairs.times(z, pairs.load(factors, k)) for k, z in enumerate(made)]
        for group in range(0, high, lanes):
            rows = made[group : group + lanes]
            parts = [turn(v, [z[part] for z in rows]) for part in (0, 1)]
            start = pairs.ints.add(first, group // lanes * wide)
            for lane, pair in enumerate(zip(*parts, strict=True)):
                pairs.store(pair, "%turned", pairs.ints.add(start, lane))
        return []

    def line(j: Value, _: list[Value]) -> list[Value]:
        base = pairs.place("%turned", pairs.ints.mul(j, wide))
        made = transform(pairs, [pairs.load(base, k) for k in range(wide)])
        scale = v.splat("%scale")
        for k, z in enumerate(made):
            number = pairs.ints.add(pairs.ints.mul(j, lanes), k * high)
            target = v.at("%y", pairs.ints.mul(number, 2))
            pairs.put_numbers(exchanged(pairs.scaled(z, scale)), target, whole)
        return []

    fn.loop("0", wide // lanes, 1, [], column)
    fn.loop("0", high // lanes, 1, [], line)
