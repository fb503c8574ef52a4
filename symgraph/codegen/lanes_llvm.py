"""How many lanes a loop takes, and the flags of those that are live at its end."""

from __future__ import annotations

from collections.abc import Collection

from symgraph import dtypes
from symgraph.codegen import scalar_llvm as scalars
from symgraph.codegen import vmath
from symgraph.codegen.literals import lane_numbers, llvm_type
from symgraph.codegen.writer import FunctionWriter, Value
from symgraph.loops.statements import Fold, For, Kernel, Let, Size, Stmt, Store, walk
from symgraph.scalar import ELEMENTARY, Expr, postorder
from symgraph.scalar.special import SPECIAL

SLOW = ELEMENTARY | {"mod", "floordiv", "div"} | set(SPECIAL)
CALLED = SLOW - {"div", "mod", "floordiv"}
QUICK = ("exp", "exp2", "log")  # of those the ones that take less than a dozen cycles
# of several functions in a turn one waits for the other; beside one of these it is worth the code
# to have several turns in hand
HEAVY = frozenset(
    "log log1p log2 log10 softplus asin acos atan atan2 asinh acosh atanh cbrt erf erfc pow".split()
) | set(SPECIAL)
LIGHT = 14  # expression nodes up to which a fold is light enough to run four accumulators
INTERLEAVED = 4  # registers that a chain of operations runs on at once
FEW_LIVE = 3  # values at once, up to which a processor of 32 registers has room for twice as many
CHAIN, LONG = 5, 48  # the number of operations for which that is worth its code
WAITING = 64  # and where functions wait for each other


def register(s: For | Fold, vector_bits: int) -> int:
    """Lanes of one register for the widest data of the loop."""
    return _register(s, vector_bits, computed(s))


def _register(s: For | Fold, vector_bits: int, exprs: list[Expr]) -> int:
    floats = [n.dtype for n in exprs if dtypes.is_float(n.dtype)]
    data = floats or [n.dtype for n in exprs if n.op in ("load", "load_if")]
    data = data or [x.value.dtype for x in walk((s,)) if isinstance(x, Store)] or ["int64"]
    return vector_bits // (8 * max(dtypes.itemsize(d) for d in data))


