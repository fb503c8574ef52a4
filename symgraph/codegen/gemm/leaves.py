"""The parts of products that not all need: microkernels, copies, inner products, and what calls
some of these.

There are dozens, each a few milliseconds of LLVM's time, and a product needs one or two. So each is
a module of its own, reached through a record in memory; the function that decides what is to be
done asks for those that are missing before threads take part (`codegen/products.py` makes them).

A record: a word whose bits say which parts are there, the address of the function to ask,
``ask(record, bits)``, and the parts' own addresses.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.gemm.lanes import Integer, Ints
from symgraph.codegen.gemm.tiles import COPYING, HEAD, TURNED, Tile, copying_rows, parts, tile_name
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.records import NamedTuple

#: what their vectors are made for
ATTRIBUTES = 'noinline nounwind "prefer-vector-width"="512"'
DRIVER = "noinline nounwind"  # of functions that call parts


class Leaf(NamedTuple):
    """A part: its parameters, what writes it, and the type of its result."""

    params: list[tuple[str, str, str]]
    build: Callable[[FunctionWriter], None]
    result: str = "void"


class Leaves:
    """Calls of the parts from one function; ``record`` is the address of the record."""

    def __init__(self, fn: FunctionWriter, tile: Tile, record: Value) -> None:
        self.fn, self.tile, self.record, self.ints = fn, tile, record, Ints(fn)
        self.numbers = {name: k for k, name in enumerate(parts(tile))}

    def bit(self, name: str) -> int:
        """The bit of a part."""
        return 1 << self.numbers[name]

    def bits(self, *parts: str) -> int:
        """The bits of several."""
        return sum(map(self.bit, parts))

    def call(self, name: str, args: str) -> None:
        """Call a part."""
        self._call(self.numbers[name], args)

    def call_nth(self, first: str, n: Integer, args: str) -> None:
        """Call the n-th part, counted from 1, of those that begin with a part."""
        self._call(self.ints.add(n, self.numbers[first] - 1), args)

    def address(self, name: str) -> Value:
        """The address of a part."""
        return self._at(self.numbers[name])

    def _at(self, number: Integer) -> Value:
        place = self.ints.mul(self.ints.add(number, HEAD), 8)
        at = self.fn.val(f"getelementptr i8, ptr {self.record}, i64 {place}")
        return self.fn.val(f"load ptr, ptr {at}")

    def _call(self, number: Integer, args: str) -> None:
        self.fn.raw(f"call void {self._at(number)}({args})")

    def call_tile(self, rows: Integer, columns: Value, args: list[str], turned: Value = "") -> None:
        """Call the microkernel for so many rows and columns; ``args`` are its arguments but the one
        before the last, the lanes of the last vector. The widest strip of whole vectors has kernels
        without masks where masks are dear; ``turned`` says that columns of the result are rows."""
        ints, tile = self.ints, self.tile
        vectors, last = self._vectors(columns)
        above = ints.sub(rows, 1)
        number = ints.sub(ints.add(ints.mul(above, tile.vectors), vectors), 1)
        if not tile.masks:
            full = ints.is_("eq", columns, tile.columns)
            number = ints.pick(full, ints.add(above, tile.rows * tile.vectors), number)
        if turned:
            offset = self.numbers[tile_name(1, 1) + TURNED]
            plain = ints.sub(ints.add(ints.mul(above, tile.vectors), vectors), 1)
            number = ints.pick(turned, ints.add(plain, offset), number)
        self._call(number, ", ".join([*args[:-1], f"i64 {last}", args[-1]]))

    def call_copying(self, rows: Integer, columns: Value, args: list[str], copy: Value) -> None:
        """Call the microkernel for one tile that copies its strip of B."""
        ints = self.ints
        vectors, last = self._vectors(columns)
        number = ints.sub(ints.add(self._copying(rows), vectors), 1)
        self._call(number, ", ".join([*args[:-1], f"i64 {last}", args[-1], f"ptr {copy}"]))

    def _vectors(self, columns: Value) -> tuple[Integer, Integer]:
        """How many vectors columns are, and how many lanes of the last one exist."""
        ints, lanes = self.ints, self.tile.lanes
        vectors = ints.ceil(columns, lanes)
        return vectors, ints.sub(columns, ints.mul(ints.sub(vectors, 1), lanes))

    def _copying(self, rows: Integer) -> Integer:
        """The number of the first one for so many rows."""
        ints, tile = self.ints, self.tile
        least = copying_rows(tile)[0]
        first = self.numbers[tile_name(least, 1) + COPYING]
        return ints.add(ints.mul(ints.sub(rows, least), tile.vectors), first)

    # asking for parts -----------------------------------------------------------------------------

    def tile_bits(self, rows: Integer, widths: Integer, turned: Value = "") -> Integer:
        """The bits of the microkernels of so many rows; bit w - 1 of ``widths`` stands for w
        vectors."""
        fn, ints, tile = self.fn, self.ints, self.tile
        above = ints.sub(rows, 1)
        found = fn.val(f"shl i64 {widths}, {ints.mul(above, tile.vectors)}")
        if turned:
            offset = self.numbers[tile_name(1, 1) + TURNED]
            return ints.pick(
                turned, fn.val(f"shl i64 {found}, {offset}"), self._plain(rows, widths)
            )
        return self._plain(rows, widths)

    def copying_bits(self, rows: Integer, widths: Integer) -> Integer:
        """The same of those that copy their strip of B."""
        return self.fn.val(f"shl i64 {widths}, {self._copying(rows)}")

    def _plain(self, rows: Integer, widths: Integer) -> Integer:
        fn, ints, tile = self.fn, self.ints, self.tile
        above = ints.sub(rows, 1)
        found = fn.val(f"shl i64 {widths}, {ints.mul(above, tile.vectors)}")
        if tile.masks:
            return found
        widest = fn.val(f"lshr i64 {widths}, {tile.vectors - 1}")
        whole = fn.val(f"shl i64 {widest}, {ints.add(above, tile.rows * tile.vectors)}")
        return fn.val(f"or i64 {found}, {whole}")

    def there(self, bits: Integer) -> Value:
        """Whether all of these parts are there, after those that were missing have been asked for.
        Only in the thread that called the program: who is asked may wait for the interpreter."""
        fn = self.fn

        def missing() -> Value:
            held = fn.fresh(f"load atomic i64, ptr {self.record} acquire, align 8")
            return fn.fresh(f"and i64 {bits}, {fn.fresh(f'xor i64 {held}, -1')}")

        wanted = missing()

        def ask() -> list[Value]:
            at = fn.val(f"getelementptr i8, ptr {self.record}, i64 8")
            fn.raw(f"call void {fn.val(f'load ptr, ptr {at}')}(ptr {self.record}, i64 {wanted})")
            return [fn.fresh(f"icmp eq i64 {missing()}, 0")]

        none = fn.fresh(f"icmp eq i64 {wanted}, 0")
        (found,) = fn.if_(none, lambda: ["true"], ask, ["i1"], likely=True)
        return found


def there(module: ModuleWriter, tile: Tile) -> str:
    """The name of a function that does the same, there(record, bits): LLVM's fast selection of
    instructions knows no atomic loads, and leaves their whole block to the slow one."""

    def build(fn: FunctionWriter) -> None:
        fn.ret("i1", Leaves(fn, tile, "%record").there("%bits"))

    return module.once("there", [("ptr", "record", ""), ("i64", "bits", "")], "i1", build, DRIVER)
