"""Vector mathematics in LLVM IR: branch-free elementary functions for any number of lanes.

No library is called: the functions are polynomials and bit operations that run at vector speed,
within about 1 ulp, with the special values of NumPy. `call` emits one, once per module, as an
internal function; `inline` writes its body in place.
"""

from __future__ import annotations

from collections.abc import Callable

from symgraph.codegen.literals import llvm_type
from symgraph.codegen.vmath.lanes import Lanes
from symgraph.codegen.writer import FunctionWriter, ModuleWriter, Value
from symgraph.records import NamedTuple
from symgraph.runtime.later import LaterFunctions

# a kernel has functions of one or two families
(bessel, error, exponential, gamma, hyperbolic, logarithm, normal, power, remainder, roots,
 slopes, trigonometric) = (LaterFunctions(f"symgraph.codegen.vmath.{name}") for name in (
    "bessel", "error", "exponential", "gamma", "hyperbolic", "logarithm", "normal", "power",
    "remainder", "roots", "slopes", "trigonometric"))  # fmt: skip


class MathFunction(NamedTuple):
    """How a function is written, the number of its arguments, and the arithmetic of its float32
    version: "f" in float32, "m" through float64 where that is shorter (and nearly exact)."""

    write: Callable[..., Value]
    arity: int
    float32: str


DTYPES = ("float32", "float64")
FUNCTIONS: dict[str, MathFunction] = {
    "exp": MathFunction(exponential.exp, 1, "f"),
    "exp2": MathFunction(exponential.exp2, 1, "f"),
    "expm1": MathFunction(exponential.expm1, 1, "f"),
    "sigmoid": MathFunction(exponential.sigmoid, 1, "f"),
    "log": MathFunction(logarithm.log, 1, "f"),
    "log1p": MathFunction(logarithm.log1p, 1, "f"),
    "log2": MathFunction(logarithm.log2, 1, "f"),
    "log10": MathFunction(logarithm.log10, 1, "f"),
    "softplus": MathFunction(logarithm.softplus, 1, "f"),
    "sin": MathFunction(trigonometric.sin, 1, "f"),
    "cos": MathFunction(trigonometric.cos, 1, "f"),
    "tan": MathFunction(trigonometric.tan, 1, "f"),
    "asin": MathFunction(trigonometric.asin, 1, "f"),
    "acos": MathFunction(trigonometric.acos, 1, "f"),
    "atan": MathFunction(trigonometric.atan, 1, "f"),
    "atan2": MathFunction(trigonometric.atan2, 2, "f"),
    "sinh": MathFunction(hyperbolic.sinh, 1, "f"),
    "cosh": MathFunction(hyperbolic.cosh, 1, "f"),
    "tanh": MathFunction(hyperbolic.tanh, 1, "f"),
    "asinh": MathFunction(hyperbolic.asinh, 1, "f"),
    "acosh": MathFunction(hyperbolic.acosh, 1, "f"),
    "atanh": MathFunction(hyperbolic.atanh, 1, "f"),
    "erf": MathFunction(error.erf, 1, "f"),
    "erfc": MathFunction(error.erfc, 1, "f"),
    "cbrt": MathFunction(roots.cbrt, 1, "f"),
    "pow": MathFunction(power.pow, 2, "m"),
    "mod": MathFunction(remainder.mod, 2, "f"),
    "floordiv": MathFunction(remainder.floordiv, 2, "f"),
}
SPECIAL: dict[str, MathFunction] = {
    "gamma": MathFunction(gamma.gamma, 1, "m"),
    "lgamma": MathFunction(gamma.lgamma, 1, "m"),
    "digamma": MathFunction(gamma.digamma, 1, "m"),
    "trigamma": MathFunction(gamma.trigamma, 1, "m"),
    "zeta": MathFunction(gamma.zeta, 2, "m"),
    "gammainc_log_slope": MathFunction(slopes.gammainc_log_slope, 2, "m"),
    "betainc_log_slope": MathFunction(slopes.betainc_log_slope, 4, "m"),
    "hyp2f1_da": MathFunction(slopes.hyp2f1_da, 4, "m"),
    "hyp2f1_dc": MathFunction(slopes.hyp2f1_dc, 4, "m"),
    "erfcx": MathFunction(normal.erfcx, 1, "m"),
    "erfinv": MathFunction(normal.erfinv, 1, "m"),
    "erfcinv": MathFunction(normal.erfcinv, 1, "m"),
    "ndtr": MathFunction(normal.ndtr, 1, "m"),
    "ndtri": MathFunction(normal.ndtri, 1, "m"),
    "i0": MathFunction(bessel.i0, 1, "m"),
    "i1": MathFunction(bessel.i1, 1, "m"),
    "i0e": MathFunction(bessel.i0e, 1, "m"),
    "i1e": MathFunction(bessel.i1e, 1, "m"),
    "j0": MathFunction(bessel.j0, 1, "m"),
    "j1": MathFunction(bessel.j1, 1, "m"),
    "k0": MathFunction(bessel.k0, 1, "m"),
    "k1": MathFunction(bessel.k1, 1, "m"),
    "k0e": MathFunction(bessel.k0e, 1, "m"),
    "k1e": MathFunction(bessel.k1e, 1, "m"),
}
FUNCTIONS |= SPECIAL
_SHORT = ("exp", "exp2")  # in float64, too, written for several registers at once
_ATTRIBUTES = "noinline nounwind memory(none)"


