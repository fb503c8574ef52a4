"""The native entry of a compiled function: from Python objects to the program and back.

    ptr entry(ptr self, ptr args, i64 nargsf, ptr kw)               (a vectorcall)

It holds the fast path alone. Arguments must be C-contiguous, aligned arrays of the right dtype,
rank and sizes, or numbers for 0-d inputs (`numbers_llvm.py`), given by their place or their name
(`keywords_llvm.py`); anything else goes with the untouched arguments to the Python function
``slow``, which converts and calls again, or raises. A failure of the program goes to the Python
function ``fail`` by its number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from symgraph import dtypes
from symgraph.codegen import keywords_llvm, numbers_llvm
from symgraph.codegen.tables import Table
from symgraph.codegen.values import Values
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.loops.compute import elements
from symgraph.loops.program import INTERRUPTED
from symgraph.loops.statements import Size
from symgraph.records import NamedTuple
from symgraph.runtime import abi
from symgraph.runtime.later import Later
from symgraph.scalar import Expr, as_expr, as_size, sum_of, var

if TYPE_CHECKING:
    from symgraph.codegen import profile_llvm
else:
    profile_llvm = Later("symgraph.codegen.profile_llvm")

POOL_FROM = 1 << 18  # bytes; NumPy's own allocation is quicker for smaller outputs
RELEASE_FROM = 10_000_000  # picoseconds; below, releasing the GIL costs more than it gives
STACK_ARENA = 1 << 13  # bytes of temporaries that may lie on the stack


class Port(NamedTuple):
    """An input, output or shared variable of the entry."""

    dtype: str
    shape: tuple[Size, ...]


class Signature(NamedTuple):
    """What an entry needs to know of its function."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    shared: tuple[Port, ...]
    sizes: tuple[str, ...]
    checks: tuple[tuple[Size, Size, str], ...]
    arena: Size
    updates: bool
    container: str  # single | tuple | list
    work: Size = 0  # of a call, in picoseconds


def emit_entry(
    module: ModuleWriter, table: Table, signature: Signature, program: str,
    profile: profile_llvm.Profiler | None = None,
) -> str:  # fmt: skip
    """Write the function ``entry``; ``program`` is the function it runs."""
    Entry(module, table, signature, program, profile).write()
    return "entry"


