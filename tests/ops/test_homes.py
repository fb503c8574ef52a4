"""Our own ops are known as our own: a function of them is kept in the disk cache."""

from __future__ import annotations

import symgraph as sg
from symgraph.compiler import cache_key, stage_definition
from symgraph.ir.hashing import is_foreign
from symgraph.ops.elementwise import Elementwise


def test_none_of_our_rowsis_foreign() -> None:
    rows = [value for name in sg.__all__ if isinstance(value := getattr(sg, name), Elementwise)]
    assert len(rows) > 50
    assert not [row.name for row in rows if is_foreign(row)]


def test_a_model_of_our_ops_has_a_key() -> None:
    x, w = sg.matrix("x"), sg.shared([[1.0], [2.0]])
    hidden = sg.scan(lambda row, h: sg.tanh(row @ w + h), sequences=[x], outputs_info=[sg.zeros(1)])
    loss = sg.sum(sg.nn.softmax(hidden, axis=0) ** 2) + sg.linalg.det(w.T @ w)
    assert cache_key(stage_definition([loss, *sg.grad(loss, [w])])) is not None
