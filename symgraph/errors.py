"""All errors symgraph raises on purpose: one base class, one stable code each, one layout.

The docstring of a class is its manual page, printed by `symgraph explain CODE`: what the error
means, an example that fails and the same example mended. An error names the user's line, the
operands with their types and, where there is one, the next thing to try:

    ShapeError SG101: add: sizes differ on axis 1: 784 and 10
      train.py:12 in loss
        y = x + w
            ^^^^^
      operands: x: float32[batch, 784] (train.py:3)  w: float32[784, 10] (train.py:4)
      hint: transpose w
      more: symgraph explain SG101

The text is built when it is printed, so raising stays cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import layout
from symgraph.layout import Operand
from symgraph.provenance import Origin, called_by_user, capture

CODES: dict[str, type[SymgraphError]] = {}


class SymgraphError(Exception):
    """The base of every error raised by symgraph. Catch it to catch them all.

    `what` says what is wrong in a sentence that starts with the operation's name; `origin` is the
    user's instruction (the one being executed when left out); `operands` are (name, type, origin)
    triples; `hint` is the next thing to try.
    """

    code = "SG000"
    lists_arguments = False  # whether the tensors of the failing call are its operands

    what: str
    origin: Origin | None
    operands: tuple[Operand, ...]
    hint: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" in cls.__dict__:
            taken = CODES.setdefault(cls.code, cls)
            if taken is not cls:
                raise ImportError(f"{cls.__name__} takes the code {cls.code} of {taken.__name__}")

    def __init__(
        self,
        what: str,
        *,
        origin: Origin | None = None,
        operands: Sequence[Operand] = (),
        hint: str = "",
    ) -> None:
        super().__init__(what)
        self.what = what
        self.origin = capture() if origin is None else origin
        self.operands = tuple(operands)
        if self.lists_arguments and origin is None and not operands:
            self.operands = layout.tensors_among(called_by_user()[1])
        self.hint = hint

    def __str__(self) -> str:
        """The whole layout but for the class name, which Python's traceback prints itself."""
        return "\n".join(self._lines(f"{self.code}: "))

    def report(self) -> str:
        """The whole layout, class name included, for places that print no traceback."""
        return "\n".join(self._lines(f"{type(self).__name__} {self.code}: "))

    def _lines(self, head: str) -> list[str]:
        lines = layout.wrap(head, self.what.split(), "  ", layout.WHAT_LINES)
        if self.origin is not None:
            lines.append("  " + layout.shorten(self.origin.text(), layout.WIDTH - 2))
            lines.extend("    " + line for line in self.origin.caret_lines(layout.WIDTH - 4))
        if self.operands:
            lines.extend(layout.operand_lines(self.operands))
        if self.hint:
            lines.extend(layout.wrap("  hint: ", self.hint.split(), "    ", layout.HINT_LINES))
        lines.append(f"  more: symgraph explain {self.code}")
        return lines

    def __reduce__(self) -> tuple[Any, ...]:
        notes = getattr(self, "__notes__", None)
        state = {"__notes__": list(notes)} if notes else None
        return _restore, (type(self), self.what, self.origin, self.operands, self.hint), state


def _restore(
    cls: type[SymgraphError],
    what: str,
    origin: Origin | None,
    operands: tuple[Operand, ...],
    hint: str,
) -> SymgraphError:
    error = cls.__new__(cls, what)
    SymgraphError.__init__(error, what, origin=origin, operands=operands, hint=hint)
    error.operands = operands
    error.origin = origin  # an error made without an origin must not find one where it is unpickled
    return error


# building the graph -------------------------------------------------------------------------------


class ShapeError(SymgraphError, ValueError):
    """Sizes of arrays do not fit together.

    Sizes are checked while the graph is built. Two sizes along an axis fit when they are equal or
    one of them is 1; a size that is a name fits only itself, so that a mistake is not hidden by an
    accident of the data.

    Fails::

        x = sg.matrix("x", shape=("batch", 784))
        w = sg.matrix("w", shape=(784, 10))
        y = x + w

    Mended::

        x = sg.matrix("x", shape=("batch", 784))
        w = sg.matrix("w", shape=(784, 10))
        y = x @ w
    """

    code = "SG101"
    lists_arguments = True


