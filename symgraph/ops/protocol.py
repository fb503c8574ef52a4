"""What Python itself asks of an array: its length, iteration, truth and number of elements."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from symgraph.errors import ArgumentError, NoSuchAttribute, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.operators import LANGUAGE, in_language
from symgraph.ir.types import Size, normalize_axis
from symgraph.loops.compute import elements
from symgraph.ops.indexing import getitem
from symgraph.ops.operands import as_variable
from symgraph.provenance import called_by_user

__all__ = ["size"]


@in_language("size")
def size(x: Any, axis: int | None = None) -> Size:
    """The number of elements, or the size of an axis: an int, or an expression over the symbolic
    sizes, which counts as a Python int where it meets tensors. Raises AxisError.

    >>> import symgraph as sg
    >>> sg.size(sg.zeros((2, 3))), str(sg.size(sg.tensor("x", shape=("n", 2))))
    (6, '2*n')
    """
    x = as_variable(x)
    if axis is None:
        return elements(x.shape)
    return x.shape[normalize_axis(axis, x.ndim, "size: axis")]


_UNROLLED = (
    "sg.scan loops over an axis of any size, sg.sum and the like take a whole tensor; to write "
    "the steps out, declare the size: shape=(3,)"
)


def _first(x: Variable, what: str, hint: str) -> int:
    if x.ndim == 0:
        raise RankError(
            f"{what} of a 0-d tensor: it has no axes",
            operands=[(x.label(), x.type.text(), x.origin)],
            hint="sg.expand_dims(x, 0) is a vector of one element",
        )
    found = x.shape[0]
    if not isinstance(found, int):
        raise ArgumentError(
            f"{what}: the size {found} is known only at run time",
            operands=[(x.label(), x.type.text(), x.origin)],
            hint=hint,
        )
    return found


@in_language("length")
def length(x: Variable) -> int:
    """``len(x)``. Raises RankError for 0-d, ArgumentError when the size is symbolic."""
    return _first(x, "len()", "x.shape[0] is the symbolic size")


@in_language("iterate")
def iterate(x: Variable) -> Iterator[Variable]:
    """``for row in x``, unrolled. Raises RankError for 0-d, ArgumentError for a symbolic size."""
    count = _first(x, "iteration", _UNROLLED)
    return iter([getitem(x, k) for k in range(count)])


@in_language("truth")
def truth(x: Variable) -> bool:
    """``bool(x)``: refused, since a symbolic tensor has no value yet. Raises ArgumentError."""
    made_by = x.owner.op.name if x.owner is not None else ""
    hint = "sg.where or sg.cond for if; & and | for and and or, also in a < b < c; ~ for not"
    if made_by in ("equal", "not_equal"):
        hint = "`is` says whether two names stand for one tensor; sg.where or sg.cond for if"
    elif made_by in ("less", "less_equal"):
        hint += "; sg.maximum for max, sg.sort for sorted"
    raise ArgumentError(
        f"the truth of {x.label()} is not known while the graph is built",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint=hint,
    )


@in_language("contains")
def contains(x: Variable) -> bool:
    """``value in x``: refused, as :func:`truth`. Raises ArgumentError."""
    raise ArgumentError(
        f"whether {x.label()} contains a value is not known while the graph is built",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint="sg.any(x == value); for a list of tensors: any(v is x for v in tensors)",
    )


@in_language("number")
def number(x: Variable) -> Any:
    """``float(x)``, ``int(x)``, ``range(x)``: refused, as :func:`truth`. Raises ArgumentError."""
    function, arguments = called_by_user()
    places = [n for n, v in arguments.items() if n not in ("self", "args") and _holds(v, x)]
    what = f"{x.label()} is no number while the graph is built"
    hint = "compile it, or ask for its value by .eval(); sizes are ints, names or x.shape[0]"
    if places:
        what = f"{function}: {places[0]} is known while the graph is built; {x.label()} is a tensor"
        hint = "give a Python number; where a size is meant, x.shape[0] or sg.size_from(n)"
    raise ArgumentError(what, operands=[(x.label(), x.type.text(), x.origin)], hint=hint)


def _holds(value: Any, x: Variable) -> bool:
    return value is x or (isinstance(value, list | tuple) and any(v is x for v in value))


@in_language("as_array")
def as_array(x: Variable) -> Any:
    """``np.asarray(x)``, which NumPy and SciPy also do by themselves with what they are given:
    refused, since a symbolic tensor has no elements yet. Raises ArgumentError."""
    raise ArgumentError(
        f"{x.label()} is no array while the graph is built",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint="call the function of symgraph (sg.exp for np.exp); for its value: x.eval({...})",
    )


# What NumPy's arrays do when a tensor stands on the right: the operators, which mean the graph's.
_OPERATORS = frozenset(
    "add subtract multiply divide floor_divide remainder power matmul bitwise_and bitwise_or "
    "bitwise_xor left_shift right_shift less less_equal equal not_equal".split()
)
_SWAPPED = {"greater": "less", "greater_equal": "less_equal"}


@in_language("ufunc")
def ufunc(x: Variable, function: Any, method: str, inputs: Any, options: Any) -> Any:
    """A function of NumPy over arrays and tensors: the operators build graphs, as in
    ``array + x``; the others are refused. Raises ArgumentError."""
    name = function.__name__
    if method == "__call__" and not options:
        if name in _OPERATORS:
            return LANGUAGE[name](*inputs)
        if name in _SWAPPED:
            return LANGUAGE[_SWAPPED[name]](*reversed(inputs))
    if options.get("out") is not None:
        raise ArgumentError(
            f"np.{name}: a tensor of the graph cannot be written into an array of NumPy",
            operands=[(x.label(), x.type.text(), x.origin)],
            hint="write y = y + x instead of y += x; y becomes a tensor",
        )
    raise _of_numpy(x, f"np.{name}" if method == "__call__" else f"np.{name}.{method}")


@in_language("array_function")
def array_function(x: Variable, function: Any, args: Any, options: Any) -> Any:
    """A function of NumPy that takes arrays: those that ask for shapes answer, the others are
    refused at the user's line. Raises ArgumentError."""
    if function.__name__ in ("shape", "ndim", "size"):
        return function._implementation(*args, **options)
    module = str(function.__module__).replace("numpy", "np", 1)
    raise _of_numpy(x, f"{module}.{function.__name__}")