def request(module: ModuleWriter, name: str, dtype: str, lanes: int) -> str:
    """The symbol of an internal function of the module, written when it is first asked for.

    >>> request(ModuleWriter(), "exp", "float64", 8)
    'sg_exp_f64_8'
    """
    symbol, type_ = _symbol(name, dtype, lanes), llvm_type(dtype, lanes)
    letters = "xyzw"[: FUNCTIONS[name].arity]

    def build(fn: FunctionWriter) -> None:
        args = [f"%{letter}" for letter in letters]
        written = _by_register if is_long(name, dtype, lanes) else inline
        fn.ret(type_, written(fn, module, name, dtype, lanes, args))

    params = [(type_, letter, "") for letter in letters]
    narrow = dtype == "float32" and FUNCTIONS[name].float32 == "f"
    # what works on several registers puts some on the stack, which LLVM does not align for them
    wide = lanes * (32 if narrow else 64) > 512
    return module.once(symbol, params, type_, build, _ATTRIBUTES + " alignstack(64)" * wide)


def is_long(name: str, dtype: str, lanes: int) -> bool:
    """Whether a function of several registers calls that of one."""
    if lanes <= 512 // int(dtype[5:]) or name in _SHORT:
        return False
    return dtype == "float64" or FUNCTIONS[name].float32 == "m"


def _by_register(
    fn: FunctionWriter, module: ModuleWriter, name: str, dtype: str, lanes: int, args: list[Value]
) -> Value:
    """The calls, in a loop: the processor has several of them in hand at once, and nothing is
    compiled twice."""
    one = 512 // int(dtype[5:])
    whole, part = llvm_type(dtype, lanes), llvm_type(dtype, one)
    places = [fn.slot(whole) for _ in args]
    for x, place in zip(args, places, strict=True):
        fn.raw(f"store {whole} {x}, ptr {place}, align 64")

    def turn(i: Value, _: list[Value]) -> list[Value]:
        at = [fn.val(f"getelementptr i8, ptr {place}, i64 {i}") for place in places]
        given = [fn.fresh(f"load {part}, ptr {p}, align 64") for p in at]
        found = call(fn, module, name, dtype, one, given)
        fn.raw(f"store {part} {found}, ptr {at[0]}, align 64")
        return []

    fn.loop(0, lanes * 64 // one, 64, [], turn)
    return fn.fresh(f"load {whole}, ptr {places[0]}, align 64")


def inline(
    fn: FunctionWriter, module: ModuleWriter, name: str, dtype: str, lanes: int, args: list[Value]
) -> Value:
    """Write the function's body here. sin, cos, tan, pow, mod and floordiv open new blocks."""
    function = FUNCTIONS[name]
    kind = "d" if dtype == "float64" else function.float32
    b = Lanes(fn, module, kind, lanes)
    if kind != "m":
        return function.write(b, *args)
    narrow = llvm_type("float32", lanes)
    wide = [fn.val(f"fpext {narrow} {x} to {b.F}") for x in args]
    return fn.val(f"fptrunc {b.F} {function.write(b, *wide)} to {narrow}")


def call(
    fn: FunctionWriter, module: ModuleWriter, name: str, dtype: str, lanes: int, args: list[Value]
) -> Value:
    """The value of a function: its body where `fn.inline_math` is set, a call otherwise. A single
    value is computed by a register where the module has the function for one."""
    if fn.inline_math:
        return inline(fn, module, name, dtype, lanes, args)
    type_ = llvm_type(dtype, lanes)
    if lanes == 1:
        for width in (16, 8, 4):
            if module.has(_symbol(name, dtype, width)):
                wide, order = llvm_type(dtype, width), f"<{width} x i32> zeroinitializer"
                for k, x in enumerate(args):
                    first = fn.val(f"insertelement {wide} poison, {type_} {x}, i64 0")
                    args[k] = fn.val(f"shufflevector {wide} {first}, {wide} poison, {order}")
                found = fn.call(wide, _symbol(name, dtype, width), [(wide, x) for x in args])
                return fn.val(f"extractelement {wide} {found}, i64 0")
    return fn.call(type_, request(module, name, dtype, lanes), [(type_, x) for x in args])


def _symbol(name: str, dtype: str, lanes: int) -> str:
    return f"sg_{name}_f{dtype[5:]}_{lanes}"
