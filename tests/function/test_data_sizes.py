"""Sizes that depend on data: programs in parts, in every mode and through every door."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph import compiler, errors
from symgraph.cli import dump, subject
from symgraph.function import Function
from symgraph.ir.graph import Graph
from symgraph.ir.hashing import structural_hash
from symgraph.ir.parse import parse_graph
from symgraph.ir.text import graph_text
from symgraph.segments import Parted

MODES = ("run", "interpret", "debug")
X = np.array([1.0, -2.0, 3.0, 4.0])


def vectors(*names: str, size: str | None = None) -> list[Any]:
    return [sg.vector(n, shape=(size,)) for n in names]


def in_all_modes(inputs: Any, outputs: Any, *values: Any) -> Any:
    """The result, the same in every mode."""
    found = [sg.compile(inputs, outputs, mode=m)(*values) for m in MODES]
    for other in found[1:]:
        for a, b in zip(outputs_of(found[0]), outputs_of(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)
            assert a.dtype == b.dtype
    return found[0]


def outputs_of(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def test_equal_selections_are_one_node() -> None:
    (x,) = vectors("x")
    assert x[x > 0] is x[x > 0]
    assert x[x > 0].shape[0] is sg.flatnonzero(x > 0).shape[0]
    assert x[x > 1].shape[0] is not x[x > 0].shape[0]


def test_a_size_alone_keeps_what_tells_it() -> None:
    (x,) = vectors("x")
    steps = sg.arange(x[x > 0].shape[0])
    assert in_all_modes([x], steps, X).tolist() == [0, 1, 2]
    length = sg.ones(sg.unique(sg.floor(x)).shape[0] + 1)
    assert in_all_modes([x], length, X).shape == (5,)


def test_several_cuts_and_values_from_every_part() -> None:
    x, y = vectors("x", "y", size="n")
    first = sg.exp(x)[x > 0]
    second = first[first > 10]
    outputs = [second, first, y + second.sum(), x, x > 0]
    f = sg.compile([x, y], outputs)
    assert isinstance(f, Parted) and len(f.parts) == 3
    e = np.exp(X)[X > 0]
    wanted = [e[e > 10], e, 1 + e[e > 10].sum() + 0 * X, X, X > 0]
    for a, b in zip(in_all_modes([x, y], outputs, X, np.ones(4)), wanted, strict=True):
        np.testing.assert_allclose(a, b)
    for size in (0, 1, 7):
        z = np.linspace(-1, 3, size)
        assert f(z, z)[1].shape == (np.count_nonzero(z > 0),)


def test_folds_of_selections_need_no_second_part() -> None:
    x, y = vectors("x", "y", size="n")
    rows = sg.matrix("m", shape=("n", 3))
    mask = x > 0
    loss = ((x[mask] - y[mask]) ** 2).mean()
    outputs = [
        loss, sg.grad(loss, x), sg.prod(x[mask]), sg.any(x[mask] > 3), sg.all(x[mask] > 3),
        rows[mask].sum(0), rows[mask].sum(1).sum(), sg.var(x[mask]), sg.size_from(mask.sum()) * 2,
        rows[rows > 1].sum(), x.at[mask].add(x[mask] * 2),
    ]  # fmt: skip
    outputs[8] = sg.asarray(x[mask].shape[0] * 2 + 1)
    f = sg.compile([x, y, rows], outputs)
    assert isinstance(f, Function)
    m = np.arange(12.0).reshape(4, 3)
    found = in_all_modes([x, y, rows], outputs, X, X * 0.5, m)
    keep = X > 0
    assert found[0] == np.mean((X[keep] * 0.5) ** 2)
    assert found[2] == 12 and found[3] and not found[4] and found[8] == 7
    assert found[5].tolist() == m[keep].sum(0).tolist() and found[9] == m[m > 1].sum()
    assert found[10].tolist() == np.where(keep, 3 * X, X).tolist()
    with pytest.raises(errors.ShapeError, match="no elements"):
        sg.compile([x], sg.max(x[x > 9]))(X)


def test_derivatives_scatter_back() -> None:
    (x,) = vectors("x")
    kept = sg.sort(x[x > 0])
    cost = (kept**3 * sg.arange(kept.shape[0])).sum()
    slope = sg.grad(cost, x)
    curve = sg.grad((slope**2).sum(), x)
    found = in_all_modes([x], [slope, curve], X)
    assert found[0].tolist() == [0, 0, 27, 96]
    assert found[1].tolist() == [0, 0, 2 * 27 * 18, 2 * 96 * 48]
    (counts,) = [sg.vector("c", dtype="int64")]
    g = sg.grad((sg.repeat(x, counts) ** 2).sum(), x)
    assert in_all_modes([x, counts], g, X, [2, 0, 1, 3]).tolist() == [4, 0, 6, 24]


def test_updates_happen_when_all_parts_have_succeeded() -> None:
    (x,) = vectors("x")
    for mode in MODES:
        state, total = sg.shared(np.zeros(3), "state"), sg.shared(np.array(0.0), "total")
        kept = sg.sort(x[x > 0])
        updates = {state: kept, total: total + sg.sum(kept)}
        f = sg.compile([x], kept, updates=updates, mode=mode)
        f(X)
        assert state.get_value().tolist() == [1, 3, 4] and total.get_value() == 8
        with pytest.raises(errors.ShapeError, match="state"):
            f(np.array([1.0, 2.0]))
        assert state.get_value().tolist() == [1, 3, 4]
        assert total.get_value() == 8 or mode == "interpret"


def test_sizes_that_differ_name_the_line() -> None:
    x, y = vectors("x", "y")
    both = x[x > 0] + y[y > 0]
    for mode in MODES:
        f = sg.compile([x, y], both, mode=mode)
        assert f(X, X[::-1]).shape == (3,)
        with pytest.raises(errors.ShapeError, match="sizes differ on axis 0: 3 and 4") as found:
            f(X, abs(X))
        assert "both = x[x > 0] + y[y > 0]" in str(found.value)
    indexed = x[x > 0][sg.constant([5])]
    with pytest.raises(errors.IndexOutOfRange) as late:
        sg.compile([x], indexed)(X)
    assert "indexed = x[x > 0]" in str(late.value)
    x, y = vectors("x", "y", size="n")
    with pytest.raises(errors.InputValueError, match="input y has size 3"):
        sg.compile([x, y], [sg.sort(x[x > 0]), y])(X, X[:3])


def test_inside_loops() -> None:
    m = sg.matrix("m")
    M = np.arange(12.0).reshape(3, 4)
    means = sg.scan(lambda row: (row[row > 2] ** 2).sum(), m)
    wanted = [(r[r > 2] ** 2).sum() for r in M]
    assert in_all_modes([m], means, M).tolist() == wanted
    fixed = sg.scan(lambda row: sg.nonzero(row > 4, size=2, fill_value=-1)[0], m)
    batched = sg.vmap(lambda row: sg.nonzero(row > 4, size=2, fill_value=-1)[0])(m)
    wanted = [[-1, -1], [1, 2], [0, 1]]
    assert in_all_modes([m], fixed, M).tolist() == wanted
    assert in_all_modes([m], batched, M).tolist() == wanted
    bad = sg.scan(lambda row: sg.sort(row[row > 2]).sum(), m)
    for mode in MODES:
        with pytest.raises(errors.ShapeError, match=r"depends on data, inside scan") as found:
            sg.compile([m], bad, mode=mode)
        assert "size=" in str(found.value)
    with pytest.raises(errors.ShapeError, match="vmap: flatnonzero"):
        sg.vmap(lambda row: sg.sort(row[row > 2]))(m)


def test_sizes_made_by_loops_inside_loops() -> None:
    m, zero = sg.matrix("m", shape=("n", 3)), sg.constant(0)

    def turn(row: sg.Variable, total: sg.Variable) -> sg.Variable:
        most = sg.cast(sg.sum(row), "int64")
        count = sg.while_loop(lambda c: c < most, lambda c: c + 1, zero)
        return total + sg.sum(sg.arange(count))

    bad = sg.scan(turn, [m], [sg.constant(0.0)])
    for mode in MODES:
        with pytest.raises(errors.ShapeError, match=r"a size depends on m\[t\]") as found:
            sg.compile([m], bad, mode=mode)
        assert "return total + sg.sum(sg.arange(count))" in str(found.value)
    with pytest.raises(errors.UnboundVariableError, match="depends on k"):
        sg.compile([m], sg.sum(m) + sg.sum(sg.arange(sg.scalar("k", dtype="int64"))))


def test_loops_over_selections() -> None:
    (x,) = vectors("x")
    kept = sg.sort(x[x > 0])
    n = kept.shape[0]
    total = sg.scan(lambda a, q: a * q.mean() + sg.zeros(n).sum() + n, kept, None, kept)
    np.testing.assert_allclose(in_all_modes([x], total, X), X[X > 0] * np.mean(X[X > 0]) + 3)
    count = sg.scalar("count", dtype="int64")
    powers = sg.scan(lambda s: s * 2, None, sg.constant(1), n_steps=count)
    assert in_all_modes([count], powers, 4).tolist() == [2, 4, 8, 16]


def test_scan_cut_where_it_ended() -> None:
    (x,) = vectors("x")
    out, steps = sg.scan(lambda a, s: (s + a, sg.until(s + a > 3)), x, sg.constant(0.0), cut=True)
    found = in_all_modes([x], [out, steps], np.array([1.0, 2, 3, 4]))
    assert found[0].tolist() == [1, 3, 6] and found[1] == 3
    assert in_all_modes([x], [out, steps], np.array([0.5]))[0].tolist() == [0.5]


def test_functions_and_replaced_inputs() -> None:
    x, y = vectors("x", "y")
    positive = sg.function_graph(lambda v: sg.sort(v[v > 0]))
    found = in_all_modes([x, y], [positive(x), positive(y)], X, X[:2])
    assert [v.tolist() for v in found] == [[1, 3, 4], [1]]
    n = x[x > 0].shape[0]
    f = sg.compile([y], [sg.arange(n), positive(x), positive(y)], givens={x: y * 2 - 3})
    assert [v.tolist() for v in f(X)] == [[0, 1], [3, 5], [1, 3, 4]]
    f = sg.compile([x, y], [sg.arange(n), positive(y)])
    assert [v.tolist() for v in f(X, -X)] == [[0, 1, 2], [2]]


def test_nested_structures_keywords_and_defaults() -> None:
    (x,) = vectors("x")
    k = sg.scalar("k", dtype="int64", default=2)
    f = sg.compile({"x": x, "k": k}, {"all": [x[x > 0], (x[:k],)], "range": sg.arange(k)})
    found = f([1.0, -2.0, 3.0])
    assert found["all"][0].tolist() == [1, 3] and found["all"][1][0].tolist() == [1, -2]
    assert f(x=X, k=-1)["all"][1][0].tolist() == [1, -2, 3]
    with pytest.raises(errors.InputValueError, match="input x"):
        f([[1.0]])


def test_text_hash_and_file(tmp_path: Any) -> None:
    def build() -> Graph:
        (x,) = vectors("x")
        return Graph((x,), (sg.arange(x[x > 0].shape[0]), sg.unique(x)))

    a, b = build(), build()
    assert structural_hash(a) == structural_hash(b) and graph_text(a) == graph_text(b)
    again = parse_graph(graph_text(a))
    assert graph_text(again) == graph_text(a)
    sg.save(tmp_path / "g.sg", a)
    read = sg.load(tmp_path / "g.sg")
    assert [v.tolist() for v in sg.compile(list(read.inputs), list(read.outputs))(X)] == [
        [0, 1, 2], [-2, 1, 3, 4],
    ]  # fmt: skip


def test_pickles_copies_and_threads() -> None:
    x, y = vectors("x", "y")
    n = x[x > 0].shape[0]
    for mode in MODES:
        f = sg.compile([x, y], [sg.unique(y), sg.zeros(n)], mode=mode)
        for g in (pickle.loads(pickle.dumps(f)), copy.copy(f), copy.deepcopy(f)):
            found = g(X, [2.0, 1.0, 2.0])
            assert found[0].tolist() == [1, 2] and found[1].shape == (3,)
    f = sg.compile([x], sg.sort(x[x > 0]))
    seen: list[bool] = []

    def work(k: int) -> None:
        data = np.arange(-5.0, k)
        seen.append(all(f(data).tolist() == list(range(1, k)) for _ in range(50)))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2, 8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == [True] * 6


def test_the_key_does_not_depend_on_what_was_built_before() -> None:
    code = (
        "import symgraph as sg, sys\n"
        "from symgraph import compiler\n"
        "z = sg.vector('z')\n"
        "other = [z[z > k] for k in range(int(sys.argv[1]))]\n"
        "x = sg.vector('x')\n"
        "f = sg.compile([x], [sg.unique(x), sg.arange(x[x > 0].shape[0])])\n"
        "print([compiler.cache_key(p.definition).digest() for p in f.parts])\n"
    )
    code = code.replace(".digest()", "")
    runs = [
        subprocess.run([sys.executable, "-c", code, k], capture_output=True, text=True, check=True)
        for k in ("0", "5")
    ]
    assert runs[0].stdout == runs[1].stdout and "graph" in runs[0].stdout
    x = sg.vector("x")
    assert compiler.cache_key(compiler.stage_definition(x[x > 0])) is not None


def test_dump_shows_the_parts(tmp_path: Any) -> None:
    source = tmp_path / "selection.py"
    source.write_text("import symgraph as sg\nx = sg.vector('x')\ny = sg.sort(x[x > 0])\n")
    text = dump.shown(dump.Asked(f"{source}:y", "graph", "text"))
    assert "flatnonzero{" in text and "# part" not in text
    for stage in ("optimized", "program", "llvm"):
        text = dump.shown(dump.Asked(f"{source}:y", stage, "text"))
        assert text.count("# part") == 2 and "# then flatnonzero of less" in text
    assert '"then"' in dump.shown(dump.Asked(f"{source}:y", "program", "json"))
    assert subject.cache_key_of(f"{source}:y").kind == "function"
    source.write_text("import symgraph as sg\nx = sg.vector('x')\ny = sg.sum(x[x > 0])\n")
    assert "flatnonzero" not in dump.shown(dump.Asked(f"{source}:y", "optimized", "text"))


def test_random_numbers_of_a_computed_shape() -> None:
    n = sg.scalar("n", dtype="int64")
    key = sg.random.key(3)
    f = sg.compile([n], sg.random.uniform(key, (sg.size_from(n), 2)))
    fixed = sg.compile([], sg.random.uniform(key, (4, 2)))
    np.testing.assert_array_equal(f(4), fixed())


def test_shared_and_constant_masks_and_sizes() -> None:
    (x,) = vectors("x")
    for mode in MODES:
        mask = sg.shared(np.array([True, False, True]), "mask")
        n = sg.shared(np.array(3), "n")
        f = sg.compile([x], [x[mask], sg.arange(n)], updates={n: n + 1}, mode=mode)
        assert [v.tolist() for v in f([0.0, 1.0, 2.0])] == [[0, 2], [0, 1, 2]]
        assert f([0.0, 1.0, 2.0])[1].tolist() == [0, 1, 2, 3]
        fixed = {mask: sg.constant([True, True, False])}
        g = sg.compile([x], sg.sort(x[mask]), givens=fixed, mode=mode)
        assert g([0.0, 1.0, 2.0]).tolist() == [0, 1]
    assert sg.unique([3, 1, 3]).eval().tolist() == [1, 3]


def test_the_cache_knows_what_a_part_checks(tmp_path: Any) -> None:
    """The first part may check sizes of ops that later parts compute: those are in its key."""

    def built(checked: bool) -> Any:
        x, v = vectors("x", "v")
        n = sg.size_from(sg.sum(x > 0))
        y = sg.broadcast_to(sg.sum(v), (n,))
        return sg.compile([x, v], y + sg.sum(x * v) if checked else y)

    with sg.config.change(cache_dir=str(tmp_path / "cache"), cache=True):
        for order in ((True, False), (False, True)):
            for checked in order:
                f = built(checked)
                assert f(np.ones(3), np.ones(3)).tolist() == [6.0 if checked else 3.0] * 3
                if not checked:
                    assert f(np.ones(3), np.ones(2)).tolist() == [2.0] * 3
                    continue
                with pytest.raises(errors.InputValueError, match="sizes differ"):
                    f(np.ones(3), np.ones(2))
