"""x = q pi/2 + r with |r| <= pi/4, for every finite x.

Small arguments: Cody and Waite with three parts of pi/2 and fused multiply-add. Large ones: the
product with a window of the bits of 2/pi in integers (M. Payne, R. Hanek, SIGNUM Newsletter 18,
1983; K. C. Ng, "Good to the last bit", 1992), in a function of its own that is rarely called.
"""

from __future__ import annotations

from symgraph.codegen.vmath import coefficients as table
from symgraph.codegen.vmath.lanes import Lanes
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value

# below these the short reduction is accurate enough; kind "m" needs 29 bits less
LARGE = {"d": 2.0**20, "m": 2.0**30, "f": 2.0**15}
_PADDING = 8  # zero bytes before the bits of 2/pi, so that the window may begin before the point
_WINDOW = 32


def reduce_quadrant(b: Lanes, x: Value) -> tuple[Value, Value | None, Value]:
    """(r, r_low, q): float lanes r + r_low and integer lanes q, of which the low two bits count.
    r_low is None in kind "m". Infinities and NaN give NaN."""
    r, low, q = _reduce_small(b, x)
    large = b.cmp("oge", b.abs(x), LARGE[b.kind])
    rows = 2 if low is None else 3
    types = [b.F, b.I, b.F][:rows]
    buffer = b.fn.slot("double", 3 * b.lanes)

    def slow() -> list[Value]:
        fn, step = b.fn, 8 * b.lanes
        fn.raw(f"store {b.F} {x}, ptr {buffer}, align 8")
        fn.raw(f"call void @{_request_slow(b.module, b.lanes)}(ptr {buffer})")
        found, finite = [], b.both(large, b.cmp("one", b.abs(x), float("inf")))
        for k in range(rows):
            at = fn.val(f"getelementptr i8, ptr {buffer}, i64 {k * step}")
            found.append(fn.fresh(f"load {types[k]}, ptr {at}, align 8"))
        values = [b.sel(finite, found[0], r), b.int_sel(finite, found[1], q)]
        return values if low is None else [*values, b.sel(finite, found[2], low)]

    def fast() -> list[Value]:
        return [r, q] if low is None else [r, q, low]

    r, q, *rest = b.fn.if_(b.any(large), slow, fast, types, likely=False)
    return r, rest[0] if rest else None, q


