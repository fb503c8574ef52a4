"""The passes together: values stay, sizes stay symbolic, loops merge, depth does not matter."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import SymgraphError, VerifyError
from symgraph.ir.graph import Constant, Graph, Input
from symgraph.ir.interpret import interpret
from symgraph.ir.op import OPS
from symgraph.ir.types import TensorType, tensor_type
from symgraph.ops.nn import InRange
from symgraph.passes import before_derivatives, pipeline
from symgraph.passes.adapter import TENSORS
from symgraph.passes.canonicalize import CANONICALIZE
from symgraph.passes.fold_constants import FOLD_CONSTANTS
from symgraph.passes.loading import MATRICES, PLAIN, REDUCTIONS, SETTLED
from symgraph.passes.pipeline import PIPELINE, Pass, optimize
from symgraph.passes.views import AFTER_DERIVATIVES
from symgraph.rewrite.engine import Record, rewrite
from symgraph.rewrite.pattern import Number, OpPattern, Wild
from symgraph.rewrite.rules import EXACT, RuleSet


def tensor(name, *shape, dtype="float64"):
    return Input(tensor_type(dtype, shape), name)


def run(output, given):
    return interpret(Graph(given, [output]), [np.asarray(a, v.dtype) for v, a in given.items()])[0]


def optimized(output, *inputs, mode="debug"):
    return optimize(Graph(inputs, [output]), mode).outputs[0]


def count(output, name):
    return sum(node.op.name == name for node in Graph((), [output]).toposort())


# the pipeline -------------------------------------------------------------------------------------


def test_every_pass_has_a_name_a_sentence_and_rules_of_that_name():
    for step in PIPELINE:
        assert step.what.endswith(".")
        assert getattr(step.work, "name", None) == step.name or step.work.__name__ == step.name


def test_a_graph_in_normal_form_is_returned_itself():
    x = tensor("x", "n")
    graph = optimize(Graph([x], [sg.exp(x * 3) + 1]))
    assert optimize(graph) is graph


def test_modes():
    x = tensor("x", "n")
    graph = Graph([x], [x * 1 + 0])
    assert optimize(graph, "interpret") is graph
    assert optimize(graph, "run").outputs == (x,) or optimize(graph, "run").outputs[0] is x
    with pytest.raises(KeyError):
        optimize(graph, "fast")


def test_debug_names_the_pass_that_breaks_a_type(monkeypatch):
    def spoil(graph):
        return Graph(graph.inputs, [sg.cast(v, "float32") for v in graph.outputs])

    x = tensor("x", 3)
    monkeypatch.setattr(pipeline, "PIPELINE", (Pass("spoil", "Breaks it.", spoil),))
    with pytest.raises(VerifyError, match=r"spoil made float32\[3\] of output 0, float64\[3\]"):
        optimize(Graph([x], [sg.exp(x)]), "debug")


def test_firings_name_pass_and_rule_and_origins_are_kept():
    x = tensor("x", "n")
    y = sg.log(1 + sg.exp(x))
    record = Record(near_misses=True)
    (out,) = optimize(Graph([x], [y]), record=record).outputs
    assert [(f.pass_name, f.rule.name) for f in record.firings] == [
        ("canonicalize", "c + x -> x + c"),
        ("stabilize", "log(1 + exp(x)) -> softplus(x)"),
    ]
    assert record.near_misses
    lines = {o.location().line for o in out.owner.origins}
    assert lines == {y.owner.origins[0].location().line}


# values -------------------------------------------------------------------------------------------


def _mlp():
    x, w, v = tensor("x", "n", 4), tensor("w", 4, 5), tensor("v", 5, 3)
    labels = tensor("labels", "n", dtype="int64")
    loss = sg.mean(sg.nn.softmax_cross_entropy(sg.tanh(x @ w) @ v, labels))
    return {x: (6, 4), w: (4, 5), v: (5, 3), labels: (6,)}, [loss, *sg.grad(loss, [w, v])]


def _by_hand():
    x, w = tensor("x", "n", 4), tensor("w", 4, 3)
    e = sg.exp(x @ w)
    p = e / sg.sum(e, axis=1, keepdims=True)
    loss = -sg.mean(sg.log(p)[:, 0])
    return {x: (6, 4), w: (4, 3)}, [loss, sg.grad(loss, [w])[0]]


def _variance():
    x = tensor("x", "n", 3)
    z = (x - sg.mean(x, axis=0)) / sg.sqrt(sg.var(x, axis=0) + 1e-5)
    return {x: (7, 3)}, [z, sg.grad(sg.sum(z**3), [x])[0]]


def _views():
    x = tensor("x", "n", 4)
    y = x.T.T[1:, ::-1][::2, 1:] * 2 / 2
    z = sg.reshape(sg.reshape(x, (-1,)), (4, -1)) - -x.T
    return {x: (7, 4)}, [y, z, sg.grad(sg.sum(z * z), [x])[0]]


def _loop():
    x, h, w = tensor("x", "t", 3), tensor("h", 3), tensor("w", 3, 3)
    out = sg.scan(lambda x, h: sg.tanh(x + h @ w), [x], [h])
    loss = sg.sum(out**2)
    return {x: (5, 3), h: (3,), w: (3, 3)}, [loss, *sg.grad(loss, [h, w])]


def _choice():
    x = tensor("x", "n")
    y = sg.cond(sg.sum(x) > 0, lambda: sg.log(1 + sg.exp(x)), lambda: x * 1)
    return {x: (4,)}, [y, sg.grad(sg.sum(y), [x])[0]]


PROGRAMS = [_mlp, _by_hand, _variance, _views, _loop, _choice]


@pytest.mark.parametrize("program", PROGRAMS)
def test_optimized_programs_have_the_same_values(program):
    shapes, outputs = program()
    rng = np.random.default_rng(1)
    data = [rng.normal(size=s) if v.dtype != "int64" else rng.integers(0, 3, s)
            for v, s in shapes.items()]  # fmt: skip
    graph = Graph(shapes, outputs)
    before = interpret(graph, data)
    after = interpret(optimize(graph, "debug"), data)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-13)


_UNARY = [sg.negative, sg.absolute, sg.square, sg.floor, sg.exp, sg.sqrt, sg.tanh, sg.sigmoid,
          sg.log]  # fmt: skip
_BINARY = [sg.add, sg.subtract, sg.multiply, sg.divide, sg.minimum, sg.maximum]


def _random_graph(rng, leaves, size):
    values = list(leaves)
    for _ in range(size):
        pick = [values[k] for k in rng.integers(0, len(values), 3)]
        kind = rng.integers(0, 10)
        if kind < 4:
            values.append(_UNARY[rng.integers(len(_UNARY))](pick[0]))
        elif kind < 8:
            number = float(rng.choice([0, -0.0, 1, -1, 2, 0.5, -3]))
            pair = [pick[0], pick[1] if rng.random() < 0.6 else number]
            values.append(_BINARY[rng.integers(len(_BINARY))](*pair[:: rng.choice([1, -1])]))
        else:
            values.append(sg.where(pick[0] < pick[1], pick[1], pick[2]))
    return values[-1]


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_exact_rules_keep_every_bit(seed):
    rng = np.random.default_rng(seed)
    inputs = [tensor("x", 3, 4, dtype="float32"), tensor("y", 4, dtype="float32"),
              tensor("z", dtype="float32")]  # fmt: skip
    output = _random_graph(rng, inputs, 30)
    pool = [0, -0.0, 1, -1, 0.5, -2, 1e-30, 1e30, np.inf, -np.inf, np.nan, 0.1]
    given = {v: rng.choice(pool, v.shape) for v in inputs}
    exact = output
    for _ in range(3):
        for rules in (CANONICALIZE, FOLD_CONSTANTS):
            (exact,) = rewrite([exact], rules, TENSORS, admit=[EXACT])
    a, b = run(output, given), run(exact, given)
    np.testing.assert_array_equal(np.where(np.isnan(a), 0, a), np.where(np.isnan(b), 0, b))
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    np.testing.assert_array_equal(np.signbit(a)[~np.isnan(a)], np.signbit(b)[~np.isnan(b)])
    optimize(Graph(inputs, [output]), "debug")  # all rules: types stay


X = 1000.0


def _softmax(x):
    return sg.exp(x) / sg.sum(sg.exp(x))


@pytest.mark.parametrize(
    "write, at, true",
    [
        (lambda x: sg.log(1 + sg.exp(x)), X, X),
        (lambda x: sg.log(sg.exp(x) + 1), -50.0, math.exp(-50)),
        (lambda x: 1 / (1 + sg.exp(-x)), -X, 0.0),
        (lambda x: sg.exp(x) / (sg.exp(x) + 1), X, 1.0),
        (lambda x: sg.log(1 / (1 + sg.exp(-x))), -X, -X),
        (lambda x: sg.log(1 - 1 / (1 + sg.exp(-x))), X, -X),
        (lambda x: sg.log(x + 1), 1e-20, 1e-20),
        (lambda x: sg.log(1 - x), 1e-20, -1e-20),
        (lambda x: sg.exp(x) - 1, 1e-20, 1e-20),
        (lambda x: sg.log(1 - sg.exp(x)), -1e-20, math.log(1e-20)),
        (lambda x: sg.log(1 - sg.exp(x)), -50.0, -math.exp(-50)),
        (lambda x: sg.log(sg.exp(x) + sg.exp(x - 1)), X, X + math.log1p(math.exp(-1))),
        (lambda x: sg.log(sg.exp(x) - sg.exp(x - 1)), X, X + math.log(-math.expm1(-1))),
        (lambda x: sg.log((sg.exp(x) + sg.exp(-x)) / 2), X, X - math.log(2)),
        (lambda x: sg.log(sg.cosh(x)), 1e-5, math.log1p(2 * math.sinh(5e-6) ** 2)),
        (lambda x: (sg.exp(x) - sg.exp(-x)) / (sg.exp(x) + sg.exp(-x)), X, 1.0),
        (lambda x: (sg.exp(2 * x) - 1) / (sg.exp(2 * x) + 1), X, 1.0),
        (lambda x: (sg.exp(x) - sg.exp(-x)) / 2, 1e-9, 1e-9),
        (lambda x: sg.sqrt(x + 1) - sg.sqrt(x), 1e20, 5e-11),
        (lambda x: 1 / (x + 1) - 1 / x, 1e10, -1 / (1e10 * (1e10 + 1))),
        (lambda x: sg.log(x + 1) - sg.log(x), 1e20, 1e-20),
        (lambda x: (1 - sg.cos(x)) / x**2, 1e-6, 0.5),
        (lambda x: sg.sqrt(x**2), 1e200, 1e200),
        (lambda x: 1 - sg.erf(x), 10.0, math.erfc(10.0)),
        (lambda x: 0.5 * (1 + sg.erf(x / math.sqrt(2))), -20.0, 0.5 * math.erfc(20 / math.sqrt(2))),
        (lambda x: sg.log(sg.sum(sg.exp(sg.stack([x, x])))), X, X + math.log(2)),
        (lambda x: sg.log(sg.mean(sg.exp(sg.stack([x, x])))), -X, -X),
        (lambda x: sg.log(_softmax(sg.stack([x, 0 * x])))[1], X, -X),
    ],
)
def test_what_people_write_is_repaired(write, at, true):
    x = tensor("x")
    y = optimized(write(x), x)
    assert run(y, {x: at}) == pytest.approx(true, rel=1e-12, abs=1e-300)


def test_the_gradient_of_logsumexp_by_hand_is_softmax():
    x = tensor("x", "n", 3)
    (g,) = sg.grad(sg.sum(sg.log(sg.sum(sg.exp(x), axis=1))), [x])
    assert run(optimized(g, x), {x: [[1000.0, 1000.0, -1000.0]]}).tolist() == [[0.5, 0.5, 0.0]]


# shapes -------------------------------------------------------------------------------------------


def test_replacements_keep_the_broadcast_shape():
    x, y = tensor("x", dtype="int64"), tensor("y", "n", 3, dtype="int64")
    out = optimized(sg.where(True, x, y) + y * 0, x, y)
    assert out.type == y.type and out.owner.op.name == "broadcast_to"
    assert run(out, {x: 7, y: np.ones((2, 3))}).tolist() == [[7] * 3] * 2


def test_views_disappear():
    x = tensor("x", "n", 3)
    assert optimized(x.T.T, x) is x
    assert optimized(sg.reshape(sg.reshape(x, (-1,)), x.shape), x) is x
    assert optimized(x[1:][:, 1:][2:], x).owner.inputs[0] is x
    assert optimized(sg.flip(sg.flip(x, 0), 0), x) is x
    assert optimized(sg.cast(sg.cast(x, "float64"), "float64"), x) is x
    narrow = optimized(sg.cast(sg.cast(x, "float32"), "float64"), x)
    assert narrow is not x


def test_transposes_go_into_the_product():
    x, y = tensor("x", "n", 3), tensor("y", "n", 4)
    out = optimized((x.T @ y).T, x, y)
    assert count(out, "transpose") == 0 and count(out, "matmul") == 1


def test_sums_of_copies_are_products():
    x = tensor("x", "n")
    y = optimized(sg.sum(sg.broadcast_to(x, (5, x.shape[0])), axis=0), x)
    assert count(y, "sum") == 0
    assert run(y, {x: [1, 2]}).tolist() == [5, 10]


# constants ----------------------------------------------------------------------------------------


def test_small_constants_are_folded_and_large_ones_are_not():
    small = sg.exp(sg.constant([1.0, 2.0])) + 1
    out = optimized(small)
    assert isinstance(out, Constant)
    np.testing.assert_array_equal(out.data, np.exp([1.0, 2.0]) + 1)
    large = sg.exp(sg.constant(np.ones(1000)))
    assert optimized(large) is large
    wide = sg.broadcast_to(sg.constant(2.0), (10,))
    assert not isinstance(optimized(wide), Constant)


def test_what_cannot_be_computed_stays_for_run_time():
    out = optimized(InRange(3)(sg.constant(np.array([5]))))
    assert out.owner is not None
    with pytest.raises(SymgraphError):
        run(out, {})


# loops --------------------------------------------------------------------------------------------


def test_forward_loops_of_a_gradient_merge():
    shapes, outputs = _loop()
    graph = optimize(Graph(shapes, outputs), "debug")
    scans = [n for n in graph.toposort() if n.op.name == "scan"]
    assert sorted(n.op.reverse for n in scans) == [False, True]


def test_outputs_and_carries_that_nobody_reads_go():
    x, h = tensor("x", "t"), tensor("h")
    sums, products = sg.scan(lambda x, s, p: [s + x, p * x], [x], [h, h])
    (scan,) = [n for n in Graph([x, h], [optimized(products, x, h)]).toposort()]
    assert scan.op.carries == 1 and len(scan.outputs) == 2
    given = {x: [1.0, 2.0, 3.0], h: 2.0}
    assert run(scan.outputs[1], given).tolist() == run(products, given).tolist() == [2, 4, 12]
    assert count(optimized(sums + products, x, h), "scan") == 1


def test_loops_that_differ_stay_apart():
    x = tensor("x", "t")
    up = sg.scan(lambda x, s: s + x, [x], [sg.constant(0.0)])
    down = sg.scan(lambda x, s: s * x, [x], [sg.constant(0.0)])
    again = sg.scan(lambda x, s: s + x, [x], [sg.constant(0.0)])
    assert count(optimized(up + down, x), "scan") == 2
    assert count(optimized(up * again + 1, x), "scan") == 1


def test_inner_graphs_are_optimized():
    x = tensor("x", "t", "n")
    y = sg.scan(lambda x: sg.log(1 + sg.exp(x)) * 1, [x])
    (node,) = Graph([x], [optimized(y, x)]).toposort()
    assert [n.op.name for n in node.op.body.toposort()] == ["softplus"]


def test_unused_branch_outputs_go():
    x = tensor("x")
    a, _ = sg.cond(x > 0, lambda: [x, x * 2], lambda: [x + 1, x])
    node = next(n for n in Graph([x], [optimized(a, x)]).toposort() if n.op.name == "cond")
    assert len(node.outputs) == 1


# size ---------------------------------------------------------------------------------------------


def test_fifty_thousand_nodes():
    x = tensor("x", "n")
    y = x
    for k in range(25_000):
        y = sg.sin(y) if k % 3 else y + x
        y = y * 1.5
    assert optimize(Graph([x], [y])).outputs[0] is y
    z = x
    for _ in range(20_000):
        z = sg.sin(z * 1 + 0)
    assert count(optimized(z, x, mode="run"), "sin") == 20_000


def test_types_are_kept_for_constants_of_any_dtype():
    for dtype in ("float32", "int8", "uint16"):
        x = Input(TensorType(dtype, (2,)), "x")
        assert optimized(sg.add(x, 0) * 1, x) is x


def test_the_same_new_axis_of_operands_of_other_rank_is_another_axis() -> None:
    rows, line = sg.matrix("rows", shape=(2, 3)), sg.vector("line", shape=(3,))
    function = sg.compile([rows, line], sg.equal(sg.expand_dims(rows, 1), sg.expand_dims(line, 1)))
    a, b = np.arange(6.0).reshape(2, 3) % 3, np.arange(3.0)
    assert np.array_equal(function(a, b), a[:, None, :] == b[:, None])


def _ops(pattern):
    """The ops of a pattern."""
    found, waiting = set(), [pattern]
    while waiting:
        p = waiting.pop()
        if isinstance(p, OpPattern):
            found.add(p.op)
            waiting.extend(p.inputs)
    return found


def test_no_rule_of_stabilize_is_made_of_plain_ops_alone():
    """Graphs of such ops do not even import the rules."""
    (stabilize,) = {p.work for p in PIPELINE if p.name == "stabilize"}
    for rule in stabilize:
        among = rule.among or {"nothing"}
        assert _ops(rule.pattern) - PLAIN or not set(among) & PLAIN, rule.name
    assert set(OPS) >= PLAIN


def _constants(pattern):
    """Whether a pattern holds a constant or a number."""
    waiting = [pattern]
    while waiting:
        p = waiting.pop()
        if isinstance(p, Number) or (isinstance(p, Wild) and p.constant):
            return True
        waiting.extend(getattr(p, "inputs", ()))
    return False


def test_settled_graphs_are_what_no_rule_about_spelling_is_made_of():
    """Graphs of such ops do not even import the rules."""
    sets = {p.work for p in PIPELINE if p.name in ("canonicalize", "ranges", "specialize")}
    assert len(sets) == 3
    for rule in (r for rules in sets for r in rules if not _constants(r.pattern)):
        ops = _ops(rule.pattern)
        assert ops - SETTLED or not (ops or rule.among) & SETTLED, rule.name
        if rule.root in REDUCTIONS:  # of something else than an input, or of no axes
            nested = rule.pattern.inputs[0]
            assert isinstance(nested, OpPattern) or rule.function.__name__ == "_sum_of_nothing"
        assert ops or not rule.among & REDUCTIONS
    assert set(OPS) >= SETTLED | REDUCTIONS and not SETTLED & REDUCTIONS
    (folding,) = {p.work for p in PIPELINE if p.name == "fold_constants"}
    assert [(r.root, r.among) for r in folding] == [("", {"#"}), ("size_value", None)]


def test_a_settled_graph_imports_no_rules(tmp_path):
    program = """
