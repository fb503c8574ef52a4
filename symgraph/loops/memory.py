"""The buffer plan: which temporaries share memory.

Buffers live from the step that writes them to the last that reads them. A slot whose buffer has
died is given to a later buffer of the same number of bytes (sizes may be symbolic) or, among known
sizes, to one that wastes at most half of it. All slots lie in one arena, taken once per call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from symgraph import dtypes
from symgraph.loops.compute import elements
from symgraph.loops.program import Branch, Buffer, Call, Copy, Loop, Program, Require, Run, Step
from symgraph.loops.statements import For, Let, Param, Size, Stmt, Store
from symgraph.records import NamedTuple
from symgraph.scalar import Expr, as_expr, as_size, const, postorder, sum_of
from symgraph.scalar import functions as F

ALIGNMENT = 64
LARGE = 1 << 20  # bytes of a temporary from which its memory is not free


class Plan(NamedTuple):
    """``slots`` are sizes in bytes; ``slot_of`` maps temporaries, and steps with inner programs
    (under ``#step``), to their slot. Of ``in_results`` those of LARGE bytes or more lie in the
    memory of a result instead."""

    slots: tuple[Size, ...]
    slot_of: dict[str, int]
    in_results: dict[str, str]

    def total(self) -> Size:
        """The bytes of the arena, each slot rounded up to the alignment."""
        return sum_of(map(_aligned, self.slots))


def _aligned(size: Size) -> Size:
    if isinstance(size, int):
        return -(-size // ALIGNMENT) * ALIGNMENT
    return as_size((size + (ALIGNMENT - 1)) // ALIGNMENT * ALIGNMENT)


def nbytes(buffer: Buffer) -> Size:
    """The bytes of a buffer."""
    return as_size(as_expr(elements(buffer.shape)) * dtypes.itemsize(buffer.dtype))


def owner_of(buffers: Mapping[str, Buffer], name: str) -> str:
    """The buffer that owns the memory of a buffer: itself, where it is no view of another."""
    while buffers[name].alias:
        name = buffers[name].alias
    return name


def touched(step: Step) -> list[str]:
    """The buffers a step reads or writes."""
    match step:
        case Run():
            return [*step.buffers, *(b for p in step.phases for b in p.buffers)]
        case Call():
            return list(step.buffers)
        case Copy():
            return [step.target, step.source]
        case Loop():
            rows = [*step.rows, *(r for _, r in step.finals)]
            names = [r.buffer for r in rows] + [r.first for r in rows if r.first]
            return names + [t for t, _ in step.finals] + [step.flag] * bool(step.flag)
        case Branch():
            return [step.pred, *step.inputs, *step.outputs]
        case Require():
            return [step.flag]


def workspace(step: Step) -> Size:
    """The bytes that the inner programs of a step need."""
    if isinstance(step, Loop):
        return plan(step.body).total()
    if isinstance(step, Branch):
        return as_size(as_expr(plan(step.then).total()) + as_expr(plan(step.otherwise).total()))
    return 0


def plan(program: Program, whole: bool = False) -> Plan:
    """Slots for the temporaries of a program; ``whole``: it is in no other one, and its results are
    new memory."""
    in_results = _in_results(program) if whole else {}
    last: dict[str, int] = {}
    for k, step in enumerate(program.steps):
        for name in touched(step):
            last[owner_of(program.buffers, name)] = k
    sizes: dict[tuple[str, tuple[Size, ...]], Size] = {}

    def size_of(name: str) -> Size:
        buffer = program.buffers[name]
        found = sizes.get((buffer.dtype, buffer.shape))
        if found is None:
            found = sizes[buffer.dtype, buffer.shape] = nbytes(buffer)
        if name in in_results:
            return as_size(F.select(F.le(LARGE, as_expr(found)), const(0), as_expr(found)))
        return found

    slots: list[Size] = []
    slot_of: dict[str, int] = {}
    free: list[int] = []
    for k, step in enumerate(program.steps):
        names = dict.fromkeys(owner_of(program.buffers, n) for n in touched(step))
        wanted = [(n, size_of(n)) for n in names if _is_temp(program, n)]
        if isinstance(step, Run):
            dying = {n for n, _ in wanted if last[n] == k and n in slot_of}

            def fresh(name: str) -> bool:
                return name not in slot_of and _is_temp(program, name)

            for old, new in _in_place(program, step, dying, fresh):
                slot_of[new] = slot_of[old]
                last[old] = -1  # its slot is now the other's and is not freed here
        space = workspace(step)
        if space != 0:
            wanted.append((f"#{k}", space))
            last[f"#{k}"] = k
        for name, size in wanted:
            if name not in slot_of:
                slot_of[name] = _take(slots, free, size)
        for name, _ in wanted:
            if last[name] == k:
                free.append(slot_of[name])
    return Plan(tuple(slots), slot_of, in_results)


def _in_results(program: Program) -> dict[str, str]:
    """Temporaries that can be made in the memory of the result that a kernel makes of them, element
    by element: softmax writes its exponentials where they will be divided. That is less memory to
    write and to read. Small ones stay apart: where rows are shorter than a vector, the load of one
    would wait for the store of the one before, part of which is masked."""
    last: dict[str, int] = {}
    first: dict[str, int] = {}
    for k, step in enumerate(program.steps):
        for name in touched(step):
            last[name] = k
            first.setdefault(owner_of(program.buffers, name), k)
    seen_twice = {b.alias for b in program.buffers.values() if b.alias}
    found: dict[str, str] = {}
    for k, step in enumerate(program.steps):
        if not isinstance(step, Run):
            continue
        temps = {n for n in step.buffers if _is_temp(program, n)} - seen_twice
        dying = {n for n in temps if first.get(n, k) < k and last[n] == k}

        def fresh(name: str, k: int = k) -> bool:
            output = program.buffers[name].role == "output"
            return output and first[name] == k and name not in seen_twice

        found.update(_in_place(program, step, dying, fresh))
    return found


def _in_place(
    program: Program, step: Run, dying: set[str], fresh: Callable[[str], bool]
) -> list[tuple[str, str]]:
    """Pairs (dying input, new output) of a kernel that may share memory: both are read and written
    at the same place only, in the same turn of one perfect loop nest whose stores come last."""
    body = step.kernel.body
    while len(body) == 1 and isinstance(body[0], For):
        body = body[0].body
    if not all(isinstance(s, Let | Store) for s in body) or not _reads_come_first(body):
        return []
    places: dict[str, set[tuple[Expr, ...]]] = {}
    roots = [s.value for s in body if isinstance(s, Let | Store)]
    roots += [i for s in body if isinstance(s, Store) for i in s.indices]
    for e in postorder(roots):
        if e.op in ("load", "load_if"):
            places.setdefault(e.attr, set()).add(e.args if e.op == "load" else e.args[1:])
    stores: dict[str, set[tuple[Expr, ...]]] = {}
    for s in body:
        if isinstance(s, Store):
            stores.setdefault(s.buffer, set()).add(s.indices)
    bound = list(zip(step.kernel.params, step.buffers, strict=True))
    names = Counter(step.buffers)
    pairs: list[tuple[str, str]] = []
    for p, target in bound:
        only_made = p.name in stores and p.name not in places
        if not only_made or not fresh(target) or program.buffers[target].alias:
            continue
        for q, source in bound:
            taken = any(source == s for s, _ in pairs) or names[source] > 1
            if source not in dying or taken or program.buffers[source].alias:
                continue
            if _same_place(p, q, stores, places):
                pairs.append((source, target))
                break
    return pairs


def _reads_come_first(body: tuple[Stmt, ...]) -> bool:
    """Whether nothing is read from memory after the first store of a turn."""
    stores = [k for k, s in enumerate(body) if isinstance(s, Store)]
    late = body[stores[0] :] if stores else ()
    plain = all(isinstance(s, Store) and s.value.op in ("var", "const") for s in late)
    return plain or (len(late) == 1 and isinstance(late[0], Store))


def _same_place(
    p: Param, q: Param, stores: dict[str, set[tuple[Expr, ...]]],
    places: dict[str, set[tuple[Expr, ...]]],
) -> bool:  # fmt: skip
    """Whether q is read exactly where p is written, with equal layouts."""
    same = p.dtype == q.dtype and p.shape == q.shape and q.name not in stores
    return same and places.get(q.name) == stores[p.name]


def _is_temp(program: Program, name: str) -> bool:
    return program.buffers[name].role == "temp"


def _take(slots: list[Size], free: list[int], size: Size) -> int:
    for s in free:
        held = slots[s]
        fits = isinstance(held, int) and isinstance(size, int) and size <= held <= 2 * size
        if held is size or held == size or fits:
            free.remove(s)
            return s
    slots.append(size)
    return len(slots) - 1
