"""Convolutions by cuDNN: the calls, and kernels that turn weights into its order.

With the channels last the library has weights as (outputs, *sizes, inputs) instead of our
(*sizes, inputs, outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph.loops.compute import index_axes
from symgraph.loops.program import Buffer, Call, Run, Step
from symgraph.loops.statements import Kernel, Param, Store
from symgraph.lower.cuda.products import mode
from symgraph.lower.kernels import nest
from symgraph.lower.nests import sizes_of
from symgraph.runtime.cuda import libraries
from symgraph.runtime.cuda.cudnn import KINDS, MATH
from symgraph.scalar import Expr, load

AXES = (1, 2, 3)  # as many axes of windows the library knows


def steps_of(step: Call, operands: Sequence[Buffer], room: Callable[..., str]) -> list[Step] | None:
    """What a call "windows" becomes with the library; None where it is not installed, or known not
    to have this arithmetic."""
    params = dict(step.params)
    dtype = operands[-1].dtype
    does = dtype in KINDS and (dtype == "float64" or mode() in MATH)
    if not libraries.present("cudnn") or not does or len(params["stride"]) not in AXES:
        return None
    more: dict[str, Any] = {n: params[n] for n in ("kind", "groups", "last", "stride", "before",
                                                   "dilation")}  # fmt: skip
    call = Call("cudnn", step.buffers, (*more.items(), ("mode", mode())), step.origins)
    if not params["last"]:
        return [call]
    kind = params["kind"]
    place = [*(n for n in "xwy" if n != kind), kind].index("w")
    held = operands[place]
    shape = (held.shape[-1], *held.shape[:-1])
    turned = Buffer(room(dtype, shape), dtype, shape, "temp")
    names = list(step.buffers)
    names[place] = turned.name
    call = call._replace(buffers=tuple(names))
    if kind == "w":
        return [call, _turned(turned, held, lambda i: (i[-1], *i[:-1]), step)]
    return [_turned(held, turned, lambda i: (*i[1:], i[0]), step), call]


def _turned(
    source: Buffer, target: Buffer, place: Callable[[tuple[Expr, ...]], tuple[Expr, ...]],
    step: Call,
) -> Run:  # fmt: skip
    """target[i] = source[place(i)]"""
    axes = index_axes(len(target.shape))
    body = nest(axes, target.shape, (Store("p1", axes, load("p0", place(axes), source.dtype)),))
    params = [Param("p0", source.dtype, source.shape, "in"),
              Param("p1", target.dtype, target.shape, "out")]  # fmt: skip
    kernel = Kernel("turned", tuple(params), sizes_of(body, params), body)
    return Run(kernel, (source.name, target.name), step.origins)
