"""What does not depend on inputs is computed now, when it is small."""

from __future__ import annotations

from symgraph.ir.graph import Constant, Variable
from symgraph.passes.adapter import evaluated, known
from symgraph.rewrite.pattern import match_op, wild
from symgraph.rewrite.rules import EXACT, RuleSet, rule_function

# Views and generators cost nothing where they are fused; as constants they would be loads.
_CHEAPER_AS_CODE = frozenset(("broadcast_to", "iota", "arange", "eye", "full"))


def _value(root: Variable) -> Constant | None:
    """all operands are small constants and the value is small"""
    node = root.owner
    if node is None or len(node.outputs) != 1 or node.op.name in _CHEAPER_AS_CODE:
        return None
    for v in node.inputs:
        if not known(v):
            return None
    return evaluated(node)


FOLD_CONSTANTS = RuleSet(
    "fold_constants",
    rule_function(wild("any"), _value, klass=EXACT, among="#"),
    rule_function(match_op("size_value"), _value, klass=EXACT),
)
