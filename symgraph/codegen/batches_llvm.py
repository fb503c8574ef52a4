"""Batches of matrices by the team of threads: a library's routine does one matrix after another.

What a step does with the matrices begin to end is a function of its own, which the caller runs for
all of them or each thread for its range. Workspaces are then the thread's own. In the context lie

    memory for the threads | table | where failures are told | bytes for a thread | sizes
    | operands | bytes of each workspace

The library has threads of its own, which would stand in the way: meanwhile it is told to use one
(`runtime/blas.py`), also where the caller does all of it, as results must not depend on threads.
Few matrices and larger ones than `ROWS` are left to the library's threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from symgraph.codegen import team_llvm
from symgraph.codegen.lapack_writer import Writer
from symgraph.codegen.share_llvm import Words, room_of, typed
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.cost import AWAKE
from symgraph.loops.program import Buffer
from symgraph.loops.statements import Size
from symgraph.records import NamedTuple
from symgraph.runtime.blas import QUIET
from symgraph.scalar import Expr, as_expr, as_size, const, variables
from symgraph.scalar import functions as F

if TYPE_CHECKING:
    from symgraph.codegen.program_llvm import ProgramModule

Operands = Sequence[tuple[Value, Buffer]]
Routine = Callable[[Writer, dict[str, Any]], Value]

ROWS, FEW = 512, 4  # rows or columns up to which, and matrices from which on, they are shared out
#: picoseconds that a matrix of doubles takes on a core of 4 GHz: for the call, for each element,
#: for each multiply-add of a product of such matrices
COSTS = {
    "potrf": (500_000, 1500, 20), "cholesky_pull": (300_000, 1500, 70),
    "cholesky_push": (300_000, 1500, 70), "lower_product": (300_000, 500, 40),
    "getrf": (500_000, 3000, 50), "lu_pull": (300_000, 1500, 70), "lu_push": (300_000, 1500, 70),
    "trsm": (300_000, 1000, 50), "geqrf": (150_000, 3000, 140), "orgqr": (150_000, 3000, 140),
    "syevd": (300_000, 24_000, 20), "syevd_vectors": (600_000, 60_000, 60),
    "gesdd": (1_000_000, 45_000, 100), "gesdd_vectors": (1_000_000, 100_000, 200),
}  # fmt: skip
_MATRIX = {"potrf": 1, "orgqr": 2, "trsm": 2, "lower_product": 2}  # which operand says how large


class _Function(NamedTuple):
    """The function of a step over a range of its batch, and what its operands and sizes are."""

    name: str
    sizes: tuple[Expr, ...]
    spare: tuple[tuple[int, ...], ...]  # operands that are workspaces, those of one place together


def emit(
    fn: FunctionWriter, shared: ProgramModule, values: Values, operands: Operands,
    params: dict[str, Any], routine: Routine,
) -> Value:  # fmt: skip
    """All matrices of a step; whether one of them failed, as i1."""
    shape, least = _shape(operands, params), shared.sharing.least
    cost, count = values.uniform(_cost(operands, params)), values.uniform(elements(shape[:-2]))
    if cost.isdigit() and int(cost) < least // AWAKE:
        return routine(Writer(fn, shared.table, values, operands), params)
    own = _function(shared, operands, params, routine)
    words: Words = [("i64", values.uniform(size)) for size in own.sizes]
    words += [("ptr", base) for base, _ in operands]

    def alone() -> list[Value]:
        given = typed([("ptr", "%table"), *words, ("i64", "0"), ("i64", count)])
        return [fn.fresh(f"call i1 @{own.name}({given})")]

    def shared_out() -> list[Value]:
        failed = fn.slot("i8", 1, 8)
        fn.raw(f"store i8 0, ptr {failed}")
        rooms = [room_of(values, operands[same[0]][1]) for same in own.spare]
        total = functools.reduce(lambda x, y: fn.val(f"add i64 {x}, {y}"), rooms, "0")
        head = [("ptr", "null"), ("ptr", "%table"), ("ptr", failed), ("i64", total)]
        context = team_llvm.pack(fn, [*head, *words, *(("i64", room) for room in rooms)])
        body = _body(shared, own, len(operands))
        done = team_llvm.share(fn, shared.table, body, context, count, cost, least, room=total)

        def told() -> list[Value]:
            return [fn.fresh(f"icmp ne i8 {fn.fresh(f'load i8, ptr {failed}')}, 0")]

        return fn.if_(fn.fresh(f"icmp ne i32 {done}, 0"), told, alone, ["i1"])

    def team() -> list[Value]:
        record = shared.table.load(fn, "blas", "quiet")
        ways = [shared.module.once(w, [("ptr", "record", "")], "void", build, "nounwind")
                for w, build in (("quiet", _quiet), ("restore", _restore))]  # fmt: skip
        able = fn.fresh(f"load i64, ptr {_word(fn, record, 'get')}")

        def calm() -> list[Value]:
            fn.raw(f"call void @{ways[0]}(ptr {record})")
            failed = shared_out()
            fn.raw(f"call void @{ways[1]}(ptr {record})")
            return failed

        return fn.if_(fn.fresh(f"icmp ne i64 {able}, 0"), calm, alone, ["i1"])

    with values.inside():
        large = fn.val(f"icmp sge i64 {cost}, {least // AWAKE}")
        return fn.if_(large, team, alone, ["i1"])[0]


def _function(
    shared: ProgramModule, operands: Operands, params: dict[str, Any], routine: Routine
) -> _Function:
    """Write what does the matrices begin to end, and says whether one of them failed."""
    used = dict.fromkeys(v for _, b in operands for n in b.shape for v in variables(as_expr(n)))
    name = f"batch{len(shared.sharing.bodies)}"
    places = [f"p{k}" for k in range(len(operands))]
    names = [f"n{k}" for k in range(len(used))]
    kinds = [*["i64"] * len(names), *["ptr"] * len(places), "i64", "i64"]
    words = zip(kinds, [*names, *places, "begin", "end"], strict=True)
    head = [("ptr", "table", ""), *((kind, word, "") for kind, word in words)]
    fn = shared.module.function(name, head, "i1", "internal", "nounwind")
    values = Values(fn, shared.module, {}, {}, set())
    for size, word in zip(used, names, strict=True):
        values.bind(size, (f"%{word}", 1))
    held = [(f"%{p}", buffer) for p, (_, buffer) in zip(places, operands, strict=True)]
    w = Writer(fn, shared.table, values, held, ("%begin", "%end"))
    fn.ret("i1", routine(w, params))
    same: dict[Value, tuple[int, ...]] = {}
    for k in w.spare:
        same[operands[k][0]] = (*same.get(operands[k][0], ()), k)
    return _Function(name, tuple(used), tuple(same.values()))


def _body(shared: ProgramModule, own: _Function, operands: int) -> str:
    """The function that the team runs."""
    name = shared.sharing.bodies[own.name] = f"share_{own.name}"
    fn = team_llvm.body_function(shared.module, name)
    count = len(own.sizes) + operands
    kinds = [*["i64"] * len(own.sizes), *["ptr"] * operands, *["i64"] * len(own.spare)]
    memory, table, failed, total, *words = team_llvm.unpack(
        fn, ["ptr", "ptr", "ptr", "i64", *kinds]
    )
    offset = fn.val(f"mul i64 {total}, %worker")
    for same, room in zip(own.spare, words[count:], strict=True):
        for k in same:
            words[len(own.sizes) + k] = fn.val(f"getelementptr i8, ptr {memory}, i64 {offset}")
        offset = fn.val(f"add i64 {offset}, {room}")
    pairs = list(zip(kinds[:count], words[:count], strict=True))
    given = typed([("ptr", table), *pairs, ("i64", "%begin"), ("i64", "%end")])
    bad = fn.fresh(f"call i1 @{own.name}({given})")
    fn.if_(bad, lambda: fn.raw(f"store i8 1, ptr {failed}"), likely=False)
    return name


# what it takes ------------------------------------------------------------------------------------


def _shape(operands: Operands, params: dict[str, Any]) -> tuple[Size, ...]:
    """The shape of the matrices that say how much is to be done."""
    return operands[_MATRIX.get(params["name"], 0)][1].shape


def _cost(operands: Operands, params: dict[str, Any]) -> Size:
    """Picoseconds for all matrices, 0 where the caller does them."""
    *batch, m, n = map(as_expr, _shape(operands, params))
    larger, smaller = F.maximum(m, n), F.minimum(m, n)
    name, vectors = params["name"], params.get("vectors") or params.get("job", "N") != "N"
    inner = as_expr(operands[0][1].shape[-1]) if name == "trsm" else smaller
    call, element, product = COSTS[f"{name}_vectors" if vectors else name]
    whole = call + m * n * (element + product * inner)
    count = as_expr(elements(batch))
    own = F.select(F.le(larger, ROWS), whole, const(0))
    return as_size(F.select(F.ge(count, FEW), count * own, const(0)))


# the library's threads ----------------------------------------------------------------------------


def _quiet(fn: FunctionWriter, record: Value = "%record") -> None:
    """One more wants the library to use one thread."""
    with _locked(fn, record):
        users = _word(fn, record, "users")
        known = fn.fresh(f"load i32, ptr {users}")

        def first() -> None:
            get, put = (fn.fresh(f"load ptr, ptr {_word(fn, record, w)}") for w in ("get", "set"))
            before = fn.fresh(f"call i32 {get}()")
            wide = fn.fresh(f"sext i32 {before} to i64")
            fn.raw(f"store i64 {wide}, ptr {_word(fn, record, 'before')}")
            fn.raw(f"call void {put}(i32 1)")

        fn.if_(fn.fresh(f"icmp eq i32 {known}, 0"), first)
        fn.raw(f"store i32 {fn.fresh(f'add i32 {known}, 1')}, ptr {users}")


def _restore(fn: FunctionWriter, record: Value = "%record") -> None:
    """One fewer does: the last one has it use as many as before."""
    with _locked(fn, record):
        users = _word(fn, record, "users")
        left = fn.fresh(f"sub i32 {fn.fresh(f'load i32, ptr {users}')}, 1")
        fn.raw(f"store i32 {left}, ptr {users}")

        def last() -> None:
            put = fn.fresh(f"load ptr, ptr {_word(fn, record, 'set')}")
            before = fn.fresh(f"load i64, ptr {_word(fn, record, 'before')}")
            fn.raw(f"call void {put}(i32 {fn.fresh(f'trunc i64 {before} to i32')})")

        fn.if_(fn.fresh(f"icmp eq i32 {left}, 0"), last)


@contextmanager
def _locked(fn: FunctionWriter, record: Value) -> Iterator[None]:
    lock = _word(fn, record, "lock")
    fn.while_(
        [("i32", "1")], lambda held: fn.fresh(f"icmp ne i32 {held[0]}, 0"),
        lambda _: [fn.fresh(f"atomicrmw xchg ptr {lock}, i32 1 acquire")],
    )  # fmt: skip
    yield
    fn.raw(f"store atomic i32 0, ptr {lock} release, align 4")


def _word(fn: FunctionWriter, record: Value, name: str) -> Value:
    return fn.val(f"getelementptr i8, ptr {record}, i64 {QUIET[name]}")