class Entry:
    """Writes an entry; c_entry_llvm.py derives the one without Python."""

    def __init__(
        self, module: ModuleWriter, table: Table, signature: Signature, program: str,
        profile: profile_llvm.Profiler | None,
    ) -> None:  # fmt: skip
        self.module, self.profile, self.frame = module, profile, ""
        self.args = "%args"
        self.fn = self.head(module)
        self.table, self.signature, self.program = table, signature, program
        self.values = Values(self.fn, module, {}, {}, set())
        self.sizes: dict[Expr, Value] = {}
        self.later: list[tuple[Value, Expr]] = []
        self.made: list[Value] = []
        self.drops: list[str] = []

    def head(self, module: ModuleWriter) -> FunctionWriter:
        """The function that is written."""
        params = [
            ("ptr", "self", ""),
            ("ptr", "args", ""),
            ("i64", "nargsf", ""),
            ("ptr", "kw", ""),
        ]
        return module.function("entry", params, "ptr", "", "nounwind")

    def write(self) -> None:
        fn = self.fn
        where = fn.val(f"getelementptr i8, ptr %self, i64 {abi.HDR + 8}")
        self.context = fn.fresh(f"load ptr, ptr {where}")
        start = self.profile.clock(fn, self.table, self.context) if self.profile else ""
        self.slow = fn.label("slow")
        count = fn.val(f"and i64 %nargsf, {abi.NARGS_MASK}")
        inputs = len(self.signature.inputs)
        if inputs:
            self.args = keywords_llvm.arguments(self, count, inputs)
            self._go_on([fn.fresh(f"icmp ne ptr {self.args}, null")])
        else:
            self._go_on([fn.val("icmp eq ptr %kw, null"), fn.val(f"icmp eq i64 {count}, 0")])
        data = self._arguments()
        self._shared_sizes()
        self._check_sizes()
        for name, value in self.sizes.items():
            self.values.bind(name, (value, 1))
        self._size_conditions()
        if self.profile:
            self.frame = self.profile.begin(fn, self.table, start, self.context)
        self._mark("arguments")
        outputs = [self._output(port) for port in self.signature.outputs]
        self._mark("outputs", self._bytes_of_outputs())
        self._run(data, outputs)
        self._drop_blocks()
        fn.block(self.slow)
        callee, slow = self._api("PyObject_Vectorcall"), self._api("slow")
        result = fn.fresh(f"call ptr {callee}(ptr {slow}, ptr %args, i64 {count}, ptr %kw)")
        fn.ret("ptr", result)

    # profile --------------------------------------------------------------------------------------

    def _mark(self, row: str, moved: Size = 0) -> None:
        if self.profile:
            self.profile.mark(
                self.fn, self.module, self.table, profile_llvm.ENTRY_ROWS.index(row),
                moved=self.values.uniform(moved), frame=self.frame, at=self.context,
            )  # fmt: skip

    def _bytes_of_outputs(self) -> Size:
        return sum_of(
            as_expr(elements(port.shape)) * dtypes.itemsize(port.dtype)
            for port in self.signature.outputs
        )

    def _finish(self) -> None:
        """The end of a call's profile."""
        if self.profile:
            self._mark("return")
            whole = as_size(as_expr(self.signature.arena) + as_expr(self._bytes_of_outputs()))
            with self.values.inside():
                size = self.values.uniform(whole)
            self.profile.peak(self.fn, self.table, size, self.context)
            self.profile.finish(self.fn, self.table, self.frame, self.context)

    # helpers --------------------------------------------------------------------------------------

    def _api(self, name: str) -> Value:
        k = self.table.slot("api", name)
        where = self.fn.fresh(f"getelementptr i8, ptr {self.context}, i64 {8 * k}")
        return self.fn.fresh(f"load ptr, ptr {where}")

    def _field(self, kind: str, base: Value, offset: int) -> Value:
        where = self.fn.val(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base
        return self.fn.val(f"load {kind}, ptr {where}")

    def _go_on(self, conditions: Sequence[Value]) -> None:
        """Continue when all hold, else leave for the slow path."""
        if not conditions:
            return
        all_ = conditions[0]
        for c in conditions[1:]:
            all_ = self.fn.val(f"and i1 {all_}, {c}")
        ok = self.fn.label("ok")
        self.fn.cond_br(all_, ok, self.slow, likely=True)
        self.fn.block(ok)

    # arguments ------------------------------------------------------------------------------------

    def _arguments(self) -> list[Value]:
        fn, inputs = self.fn, self.signature.inputs
        objects = [self._field("ptr", self.args, 8 * k) for k in range(len(inputs))]
        array = self._api("PyArray_Type") if inputs else ""
        flags = []
        numbers: dict[int, numbers_llvm.Given] = {}
        for k, (o, port) in enumerate(zip(objects, inputs, strict=True)):
            type_ = self._field("ptr", o, abi.OB_TYPE)
            is_array = fn.val(f"icmp eq ptr {type_}, {array}")
            if not port.shape:
                numbers[k] = numbers_llvm.given(self, port.dtype, type_)
                is_array = numbers_llvm.any_of(fn, numbers[k], is_array)
            flags.append(is_array)
        self._go_on(flags)
        data, tests, bound = [], [], []
        for k, (o, port) in enumerate(zip(objects, inputs, strict=True)):
            if k in numbers:
                data.append(self._number_or_array(o, port, numbers[k]))
                continue
            conditions, pointer = self._array_fields(o, port)
            tests += conditions
            data.append(pointer)
        self._go_on(tests)
        for o, port in zip(objects, inputs, strict=True):
            if port.shape:  # dims may be read only now that the rank is known
                dims = self._field("ptr", o, abi.A_DIMS)
                bound += self._bind(dims, 0, port)
        self._go_on(bound)
        return data

    def _array_fields(self, o: Value, port: Port) -> tuple[list[Value], Value]:
        """Conditions on dtype, rank and layout, and the data pointer."""
        fn = self.fn
        word = self._field("i64", self._field("ptr", o, abi.A_DESCR), abi.D_KIND)
        word = fn.val(f"and i64 {word}, {abi.DESCR_MASK}")
        wanted = abi.CARRAY & ~abi.WRITEABLE
        flags = fn.val(f"and i32 {self._field('i32', o, abi.A_FLAGS)}, {wanted}")
        conditions = [
            fn.val(f"icmp eq i64 {word}, {self._descr_word(port.dtype)}"),
            fn.val(f"icmp eq i32 {self._field('i32', o, abi.A_ND)}, {len(port.shape)}"),
            fn.val(f"icmp eq i32 {flags}, {wanted}"),
        ]
        return conditions, self._field("ptr", o, abi.A_DATA)

    def _descr_word(self, dtype: str) -> Value:
        """What the word at D_KIND of an array's dtype must be. It is a constant but for bfloat16,
        whose type number each process gives out anew: there it is read off the dtype itself."""
        if dtype != "bfloat16":
            return str(abi.descr_word(dtypes.numpy_dtype(dtype)))
        descr = self.table.load(self.fn, "descr", dtype, self.context)
        return self.fn.val(f"and i64 {self._field('i64', descr, abi.D_KIND)}, {abi.DESCR_MASK}")

    def _number_or_array(self, o: Value, port: Port, flags: numbers_llvm.Given) -> Value:
        """The address of a number's value, or of a 0-d array's element."""
        fn = self.fn

        def of_array() -> Value:
            conditions, pointer = self._array_fields(o, port)
            ok = conditions[0]
            for c in conditions[1:]:
                ok = fn.val(f"and i1 {ok}, {c}")
            return fn.val(f"select i1 {ok}, ptr {pointer}, ptr null")

        pointer = numbers_llvm.address(self, port.dtype, o, flags, of_array)
        self._go_on([fn.val(f"icmp ne ptr {pointer}, null")])
        return pointer

    def _bind(self, dims: Value, offset: int, port: Port) -> list[Value]:
        """Learn the sizes of one array; conditions for those already known."""
        fn, tests = self.fn, []
        for k, size in enumerate(port.shape):
            held = self._field("i64", dims, offset + 8 * k)
            if isinstance(size, int):
                tests.append(fn.val(f"icmp eq i64 {held}, {size}"))
            elif size.op == "var" and size not in self.sizes:
                self.sizes[size] = held
            elif size.op == "var":
                tests.append(fn.val(f"icmp eq i64 {held}, {self.sizes[size]}"))
            else:
                self.later.append((held, size))
        return tests

    def _shared_sizes(self) -> None:
        tests: list[Value] = []
        for k, port in enumerate(self.signature.shared):
            if any(isinstance(s, Expr) for s in port.shape):
                cell = self.table.load(self.fn, "shared", str(k), self.context)
                free = Port(port.dtype, port.shape)
                tests += self._bind(cell, 8, free)
        self._go_on(tests)

    def _check_sizes(self) -> None:
        """Every size that the program reads must have been learnt."""
        missing = [s for s in self.signature.sizes if var(s) not in self.sizes]
        if missing:
            raise ValueError(f"sizes {missing} are not the size of any input axis")

    def _size_conditions(self) -> None:
        fn = self.fn
        tests = [
            fn.val(f"icmp eq i64 {held}, {self.values.uniform(size)}") for held, size in self.later
        ]
        for left, right, _ in self.signature.checks:
            a, b = self.values.uniform(left), self.values.uniform(right)
            tests.append(fn.val(f"icmp eq i64 {a}, {b}"))
        self._go_on(tests)

    # outputs --------------------------------------------------------------------------------------

    def _output(self, port: Port) -> Value:
        """A new array; its memory comes from the pool when it is large."""
        fn = self.fn
        ndim = len(port.shape)
        dims = fn.slot("i64", max(ndim, 1), 8)
        for k, size in enumerate(port.shape):
            place = fn.val(f"getelementptr i64, ptr {dims}, i64 {k}")
            fn.raw(f"store i64 {self.values.uniform(size)}, ptr {place}")
        descr = self.table.load(fn, "descr", port.dtype, self.context)
        increment, new = self._api("Py_IncRef"), self._api("PyArray_NewFromDescr")
        array = self._api("PyArray_Type")
        fn.raw(f"call void {increment}(ptr {descr})")  # NewFromDescr steals it, even on failure
        head = f"call ptr {new}(ptr {array}, ptr {descr}, i32 {ndim}, ptr {dims}, ptr null, "

        def plain() -> list[Value]:
            return [fn.fresh(head + "ptr null, i32 0, ptr null)")]

        size = as_size(as_expr(elements(port.shape)) * dtypes.itemsize(port.dtype))
        if isinstance(size, int) and size < POOL_FROM:
            (made,) = plain()
        else:
            made = self._pooled(port, head, plain)
        self._drop_all_on_null(made)
        self.made.append(made)
        return self._fresh_field("ptr", made, abi.A_DATA)

    def _fresh_field(self, kind: str, base: Value, offset: int) -> Value:
        where = self.fn.fresh(f"getelementptr i8, ptr {base}, i64 {offset}")
        return self.fn.fresh(f"load {kind}, ptr {where}")

    def _pooled(self, port: Port, head: str, plain: Callable[[], list[Value]]) -> Value:
        fn = self.fn
        total, over = str(dtypes.itemsize(port.dtype)), "false"
        name = "llvm.umul.with.overflow.i64"
        fn.declare("{i64, i1}", name, ["i64", "i64"])
        for size in port.shape:
            words = f"i64 {total}, i64 {self.values.uniform(size)}"
            pair = fn.val(f"call {{i64, i1}} @{name}({words})")
            total = fn.val(f"extractvalue {{i64, i1}} {pair}, 0")
            over = fn.val(f"or i1 {over}, {fn.val(f'extractvalue {{i64, i1}} {pair}, 1')}")
        large = fn.val(f"icmp uge i64 {total}, {POOL_FROM}")
        pool = self._api("pool_malloc")
        usable = fn.val(f"icmp ne ptr {pool}, null")
        fine = fn.val(f"xor i1 {over}, true")
        take = fn.val(f"and i1 {fn.val(f'and i1 {large}, {fine}')}, {usable}")

        def from_pool() -> list[Value]:
            state = self._api("pool_state")
            block = fn.fresh(f"call ptr {pool}(ptr {state}, i64 {total})")
            got = fn.fresh(f"icmp ne ptr {block}, null")
            return fn.if_(got, lambda: [self._adopt(head, block, state)], plain, ["ptr"])

        (made,) = fn.if_(take, from_pool, plain, ["ptr"])
        return made

    def _adopt(self, head: str, block: Value, state: Value) -> Value:
        """An array over a block of the pool, which NumPy will give back by the array's handler."""
        fn = self.fn
        made = fn.fresh(head + f"ptr {block}, i32 {abi.CARRAY}, ptr null)")

        def own() -> None:
            handler, increment = self._api("pool_handler"), self._api("Py_IncRef")
            fn.raw(f"call void {increment}(ptr {handler})")
            place = fn.fresh(f"getelementptr i8, ptr {made}, i64 {abi.A_HANDLER}")
            fn.raw(f"store ptr {handler}, ptr {place}")
            flags = fn.fresh(f"getelementptr i8, ptr {made}, i64 {abi.A_FLAGS}")
            held = fn.fresh(f"load i32, ptr {flags}")
            fn.raw(f"store i32 {fn.fresh(f'or i32 {held}, {abi.OWNDATA}')}, ptr {flags}")

        def give_back() -> None:
            free = self._api("pool_free")
            fn.raw(f"call void {free}(ptr {state}, ptr {block}, i64 0)")

        fn.if_(fn.fresh(f"icmp ne ptr {made}, null"), own, give_back, likely=True)
        return made

    def _drop_all(self) -> None:
        for made in self.made:
            self.fn.raw(f"call void {self._api('Py_DecRef')}(ptr {made})")

    def _drop_all_on_null(self, made: Value) -> None:
        """Leave with the exception that is set when there is no object."""
        fn, count = self.fn, len(self.made)
        while len(self.drops) <= count:
            self.drops.append(fn.label(f"drop{len(self.drops)}"))
        ok = fn.label("made")
        fn.cond_br(fn.fresh(f"icmp ne ptr {made}, null"), ok, self.drops[count], likely=True)
        fn.block(ok)

    def _drop_blocks(self) -> None:
        """Block k drops the output made last of k, then goes on to block k - 1."""
        for k in reversed(range(len(self.drops))):
            self.fn.block(self.drops[k])
            if k == 0:
                self.fn.ret("ptr", "null")
            else:
                self.fn.raw(f"call void {self._api('Py_DecRef')}(ptr {self.made[k - 1]})")
                self.fn.br(self.drops[k - 1])

    # running --------------------------------------------------------------------------------------

    def _run(self, data: list[Value], outputs: list[Value]) -> None:
        fn, signature = self.fn, self.signature
        arena, release = self._arena()
        thread = self._release_gil()
        self._mark("temporaries", signature.arena)
        words = [f"ptr {self.context}", f"ptr {arena}", *[f"ptr {self.frame}"] * bool(self.frame)]
        words += [f"i64 {self.sizes[var(s)]}" for s in signature.sizes]
        words += [f"ptr {p}" for p in (*data, *outputs)]
        status = fn.fresh(f"call i32 @{self.program}({', '.join(words)})")
        if thread:
            restore = self._api("PyEval_RestoreThread")
            held = fn.fresh(f"icmp ne ptr {thread}, null")
            fn.if_(held, lambda: fn.raw(f"call void {restore}(ptr {thread})"))
        if release:
            release()
        fn.if_(fn.fresh(f"icmp ne i32 {status}, 0"), lambda: self._failed(status), likely=False)
        self._return()

    def _arena(self) -> tuple[Value, Callable[[], None] | None]:
        """Memory for temporaries: on the stack when it is small, else from the pool or NumPy's."""
        fn, size = self.fn, self.signature.arena
        if isinstance(size, int) and size <= STACK_ARENA:
            return fn.slot("i8", max(size, 1), 64), None

        def exhausted() -> None:
            self._drop_all()
            fail = self._api("fail_memory")
            vectorcall = self._api("PyObject_Vectorcall")
            fn.ret("ptr", fn.fresh(f"call ptr {vectorcall}(ptr {fail}, ptr null, i64 0, ptr null)"))

        return self._taken_arena(exhausted)

    def _taken_arena(self, exhausted: Callable[[], None]) -> tuple[Value, Callable[[], None]]:
        """Memory of a size known at the call; ``exhausted`` leaves where there is none."""
        fn = self.fn
        stack = fn.slot("i8", STACK_ARENA, 64)
        total = self.values.uniform(self.signature.arena)
        malloc, state = self._api("arena_malloc"), self._api("pool_state")
        fits = fn.val(f"icmp ule i64 {total}, {STACK_ARENA}")
        taken = f"call ptr {malloc}(ptr {state}, i64 {total})"
        (block,) = fn.if_(fits, lambda: [stack], lambda: [fn.fresh(taken)], ["ptr"])
        fn.if_(fn.fresh(f"icmp eq ptr {block}, null"), exhausted, likely=False)

        def release() -> None:
            free = self._api("arena_free")
            own = fn.fresh(f"icmp ne ptr {block}, {stack}")
            fn.if_(own, lambda: fn.raw(f"call void {free}(ptr {state}, ptr {block}, i64 0)"))

        return block, release

    def _release_gil(self) -> Value:
        """The saved thread state where the work is large and no shared variable is written."""
        fn, signature = self.fn, self.signature
        free = any(isinstance(s, Expr) for port in signature.shared for s in port.shape)
        if signature.updates or free:
            return ""  # updates must not interleave; set_value may give other memory meanwhile
        constant, work = _constant_part(signature.work)
        if constant >= RELEASE_FROM:
            return fn.fresh(f"call ptr {self._api('PyEval_SaveThread')}()")
        if isinstance(work, int):
            return ""
        total = self.values.uniform(work)
        large = fn.val(f"icmp sge i64 {total}, {RELEASE_FROM}")
        save = self._api("PyEval_SaveThread")
        (thread,) = fn.if_(
            large, lambda: [fn.fresh(f"call ptr {save}()")], lambda: ["null"], ["ptr"]
        )
        return thread

    def _failed(self, status: Value) -> None:
        fn = self.fn
        with self.values.inside():
            self._finish()
        self._drop_all()
        stopped = fn.fresh(f"icmp eq i32 {status}, {INTERRUPTED}")
        fn.if_(stopped, lambda: fn.ret("ptr", "null"))  # with the exception of the signal's handler
        wide = fn.fresh(f"sext i32 {status} to i64")
        number = fn.fresh(f"call ptr {self._api('PyLong_FromLongLong')}(i64 {wide})")
        fn.if_(fn.fresh(f"icmp eq ptr {number}, null"), lambda: fn.ret("ptr", "null"))
        # the arguments go along, so that the message can say which of their values it was
        count = len(self.signature.inputs)
        place = fn.slot("ptr", 1 + count, 8)
        fn.raw(f"store ptr {number}, ptr {place}")
        for k in range(count):
            argument = self._field("ptr", self.args, 8 * k)
            slot = fn.fresh(f"getelementptr ptr, ptr {place}, i64 {k + 1}")
            fn.raw(f"store ptr {argument}, ptr {slot}")
        vectorcall, fail = self._api("PyObject_Vectorcall"), self._api("fail")
        call = f"call ptr {vectorcall}(ptr {fail}, ptr {place}, i64 {1 + count}, ptr null)"
        result = fn.fresh(call)
        fn.raw(f"call void {self._api('Py_DecRef')}(ptr {number})")
        fn.ret("ptr", result)

    def _return(self) -> None:
        fn = self.fn
        if self.signature.container == "single":
            self._finish()
            fn.ret("ptr", self.made[0])
            return
        kind = "PyTuple" if self.signature.container == "tuple" else "PyList"
        pack = fn.fresh(f"call ptr {self._api(f'{kind}_New')}(i64 {len(self.made)})")
        self._drop_all_on_null(pack)
        for k, made in enumerate(self.made):
            put = self._api(f"{kind}_SetItem")
            fn.fresh(f"call i32 {put}(ptr {pack}, i64 {k}, ptr {made})")  # steals the reference
        self._finish()
        fn.ret("ptr", pack)


def _constant_part(work: Size) -> tuple[int, Size]:
    """The part of a sum that is known, and the sum."""
    terms = [as_expr(work)]
    known = 0
    while terms:
        e = terms.pop()
        if e.op == "add":
            terms += e.args
        elif e.is_const:
            known += int(e.value)
        elif e.op == "sub" or _negative(e):
            return 0, work
    return known, work


def _negative(e: Expr) -> bool:
    """Whether a product has a negative factor."""
    return e.op == "mul" and any(a.is_const and a.value < 0 for a in e.args)
