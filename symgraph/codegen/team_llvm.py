"""Parallel loops in emitted code: the words to say ``for begin..end of 0..count, in any thread``.

A function that is run in parallel is

    void body(ptr context, i64 begin, i64 end, i64 worker)

It does the turns begin <= t < end. `context` is memory that the caller wrote; `worker` is below the
limit that was given and differs between threads that run at the same time, so it picks a thread's
own scratch memory. It must not call Python, allocate, or fail. Turns may run in any order and any
grouping: what is computed must not depend on it.

    limit = threads(fn, table)                       how many threads a run may have now
    context = pack(fn, [("ptr", a), ("i64", n)])     values on the caller's stack
    parallel_for(fn, table, "body", context, count, grain, limit)

and in the body ``a, n = unpack(fn, ["ptr", "i64"])``. The emitted code finds the team through its
address table (kind "team" in `codegen/tables.py`). A run inside a run, or beside another thread's
run, is done by the caller alone, with worker 0 and one range of all turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgraph.codegen.tables import Table
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.cost import AWAKE

BODY = [("ptr", "context", ""), ("i64", "begin", ""), ("i64", "end", ""), ("i64", "worker", "")]
PIECES = 4  # ranges for each thread, so that a slow one does not hold up the others


def body_function(module: ModuleWriter, name: str) -> FunctionWriter:
    """Start a function that `parallel_for` may run: %context, %begin, %end and %worker."""
    return module.function(name, BODY, "void", "internal", "nounwind")


def threads(fn: FunctionWriter, table: Table, at: Value = "%table") -> Value:
    """The number of threads that a run of the calling thread may have (i64, 1 or more)."""
    function = table.load(fn, "team", "threads", at)
    return fn.fresh(f"call i64 {function}(ptr {table.load(fn, 'team', 'state', at)})")


def parallel_for(
    fn: FunctionWriter, table: Table, body: str, context: Value, count: Value, grain: Value,
    limit: Value, at: Value = "%table",
) -> None:  # fmt: skip
    """Run @body over 0 .. count in ranges of ``grain`` turns (1 or more), by ``limit`` threads at
    most, and wait for all of them."""
    function = table.load(fn, "team", "run", at)
    state = table.load(fn, "team", "state", at)
    words = f"ptr {state}, ptr @{body}, ptr {context}, i64 {count}, i64 {grain}, i64 {limit}"
    fn.raw(f"call void {function}({words})")


def share(
    fn: FunctionWriter, table: Table, body: str, context: Value, count: Value, cost: Value,
    least: int, multiple: int = 1, room: Value = "0", at: Value = "%table",
) -> Value:  # fmt: skip
    """Run @body over 0 .. count with a grain for work of ``cost`` picoseconds, of which ``least``
    are worth waking a thread; ``multiple`` (a power of two) as in `grain_of`. With ``room``, that
    many bytes for each thread are at the address in the context's first word. The i32 is 0 when
    nothing was done: one thread, one turn, or no memory."""
    function, state = table.load(fn, "team", "share", at), table.load(fn, "team", "state", at)
    memory = "null"
    if room != "0":
        place = 8 * table.slot("api", "arena_malloc")  # arena_free and pool_state follow
        memory = fn.val(f"getelementptr i8, ptr {at}, i64 {place}")
    numbers = ", ".join(f"i64 {n}" for n in (count, cost, least, multiple, room))
    run = body if body[0] == "%" else f"@{body}"  # of a kernel the address is known
    words = f"ptr {state}, ptr {run}, ptr {context}, {numbers}, ptr {memory}"
    return fn.fresh(f"call i32 {function}({words})")


def services(fn: FunctionWriter, table: Table) -> dict[str, Value]:
    """What a job that knows its own threads and memory is given of them, by the words' names."""
    names = {"run": "run", "threads": "threads", "awake": "awake", "team": "state"}
    memory = {"malloc": "arena_malloc", "free": "arena_free", "pool": "pool_state"}
    found = {word: table.load(fn, "team", name) for word, name in names.items()}
    return found | {word: table.load(fn, "api", name) for word, name in memory.items()}


