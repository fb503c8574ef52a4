"""Both sides of a rule as graphs, their values, and the true value by mpmath.

A left side is built from the pattern alone: wildcards become inputs of every fitting dtype and
shape, parameters take the values that ``PARAMETERS`` lists for an op. So a new rule is tested
without anybody writing a test for it.
"""

from __future__ import annotations

import itertools

import mpmath
import numpy as np

from symgraph import dtypes
from symgraph.errors import SymgraphError
from symgraph.ir.graph import Input, constant, toposort
from symgraph.ir.op import OPS
from symgraph.ir.types import TensorType
from symgraph.ops.arithmetic import sqrt, square
from symgraph.ops.comparison import where
from symgraph.ops.complex_numbers import conj
from symgraph.ops.creation import eye
from symgraph.ops.exponential import exp, log
from symgraph.ops.matrix import MatMul, trace
from symgraph.ops.matrix_functions import det
from symgraph.ops.moments import mean
from symgraph.ops.nn import softmax
from symgraph.ops.operands import SizeValue
from symgraph.ops.reductions import max as max_
from symgraph.ops.reductions import sum as sum_
from symgraph.ops.shape import BroadcastTo, ExpandDims, Reshape, Transpose
from symgraph.ops.solving import inv
from symgraph.ops.trigonometric import tanh
from symgraph.passes.adapter import TENSORS
from symgraph.rewrite.engine import Record, rewrite
from symgraph.rewrite.pattern import Attr, Number, OpPattern, Wild, parts
from symgraph.rewrite.rules import CLASSES, EXACT, RELAXED, RuleSet
from tests.passes import structures, sums

DTYPES = ("float64", "float32", "int32", "uint8", "int64", "bool")
BY_KIND = {"f": "float64", "i": "int32", "u": "uint8", "b": "bool", "c": "complex128"}
CONSTANTS = (2, 0.5, -3, 1, 0, 3, -1, 4, -0.5, 1.5)
# of the first wildcard and of all others
SHAPES = [(s, s) for s in ((3, 3), (2, 1, 3), (1,), ())] + [((3, 3), (3,)), ((2, 3), ())]
LANES = 200  # samples of elementwise rules


# parameters of ops: what a pattern leaves open is tried with each of these ------------------------


def _axes(type):
    n = type.ndim
    return [{"axes": a} for a in dict.fromkeys([(), (0,), (n - 1,), tuple(range(n))]) if n or not a]


def _reshapes(type):
    count = int(np.prod(type.shape))
    shapes = [type.shape, (count,), (1, count), (3, -1), (count, 1, 1)]
    return [{"shape": tuple(np.zeros(count).reshape(s).shape)} for s in shapes
            if -1 not in s or count % 3 == 0]  # fmt: skip


