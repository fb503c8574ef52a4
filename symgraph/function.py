"""Compiled functions: what `compile` returns.

A :class:`Function` is called through its native entry; only arguments that the entry does not take
as they are (lists, other dtypes, strided arrays, keywords, defaults) come through Python here, are
converted or refused with a message, and go in again.
"""

from __future__ import annotations

import ctypes
import functools
import operator
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symgraph import callbacks, dtypes
from symgraph.errors import (
    CODES,
    ArgumentError,
    IndexOutOfRange,
    InputValueError,
    ShapeError,
    SpecifiedShapeError,
    SymgraphError,
    VerifyError,
)
from symgraph.executor import Loaded
from symgraph.ir import made_sizes
from symgraph.ir.graph import Apply, Graph, Input, Variable, toposort
from symgraph.ir.hashing import inner_graphs
from symgraph.ir.interpret import bind_op, interpret, made_with, operands_of
from symgraph.ir.retrace import error_of
from symgraph.ir.shared import Shared
from symgraph.ir.types import Size, SizeCheck
from symgraph.records import NamedTuple
from symgraph.runtime.c_entry import NAME as C_ENTRY
from symgraph.runtime.c_entry import CEntry
from symgraph.runtime.callable import NativeBase, bind, enable_vectorcall
from symgraph.scalar import Expr, evaluate_size
from symgraph.structure import Structure


class Definition(NamedTuple):
    """What was compiled: the graph whose outputs are the user's outputs then the update values."""

    name: str
    graph: Graph
    shared: tuple[Shared, ...]
    updates: tuple[Shared, ...]
    checks: tuple[SizeCheck, ...]
    inputs: Structure
    outputs: Structure
    options: Mapping[str, Any]

    @property
    def arguments(self) -> tuple[Input, ...]:
        return self.graph.inputs  # type: ignore[return-value]

    def names(self) -> list[str]:
        """The names under which inputs can be given by keyword."""
        return [v.name or f"argument {k}" for k, v in enumerate(self.arguments)]


def bind_arguments(
    d: Definition, args: Sequence[Any], keywords: Mapping[str, Any]
) -> list[np.ndarray]:
    """Arrays for all inputs from what the caller gave, each of the declared type.

    Raises ArgumentError for missing, extra or doubled inputs, InputValueError for unfit values.
    """
    names = d.names()
    if len(args) > len(names):
        raise ArgumentError(
            f"{d.name} takes {len(names)} inputs ({', '.join(names)}), got {len(args)}",
            hint="shared variables and constants are no inputs" if d.shared else "",
        )
    given: dict[str, Any] = dict(zip(names, args, strict=False))
    for key, value in keywords.items():
        if key not in names:
            raise ArgumentError(
                f"{d.name} has no input {key!r}", hint=f"its inputs are {', '.join(names)}"
            )
        if key in given:
            raise ArgumentError(
                f"{d.name}: input {key!r} is given twice",
                hint=f"{len(args)} of {', '.join(names)} are given by their place",
            )
        given[key] = value
    for name, v in zip(names, d.arguments, strict=True):
        if name not in given and v.default is not None:
            given[name] = v.default
    missing = [n for n in names if n not in given]
    if missing:
        raise ArgumentError(
            f"{d.name} lacks the input{'s' * (len(missing) > 1)} {', '.join(missing)}",
            hint=f"its inputs are {', '.join(names)}",
        )
    try:
        return [_as_array(v, given[n], n) for v, n in zip(d.arguments, names, strict=True)]
    except InputValueError as error:
        error.hint = error.hint or _order(d, names, given)
        raise


def laid_out(wanted: Sequence[tuple[np.dtype, int]], args: Sequence[Any]) -> list[np.ndarray]:
    """The arguments as the native entry takes them, where they are arrays of these numbers of axes
    whose layout or dtype alone is another; an empty list for others, of which more is to be said.

    >>> x = np.arange(6, dtype="int32")
    >>> [a.flags.c_contiguous for a in laid_out([(np.dtype("float64"), 1)], [x[::2]])]
    [True]
    """
    if len(args) != len(wanted) or {*map(type, args)} != {np.ndarray}:
        return []
    out = []
    for a, (dtype, ndim) in zip(args, wanted, strict=True):
        if a.ndim != ndim:
            return []
        if a.dtype != dtype and not np.can_cast(a.dtype, dtype, "safe"):
            return []
        dense = np.array(a, dtype, order="C", copy=None)
        out.append(dense if dense is not a or dense.flags.aligned else dense.copy())
    return out