def how_many(
    fn: FunctionWriter, word: Callable[[str], Value], cost: Value | int, least: Value | int
) -> Value:
    """The limit for work that costs so much, where ``least`` is worth waking a thread. ``word``
    finds the addresses "team", "threads" and "awake" in a job."""

    def ask(who: str) -> list[Value]:
        return [fn.fresh(f"call i64 {word(who)}(ptr {word('team')})")]

    def fewer() -> list[Value]:
        enough = fn.val(f"icmp sge i64 {cost}, {fn.val(f'udiv i64 {least}, {AWAKE}')}")
        return fn.if_(enough, lambda: ask("awake"), lambda: ["1"], ["i64"])

    large = fn.val(f"icmp sge i64 {cost}, {least}")
    return fn.if_(large, lambda: ask("threads"), fewer, ["i64"])[0]


def run_job(
    fn: FunctionWriter, word: Callable[[str], Value], body: Value, count: Value | int,
    grain: Callable[[], Value | int], limit: Value,
) -> None:  # fmt: skip
    """Run a body, whose context is %job, over 0 .. count, by the team or alone. ``word`` finds the
    addresses "team" and "run"."""

    def team() -> None:
        words = f"ptr {word('team')}, ptr {body}, ptr %job, i64 {count}, i64 {grain()}"
        fn.raw(f"call void {word('run')}({words}, i64 {limit})")

    def alone() -> None:
        fn.raw(f"call void {body}(ptr %job, i64 0, i64 {count}, i64 0)")

    fn.if_(fn.val(f"icmp sgt i64 {limit}, 1"), team, alone)


def poll(fn: FunctionWriter, table: Table, at: Value = "%table") -> Value:
    """An i32 that is not 0 when a signal's handler has raised: the exception is set, and the
    program should stop without having changed any state."""
    function = table.load(fn, "team", "poll", at)
    return fn.fresh(f"call i32 {function}(ptr {table.load(fn, 'team', 'state', at)})")


def grain_of(
    fn: FunctionWriter, count: Value, limit: Value, least: Value | int = 1, multiple: int = 1
) -> Value:
    """A grain that gives each of ``limit`` threads some PIECES ranges, of ``least`` turns or more,
    rounded up to a multiple (a power of two: vectors, cache lines)."""
    fn.declare("i64", "llvm.umax.i64", ["i64", "i64"])
    pieces = fn.val(f"mul i64 {limit}, {PIECES}")
    even = fn.val(f"udiv i64 {fn.val(f'sub i64 {count}, 1')}, {pieces}")
    grain = fn.val(f"add i64 {even}, 1")
    grain = fn.val(f"call i64 @llvm.umax.i64(i64 {grain}, i64 {least})")
    if multiple == 1:
        return grain
    return fn.val(f"and i64 {fn.val(f'add i64 {grain}, {multiple - 1}')}, {-multiple}")


def pack(fn: FunctionWriter, values: Sequence[tuple[str, Value]]) -> Value:
    """(type, value) pairs of up to eight bytes each in a context on the stack."""
    place = fn.slot("i64", max(1, len(values)), 16)
    for k, (kind, value) in enumerate(values):
        where = fn.val(f"getelementptr i64, ptr {place}, i64 {k}") if k else place
        fn.raw(f"store {kind} {value}, ptr {where}")
    return place


def unpack(fn: FunctionWriter, kinds: Sequence[str], context: Value = "%context") -> list[Value]:
    """The values of a context, in the body that runs on it."""
    found = []
    for k, kind in enumerate(kinds):
        where = fn.val(f"getelementptr i64, ptr {context}, i64 {k}") if k else context
        found.append(fn.val(f"load {kind}, ptr {where}"))
    return found
