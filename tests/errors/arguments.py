"""What compile, eval, shared variables and settings are given."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.DTypeError,
    "unsupported dtype 'object'",
    caret="sg.shared(None)",
    hint="numbers are needed; np.asarray(value, float) says what",
)
def shared_none() -> Any:
    return sg.shared(None)  # <-


@mistake(
    e.ArgumentError,
    "broadcast_to is no array while the graph is built",
    caret="sg.shared(sg.zeros(3))",
    hint="call the function of symgraph (sg.exp for np.exp); for its",
    operands="broadcast_to: float64[3]",
)
def shared_symbolic() -> Any:
    return sg.shared(sg.zeros(3))  # <-


@mistake(
    e.DTypeError,
    "unsupported dtype 'str96'",
    caret='sg.shared("abc")',
    hint="numbers are needed; np.asarray(value, float) says what",
)
def shared_str() -> Any:
    return sg.shared("abc")  # <-


@mistake(
    e.UpdateError,
    "updates need shared variables as keys, not <subtract: float64[3]>",
    caret="sg.compile([], [], updates={w: w})",
    hint="w -= 0.1 makes a new tensor of that name: write updates={w:",
)
def shared_inplace() -> Any:
    w = sg.shared(np.zeros(3), "w")
    w -= 0.1
    return sg.compile([], [], updates={w: w})  # <-


@mistake(
    e.ArgumentError,
    "w cannot be changed in place: a tensor of a graph is a value",
    caret="w[0]",
    hint="x.at[i].set(v) and x.at[i].add(v) give a changed copy",
    operands="w: float64[3]",
)
def shared_setitem() -> Any:
    w = sg.shared(np.zeros(3), "w")
    w[0] = 1.0  # <-


@mistake(
    e.ArgumentError,
    "add is no array while the graph is built",
    caret="w.set_value(w + 1)",
    hint="call the function of symgraph (sg.exp for np.exp); for its",
    operands="add: float64[3]",
)
def shared_set_symbolic() -> Any:
    w = sg.shared(np.zeros(3), "w")
    w.set_value(w + 1)  # <-


@mistake(
    e.ArgumentError,
    "updates are a dict or pairs of old and new, not <add: float64[3]>",
    caret="sg.compile([], [], updates=[w + 1])",
    hint="write updates={w: new_w}",
)
def updates_list_of_values() -> Any:
    w = sg.shared(np.zeros(3), "w")
    return sg.compile([], [], updates=[w + 1])  # <-


@mistake(
    e.UpdateError,
    "updates need shared variables as keys, not <add: float64[3]>",
    caret="sg.compile([], [], updates={w + 1: w})",
    hint="w -= 0.1 makes a new tensor of that name: write updates={w:",
)
def update_target_expr() -> Any:
    w = sg.shared(np.zeros(3), "w")
    return sg.compile([], [], updates={w + 1: w})  # <-


@mistake(
    e.UpdateError,
    "update of w (float64[3]) has type float64",
    caret="sg.compile([], [], updates={w: 0.0})",
    hint="sg.broadcast_to(value, w.shape); for an axis that changes:",
    operands="new value: float64, w: float64[3]",
)
def update_with_number_shape() -> Any:
    w = sg.shared(np.zeros(3), "w")
    return sg.compile([], [], updates={w: 0.0})  # <-


@mistake(
    e.UpdateError,
    "update of n (int64) has dtype float64",
    caret="sg.compile([], [], updates={n: n / 2})",
    hint="cast it: value.astype('int64')",
    operands="new value: float64, n: int64",
)
def int_div_update() -> Any:
    n = sg.shared(np.int64(1), "n")
    return sg.compile([], [], updates={n: n / 2})  # <-


@mistake(
    e.ArgumentError,
    "input 0 (add) is the result of an expression, not an input variable",
    caret="sg.compile(x + 1, [x])",
    hint="inputs come first, then outputs; inputs are made by",
)
def compile_swapped() -> Any:
    x = sg.vector("x")
    return sg.compile(x + 1, [x])  # <-


@mistake(
    e.ArgumentError,
    "no output depends on the input x",
    caret="sg.compile([x])",
    hint='remove it, or pass on_unused_input="ignore"',
)
def compile_no_outputs() -> Any:
    x = sg.vector("x")
    return sg.compile([x])  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of function",
    caret="sg.compile([x], lambda x: x + 1)",
    hint="call it first: give its result",
    operands="x: float64[?]",
)
def compile_function_output() -> Any:
    x = sg.vector("x")
    return sg.compile([x], lambda x: x + 1)  # <-


@mistake(
    e.ArgumentError,
    "on_unused_input is 'raise' or 'ignore', not 'warn '",
    caret='sg.compile([x], x, on_unused_input="warn ")',
)
def compile_unused_option() -> Any:
    x = sg.vector("x")
    return sg.compile([x], x, on_unused_input="warn ")  # <-


@mistake(
    e.ArgumentError,
    "exclude: there is no pass or rule 'fusion'",
    caret='sg.compile([x], x, exclude=["fusion"])',
    hint="passes are inline_functions, canonicalize, fold_constants,",
)
def compile_exclude() -> Any:
    x = sg.vector("x")
    return sg.compile([x], x, exclude=["fusion"])  # <-


@mistake(
    e.ArgumentError,
    "unknown mode 'Debug'",
    caret='sg.compile([x], x, mode="Debug")',
    hint="modes are run, debug, nan, interpret",
)
def compile_mode_typo() -> Any:
    x = sg.vector("x")
    return sg.compile([x], x, mode="Debug")  # <-


@mistake(
    e.TargetError,
    "unknown target 'gpu'",
    caret='sg.compile([x], x, target="gpu")',
    hint="targets are cpu, cuda and cuda:sm_90",
)
def compile_target_gpu() -> Any:
    x = sg.vector("x")
    return sg.compile([x], x, target="gpu")  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of str",
    caret='sg.compile([x], x * 2, givens={x: "data"})',
    hint="write the variable, not its name; texts are no tensors",
    operands="x: float64[?], multiply: float64[?]",
)
def compile_givens_cycle() -> Any:
    x = sg.vector("x")
    return sg.compile([x], x * 2, givens={x: "data"})  # <-


@mistake(
    e.ShapeError,
    "givens: sizes of x and its replacement differ: 3 and 4",
    caret="sg.compile([], x * 2, givens={x: d})",
    operands="multiply: float64[n, 3]",
)
def compile_givens_shape() -> Any:
    x = sg.matrix("x", shape=("n", 3))
    d = sg.shared(np.zeros((5, 4)), "d")
    return sg.compile([], x * 2, givens={x: d})  # <-


@mistake(
    e.UnboundVariableError,
    "eval: an output depends on y, which is not among the inputs",
    caret="x + y",
    hint="add y to the inputs, or replace it by givens",
    operands="y: float64",
)
def eval_missing() -> Any:
    x, y = sg.scalar("x"), sg.scalar("y")
    return (x + y).eval({x: 1.0})  # <-


@mistake(
    e.ArgumentError,
    "eval: the keys are variables, not the name 'x'",
    caret='(x + 1).eval({"x": 1.0})',
    hint="x.eval({x: 1.0})",
)
def eval_names() -> Any:
    x = sg.scalar("x")
    return (x + 1).eval({"x": 1.0})  # <-


@mistake(e.ArgumentError, "function takes 1 inputs (x), got 2", caret="f(np.ones(2), np.ones(2))")
def inputs_dict_names() -> Any:
    x = sg.vector("x")
    f = sg.compile({"a": x}, x + 1)
    return f(np.ones(2), np.ones(2))  # <-


@mistake(
    e.ArgumentError,
    "function has no input 'x'",
    caret="f(x=np.ones(2), y=np.ones(2))",
    hint="its inputs are argument 0, argument 1",
)
def two_unnamed_inputs() -> Any:
    x, y = sg.vector(), sg.vector()
    f = sg.compile([x, y], x + y)
    return f(x=np.ones(2), y=np.ones(2))  # <-


@mistake(
    e.ArgumentError,
    "save writes a Graph, not str",
    caret='sg.save(3, "x.sg")',
    hint="sg.Graph(inputs, outputs), or the .graph of a compiled",
)
def save_wrong() -> Any:
    return sg.save(3, "x.sg")  # <-


@mistake(
    sg.config.ConfigError,
    "config: num_threads cannot be 0",
    caret="sg.config.num_threads",
    hint="num_threads takes an integer above 0",
)
def config_bad_value() -> Any:
    sg.config.num_threads = 0  # <-


@mistake(
    sg.config.ConfigError,
    "config: unknown setting 'numthreads'",
    caret="sg.config.numthreads",
    hint="did you mean 'num_threads'?",
)
def config_typo() -> Any:
    sg.config.numthreads = 2  # <-


@mistake(
    sg.config.ConfigError,
    "config: cache cannot be 'maybe'",
    caret='sg.config.change(cache="maybe")',
    hint="cache takes 0 or 1",
)
def config_bad_env_like() -> Any:
    with sg.config.change(cache="maybe"):  # <-
        pass
