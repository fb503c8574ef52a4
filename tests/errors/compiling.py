"""Mistakes that are seen when a function is compiled or a shared variable is set."""

from __future__ import annotations

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(e.UnboundVariableError, "function: an output depends on y, which is not among the inputs")
def variable_that_is_no_input() -> None:
    x, y = sg.vector("x"), sg.vector("y")
    z = sg.exp(x) * y  # <-
    sg.compile([x], z)


@mistake(e.UnboundVariableError, "function: an output depends on x, which is not among the inputs")
def variable_of_an_update_that_is_no_input() -> None:
    w, x = sg.shared(np.zeros(3), "w"), sg.vector("x", shape=(3,))
    new = w - x  # <-
    sg.compile([], [], updates={w: new})


@mistake(
    e.UnboundVariableError,
    "function: iota depends on a size, which is not the size of any input",
)
def size_that_no_input_tells() -> None:
    x = sg.vector("x")
    steps = sg.arange(x.shape[0])  # <-
    sg.compile([], steps)


@mistake(
    e.UnboundVariableError,
    "function: x depends on the size n, which is not the size of any input",
)
def size_of_an_expression() -> None:
    n = sg.matrix("y", shape=("n", "n")).shape[0]
    x = sg.vector("x", shape=(2 * n,))  # <-
    sg.compile([x], sg.sum(x))


@mistake(e.ArgumentError, "input x is listed twice, or two inputs share its name")
def input_listed_twice() -> None:
    x = sg.vector("x")
    sg.compile([x, x], x + 1)  # <-


@mistake(e.ArgumentError, "input x is listed twice, or two inputs share its name")
def inputs_of_one_name() -> None:
    x, y = sg.vector("x"), sg.vector("x")
    sg.compile([x, y], x + y)  # <-


@mistake(e.ArgumentError, "input 0 (w) is a shared variable, not an input variable")
def shared_variable_as_an_input() -> None:
    w = sg.shared(np.zeros(3), "w")
    sg.compile([w], w + 1)  # <-


@mistake(e.ArgumentError, "input 0 (add) is the result of an expression, not an input variable")
def expression_as_an_input() -> None:
    x = sg.vector("x")
    y = x + 1
    sg.compile([y], y * 2)  # <-


@mistake(e.ArgumentError, "expected a symbolic variable or a nest of them, not 3")
def number_as_an_input() -> None:
    x = sg.vector("x")
    sg.compile([x, 3], x)  # <-


@mistake(e.ArgumentError, "expected a symbolic variable or a nest of them, not 'x'")
def name_as_an_input() -> None:
    x = sg.vector("x")
    sg.compile(["x"], x)  # <-


@mistake(e.ArgumentError, "no output depends on the input y")
def input_without_use() -> None:
    x, y = sg.vector("x"), sg.vector("y")
    sg.compile([x, y], x + 1)  # <-


@mistake(e.DTypeError, "cannot make a tensor of str")
def text_as_an_output() -> None:
    x = sg.vector("x")
    sg.compile([x], {"loss": x, "what": "loss"})  # <-


@mistake(e.ArgumentError, "unknown mode 'fast'")
def unknown_mode() -> None:
    x = sg.vector("x")
    sg.compile([x], x + 1, mode="fast")  # <-


@mistake(e.TargetError, "unknown target 'abacus'")
def unknown_target() -> None:
    x = sg.vector("x")
    sg.compile([x], x + 1, target="abacus")  # <-


@mistake(e.ArgumentError, "the name of a function is text, not ['f']")
def name_that_is_no_text() -> None:
    x = sg.vector("x")
    sg.compile([x], x + 1, name=["f"])  # <-


@mistake(e.ArgumentError, "the name of a variable is text, not ['x']")
def variable_named_by_a_list() -> None:
    sg.vector(["x"])  # <-


@mistake(e.ArgumentError, "the name of a variable is text, not 7")
def shared_variable_named_by_a_number() -> None:
    sg.shared(1.0, 7)  # <-


@mistake(e.UpdateError, "updates need shared variables as keys, not <x: float64[?]>")
def update_of_an_input() -> None:
    x = sg.vector("x")
    sg.compile([x], x, updates={x: x + 1})  # <-


@mistake(e.UpdateError, "update of w (float32[3]) has dtype float64")
def update_by_another_dtype() -> None:
    w = sg.shared(np.zeros(3, "float32"), "w")
    sg.compile([], [], updates={w: sg.cast(w, "float64")})  # <-


@mistake(e.UpdateError, "update of w (float64[2, 3]) has type float64[3]")
def update_by_another_rank() -> None:
    w = sg.shared(np.zeros((2, 3)), "w")
    sg.compile([], [], updates={w: sg.sum(w, 0)})  # <-


@mistake(e.UpdateError, "update of w (float64[3]) has type float64[6]")
def update_by_another_size() -> None:
    w = sg.shared(np.zeros(3), "w")
    sg.compile([], [], updates={w: sg.concatenate([w, w])})  # <-


@mistake(e.UpdateError, "shared variable w is updated twice")
def update_given_twice() -> None:
    w = sg.shared(np.zeros(3), "w")
    sg.compile([], [], updates=[(w, w + 1), (w, w + 2)])  # <-


@mistake(e.ArgumentError, "updates are a dict or pairs of old and new, not <shared w: float64[3]>")
def updates_that_are_no_pairs() -> None:
    w = sg.shared(np.zeros(3), "w")
    sg.compile([], [], updates=[w, w + 1])  # <-


@mistake(e.UpdateError, "updates need shared variables as keys, not [<shared w: float64[3]>]")
def update_by_an_unhashable_key() -> None:
    w = sg.shared(np.zeros(3), "w")
    sg.compile([], [], updates=[([w], w + 1)])  # <-


@mistake(e.DTypeError, "givens: x is float64[?], its replacement int64[?]")
def givens_of_another_dtype() -> None:
    x, y = sg.vector("x"), sg.vector("y", dtype="int64")
    sg.compile([y], x + 1, givens={x: y})  # <-


@mistake(e.ArgumentError, "givens replace variables, not 'x'")
def givens_for_a_name() -> None:
    x = sg.vector("x")
    sg.compile([x], x + 1, givens={"x": x})  # <-


@mistake(sg.config.ConfigError, "config: unknown setting 'threads'")
def unknown_public_name_of_a_setting() -> None:
    with sg.config.change(threads=2):  # <-
        pass


@mistake(e.DTypeError, "n holds int64; cannot store float64")
def set_value_of_another_kind() -> None:
    n = sg.shared(np.int64(1), "n")
    n.set_value(1.5)  # <-


@mistake(e.ShapeError, "w holds float64[3]; cannot store shape (4,)")
def set_value_of_another_shape() -> None:
    w = sg.shared(np.zeros(3), "w")
    w.set_value(np.zeros(4))  # <-


@mistake(e.ShapeError, "shared value has shape (3,), declared float64[4]")
def shared_value_of_another_shape_than_declared() -> None:
    sg.shared(np.zeros(3), "w", shape=(4,))  # <-
