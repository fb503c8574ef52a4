"""What :func:`symgraph.checkpoint` keeps for the derivative, under the names that JAX uses.

A policy is plain data, a tuple of words: functions with the same policy are equal, and compiled
ones are found in the disk cache.
"""

from __future__ import annotations

from typing import Any

from symgraph.errors import ArgumentError
from symgraph.ir.graph import Graph, Variable

__all__ = [
    "dots_saveable", "dots_with_no_batch_dims_saveable", "everything_saveable", "nothing_saveable",
    "save_any_names_but_these", "save_anything_except_these_names", "save_from_both_policies",
    "save_only_these_names",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__


Policy = tuple[Any, ...]

PRODUCTS = frozenset("matmul convolution convolution_input convolution_weights".split())

everything_saveable: Policy = ("everything",)
nothing_saveable: Policy = ()
dots_saveable: Policy = ("dots",)
dots_with_no_batch_dims_saveable: Policy = ("plain dots",)


def save_only_these_names(*names: str) -> Policy:
    """Keeps what :func:`symgraph.checkpoint_name` has given one of these names.

    >>> import symgraph as sg
    >>> keep = sg.checkpoint_policies.save_only_these_names("hidden")
    >>> layer = sg.checkpoint(lambda x: sg.exp(sg.checkpoint_name(sg.tanh(x), "hidden")), keep)
    >>> x = sg.scalar("x")
    >>> sg.grad(layer(x), x).eval({x: 0.0}).item()
    1.0
    """
    return ("names", *_names(names))


def save_any_names_but_these(*names: str) -> Policy:
    """Keeps what has a name, but not one of these.

    >>> save_any_names_but_these("big")
    ('other names', 'big')
    """
    return ("other names", *_names(names))


def save_anything_except_these_names(*names: str) -> Policy:
    """Keeps everything but what has one of these names.

    >>> save_anything_except_these_names("big")
    ('all but', 'big')
    """
    return ("all but", *_names(names))


def save_from_both_policies(first: Policy, second: Policy) -> Policy:
    """Keeps what one of two policies keeps.

    >>> save_from_both_policies(dots_saveable, save_only_these_names("hidden"))
    ('both', ('dots',), ('names', 'hidden'))
    """
    return ("both", checked(first), checked(second))


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    for n in names:
        if not isinstance(n, str):
            raise ArgumentError(f"checkpoint policies take names, not {type(n).__name__}")
    return names


def checked(policy: Any) -> Policy:
    """The policy. Raises ArgumentError for what is none.

    >>> checked(("dots",))
    ('dots',)
    """
    known = ("everything", "dots", "plain dots", "names", "other names", "all but", "both")
    if policy is None:
        return ()
    if not isinstance(policy, tuple) or (policy and policy[0] not in known):
        raise ArgumentError(
            f"checkpoint: {policy!r} is no policy",
            hint="take one of sg.checkpoint_policies, such as dots_saveable",
        )
    return policy


def kept_values(policy: Policy, body: Graph) -> list[Variable]:
    """The values of a function's body that the policy keeps."""
    order = body.toposort()
    labels: dict[Variable, str] = {}
    for node in order:
        name = getattr(node.op, "label", "")
        if name:  # the value has the name, whether a derivative reads it before or behind the op
            labels.update(dict.fromkeys((*node.inputs, *node.outputs), name))
    given = set(body.inputs)
    return [
        v
        for node in order
        for v in node.outputs
        if v not in given and _keeps(policy, node.op.name, v, labels.get(v, ""))
    ]


def _keeps(policy: Policy, op: str, v: Variable, label: str) -> bool:
    match policy:
        case ("everything",):
            return True
        case ("dots",):
            return op in PRODUCTS
        case ("plain dots",):
            return op in PRODUCTS and v.ndim == 2
        case ("names", *names):
            return label in names
        case ("other names", *names):
            return bool(label) and label not in names
        case ("all but", *names):
            return label not in names
        case ("both", first, second):
            return _keeps(first, op, v, label) or _keeps(second, op, v, label)
    return False