def reduce_narrow(b: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """The same in float32 arithmetic (kind "f"), large arguments by way of doubles."""
    p1, p2, p3 = table.PI_2["f"]
    n, q = b.round_scaled(x, 0.6366197723675814)
    r0 = b.fma(n, -p1, x)  # exact
    r, low = _second(b, n, r0, p2, p3)
    large = b.any(b.cmp("oge", b.abs(x), LARGE["f"]))
    r, low, q = b.fn.if_(
        large, lambda: _widened(b, x), lambda: [r, low, q], [b.F, b.F, b.I], likely=False
    )
    return r, low, q


def _widened(b: Lanes, x: Value) -> list[Value]:
    """r, r_low and q of float32 lanes by way of doubles."""
    wide = Lanes(b.fn, b.module, "m", b.lanes)
    exact, _, count = reduce_quadrant(wide, b.fn.val(f"fpext {b.F} {x} to {wide.F}"))
    r = b.fn.val(f"fptrunc {wide.F} {exact} to {b.F}")
    rest = wide.sub(exact, b.fn.val(f"fpext {b.F} {r} to {wide.F}"))
    low = b.fn.val(f"fptrunc {wide.F} {rest} to {b.F}")
    return [r, low, b.fn.val(f"trunc {wide.I} {count} to {b.I}")]


def _reduce_small(b: Lanes, x: Value) -> tuple[Value, Value | None, Value]:
    p1, p2, p3 = table.PI_2["d"]
    n, q = b.round_scaled(x, 0.6366197723675814)
    r0 = b.fma(n, -p1, x)  # exact, for the two terms nearly cancel
    if b.kind == "m":
        return b.fma(n, -p2, r0), None, q
    return *_second(b, n, r0, p2, p3), q


def _second(b: Lanes, n: Value, r0: Value, p2: float, p3: float) -> tuple[Value, Value]:
    """r0 - n (p2 + p3) in two parts. r0 is a multiple of the last place of n p2, so r0 - r is
    exact."""
    r = b.sub(r0, b.mul(n, p2))
    return r, b.fma(n, -p3, b.fma(n, -p2, b.sub(r0, r)))


def _request_slow(module: ModuleWriter, lanes: int) -> str:
    """A function that replaces the x of a buffer (lanes doubles) by r, and fills in q and r_low
    behind. Lanes whose x is small get numbers without meaning."""
    name = f"sg_reduce_quadrant_{lanes}"
    bits = bytes(_PADDING) + bytes.fromhex(table.TWO_OVER_PI) + bytes(_WINDOW)
    data = 'c"' + "".join(f"\\{byte:02X}" for byte in bits) + '"'
    window = module.constant(f"[{len(bits)} x i8]", data)

    def build(fn: FunctionWriter) -> None:
        def lane(i: Value, _: list[Value]) -> list[Value]:
            places = []
            for k in range(3):
                row = fn.val(f"add i64 {i}, {k * lanes}")
                places.append(fn.val(f"getelementptr double, ptr %buffer, i64 {row}"))
            x = fn.fresh(f"load double, ptr {places[0]}, align 8")
            r, low, q = _reduce_large(Lanes(fn, module, "d", 1), x, window)
            fn.raw(f"store double {r}, ptr {places[0]}, align 8")
            fn.raw(f"store i64 {q}, ptr {places[1]}, align 8")
            fn.raw(f"store double {low}, ptr {places[2]}, align 8")
            return []

        fn.loop(0, lanes, 1, [], lane)

    # optnone: it is run rarely, and compiles in half the time
    attributes = "noinline optnone nounwind cold"
    return module.once(name, [("ptr", "buffer", "")], "void", build, attributes)


def _reduce_large(b: Lanes, x: Value, window: str) -> tuple[Value, Value, Value]:
    """One double. x = m 2^(e-1075); of the bits of 2/pi those above 2^(1-(e-1075)) give multiples
    of 4 and are skipped; the product of m with the 192 that follow has 2 bits of quadrant and 126
    of fraction, of which the hardest argument cancels 62."""
    fn = b.fn
    bits = b.to_bits(x)
    exponent = b.int_op("and", b.int_op("lshr", bits, 52), 2047)
    # any exponent from 1043 to 1138 reads inside the window: good enough for lanes without meaning
    exponent = b.int_sel(b.int_cmp("ult", exponent, 1043), 1043, exponent)
    exponent = b.int_sel(b.int_cmp("eq", exponent, 2047), 1100, exponent)
    m = b.int_op("or", b.int_op("and", bits, (1 << 52) - 1), 1 << 52)
    first = b.int_op("sub", exponent, 1075 - 8 * _PADDING + 2)  # number of the window's first bit
    at = fn.val(f"getelementptr i8, ptr {window}, i64 {b.int_op('lshr', first, 3)}")
    words = _words(b, at, b.int_op("and", first, 7))
    low, middle, high = (_wide_product(fn, m, word) for word in reversed(words))
    product = fn.val(f"add i128 {middle}, {fn.val(f'lshr i128 {low}, 64')}")
    product = fn.val(f"add i128 {product}, {fn.val(f'shl i128 {high}, 64')}")
    quadrant = fn.val(f"lshr i128 {fn.val(f'add i128 {product}, {1 << 125}')}, 126")
    fraction = fn.val(f"sub i128 {product}, {fn.val(f'shl i128 {quadrant}, 126')}")
    parts = _fraction_pair(b, fraction)
    p1, p2, _ = table.PI_2["d"]
    r, r_low = b.two_product(parts[0], p1)
    r, r_low = b.fast_two_sum(r, b.fma(parts[0], p2, b.fma(parts[1], p1, r_low)))
    q = fn.val(f"trunc i128 {quadrant} to i64")
    negative = b.int_cmp("slt", bits, 0)
    flipped = b.int_sel(negative, b.int_op("sub", 0, q), q)
    return b.sel(negative, b.neg(r), r), b.sel(negative, b.neg(r_low), r_low), flipped


def _words(b: Lanes, at: Value, shift: Value) -> list[Value]:
    """Three words of the window, the highest first, beginning `shift` bits after the address."""
    loaded = []
    for k in range(4):
        place = b.fn.val(f"getelementptr i8, ptr {at}, i64 {8 * k}")
        word = b.fn.fresh(f"load i64, ptr {place}, align 1")
        loaded.append(b.fn.call("i64", "llvm.bswap.i64", [("i64", word)]))
    return [
        b.fn.call("i64", "llvm.fshl.i64", [("i64", v) for v in (loaded[k], loaded[k + 1], shift)])
        for k in range(3)
    ]


def _wide_product(fn: FunctionWriter, a: Value, b: Value) -> Value:
    wide = [fn.val(f"zext i64 {v} to i128") for v in (a, b)]
    return fn.val(f"mul i128 {wide[0]}, {wide[1]}")


def _fraction_pair(b: Lanes, fraction: Value) -> tuple[Value, Value]:
    """A signed i128 / 2^126 as a pair, from four pieces of 32 bits that convert exactly."""
    fn = b.fn
    pieces: list[Value] = []
    for word in (fn.val(f"ashr i128 {fraction}, 64"), fraction):
        half = fn.val(f"trunc i128 {word} to i64")
        top = b.int_op("ashr" if not pieces else "lshr", half, 32)
        pieces += [top, b.int_op("and", half, 0xFFFFFFFF)]
    f = [b.mul(b.to_float(v), 2.0 ** (-30 - 32 * k)) for k, v in enumerate(pieces)]
    high, low = b.two_sum(f[0], f[1])
    middle, rest = b.two_sum(low, f[2])
    high, low = b.two_sum(high, middle)
    return b.fast_two_sum(high, b.add(low, b.add(rest, f[3])))