def _of_numpy(x: Variable, name: str) -> ArgumentError:
    ours = _public("." + name.split(".", 1)[1])
    hint = f"{ours} is the function of graphs" if ours else "symgraph has no function of that name"
    return ArgumentError(
        f"{name} wants an array; {x.label()} has no elements while the graph is built",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint=f"{hint}; for the value of a tensor: x.eval({{...}})",
    )


def _public(path: str) -> str:
    """``sg.linalg.norm`` for ``.linalg.norm``, "" when there is none. The public names lie above
    this layer: they are looked up among what has been loaded."""
    value: Any = sys.modules.get("symgraph.api")
    for name in path.split(".")[1:]:
        value = getattr(value, name, None)
    return "sg" + path if callable(value) else ""


_VALUE = "a tensor has no value before it is computed: x.eval({input: value}), or sg.compile"
_HABITS = {
    **dict.fromkeys(("numpy", "item", "tolist", "data", "value", "get_value", "cpu", "array",
                     "block_until_ready"), _VALUE),
    "view": "x.reshape(shape)", "resize": "x.reshape(shape)",
    "unsqueeze": "sg.expand_dims(x, axis)", "permute": "sg.transpose(x, axes)",
    "dimshuffle": "sg.transpose and sg.expand_dims",
    "expand": "sg.broadcast_to(x, shape)", "detach": "sg.stop_gradient(x)",
    "backward": "sg.grad(cost, parameters)", "grad": "sg.grad(cost, x)",
    "requires_grad": "sg.grad(cost, x) works for every float input",
    "to": 'x.astype("float32")', "type_as": "x.astype(y.dtype)", "float": 'x.astype("float32")',
    "double": 'x.astype("float64")', "long": 'x.astype("int64")', "int": 'x.astype("int32")',
    "half": 'x.astype("float16")', "bool": 'x.astype("bool")', "dim": "x.ndim", "norm":
    "sg.linalg.norm(x)", "set_value": "sg.shared(value) makes a variable that keeps a value",
    "fill": "sg.full(x.shape, value)", "append": "sg.append or sg.concatenate give a longer one",
    "set_subtensor": "x.at[i].set(v)", "t": "x.T", "H": "x.conj().T", "mm": "x @ y", "bmm": "x @ y",
    "mul": "x * y", "add": "x + y", "sub": "x - y", "div": "x / y", "matmul": "x @ y",
    **dict.fromkeys(("copy", "clone"), "none is needed: tensors do not change"),
    "apply": "sg.vmap(function)(x) or sg.map(function, x)", "nelement": "x.size", "numel": "x.size",
}  # fmt: skip


@in_language("missing")
def missing(x: Variable, name: str) -> Any:
    """``x.name`` that does not exist. Raises NoSuchAttribute, with what to write instead."""
    hint = _HABITS.get(name, "")
    for path in (f".{name}", f".nn.{name}", f".linalg.{name}", f".special.{name}"):
        hint = hint or (f"{ours}(x)" if (ours := _public(path)) else "")
    if not hint:
        import difflib  # only for the message

        near = difflib.get_close_matches(name, [n for n in dir(type(x)) if n[0] != "_"], 1, 0.6)
        hint = f"did you mean {near[0]}?" if near else ""
    raise NoSuchAttribute(
        f"a tensor has no attribute {name!r}",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint=hint,
    )


@in_language("assign")
def assign(x: Variable) -> Any:
    """``x[i] = v``: refused, since tensors do not change. Raises ArgumentError."""
    raise ArgumentError(
        f"{x.label()} cannot be changed in place: a tensor of a graph is a value",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint="x.at[i].set(v) and x.at[i].add(v) give a changed copy",
    )