class DTypeError(SymgraphError, TypeError):
    """A dtype is unknown, unsupported or not accepted by this operation.

    Fails::

        x = sg.vector("x", dtype="float64")
        y = x & 1

    Mended::

        x = sg.vector("x", dtype="int64")
        y = x & 1
    """

    code = "SG102"
    lists_arguments = True


class RankError(SymgraphError, ValueError):
    """An array has the wrong number of axes.

    Fails::

        v = sg.vector("v")
        y = sg.diagonal(v)

    Mended::

        m = sg.matrix("m")
        y = sg.diagonal(m)
    """

    code = "SG103"
    lists_arguments = True


class AxisError(SymgraphError, ValueError, IndexError):
    """An axis does not exist, or is named twice. Axes count from 0; negative ones from the end.

    Fails::

        x = sg.matrix("x")
        y = sg.sum(x, axis=2)

    Mended::

        x = sg.matrix("x")
        y = sg.sum(x, axis=1)
    """

    code = "SG104"
    lists_arguments = True


class OutOfRangeError(DTypeError, OverflowError):
    """A Python integer does not fit into the dtype of the array it meets.

    As in NumPy 2 a Python integer takes the array's dtype, whatever its value; it is not wrapped
    around silently.

    Fails::

        x = sg.vector("x", dtype="int8")
        y = x + 300

    Mended::

        x = sg.vector("x", dtype="int8")
        y = sg.cast(x, "int16") + 300
    """

    code = "SG105"


class NoSuchAttribute(SymgraphError, AttributeError):
    """A tensor or a module of symgraph has nothing of this name; often it is the name that NumPy,
    PyTorch or Theano use.

    Fails::

        x = sg.vector("x")
        y = sg.softmax(x)

    Mended::

        x = sg.vector("x")
        y = sg.nn.softmax(x)
    """

    code = "SG106"


# calling ------------------------------------------------------------------------------------------


class ArgumentError(SymgraphError, TypeError):
    """The arguments of a call are not those that the function declares: one is missing, unknown,
    given twice or too many.

    Fails::

        x, y = sg.vector("x"), sg.vector("y")
        f = sg.compile([x, y], x + y)
        f(np.ones(3))

    Mended::

        x, y = sg.vector("x"), sg.vector("y")
        f = sg.compile([x, y], x + y)
        f(np.ones(3), np.ones(3))
    """

    code = "SG201"


class InputValueError(SymgraphError, ValueError):
    """An array given at a call has another dtype, rank or size than its variable declares. Nothing
    has been computed or written.

    Fails::

        x = sg.matrix("x", shape=("batch", 784))
        f = sg.compile([x], sg.sum(x))
        f(np.ones((5, 10)))

    Mended::

        x = sg.matrix("x", shape=("batch", 784))
        f = sg.compile([x], sg.sum(x))
        f(np.ones((5, 784)))
    """

    code = "SG202"


class SpecifiedShapeError(InputValueError, AssertionError):
    """A size is not what ``sg.specify_shape`` asserts."""


class UnboundVariableError(SymgraphError, ValueError):
    """An output depends on a variable that is not among the inputs, so that nobody would give it a
    value.

    Fails::

        x, y = sg.vector("x"), sg.vector("y")
        f = sg.compile([x], x + y)

    Mended::

        x, y = sg.vector("x"), sg.vector("y")
        f = sg.compile([x, y], x + y)
    """

    code = "SG203"


class UpdateError(SymgraphError, TypeError, ValueError):
    """An update does not fit the shared variable it replaces, or its target is not a shared
    variable.

    A shared variable keeps its dtype and rank for life.

    Fails::

        w = sg.shared(np.zeros(3, "float32"), name="w")
        f = sg.compile([], [], updates={w: sg.cast(w, "float64")})

    Mended::

        w = sg.shared(np.zeros(3, "float32"), name="w")
        f = sg.compile([], [], updates={w: w * 2})
    """

    code = "SG204"


class IndexOutOfRange(SymgraphError, IndexError):
    """An index lies outside its axis. Shared variables are as they were before the call.

    Fails::

        x, i = sg.vector("x"), sg.scalar("i", dtype="int64")
        f = sg.compile([x, i], x[i])
        f(np.ones(3), 3)

    Mended::

        x, i = sg.vector("x"), sg.scalar("i", dtype="int64")
        f = sg.compile([x, i], x[i])
        f(np.ones(3), 2)
    """

    code = "SG301"
    lists_arguments = True


