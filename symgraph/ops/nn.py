"""sg.nn: words of neural networks, each safe at extreme values.

Activations, losses, recurrent layers, attention, dropout and embeddings, resizing of images: they
are expressions of other operations, so that what surrounds them is computed in the same loops.
Weights are arguments: see ``sg.nn.initializers`` for their beginnings and ``sg.optim`` for updates.
"""

from __future__ import annotations

from typing import Any

from symgraph.ir.graph import Variable
from symgraph.ops import (
    activations,
    attention,
    convolution,
    ctc,
    entropies,
    initializers,  # noqa: F401  (offered here as a namespace)
    labels,
    layers,
    losses,
    normalization,
    patches,
    pooling,
    recurrent,
    resizing,
    sampling_grids,
)
from symgraph.ops.activations import *  # noqa: F403
from symgraph.ops.activations import standardize
from symgraph.ops.attention import *  # noqa: F403
from symgraph.ops.convolution import *  # noqa: F403
from symgraph.ops.ctc import *  # noqa: F403
from symgraph.ops.entropies import *  # noqa: F403
from symgraph.ops.labels import *  # noqa: F403
from symgraph.ops.labels import InRange  # noqa: F401  (the op, for rules and their tests)
from symgraph.ops.layers import *  # noqa: F403
from symgraph.ops.losses import *  # noqa: F403
from symgraph.ops.normalization import *  # noqa: F403
from symgraph.ops.patches import *  # noqa: F403
from symgraph.ops.pooling import *  # noqa: F403
from symgraph.ops.recurrent import *  # noqa: F403
from symgraph.ops.reductions import logsumexp  # noqa: F401  (offered here too)
from symgraph.ops.resizing import *  # noqa: F403
from symgraph.ops.sampling_grids import *  # noqa: F403

_FAMILIES = (
    activations, attention, convolution, ctc, entropies, labels, layers, losses, normalization,
    patches, pooling, recurrent, resizing, sampling_grids,
)  # fmt: skip
__all__ = sorted(
    {"initializers", "layer_norm", "logsumexp", *(n for f in _FAMILIES for n in f.__all__)}
)


def __dir__() -> list[str]:
    return __all__


def layer_norm(x: Any, axis: Any = -1, epsilon: float = 1e-5) -> Variable:
    """x minus its mean over its standard deviation along ``axis`` (Ba, Kiros and Hinton, 2016);
    ``epsilon`` is added to the variance.

    >>> import symgraph as sg
    >>> sg.nn.layer_norm([[1.0, 3.0]], epsilon=0.0).eval().tolist()
    [[-1.0, 1.0]]
    """
    return standardize(x, axis, epsilon)