def _order(d: Definition, names: Sequence[str], given: Mapping[str, Any]) -> str:
    """The hint for arguments in another order, when that is what it looks like."""
    if len(names) == 1 or any(isinstance(v, Mapping) for v in given.values()):
        first = next((v for v in given.values() if isinstance(v, Mapping)), None)
        return "write f(**values) to give inputs by their names" if first is not None else ""
    ranks = [np.ndim(given[n]) if isinstance(given[n], np.ndarray | float | int) else -1
             for n in names]  # fmt: skip
    wanted = [v.ndim for v in d.arguments]
    if ranks != wanted and sorted(ranks) == sorted(wanted):
        return f"the order is {', '.join(names)}; or give them by name: f({names[0]}=...)"
    return ""


def flat_arguments(
    d: Definition, args: Sequence[Any], keywords: Mapping[str, Any]
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The leaves of nested arguments; a container that is given by its name becomes leaves too."""
    if d.inputs.container != "nested":
        return args, keywords
    if keywords:
        rest, names = dict(keywords), d.names()
        named = {names[k]: v for k, v in d.inputs.named_parts(rest).items()}
        keywords = {**rest, **named}
    return d.inputs.flatten_arguments(args, d.name), keywords


def _as_array(v: Input, value: Any, name: str) -> np.ndarray:
    wanted = dtypes.numpy_dtype(v.dtype)
    try:
        array = np.asarray(value)
    except ArgumentError:  # of a tensor, or a list with one
        raise _unfit(v, name, "is a tensor without a value") from None
    except ValueError as error:
        raise _unfit(v, name, f"is no array: {error}") from None
    if array.dtype != wanted:
        array = _converted(v, value, array, name)
    if array.ndim != v.ndim:
        raise _unfit(
            v, name, f"has {array.ndim} dimension{'s' * (array.ndim != 1)} (shape {array.shape})"
        )
    array = np.array(array, wanted, order="C", copy=None, subok=False)
    return array if array.flags.aligned else array.copy()


def _converted(v: Input, value: Any, array: np.ndarray, name: str) -> np.ndarray:
    """Python numbers and lists take the declared dtype when they fit; arrays when none is lost."""
    wanted = dtypes.numpy_dtype(v.dtype)
    own = dtypes.kind_of(array.dtype)
    if not own:
        raise _unfit(v, name, _strange(value, array))
    plain = not isinstance(value, np.ndarray | np.generic)
    if array.size == 0 and plain:
        return array.astype(wanted)
    order = "biufc"
    lossless = np.can_cast(array.dtype, wanted, "safe")
    weak = plain and order.index(own) <= order.index(dtypes.kind(v.dtype))
    if lossless or weak:
        cast = array.astype(wanted)
        if wanted.kind in "iu" and not np.array_equal(cast, array):
            raise _unfit(v, name, "holds values out of range")
        return cast
    raise _unfit(v, name, f"has dtype {array.dtype}", f"convert it: array.astype({v.dtype!r})")


def _strange(value: Any, array: np.ndarray) -> str:
    """What is wrong with a value that is no array of numbers."""
    if isinstance(value, int):
        return "is out of range"
    return f"has dtype {array.dtype}" if isinstance(value, np.ndarray) else f"is {value!r:.40}"


def _unfit(v: Input, name: str, problem: str, hint: str = "") -> InputValueError:
    return InputValueError(
        f"input {name} is {v.type.text()}; the value given {problem}",
        operands=[(name, v.type.text(), v.origin)],
        hint=hint,
    )


def bind_sizes(d: Definition, arrays: Sequence[np.ndarray]) -> dict[str, int]:
    """The symbolic sizes that the arguments and the shared variables give.

    Raises InputValueError for sizes that disagree and ShapeError-like errors for failed checks.
    """
    env: dict[str, int] = {}
    source: dict[str, str] = {}
    later: list[tuple[Any, str, int, Size, int]] = []
    values: list[tuple[Variable, str, np.ndarray]] = [
        *zip(d.arguments, d.names(), arrays, strict=True)
    ]
    values += [(s, s.label(), s.get_value(borrow=True)) for s in d.shared]
    for v, name, array in values:
        for axis, (size, held) in enumerate(zip(v.shape, array.shape, strict=True)):
            where = f"axis {axis} of {name}"
            if isinstance(size, int):
                if size != held:
                    raise _wrong_size(v, name, axis, held, str(size))
            elif size.op == "var":
                if env.setdefault(size.attr, held) != held:
                    wanted = f"{_shown(size)} = {env[size.attr]} as {source[size.attr]}"
                    raise _wrong_size(v, name, axis, held, wanted)
                source.setdefault(size.attr, where)
            else:
                later.append((v, name, axis, size, held))
    for v, name, axis, size, held in later:
        if evaluate_size(size, env) != held:
            raise _wrong_size(v, name, axis, held, f"{size} = {evaluate_size(size, env)}")
    return env


def _shown(size: Expr) -> str:
    return "the unnamed size" if _is_unnamed(size) else str(size)


def _wrong_size(v: Any, name: str, axis: int, held: int, wanted: str) -> InputValueError:
    hint = f"declare the axis as None or by a name where {name} is made, to take any size"
    if not wanted.isdigit():
        hint = "axes that share a name have one size; give one another name if that is wrong"
    return InputValueError(
        f"axis {axis} of input {name} has size {held}, expected {wanted}",
        operands=[(name, v.type.text(), v.origin)],
        hint=hint,
    )


def check_sizes(d: Definition, env: Mapping[str, int]) -> None:
    """Test the conditions of the graph on its sizes; raises an error at the user's line."""
    for check in d.checks:
        if made_sizes.made((check.left, check.right)):
            continue  # depends on data: tested when the size is known
        left, right = evaluate_size(check.left, env), evaluate_size(check.right, env)
        if left != right:
            raise _failed_check(d, check, (left, right), env)


def check_updates(d: Definition, env: Mapping[str, int]) -> None:
    """Test that new values of shared variables have their sizes; raises ShapeError."""
    values = d.graph.outputs[len(d.graph.outputs) - len(d.updates) :]
    for s, v in zip(d.updates, values, strict=True):
        for axis, (a, b) in enumerate(zip(s.shape, v.shape, strict=True)):
            have, new = evaluate_size(a, env), evaluate_size(b, env)
            if have != new:
                raise ShapeError(
                    f"update of {s.label()}: axis {axis} has size {new}, expected {have}",
                    origin=v.origin,
                    operands=[(x.label(), x.type.text(), x.origin) for x in (v, s)],
                )


def _failed_check(
    d: Definition, check: SizeCheck, found: tuple[int, int], env: Mapping[str, int]
) -> SymgraphError:
    graphs = [d.graph, *([d.options["whole"].graph] if "whole" in d.options else [])]
    node = next((a for g in graphs for a in g.sized_toposort() if check in a.checks), None)
    what = _UNNAMED.sub(lambda m: str(env.get(m[0], m[0])), check.what)
    below = check.says_all()
    if not below:
        pairs = zip((check.left, check.right), found, strict=True)
        named = [str(n) if _is_unnamed(s) else f"{s} = {n}" for s, n in pairs]
        what = f"{what}: {' and '.join(named)}"
    made = d.options.get("made", ())  # sizes that no argument has: the values are at fault
    computed = any(n in made for n in made_sizes.names((check.left, check.right)))
    kind: Any = ShapeError if computed else InputValueError
    kind = IndexOutOfRange if below and what.startswith("index") else kind
    kind = SpecifiedShapeError if what.startswith("specify_shape") else kind
    return kind(
        what,
        origin=node.origins[0] if node is not None and node.origins else None,
        operands=operands_of(node) if node else [],
        hint=_size_hint(check, found) if not below else "",
    )


def _size_hint(check: SizeCheck, found: tuple[int, int]) -> str:
    if 1 in found and " on axis" in check.what:
        return "an axis stretches only when it is declared as 1: shape=(..., 1)"
    if all(isinstance(s, Expr) and s.op == "var" for s in (check.left, check.right)):
        return 'axes that belong together may share a name: shape=("n",), and are checked by it'
    return ""


_UNNAMED = re.compile(r"\?\d+")


def _is_unnamed(size: Size) -> bool:
    return isinstance(size, int) or _UNNAMED.search(str(size)) is not None


class Compiled:
    """What all compiled functions share: their definition, copying, pickling, looking inside."""

    definition: Definition
    rebuild: Callable[..., Any]
    rewriting: Callable[..., Any]
    statistics: dict[str, Any]
    packs = False  # whether a call takes and returns nests by itself
    _profile: Any = None
    _book_slow: Any = None  # runs and times what native code does not take

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def graph(self) -> Graph:
        """The user's graph, before any rewriting."""
        return self.definition.graph

    @property
    def profile(self) -> Any:
        """Where the time of the calls went; raises ArgumentError unless compiled with a profile."""
        if self._profile is None:
            raise ArgumentError(
                f"{self.name} was compiled without a profile",
                hint="sg.compile(..., profile=True), or SYMGRAPH_PROFILE=1 for all functions",
            )
        return self._profile

    def set_profile(self, profile: Any, book_slow: Any = None) -> None:
        """For symgraph/profiling: the profile, and what times the conversion of arguments."""
        self._profile, self._book_slow = profile, book_slow

    def rewrites(self) -> list[Any]:
        """The rules that fired on the way from the graph to what was compiled, in their order:
        each with ``rule``, the value ``before`` and ``after``, and ``pass_name``.

        The graph is rewritten anew for it, whether or not the function came from the disk cache.

        >>> import symgraph as sg
        >>> x = sg.scalar("x")
        >>> for step in sg.compile([x], sg.log(x + 1)).rewrites():
        ...     print(step.pass_name, "|", step.rule)
        stabilize | log(1 + x) -> log1p(x)  [stable]
        """
        return type(self).rewriting(self.definition)  # type: ignore[no-any-return]

    def __reduce__(self) -> Any:
        return type(self).rebuild, (self.definition,)

    def __repr__(self) -> str:
        d = self.definition
        inputs = ", ".join(
            f"{n}: {v.type.text()}" for n, v in zip(d.names(), d.arguments, strict=True)
        )
        return f"<{type(self).__name__} {d.name}({inputs})>"


@enable_vectorcall
class Function(Compiled, NativeBase):
    """A function whose calls go straight to machine code."""

    def __init__(self, d: Definition, link: Callable[[Any, Any], Loaded]) -> None:
        self.definition = d
        self.statistics = {}
        me = weakref.ref(self)

        def slow(*args: Any, **keywords: Any) -> Any:
            function = me()
            assert function is not None
            work = function._slow
            book = function._book_slow
            return book(work, args, keywords) if book is not None else work(args, keywords)

        def fail(number: int, *arguments: Any) -> None:
            if number < 0:  # a callback raised
                raise placed(d, loaded_failures[-1 - number], callbacks.pending())
            raise failure(d, loaded_failures[number - 1], arguments)

        loaded_failures: list[dict[str, Any]] = []
        self.failures = loaded_failures
        loaded = link(slow, fail)
        bind(self, loaded.entry, ctypes.addressof(loaded.table), loaded)

    @property
    def c_entry(self) -> CEntry:
        """The function as callers in C see it: an address and a context; see CEntry.

        Raises ArgumentError for a function with a profile, which counts calls from Python.
        """
        loaded = self._owner
        if self._profile is not None:
            raise ArgumentError(f"{self.name} has a profile: only Python can call it")
        return CEntry(loaded.code.address(C_ENTRY), ctypes.addressof(loaded.table), (self, loaded))

    @functools.cached_property
    def _wanted(self) -> list[tuple[np.dtype, int]]:
        return [(dtypes.numpy_dtype(v.dtype), v.ndim) for v in self.definition.arguments]

    def _slow(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        d = self.definition
        arrays = [] if keywords else laid_out(self._wanted, args)
        if arrays and any(map(operator.is_not, arrays, args)):
            return self(*arrays)  # type: ignore[operator]
        arrays = bind_arguments(d, args, keywords)
        same = not keywords and len(args) == len(arrays)
        if same and all(a is b for a, b in zip(arrays, args, strict=True)):
            env = bind_sizes(d, arrays)
            check_sizes(d, env)  # names what the entry refused
            check_updates(d, env)
            raise VerifyError(f"{d.name}: the native entry refused arguments that are right")
        return self(*arrays)  # type: ignore[operator]


def failure(
    d: Definition, record: Mapping[str, Any], arguments: Sequence[Any] = ()
) -> BaseException:
    """The error of a run-time failure recorded by the compiler, at the user's line; from the
    arguments of the call also the value that was wrong."""
    origin, operands = _place(d, record)
    what = _with_values(d, record, arguments) if arguments else ""
    return CODES[record["code"]](
        what or record["what"], origin=origin, operands=operands, hint=record["hint"]
    )


MOST_NODES = 64  # that are computed again for a message


def _with_values(d: Definition, record: Mapping[str, Any], arguments: Sequence[Any]) -> str:
    """What the reference of the failing node says of the values of this call, "" when it would
    take long to find out: only integers and what they are made of are computed once more."""
    node = _node(d, record)
    if node is None:
        return ""
    whole = [v for v in node.inputs if not dtypes.is_float(v.dtype)]
    makers = [v.owner for v in whole if v.owner is not None and v.owner.op.name != "cast"]
    hidden = any(made_with(n, node) for n in makers)
    if hidden or len(toposort(whole)) > MOST_NODES:  # hidden: an index that the user did not write
        return ""
    try:
        arrays = [np.asarray(a) for a in arguments]
        if len(record["path"]) > 1:  # inside a loop
            found = error_of(d.graph, d.graph.toposort()[record["path"][0]], arrays)
            return _told(found, record) if found and found.origin is node.origin else ""
        env = bind_sizes(d, arrays)
        values: dict[Variable, Any] = dict(zip(d.arguments, arrays, strict=True))
        made = [v for v in whole if v not in values]
        if made:
            values.update(zip(made, interpret(Graph(d.arguments, made), arrays), strict=True))
        given = [
            values[v] if v in values else np.broadcast_to(
                np.zeros((), dtypes.numpy_dtype(v.dtype)), [evaluate_size(s, env) for s in v.shape])
            for v in node.inputs
        ]  # fmt: skip
        bind_op(node.op, env).reference(*given)
    except SymgraphError as error:
        return _told(error, record)
    except Exception:  # the message without the value is right too
        return ""
    return ""


def _told(error: SymgraphError, record: Mapping[str, Any]) -> str:
    """What an error says of the failure of a record."""
    axis = record["what"].partition("out of range")[2]
    return error.what if error.code == record["code"] and axis in error.what else ""


def placed(d: Definition, record: Mapping[str, Any], error: BaseException) -> BaseException:
    """An error that an op's reference raised, at the user's line."""
    if isinstance(error, SymgraphError):
        origin, operands = _place(d, record)
        error.origin, error.operands = origin or error.origin, tuple(operands)
    return error


def _place(d: Definition, record: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """Origin and operands of the node that a failure's record names."""
    node = _node(d, record)
    if node is None:
        return None, []
    return node.origins[0] if node.origins else None, operands_of(node)


def _node(d: Definition, record: Mapping[str, Any]) -> Apply | None:
    """The node that a failure's record names, maybe inside a loop."""
    graph, path = d.graph, list(record["path"])
    node = None
    while path:
        nodes = graph.toposort()
        if path[0] >= len(nodes):
            return None
        node = nodes[path[0]]
        if len(path) > 1:
            graph = inner_graphs(node.op)[path[1]]
        path = path[2:]
    return node


class InterpretedFunction(Compiled):
    """A function run by the reference interpreter, op by op in NumPy: mode="interpret"."""

    def __init__(self, d: Definition) -> None:
        self.definition = d
        self.statistics = {}

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        d = self.definition
        arrays = bind_arguments(d, *flat_arguments(d, args, keywords))
        env = bind_sizes(d, arrays)
        check_sizes(d, env)
        state = {s: s.get_value(borrow=True) for s in d.shared}
        results = interpret(d.graph, arrays, state, monitor=d.options.get("monitor"))
        count = len(results) - len(d.updates)
        for s, value in zip(d.updates, [np.array(r) for r in results[count:]], strict=True):
            s.set_value(value)
        return d.outputs.pack([np.asarray(r) for r in results[:count]])


class StructuredFunction(Compiled):
    """A function whose inputs or outputs are nested: flattens, calls, packs."""

    def __init__(self, d: Definition, inner: Any) -> None:
        self.definition, self.inner, self.statistics = d, inner, inner.statistics

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        d = self.definition
        flat, named = flat_arguments(d, args, keywords)
        return d.outputs.pack(d.outputs.as_list(self.inner(*flat, **named)))