class LinAlgError(SymgraphError, ValueError):
    """A matrix has no such decomposition or inverse: it is singular, not positive definite, or an
    iteration did not converge. Shared variables are as they were before the call.

    `sg.linalg.cholesky(a, on_failure="nan")` gives NaN instead.

    Fails::

        a = sg.matrix("a")
        f = sg.compile([a], sg.linalg.cholesky(a))
        f(np.array([[1.0, 2.0], [2.0, 1.0]]))

    Mended::

        a = sg.matrix("a")
        f = sg.compile([a], sg.linalg.cholesky(a + 2 * sg.eye(2)))
        f(np.array([[1.0, 2.0], [2.0, 1.0]]))
    """

    code = "SG302"
    lists_arguments = True


class AssertionFailed(SymgraphError, AssertionError):
    """A condition stated by ``sg.assert_`` or ``sg.check_nan`` was false when the function ran.
    Shared variables are as they were before the call.

    Fails::

        x = sg.vector("x")
        f = sg.compile([x], sg.assert_(x, x > 0, "x is positive"))
        f(np.array([1.0, -1.0]))

    Mended::

        x = sg.vector("x")
        f = sg.compile([x], sg.assert_(x, x > 0, "x is positive"))
        f(np.array([1.0, 1.0]))
    """

    code = "SG303"


class NonFiniteError(SymgraphError, FloatingPointError):
    """With mode="nan", a result of a call is NaN or infinite. The error names the operation where
    that began: the first whose operands are finite and whose result is not, with the operands at
    that element, and the step inside a loop. When an argument or a shared variable already holds
    the NaN or infinity, it names that one. Shared variables are as they were before the call.

    Fails::

        x = sg.vector("x")
        f = sg.compile([x], sg.sum(sg.log(x)), mode="nan")
        f(np.array([1.0, -1.0]))

    Mended::

        x = sg.vector("x")
        f = sg.compile([x], sg.sum(sg.log(sg.maximum(x, 1e-6))), mode="nan")
        f(np.array([1.0, -1.0]))
    """

    code = "SG304"


# derivatives, passes, files, targets --------------------------------------------------------------


class GradientError(SymgraphError, ValueError):
    """A derivative is not defined: the cost is not a scalar of a float dtype, does not depend on
    the variable, or reaches it only through an operation without a derivative.

    Fails::

        x = sg.vector("x")
        g = sg.grad(x * x, x)

    Mended::

        x = sg.vector("x")
        g = sg.grad(sg.sum(x * x), x)
    """

    code = "SG401"
    lists_arguments = True


class RewriteError(SymgraphError):
    """A rewrite rule is malformed, produced a value of another type, or a set of rules does not
    come to rest.

    This is a mistake in a rule, not in the program being compiled. The message names the rules;
    `sg.compile(..., exclude=[name])` leaves one out, `symgraph explain --rules` lists them.

    Fails::

        from symgraph.passes.adapter import TENSORS
        from symgraph.rewrite.engine import rewrite
        from symgraph.rewrite.pattern import wild
        from symgraph.rewrite.rules import RuleSet, rule
        a, x = wild("a"), sg.vector("x")
        rules = RuleSet("mine", rule(sg.exp(a), sg.sin(a)), rule(sg.sin(a), sg.exp(a)))
        rewrite([sg.exp(x)], rules, TENSORS)

    Mended::

        from symgraph.passes.adapter import TENSORS
        from symgraph.rewrite.engine import rewrite
        from symgraph.rewrite.pattern import wild
        from symgraph.rewrite.rules import RuleSet, rule
        a, x = wild("a"), sg.vector("x")
        rules = RuleSet("mine", rule(sg.exp(a), sg.sin(a)))
        rewrite([sg.exp(x)], rules, TENSORS)
    """

    code = "SG501"


