"""A little language for the engine: terms of one type with hash-consing and origins."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from symgraph.errors import RewriteError


class Symbol:
    def __init__(self, name):
        self.name = name


class Value:
    def __init__(self, owner=None, index=0, name="", data=None):
        self.owner, self.index, self.name, self.data = owner, index, name, data

    def __repr__(self):
        if self.owner is None:
            return self.name or str(self.data)
        return f"{self.owner.op.name}({', '.join(map(repr, self.owner.inputs))})"


class Node:
    def __init__(self, op, inputs, origins, count=1):
        self.op, self.inputs, self.origins = op, tuple(inputs), origins
        self.outputs = tuple(Value(self, k) for k in range(count))


class Toy:
    """Builds terms and adapts them to the engine; counts the nodes it makes."""

    def __init__(self):
        self.nodes, self.numbers, self.origins, self.made = {}, {}, (), 0

    def node(self, name, *inputs, origins=None, count=1):
        key = (name, *map(id, inputs))
        if key not in self.nodes:
            self.made += 1
            self.nodes[key] = Node(
                Symbol(name), inputs, self.origins if origins is None else origins, count
            )
        return self.nodes[key]

    def __call__(self, name, *inputs, origins=None):
        inputs = [i if isinstance(i, Value) else self.literal(i, None) for i in inputs]
        return self.node(name, *inputs, origins=origins).outputs[0]

    def is_constant(self, value):
        return value.data is not None

    def number(self, value):
        return value.data

    def kind(self, value):
        return "i" if isinstance(value.data, int) else "f"

    def param(self, node, name):
        return {"length": len(node.op.name)}[name]

    def build(self, op, inputs, params, like):
        return self(op, *inputs)

    def literal(self, number, like):
        return self.numbers.setdefault(repr(number), Value(data=number))

    def rebuild(self, node, inputs):
        return self.node(node.op.name, *inputs, origins=node.origins, count=len(node.outputs))

    def conform(self, new, old):
        if getattr(new, "name", "") == "wrong":
            raise RewriteError("int in place of float")
        return None if getattr(new, "name", "") == "unfit" else new

    @contextmanager
    def creating_with(self, origins):
        before, self.origins = self.origins, origins()
        yield
        self.origins = before


@pytest.fixture
def toy():
    return Toy()


@pytest.fixture
def leaf():
    return lambda name: Value(name=name)