def _slices(type):
    whole = [{"start": (0,) * type.ndim, "step": (1,) * type.ndim, "size": type.shape}]
    if all(n >= 2 for n in type.shape):
        whole.append({"start": (1,) * type.ndim, "step": (1,) * type.ndim,
                      "size": tuple(n - 1 for n in type.shape)})  # fmt: skip
        whole.append({"start": tuple(n - 1 for n in type.shape), "step": (-1,) * type.ndim,
                      "size": type.shape})  # fmt: skip
        whole.append({"start": (0,) * type.ndim, "step": (2,) * type.ndim,
                      "size": tuple((n + 1) // 2 for n in type.shape)})  # fmt: skip
    return whole


def _embeds(type):
    one, zero = (1,) * type.ndim, (0,) * type.ndim
    wider = tuple(n + 1 for n in type.shape)
    return [{"start": zero, "step": one, "shape": s} for s in (type.shape, wider)]


def _broadcasts(type):
    stretched = tuple(4 if n == 1 else n for n in type.shape)
    return [{"shape": s} for s in (type.shape, (2, *type.shape), stretched, (2, *stretched))]


NORMS = ("backward", "ortho")


def _transforms(type):
    return [{"axes": (k,), "inverse": i, "norm": n}
            for k in range(type.ndim) for i in (False, True) for n in NORMS]  # fmt: skip


def _half_transforms(type):
    return [{"axis": k, "norm": n} for k in range(type.ndim) for n in NORMS]


def _whole_transforms(type):
    return [{**row, "n": 2 * type.shape[row["axis"]] - less}
            for row in _half_transforms(type) for less in (1, 2)]  # fmt: skip


def _cosines(type):
    return [{"axis": k, "type": kind, "sine": s}
            for k in range(type.ndim) for kind in (2, 3, 4) for s in (False, True)]  # fmt: skip


PARAMETERS = {
    "fft": _transforms,
    "rfft": _half_transforms,
    "irfft": _whole_transforms,
    "dct": _cosines,
    **{name: _axes for name in ("sum", "prod", "max", "min", "all", "any", "flip")},
    "cumlogsumexp": lambda t: [
        {"axis": k, "reverse": r} for k in range(t.ndim) for r in (False, True)
    ],
    "transpose": lambda t: [{"axes": p} for p in itertools.permutations(range(t.ndim))],
    "expand_dims": lambda t: [{"axes": a} for a in ((), (0,), (t.ndim,), (0, 1), (0, t.ndim + 1))],
    "squeeze": lambda t: [{"axes": tuple(a)} for a in ((), (0,), (1,)) if len(a) <= t.ndim],
    "reshape": _reshapes,
    "broadcast_to": _broadcasts,
    "slice": _slices,
    "embed": _embeds,
    "cast": lambda t: [{"dtype": d} for d in dtypes.REALS],
    "computed_as": lambda t: [{}],
    "matmul": lambda t: [{"ta": a, "tb": b} for a in (False, True) for b in (False, True)],
}


# left sides ---------------------------------------------------------------------------------------


def left_sides(pattern):
    """(value, inputs) for every way to fill the pattern in."""
    wilds = {w.name: w for w in parts(pattern) if isinstance(w, Wild)}
    ops = [p.op for p in parts(pattern) if isinstance(p, OpPattern)]
    structured = any(o in PARAMETERS and o != "cast" for o in ops)
    shapes = SHAPES if structured else [((LANES,), (LANES,))]
    constants = [w for w in wilds.values() if w.constant]
    for dtype, (first, others) in itertools.product(DTYPES, shapes):
        own = {n: dtype if not w.kinds or dtypes.kind(dtype) in w.kinds else BY_KIND[w.kinds[0]]
               for n, w in wilds.items()}  # fmt: skip
        inputs = {}
        for n, w in wilds.items():
            if not w.constant:
                inputs[n] = Input(TensorType(own[n], others if inputs else first), n)
        for numbers in itertools.product(CONSTANTS, repeat=len(constants)):
            env = dict(inputs)
            try:
                for w, value in zip(constants, numbers, strict=True):
                    env[w.name] = constant(_exactly(value, own[w.name]))
            except (ValueError, OverflowError):
                continue
            for value, _ in _built(pattern, env):
                if value.owner is not None:
                    yield value, list(inputs.values())


def _exactly(value, dtype):
    array = np.array(value).astype(dtypes.numpy_dtype(dtype))
    if array != value:
        raise ValueError(f"{dtype} has no {value}")
    return array


def _built(pattern, env):
    """Every (value, bindings) of a pattern; what an op refuses is left out."""
    if isinstance(pattern, Wild):
        yield env[pattern.name], env
    elif isinstance(pattern, Number):
        yield pattern.value, env
    else:
        for inputs, bound in _built_all(pattern.inputs, env):
            for params, final in _parameters(pattern, inputs, bound):
                try:
                    like = next((i for i in inputs if not isinstance(i, bool | int | float)), None)
                    made = TENSORS.build(pattern.op, inputs, params, like)
                except (SymgraphError, IndexError, ValueError):
                    continue
                yield made, final


def _built_all(patterns, env):
    if not patterns:
        yield [], env
        return
    for first, bound in _built(patterns[0], env):
        for rest, final in _built_all(patterns[1:], bound):
            yield [first, *rest], final


def _parameters(pattern, inputs, env):
    if not isinstance(OPS.get(pattern.op), type):
        yield {}, env
        return
    for row in PARAMETERS[pattern.op](inputs[0].type):
        bound, fits = dict(env), True
        for name, wanted in pattern.params.items():
            if isinstance(wanted, Attr):
                fits = fits and bound.setdefault(wanted.name, row[name]) == row[name]
            else:
                fits = fits and wanted == row[name]
        if fits:
            yield row, bound


# values -------------------------------------------------------------------------------------------


def values(output, env):
    """The value by the references of the ops, checked against the inferred type."""
    memo = dict(env)
    with np.errstate(all="ignore"):
        for node in toposort([output]):
            arrays = [memo[i] if i in memo else i.data for i in node.inputs]
            made = node.op.reference(*arrays)
            for v, value in zip(
                node.outputs, made if len(node.outputs) > 1 else (made,), strict=True
            ):
                memo[v] = found = np.asarray(value)
                assert (str(found.dtype), found.shape) == tuple(v.type), node
    return memo[output] if output in memo else output.data


_MP = {
    "add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b, "negative": lambda a: -a, "square": lambda a: a * a,
    "power": mpmath.power, "absolute": abs, "reciprocal": lambda a: 1 / a, "sqrt": mpmath.sqrt,
    "rsqrt": lambda a: 1 / mpmath.sqrt(a), "exp": mpmath.exp, "expm1": lambda a: mpmath.exp(a) - 1,
    "exp2": lambda a: mpmath.mpf(2) ** a, "log": mpmath.log, "log1p": lambda a: mpmath.log(1 + a),
    "log2": lambda a: mpmath.log(a) / mpmath.log(2), "sin": mpmath.sin, "cos": mpmath.cos,
    "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh, "erf": mpmath.erf,
    "erfc": lambda a: mpmath.erfc(max(min(a, 10**5), -(10**5))),
    "sigmoid": lambda a: 1 / (1 + mpmath.exp(-a)),
    "softplus": lambda a: mpmath.log(1 + mpmath.exp(a)), "floor": mpmath.floor,
    "logaddexp": lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
    "stop_gradient": lambda a: a, "minimum": min, "maximum": max, "tan": mpmath.tan,
    "atan": mpmath.atan, "atan2": mpmath.atan2, "sign": mpmath.sign,
    "hypot": lambda a, b: mpmath.sqrt(a * a + b * b), "exp_of_sum": lambda a, b: mpmath.exp(a + b),
    "log_of_product": lambda a, b: mpmath.log(a * b), "x_minus_sin": lambda a: a - mpmath.sin(a),
    "log_of_quotient": lambda a, b: mpmath.log(a / b), "tan_minus_x": lambda a: mpmath.tan(a) - a,
    "cbrt": lambda a: mpmath.sign(a) * mpmath.cbrt(abs(a)),
    "compound": lambda a, b: mpmath.power(1 + a, b), "sqrt1pm1": lambda a: mpmath.sqrt(1 + a) - 1,
    "compound_of_reciprocal": lambda a: mpmath.power(1 + 1 / a, a),
    "sin_over_x": lambda a: mpmath.sin(a) / a, "xlogy": lambda a, b: a * mpmath.log(b),
    "exp_over_expm1": lambda a: mpmath.exp(a) / mpmath.expm1(a),
    "root_difference": lambda a, b: mpmath.sqrt(a * a + b) - a,
    "exprel": lambda a: mpmath.expm1(a) / a,
    "gamma": lambda a: mpmath.gamma(_bounded(a)), "beta": lambda a, b: _beta(a, b),
    "lgamma": lambda a: mpmath.log(abs(mpmath.gamma(_bounded(a)))),
    "betaln": lambda a, b: mpmath.log(abs(_beta(a, b))),
    "log1mexp": lambda a: mpmath.log(1 - mpmath.exp(a)),
    "ndtr": lambda a: mpmath.ncdf(_bounded(a)), "erfcx": lambda a: _erfcx(a),
    "log_ndtr": lambda a: mpmath.log(mpmath.ncdf(_bounded(a))),
    "logit": lambda a: mpmath.log(a / (1 - a)),
    "exp_step": lambda a, b: mpmath.exp(a + b) - mpmath.exp(a),
    "acos": mpmath.acos, "asin": mpmath.asin,
}  # fmt: skip
POLE = "pole"


def _bounded(a):
    """Beyond, the result is out of range, or 0 or 1 to all digits."""
    return max(min(a, 10**4), -(10**4))


def _beta(a, b):
    return mpmath.beta(_bounded(a), _bounded(b))


def _erfcx(a):
    if a > 10**4:
        return (1 - 1 / (2 * a * a)) / (a * mpmath.sqrt(mpmath.pi))
    return mpmath.exp(_bounded(a) ** 2) * mpmath.erfc(_bounded(a))


_STRUCTURE = {"reshape", "transpose", "expand_dims", "squeeze", "broadcast_to", "slice", "flip"}
_FOLDS = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}


# the ops of which truth() knows the truth
_KNOWN = {*_MP, *_STRUCTURE, *_FOLDS, "matmul", "cast", "rfft", "irfft", "dct"}


def _lifted(function):
    def one(*args):
        for marker in (None, POLE):
            if any(a is marker for a in args):
                return marker
        try:
            found = function(*args)
        except (ZeroDivisionError, ValueError):
            return POLE
        if not isinstance(found, mpmath.mpf):
            return None
        return found if mpmath.isfinite(found) else POLE

    return np.frompyfunc(one, len(_arguments(function)), 1)


def _arguments(function):
    if function in (mpmath.power, mpmath.atan2, min, max):
        return ("a", "b")
    code = getattr(function, "__code__", None)
    own = code is not None and function.__name__ == "<lambda>"
    return code.co_varnames[: code.co_argcount] if own else ("a",)


def truth(output, env):
    """The exact values as an object array; None where they are not real, POLE at a pole."""
    memo = {v: _exact(a) for v, a in env.items()}
    for node in toposort([output]):
        arrays = [memo[i] if i in memo else _exact(i.data) for i in node.inputs]
        name = node.op.name
        if name in _STRUCTURE:
            found = _structure(node.op, arrays[0])
        elif name in _FOLDS:
            found = arrays[0]
            for axis in reversed(node.op.axes):
                found = np.asarray(_lifted(_MP[_FOLDS[name]]).reduce(found, axis=axis), object)
        elif name in ("rfft", "irfft", "dct"):  # one of them undoes another, or nothing is known
            inner = node.inputs[0].owner
            undone = inner is not None and inner.op.name in ("rfft", "dct")
            found = memo[inner.inputs[0]] if undone else np.full(node.output.shape, None)
        elif name == "matmul":
            found = _products(node.op, *arrays)
        elif name == "cast":
            found = _exact(node.op.reference(values(node.inputs[0], env)))
        else:
            found = _lifted(_MP[name])(*arrays)
        memo[node.output] = np.asarray(found, object)
    return memo[output]


def _products(op, a, b):
    a = np.swapaxes(a, -1, -2) if op.ta else a
    b = b if op.tb else np.swapaxes(b, -1, -2)
    pairs = _lifted(lambda a, b: a * b)(a[..., :, None, :], b[..., None, :, :])
    return _lifted(lambda a, b: a + b).reduce(pairs, axis=-1)


def _structure(op, x):
    if op.name == "broadcast_to":
        return np.broadcast_to(x, op.shape)
    return op.reference(x)


def _exact(array):
    flat = [mpmath.mpf(float(v)) if np.isfinite(v) else None for v in np.asarray(array).reshape(-1)]
    out = np.empty(len(flat), object)
    out[:] = flat
    return out.reshape(np.shape(array))


# samples ------------------------------------------------------------------------------------------


def specials(dtype):
    """Values at which rules break."""
    kind = dtypes.kind(dtype)
    if kind == "b":
        return np.array([True, False])
    if kind == "c":
        some = [0.0, -0.0, 1.0, -2.5, 1e20, 1e-20, np.inf, -np.inf, np.nan]
        return np.array([complex(x, y) for x in some for y in some])
    if kind in "iu":
        low, high = dtypes.min_value(dtype), dtypes.max_value(dtype)
        return np.array([v for v in (0, 1, 2, 3, 7, -1, -2, -5, 100, low, low + 1, high, high - 1)
                         if low <= v <= high], dtype)  # fmt: skip
    info = np.finfo(dtype)
    some = [0.0, 1.0, 0.5, 2.0, 3.0, 0.1, 1e-3, 1e-5, 1e-9, 10.0, 40.0, 90.0, 300.0, 1e5, 1e-20,
            1e20, info.max, info.tiny, info.tiny / 8, np.inf, np.pi, np.e, 1 - info.eps,
            1 + info.eps]  # fmt: skip
    return np.array([*some, *(-v for v in some), np.nan], dtype)


def samples(inputs, seed=0):
    """An array for each input: pairs of special values, and random ones of all sizes."""
    rng = np.random.default_rng(seed)
    env = {}
    for v in inputs:
        pool, count = specials(v.dtype), int(np.prod(v.shape))
        if dtypes.is_float(v.dtype):
            random = rng.choice([-1, 1], count) * 10 ** rng.uniform(-4, 2, count)
            some = np.where(rng.random(count) < 0.4, random, rng.choice(pool, count))
        else:
            some = rng.choice(pool, count)
        if len(inputs) == 1 and count >= len(pool):
            some[: len(pool)] = pool
        env[v] = np.asarray(some.reshape(v.shape), dtypes.numpy_dtype(v.dtype))
    return env


# the check ----------------------------------------------------------------------------------------

ULPS = 4  # what the roundings of a handful of operations may cost a STABLE rule
# Rules with these words give the result of operands changed in their last digit: where x is 300
# less than the greatest, x - max(x) is rounded, and a probability of 1e-130 in its 14th digit.
BACKWARD = ("softmax(",)
# Rules in whose left sides the square of the largest number meets 1.
DEEP = ("cot(", "acosh(")


def right_side(rule, left):
    """What the rule alone makes of a left side, or None."""
    record = Record()
    (right,) = rewrite([left], RuleSet("one", rule), TENSORS, admit=CLASSES, record=record)
    return right if record.firings else None


def compare(rule, left, right, env):
    """A description of the first sample at which the sides differ more than the class allows."""
    a, b = values(left, env), values(right, env)
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"{a.dtype}{a.shape} became {b.dtype}{b.shape}"
    if a.dtype.kind == "c" and rule.klass != EXACT:
        wrong = _far(a, b)
    elif dtypes.kind_of(a.dtype) != "f" or rule.klass == EXACT:
        wrong = ~_same_bits(a, b)
    elif rule.klass == RELAXED or not all(n.op.name in _KNOWN for n in toposort([left])):
        wrong = ~np.isclose(b, a, rtol=100 * np.finfo(a.dtype).eps, atol=0, equal_nan=True)
        wrong &= np.isfinite(a)
    else:
        wrong = _less_accurate(rule, a, b, left, env)
    if not wrong.any():
        return ""
    at = tuple(np.argwhere(wrong)[0])
    where = {v.name: x[at] if x.shape == a.shape else x for v, x in env.items()}
    return f"at {where}: {a[at]!r} became {b[at]!r}"


def _far(a, b):
    """Where complex numbers differ by more than roundings of the largest finite one."""
    finite = np.isfinite(a)
    largest = np.abs(a[finite]).max(initial=0)
    with np.errstate(invalid="ignore"):
        return finite & ~(np.abs(a - b) <= 8 * np.finfo(a.dtype).eps * largest)


def _same_bits(a, b):
    if a.dtype.kind == "c":
        return _same_bits(a.real, b.real) & _same_bits(a.imag, b.imag)
    if dtypes.kind_of(a.dtype) != "f":
        return a == b
    a, b = a.astype("float64"), b.astype("float64")  # NumPy does not know bfloat16's NaN
    return (np.isnan(a) & np.isnan(b)) | ((a == b) & (np.signbit(a) == np.signbit(b)))


def _less_accurate(rule, a, b, left, env):
    """Where b is worse than a, which both are meant to be the true value of ``left``."""
    wrong, special, poles = (np.zeros(a.shape, bool) for _ in range(3))
    for x in env.values():
        if x.shape == a.shape and x.dtype.kind == "f":
            wrong |= np.isnan(x) & np.isnan(a) & ~np.isnan(b)  # NaN must not be hidden
            special |= ~np.isfinite(x)
    exact, close = truth(left, env), _neighbours(rule, left, env)
    for at in np.ndindex(a.shape):
        poles[at] = exact[at] is POLE and not special[at]
        if not special[at] and not poles[at] and exact[at] is not None:
            slack = abs(close[at] - exact[at]) if close is not None else 0
            wrong[at] |= _worse(a[at], b[at], exact[at], slack)
    # At infinite operands the limit must stay what it was, if there is one and it did not overflow;
    # at poles any infinity will do, or a number where an intermediate result was rounded to a pole.
    huge = {v: np.clip(x, -np.finfo(x.dtype).max, np.finfo(x.dtype).max) if x.dtype.kind == "f"
            else x for v, x in env.items()}  # fmt: skip
    there = special & ~np.isnan(a) & ~np.isnan(values(left, huge))
    moved = np.isnan(b) | (np.isfinite(a) & ~np.isclose(a, b, rtol=1e-3, atol=1e-6))
    return wrong | (there & moved) | (poles & np.isnan(b) & ~np.isnan(a))


def _worse(a, b, true, slack):
    info = np.finfo(a.dtype)
    largest = mpmath.mpf(float(info.max))
    ulp = mpmath.mpf(float(info.eps)) * max(abs(true), mpmath.mpf(float(info.tiny)))
    bound = max(min(true, largest), -largest)
    before, after = (abs(max(min(_number(v, largest), largest), -largest) - bound) for v in (a, b))
    if np.isnan(b):
        return not np.isnan(a)
    return after > before + ULPS * ulp + slack


def _neighbours(rule, left, env):
    """For rules that are as good as their input only: the true value of rounded operands."""
    if not any(word in rule.name for word in BACKWARD):
        return None
    return truth(left, {v: x * (1 + np.finfo(x.dtype).eps) if x.dtype.kind == "f" else x
                        for v, x in env.items()})  # fmt: skip


def _number(v, largest):
    if np.isnan(v):
        return largest
    return mpmath.mpf(float(v)) if np.isfinite(v) else largest * (1 if v > 0 else -1)


def _shifted_softmaxes():
    for shape, axis in (((3, 4), 1), ((3, 4), 0), ((2, 3, 2), (0, 1))):
        x = Input(TensorType("float64", shape), "x")
        yield log(softmax(x, axis)), [x]
    e = exp(x - max_(x))
    yield log(e / sum_(e)), [x]


def _views():
    x = Input(TensorType("float64", (2, 3)), "x")
    y = Input(TensorType("float64", (2, 3)), "y")
    s = Input(TensorType("float64", ()), "s")
    yield sqrt(BroadcastTo((4, 2, 3))(x)), [x]
    yield sqrt(ExpandDims((1,))(x)), [x]
    yield ExpandDims((1,))(x) * ExpandDims((1,))(y) * s, [x, y, s]
    yield BroadcastTo((4, 2, 3))(x) + BroadcastTo((4, 2, 3))(y), [x, y]
    yield x + BroadcastTo((2, 3))(s), [x, s]
    yield ExpandDims((0,))(s) * y, [s, y]
    yield where(BroadcastTo((2, 3))(s) < 0, x, y), [x, y, s]


def _transposes():
    """Beside operands of every rank, turned in the same way and not."""
    x = Input(TensorType("float64", (2, 3, 4)), "x")
    s = Input(TensorType("float64", ()), "s")
    for turn in itertools.permutations(range(3)):
        z = Transpose(turn)(x)
        yield sqrt(z), [x]
        yield z * s + Transpose(turn)(square(x)), [x, s]
        v = Input(TensorType("float64", z.shape[-1:]), "v")
        yield z * v, [x, v]
        for k in range(3):
            w = Input(TensorType("float64", (z.shape[k],)), "w")
            u = Input(TensorType("float64", z.shape[:k] + z.shape[k + 1 :]), "u")
            yield ExpandDims(tuple(j for j in range(3) if j != k))(w) * z, [x, w]
            yield where(z < 0, ExpandDims((k,))(u), z), [x, u]


def _fills():
    x = Input(TensorType("float64", ()), "x")
    for view in (ExpandDims((1,)), Transpose((1, 0)), Reshape((6, 1))):
        yield view(BroadcastTo((2, 3))(x)), [x]


def _constants():
    x = constant([0.5, -1.0, np.nan])
    yield exp(x), []
    yield x + constant([[1.0], [2.0]]), []
    yield sum_(x), []
    yield SizeValue(7)(), []


def _log_of_means():
    for shape, axes in (
        ((3, 5), (0,)),
        ((3, 5), (1,)),
        ((3, 4), (0, 1)),
        ((4, 2), (0,)),
        ((7,), (0,)),
    ):
        x = Input(TensorType("float64", shape), "x")
        yield log(sum_(exp(x), axes) / float(np.prod([shape[k] for k in axes]))), [x]
        yield log(sum_(exp(x), axes) * (1 / float(np.prod([shape[k] for k in axes])))), [x]


def _moments():
    for shape, axes in (((3, 5), (0,)), ((3, 5), (1,)), ((3, 5), (0, 1)), ((7,), (0,))):
        x = Input(TensorType("float64", shape), "x")
        yield mean(square(x), axes) - square(mean(x, axes)), [x]


def _matrices():
    """Products with inverses, logarithms of determinants, traces of products."""
    x = Input(TensorType("float64", (3, 3)), "x")
    y = Input(TensorType("float64", (3, 3)), "y")
    well = x + eye(3) * 500
    for ta, tb in itertools.product((False, True), repeat=2):
        yield MatMul(ta, tb)(inv(well), y), [x, y]
        yield MatMul(ta, tb)(y, inv(well)), [x, y]
        yield trace(MatMul(ta, tb)(x, y)), [x, y]
    yield log(det(well)), [x]


def _outer_products():
    """Sums of products, of which each operand has an axis of its own, along every axis."""
    for dtype, lead in itertools.product(("float32", "float64"), ((), (2,))):
        sizes = (9, 10, 11)
        for first, second in itertools.permutations(range(3), 2):
            (summed,) = {0, 1, 2} - {first, second}
            shapes = [
                (*lead, *(1 if k == other else n for k, n in enumerate(sizes)))
                for other in (second, first)
            ]
            ins = [Input(TensorType(dtype, s), name) for s, name in zip(shapes, "xy", strict=True)]
            a, b = (square(tanh(v)) for v in ins)  # no order shows where none cancel or overflow
            yield sum_(a * b, axis=len(lead) + summed), ins


def _complex_vectors():
    """Products of a complex vector with another, and with conjugated matrices."""
    z = Input(TensorType("complex128", (3, 3)), "z")
    v = Input(TensorType("complex128", (3,)), "v")
    w = Input(TensorType("complex128", (4,)), "w")
    for ta, tb in itertools.product((False, True), repeat=2):
        yield MatMul(ta, tb)(conj(z), ExpandDims((int(not tb),))(v)), [z, v]
        yield MatMul(ta, tb)(ExpandDims((int(ta),))(v), conj(z)), [z, v]
        left, right = ExpandDims((int(not ta),))(v), ExpandDims((int(tb),))(w)
        yield MatMul(ta, tb)(left, right), [v, w]


# Left sides for rules that look further than their pattern says.
EXAMPLES = {
    **structures.EXAMPLES,
    "difference_of_neighbours": sums.sums_with_a_common_part,
    "sum_of_neighbours": sums.negative_multiples,
    "logarithm_of_neighbours": sums.quotients,
    "difference_of_roots": sums.roots,
    "over_common_denominator": sums.fractions,
    "root_of_quadratic": sums.quadratics,
    "below_views": _views,
    "below_transposes": _transposes,
    "view_of_one_number": _fills,
    "operands_broadcast_themselves": _views,
    "value": _constants,
    "log(exp(x) / ": _shifted_softmaxes,
    "sum(expm1(x)": _log_of_means,
    "square(sum(x, axes=a) / y)": _moments,
    "sum_of_outer_products": _outer_products,
    "column_times_row": _complex_vectors,
    "-> conj(matmul(": _complex_vectors,
    "solution(": _matrices,
    "det(": _matrices,
    "diagonal(": _matrices,
}


def sides(rule):
    """The left sides of a rule: its examples, or what its pattern says."""
    examples = [f for word, f in EXAMPLES.items() if word in rule.name]
    return examples[0]() if examples else left_sides(rule.pattern)


def failures(rule, limit=3):
    """(number of comparisons, descriptions of what is wrong) over all left sides of a rule."""
    found, count, per_type = [], 0, {}
    for left, inputs in sides(rule):
        kind = (left.type, tuple(i.type for i in inputs))
        if per_type.get(kind, 0) >= 8 or left.owner is None:
            continue
        right = right_side(rule, left)
        if right is None:
            continue
        count += 1
        per_type[kind] = per_type.get(kind, 0) + 1
        env = samples(inputs)
        bits = 2600 if any(word in rule.name for word in DEEP) else 1300
        with mpmath.workprec(500 if left.dtype == "float32" else bits):
            problem = compare(rule, left, right, env)
        if problem:
            found.append(f"{rule!r} on {left.type.text()}: {problem}")
            if len(found) >= limit:
                break
    return count, found