class VerifyError(SymgraphError):
    """A verifier found a graph, loop nest or program that breaks its own grammar.

    This is a mistake in symgraph: a pass was given something valid and returned something invalid.
    The message names the pass. Please report it with the program that shows it. Or it is one in an
    op of your own, whose `reference` contradicts its `infer`.

    Fails::

        class Half(sg.Op):
            "Half of x."
            name, nondifferentiable = "page_half", "this is an example"
            infer = lambda self, x: x
            reference = lambda self, x: (x / 2).astype("float32")
            lower = lambda self, out, x: (x * 0.5)
        sg.compile([], Half()(sg.ones(3)), mode="interpret")()

    Mended::

        class Half(sg.Op):
            "Half of x."
            name, nondifferentiable = "page_half", "this is an example"
            infer = lambda self, x: x
            reference = lambda self, x: x / 2
            lower = lambda self, out, x: (x * 0.5)
        sg.compile([], Half()(sg.ones(3)), mode="interpret")()
    """

    code = "SG502"


class DebugError(VerifyError):
    """With mode="debug", a value of compiled code or of an optimized graph is not what the
    operations mean. Shared variables are as they were before the call.

    The message names what is guilty: a rewrite rule with its file and line, the kernel, routine or
    loop whose native code is wrong with the operations in it, or, when no such part is, the output.

    This is a mistake in symgraph, or in the rule or the operation that you added. Please report it
    with the message; mode="interpret" runs the program without rules and without native code.

    Fails::

        from symgraph.loops.compute import pointwise
        class Third(sg.Op):
            "A third of x."
            name, nondifferentiable = "page_third", "this is an example"
            infer = lambda self, x: x
            reference = lambda self, x: x / 3
            lower = lambda self, out, x: pointwise(out.shape, lambda *i: x(*i) + x(*i))
        x = sg.vector("x")
        sg.compile([x], Third()(x), mode="debug")(np.ones(3))

    Mended::

        from symgraph.loops.compute import pointwise
        from symgraph.scalar import functions as F
        class Third(sg.Op):
            "A third of x."
            name, nondifferentiable = "page_third", "this is an example"
            infer = lambda self, x: x
            reference = lambda self, x: x / 3
            lower = lambda self, out, x: pointwise(out.shape, lambda *i: F.div(x(*i), 3.0))
        x = sg.vector("x")
        sg.compile([x], Third()(x), mode="debug")(np.ones(3))
    """

    code = "SG503"


class GraphFileError(SymgraphError, ValueError):
    """A saved graph, or the text of one, is malformed, damaged or of an unknown version. Nothing
    from it has been executed.

    Save the graph again with this version, or read it with the one that wrote it.

    Fails::

        import os, tempfile
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "graph.sg")
            np.save(path + ".npy", np.ones(3))
            sg.load(path + ".npy")

    Mended::

        import os, tempfile
        x = sg.vector("x")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "graph.sg")
            sg.save(path, sg.Graph([x], [sg.exp(x)]))
            sg.load(path)
    """

    code = "SG601"


class TargetError(SymgraphError):
    """The target is unknown, or this machine cannot run code for it.

    `symgraph doctor` lists the targets and what each of them lacks.

    Fails::

        x = sg.vector("x")
        f = sg.compile([x], x + 1, target="abacus")

    Mended::

        x = sg.vector("x")
        f = sg.compile([x], x + 1, target="cpu")
    """

    code = "SG701"


# the manual page of a code ------------------------------------------------------------------------


def __dir__() -> list[str]:
    kinds = {"SymgraphError", *(c.__name__ for c in CODES.values())}
    return ["CODES", "examples", "explain", *(n for n in globals() if n in kinds)]


def explain(code: str) -> str:
    """The manual page of an error code. Raises KeyError for an unknown one.

    >>> explain("SG104").splitlines()[0]
    'AxisError SG104'
    """
    cls = CODES[code.upper()]
    return f"{cls.__name__} {cls.code}\n\n{layout.dedent(cls.__doc__ or '')}\n"


def examples(code: str) -> tuple[str, str] | None:
    """The failing and the mended program from the manual page of a code, `None` where a user cannot
    cause the error.
    """
    page = explain(code)
    if "Fails::" not in page:
        return None
    failing, mended = page.split("Fails::")[1].split("Mended::")
    return layout.dedent(failing), layout.dedent(mended)


layout.print_users_mistakes(
    lambda e: isinstance(e, SymgraphError) and not isinstance(e, RewriteError | VerifyError)
)
