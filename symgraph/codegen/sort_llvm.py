"""Sorting rows in native code: stable, NaN last, the same result on every machine.

Elements become words (codegen/sort_keys_llvm.py). With AVX-512 words of 32 and 64 bits are sorted
by networks and quicksort (codegen/sort_rows_llvm.py), positions of elements of 64 bits from words
that hold what there is room for of both (codegen/sort_order_llvm.py); others by bytes
(codegen/sort_bytes_llvm.py), but for short rows of elements of 8 and 16 bits, which become words of
32. The loops that matter are in assembly language (codegen/sort_x86.py),
in a module that all sorts of such words share; so the rest is compiled without optimisation, in an
eighth of the time.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from symgraph.codegen import sort_x86, team_llvm
from symgraph.codegen.llvm import ASSEMBLED, MOSTLY_CALLS
from symgraph.codegen.sort_keys_llvm import Keys
from symgraph.codegen.sort_rows_llvm import CONTEXT, STACK, Rows, kind_of
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import Buffer
from symgraph.loops.statements import Size
from symgraph.runtime.later import Later

if TYPE_CHECKING:
    from symgraph.codegen import sort_bytes_llvm, sort_order_llvm
else:
    sort_bytes_llvm = Later("symgraph.codegen.sort_bytes_llvm")
    sort_order_llvm = Later("symgraph.codegen.sort_order_llvm")

SEVERAL = 8  # rows from which threads share rows, not words
GRAIN = 8192  # words of the rows that a thread takes at a time
ALONE = 1 << 62  # words that no row has


def modules(
    dtype: str, positions: bool, descending: bool, vector_bits: int, features: frozenset[str],
    length: Size | None = None,
) -> dict[str, str]:  # fmt: skip
    """The modules by which rows of a dtype are sorted, by name: the kernel's, and, if it needs it,
    that of the functions for words. Where rows are sorted by bytes if they are long, and their
    ``length`` does not tell, that comes first."""
    keys = Keys(dtype, positions, descending, True)
    name = f"{'argsort' if positions else 'sort'}{'_down' * descending}_{dtype}"
    by_bytes = functools.partial(_bytes_text, dtype, positions, descending, vector_bits)
    if vector_bits < 512 or not sort_x86.FEATURES <= features:
        return {name: by_bytes()}
    made = {name: _rows_text(dtype, positions, descending), f"words{keys.word}": _words(keys.word)}
    if positions or keys.word == keys.bits or (isinstance(length, int) and length <= STACK):
        return made
    long = {f"{name}_long": by_bytes()}
    return long if isinstance(length, int) else {**long, **made}


@functools.cache
def _bytes_text(dtype: str, positions: bool, descending: bool, vector_bits: int) -> str:
    module = ModuleWriter()
    sort_bytes_llvm.write_rows(module, Keys(dtype, positions, descending), vector_bits)
    return module.text()


@functools.cache
def _rows_text(dtype: str, positions: bool, descending: bool) -> str:
    module, keys = ModuleWriter(), Keys(dtype, positions, descending, True)
    apart = positions and not keys.paired
    (sort_order_llvm.Order if apart else Rows)(module, keys).write()
    return MOSTLY_CALLS + module.text()


@functools.cache
def _words(bits: int) -> str:
    module = ModuleWriter()
    sort_x86.write_functions(module, bits)
    return ASSEMBLED + module.text()


def emit_sort(
    fn: FunctionWriter, table: Table, values: Values, names: list[str],
    operands: list[tuple[Value, Buffer]], least: int,
) -> None:  # fmt: skip
    """Write a Call step: x, two rooms for words, two for positions where they go apart, out.
    ``names`` are the modules; ``least``: from how many nanoseconds of work on threads take part,
    which is as many words, as the first divisions are done by one."""
    x, out = operands[0], operands[-1]
    rows = values.uniform(elements(x[1].shape[:-1]))
    n, count = values.uniform(x[1].shape[-1]), values.uniform(out[1].shape[-1])
    rooms = [address for address, _ in operands[1:-1]]

    def by_bytes() -> None:
        kernel = table.load(fn, "kernel", names[0])
        pointers = [x[0], *rooms, *["null"] * (4 - len(rooms)), out[0]]
        words = [*(f"ptr {p}" for p in pointers), *(f"i64 {k}" for k in (rows, n, count))]
        fn.raw(f"call void {kernel}({', '.join(words)})")

    def by_words() -> None:
        kernel = table.load(fn, "kernel", names[-2])
        team = {"run": "run", "threads": "threads", "team": "state"}
        held = {k: table.load(fn, "team", name) for k, name in team.items()}
        functions = ("few", "partition", "merge")
        held |= {k: table.load(fn, "kernel", f"{names[-1]}/{k}") for k in functions}
        held |= {"x": x[0], "room": rooms[0], "out": out[0], "n": n, "count": count}
        _emit_rows(fn, kernel, held, rows, least)

    if len(names) == 3:
        fn.if_(fn.fresh(f"icmp sle i64 {n}, {STACK}"), by_words, by_bytes)
    else:
        by_bytes() if len(names) == 1 else by_words()


def _emit_rows(
    fn: FunctionWriter, kernel: Value, held: dict[str, Value], rows: Value, least: int
) -> None:
    """Threads share rows where there are some and each has a room of its own."""
    n, count = held["n"], held["count"]
    several = fn.fresh(f"icmp sge i64 {rows}, {SEVERAL}")
    whole, short = fn.fresh(f"icmp eq i64 {n}, {count}"), fn.fresh(f"icmp sle i64 {n}, {STACK}")
    large = fn.fresh(f"icmp sge i64 {fn.fresh(f'mul i64 {rows}, {n}')}, {least}")
    shared = fn.fresh(f"and i1 {several}, {fn.fresh(f'or i1 {whole}, {short}')}")
    shared = fn.fresh(f"and i1 {shared}, {large}")
    held["many"] = fn.fresh(f"select i1 {shared}, i64 {ALONE}, i64 {least}")
    context = team_llvm.pack(fn, [(kind_of(name), held[name]) for name in CONTEXT])

    def team() -> None:
        limit = fn.fresh(f"call i64 {held['threads']}(ptr {held['team']})")
        each = fn.call("i64", "llvm.smax.i64", [("i64", n), ("i64", "1")])
        grain = fn.fresh(f"udiv i64 {GRAIN}, {each}")
        grain = fn.call("i64", "llvm.smax.i64", [("i64", grain), ("i64", "1")])
        words = f"ptr {held['team']}, ptr {kernel}, ptr {context}, i64 {rows}, i64 {grain}"
        fn.raw(f"call void {held['run']}({words}, i64 {limit})")

    def alone() -> None:
        fn.raw(f"call void {kernel}(ptr {context}, i64 0, i64 {rows}, i64 0)")

    fn.if_(shared, team, alone)