import sys
import symgraph as sg
a, b = sg.matrix("a"), sg.matrix("b")
sg.compile([a, b], sg.tanh(a @ b + a))
sg.compile([a], sg.sum(a, axis=1))
assert "symgraph.stages" in sys.modules
print([n for n in ("canonicalize", "specialize", "ranges", "fold_constants", "stabilize")
       if f"symgraph.passes.{n}" in sys.modules])
f = sg.compile([a], sg.sum(a + 0, axis=1))
print("symgraph.passes.canonicalize" in sys.modules, len(f.rewrites()))
"""
    env = {**os.environ, "SYMGRAPH_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.stdout == "['stabilize']\nTrue 1\n", done.stdout + done.stderr


def test_rules_about_matrices_are_imported_for_what_they_begin_with():
    (structured,) = {p.work for p in PIPELINE if p.name == "structured"}
    for rule in structured:
        assert rule.root == "matmul" or _ops(rule.pattern) & MATRICES, rule.name
    assert set(OPS) >= MATRICES


def test_rules_that_wait_for_derivatives_are_left_out_before():
    steps = before_derivatives._steps()
    assert [p.name for p in steps] == [
        "canonicalize", "fold_constants", "stabilize", "structured", "ranges", "roots"
    ]  # fmt: skip
    assert not {r for p in steps for r in p.work} & set(AFTER_DERIVATIVES)
    whole = {r for p in PIPELINE if isinstance(p.work, RuleSet) for r in p.work}
    assert set(AFTER_DERIVATIVES) <= whole


def test_plain_graphs_do_not_import_rules_about_logarithms():
    code = """
import sys
import symgraph as sg
x = sg.vector("x")
sg.compile([x], (x * 2 + 1).sum())
assert not {m for m in sys.modules if m.endswith((".stabilize", ".scan_after", ".lapack"))}
sg.compile([x], sg.log(1 + sg.exp(x)))
assert "symgraph.passes.stabilize" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