def lanes_of(s: For | Fold, vector_bits: int) -> int:
    """Lanes of one register; light folds take four registers, so that their additions overlap."""
    exprs = computed(s)
    lanes = _register(s, vector_bits, exprs)
    if any(map(_is_picked, exprs)) and not any(n.op in SLOW for n in exprs):
        lanes = min(lanes, vector_bits // 64)
    folds = isinstance(s, Fold) or any(isinstance(x, Fold) for x in walk(s.body))
    light = len(exprs) <= LIGHT * (1 if isinstance(s, Fold) else 3)
    if folds and light and not any(n.op in SLOW for n in exprs):
        lanes *= 4
    elif folds and light and _calls_once(s, exprs):
        lanes *= 4 if vector_bits == 512 else 2
    elif any(isinstance(x, Fold) and x.combiner == "next" for x in walk(s.body)):
        lanes *= 2  # each turn waits for the one before: two chains at once
    most = most_of(s.extent)
    if most is not None:
        while lanes // 2 >= most and lanes > 1:
            lanes //= 2
    return lanes


def _is_picked(e: Expr) -> bool:
    """Whether it is a load of one or two bytes at a place that the data say. No instruction gathers
    these, and the places of more of them than a register holds are put on the stack."""
    if e.op not in ("load", "load_if") or dtypes.itemsize(e.dtype) > 2:
        return False
    return any(n.op in ("load", "load_if") for n in postorder(e.args))


def _calls_once(s: For | Fold, exprs: list[Expr]) -> bool:
    """Whether its folds call one function that is quick enough to gain a third from running on
    several registers, as a call waits for what it begins with and puts the sums on the stack."""
    slow = [n.op for n in exprs if n.op in SLOW]
    folds = [x for x in walk((s,)) if isinstance(x, Fold)]
    within = [n.op for x in folds for n in postorder(x.values) if n.op in SLOW]
    plain = all(x.combiner != "next" for x in folds)
    return plain and len(slow) == 1 and slow[0] in QUICK and slow == within


def interleaved(s: For, lanes: int, vector_bits: int) -> int:
    """How many registers go at once where a turn is a chain of operations that wait for each other
    and short enough to be written twice more; 1 for other loops."""
    if any(not isinstance(x, Let | Store) for x in s.body):
        return 1
    if isinstance(s.extent, int) and s.extent < 2 * INTERLEAVED * lanes:
        return 1
    ops = [n.op for n in computed(s) if n.op not in ("load", "load_if")]
    slow = [op for op in ops if op in SLOW]
    functions = [op for op in slow if op != "div"]
    long = WAITING if _wait(functions) else LONG if len(functions) <= 1 else 0
    if not CHAIN <= len(ops) <= long:
        return 1
    roomy = not slow and vector_bits == 512 and _most_live(s) <= FEW_LIVE
    return 2 * INTERLEAVED if roomy else INTERLEAVED


def is_written_once(s: For, lanes: int) -> bool:
    """Whether a loop that is worth several registers at once takes them at its end, too, under a
    mask: then there is one vector function, and none of a single register beside it."""
    slow = [n for n in computed(s) if n.op in SLOW]
    if len(slow) != 1 or slow[0].op not in vmath.FUNCTIONS or slow[0].dtype not in vmath.DTYPES:
        return False
    return not vmath.is_long(slow[0].op, slow[0].dtype, lanes)


def _wait(functions: list[str]) -> bool:
    """Whether there are several functions and among them a long one."""
    return len(functions) > 1 and not HEAVY.isdisjoint(functions)


def _most_live(s: For) -> int:
    """How many values that a turn computes or loads are still needed, where most are."""
    inner = {*computed(s)}
    named = {x.name: x.value for x in s.body if isinstance(x, Let)}
    order: dict[Expr, None] = {}
    for x in s.body:
        if isinstance(x, Let | Store):
            order.update((e, None) for e in postorder([x.value]) if e in inner)
    last = {named.get(a, a): k for k, e in enumerate(order) for a in e.args}
    most = 0
    live: set[Expr] = set()
    for k, e in enumerate(order):
        live = {x for x in live if last.get(x, -1) > k} | {e}
        most = max(most, len(live))
    return most


def spills(kernel: Kernel) -> bool:
    """Whether registers of vectors are likely to be put on the stack, as they are at each call of a
    function. LLVM does not align it for them by itself: one that lies across two pages, which
    depends on where the process has its stack, makes a loop four times as slow."""
    loops = [s for s in walk(kernel.body) if isinstance(s, For | Fold) and s.kind == "vector"]
    return sum(len(computed(s)) for s in loops) > 2 * LONG or calls(kernel, CALLED)


def calls(kernel: Kernel, functions: Collection[str]) -> bool:
    """Whether its vectors call some of these functions."""
    loops = [s for s in walk(kernel.body) if isinstance(s, For | Fold) and s.kind == "vector"]
    return any(n.op in functions for s in loops for n in computed(s))


def is_short(s: For, lanes: int) -> bool:
    """Whether a loop never has more turns than lanes and is not the rest of a longer one, where
    whole vectors are usual."""
    most = most_of(s.extent)
    if most is None or most > lanes or not isinstance(s.extent, Expr):
        return False
    return all(a.is_const or a.op == "var" for a in s.extent.args)


def computed(s: Stmt) -> list[Expr]:
    """The values computed in a loop (not its indices), each once."""
    roots: list[Expr] = []
    for x in [s, *walk(getattr(s, "body", ()))]:
        match x:
            case Fold():
                roots += x.values
            case Let():
                roots.append(x.value)
            case Store():
                roots.append(x.value)
    order: list[Expr] = []
    done: set[Expr] = set()
    stack = list(roots)
    while stack:
        e = stack.pop()
        if e not in done:
            done.add(e)
            order.append(e)
            if e.op not in ("load", "load_if"):
                stack.extend(e.args)
    return [e for e in order if e.op not in ("const", "var")]


def most_of(extent: Size) -> int | None:
    """A number that an extent never exceeds, where one is seen."""
    if isinstance(extent, int):
        return extent
    if not isinstance(extent, Expr) or extent.op != "minimum":
        return None
    return min((a.value for a in extent.args if a.is_const), default=None)


def live(fn: FunctionWriter, left: Value, lanes: int, size: int) -> Value:
    """Flags of the first ``left`` lanes, where that is less than 2^31: all of them, if need be.
    They come from numbers as wide as the data, of ``size`` bytes.

    >>> fn = FunctionWriter("f", [("i64", "n", "")])
    >>> live(fn, "%n", 8, 8), live(fn, "3", 4, 4)
    ('%v3', '<i1 true, i1 true, i1 true, i1 false>')
    """
    if left.isdigit():
        flags = ("true" if k < int(left) else "false" for k in range(lanes))
        return f"<{', '.join(f'i1 {flag}' for flag in flags)}>"
    dtype = "int64" if size == 8 else "int32"
    if size != 8:
        left = fn.val(f"trunc i64 {left} to i32")
    limit = scalars.splat(fn, left, dtype, lanes)
    return fn.val(f"icmp slt {llvm_type(dtype, lanes)} {lane_numbers(lanes, dtype)}, {limit}")


def held(fn: FunctionWriter, mask: Value, lanes: int, size: int, vector_bits: int) -> Value:
    """Flags that the loops inside use as they are. A comparison would be made again in each of
    their turns, since LLVM moves it to its uses: there it is that of a sign, which costs nothing
    where flags are signs, or none at all."""
    flags = llvm_type("bool", lanes)
    if vector_bits == 512:
        return fn.val(f"freeze {flags} {mask}")
    kind = llvm_type("int64" if size == 8 else "int32", lanes)
    signs = fn.val(f"sext {flags} {mask} to {kind}")
    return fn.val(f"icmp slt {kind} {signs}, zeroinitializer")
