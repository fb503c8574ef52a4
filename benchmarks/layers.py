"""Layers of well-known networks beside JAX and torch: `python benchmarks/layers.py`.

Each alone, forward and with the gradients of the squares of its results by all that goes in. The
number of images is unknown to symgraph, and with `--sizes unknown` so are all sizes of what goes in
but its channels, as where networks read images of any size.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from measure import REST, Timed, compare, disagreement, leaves, summary

Formula = Callable[..., Any]


class Layer(NamedTuple):
    """One layer: the shapes of its operands and its formula in each library. ``free``: the axes of
    the first operand whose sizes may be unknown."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    free: tuple[int, ...]
    formulas: dict[str, Formula]


def modules() -> tuple[Any, Any, Any, Any]:
    names = ("symgraph", "jax", "jax.numpy", "torch.nn.functional")
    sg, jax, jnp, functional = map(importlib.import_module, names)
    return sg, jax, jnp, functional


def conv(
    name: str, x: tuple[int, ...], filters: int, taps: int | tuple[int, ...], stride: int = 1,
    pad: int | tuple[int, ...] = 0, dilation: int = 1, groups: int = 1,
) -> Layer:  # fmt: skip
    sg, jax, _, functional = modules()
    axes = len(x) - 2
    kernel = (taps,) * axes if isinstance(taps, int) else taps
    pads = [(p, p) for p in ((pad,) * axes if isinstance(pad, int) else pad)]
    in_torch = getattr(functional, f"conv{axes}d")
    formulas: dict[str, Formula] = {
        "symgraph": lambda x, w: sg.nn.conv(x, w, stride, pads, dilation, groups=groups),
        "jax": lambda x, w: jax.lax.conv_general_dilated(
            x, w, (stride,) * axes, pads, rhs_dilation=(dilation,) * axes,
            feature_group_count=groups),
        "torch": lambda x, w: in_torch(x, w, None, stride, pad, dilation, groups),
    }  # fmt: skip
    shapes = x, (filters, x[1] // groups, *kernel)
    return Layer(name, shapes, tuple(range(2, len(x))), formulas)


def conv_transpose(name: str, x: tuple[int, ...], filters: int, taps: int, pad: int) -> Layer:
    """By a stride of 2."""
    sg, jax, jnp, functional = modules()
    pads, edge = [(pad, pad)] * 2, [(taps - 1 - pad,) * 2] * 2
    formulas: dict[str, Formula] = {
        "symgraph": lambda x, w: sg.nn.conv_transpose(x, w, 2, pads),
        "jax": lambda x, w: jax.lax.conv_general_dilated(
            x, jnp.flip(jnp.swapaxes(w, 0, 1), (2, 3)), (1, 1), edge, lhs_dilation=(2, 2)),
        "torch": lambda x, w: functional.conv_transpose2d(x, w, stride=2, padding=pad),
    }  # fmt: skip
    return Layer(name, (x, (x[1], filters, taps, taps)), (2, 3), formulas)


def pool(name: str, x: tuple[int, ...], kind: str, size: int, stride: int, pad: int) -> Layer:
    sg, jax, _, functional = modules()
    pads = [(pad, pad)] * 2
    own, in_torch = (getattr(m, n) for m, n in ((sg.nn, f"{kind}_pool"),
                                                (functional, f"{kind}_pool2d")))  # fmt: skip
    start, op = (-math.inf, jax.lax.max) if kind == "max" else (0.0, jax.lax.add)

    def in_jax(x: Any) -> Any:
        window, steps = (1, 1, size, size), (1, 1, stride, stride)
        made = jax.lax.reduce_window(x, start, op, window, steps, [(0, 0), (0, 0), *pads])
        return made if kind == "max" else made / size**2

    formulas: dict[str, Formula] = {
        "symgraph": lambda x: own(x, size, stride, pads),
        "jax": in_jax,
        "torch": lambda x: in_torch(x, size, stride, pad),
    }
    return Layer(name, (x,), (2, 3), formulas)


def norm(name: str, x: tuple[int, ...], groups: int) -> Layer:
    """Over images and pixels (no groups), or over pixels and the channels of a group."""
    sg, _, jnp, functional = modules()

    def in_jax(x: Any, scale: Any, bias: Any) -> Any:
        parts = x.reshape(x.shape[0], groups, -1) if groups else x
        over = (2,) if groups else (0, 2, 3)
        mean, var = parts.mean(over, keepdims=True), parts.var(over, keepdims=True)
        made = ((parts - mean) / jnp.sqrt(var + 1e-5)).reshape(x.shape)
        return made * scale[:, None, None] + bias[:, None, None]

    formulas: dict[str, Formula] = {
        "symgraph": lambda x, s, b: (
            sg.nn.group_norm(x, groups, s, b) if groups else sg.nn.batch_norm(x, s, b)),
        "jax": in_jax,
        "torch": lambda x, s, b: (
            functional.group_norm(x, groups, s, b) if groups
            else functional.batch_norm(x, None, None, s, b, True)),
    }  # fmt: skip
    return Layer(name, (x, (x[1],), (x[1],)), (2, 3), formulas)


def attention(name: str, shape: tuple[int, ...], causal: bool) -> Layer:
    sg, jax, jnp, functional = modules()

    def in_jax(q: Any, k: Any, v: Any) -> Any:
        scores = q @ jnp.swapaxes(k, -1, -2) / math.sqrt(shape[-1])
        if causal:
            scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -jnp.inf)
        return jax.nn.softmax(scores, -1) @ v

    formulas: dict[str, Formula] = {
        "symgraph": lambda *x: sg.nn.dot_product_attention(*x, causal=causal),
        "jax": in_jax,
        "torch": lambda *x: functional.scaled_dot_product_attention(*x, is_causal=causal),
    }
    return Layer(name, (shape,) * 3, (2,), formulas)


def layers() -> Iterator[Layer]:
    yield conv("AlexNet 1: 11x11, stride 4", (8, 3, 224, 224), 64, 11, 4, 2)
    yield conv("AlexNet 2: 5x5", (8, 64, 27, 27), 192, 5, 1, 2)
    yield conv("AlexNet 3: 3x3", (8, 192, 13, 13), 384, 3, 1, 1)
    yield conv("VGG 1: 3x3 of 3 channels", (2, 3, 224, 224), 64, 3, 1, 1)
    yield conv("VGG 2: 3x3", (1, 64, 224, 224), 64, 3, 1, 1)
    yield conv("ResNet: 7x7, stride 2", (4, 3, 224, 224), 64, 7, 2, 3)
    yield conv("ResNet: 1x1", (4, 256, 56, 56), 64, 1)
    yield conv("ResNet: 1x1, stride 2", (4, 256, 56, 56), 512, 1, 2)
    yield conv("ResNet: 3x3, stride 2", (4, 128, 56, 56), 128, 3, 2, 1)
    yield conv("ResNet: 3x3 of 14x14", (8, 256, 14, 14), 256, 3, 1, 1)
    yield conv("ResNet: 3x3 of 7x7", (8, 512, 7, 7), 512, 3, 1, 1)
    yield conv("dilated 3x3", (4, 64, 56, 56), 64, 3, 1, 2, 2)
    yield conv("3x3, 32 groups", (4, 128, 56, 56), 128, 3, 1, 1, 1, 32)
    yield conv("depthwise 3x3", (4, 144, 56, 56), 144, 3, 1, 1, 1, 144)
    yield conv("depthwise 5x5, stride 2", (4, 144, 56, 56), 144, 5, 2, 2, 1, 144)
    yield conv("1x7", (8, 64, 17, 17), 64, (1, 7), 1, (0, 3))
    yield conv("sequence, 9 taps", (8, 64, 1000), 64, 9, 1, 4)
    yield conv("WaveNet: 2 taps, dilation 64", (4, 64, 4000), 128, 2, 1, 0, 64)
    yield conv("volume, 3x3x3", (3, 16, 16, 16, 16), 32, 3, 1, 1)
    yield conv_transpose("GAN: transposed 4x4", (4, 128, 16, 16), 64, 4, 1)
    yield conv_transpose("U-Net: transposed 2x2", (4, 64, 56, 56), 32, 2, 0)
    yield pool("largest of 3x3, stride 2", (4, 64, 112, 112), "max", 3, 2, 1)
    yield pool("largest of 2x2", (2, 64, 224, 224), "max", 2, 2, 0)
    yield pool("mean of 3x3, stride 1", (4, 64, 56, 56), "avg", 3, 1, 1)
    yield norm("batch norm", (8, 64, 56, 56), 0)
    yield norm("group norm", (8, 64, 56, 56), 8)
    yield attention("attention, 8 heads of 64", (4, 8, 256, 64), False)
    yield attention("attention, causal", (2, 8, 512, 64), True)


# contenders ---------------------------------------------------------------------------------------


def contenders(layer: Layer, arrays: list[np.ndarray], known: bool, back: bool) -> dict[str, Timed]:
    """The calls to time, each on arrays of its own library."""
    sg, jax, jnp, _ = modules()
    torch = importlib.import_module("torch")
    own, in_jax, in_torch = (layer.formulas[n] for n in ("symgraph", "jax", "torch"))
    sizes: list[list[Any]] = [list(s) for s in layer.shapes]
    for axis in (0,) if known else (0, *layer.free):
        sizes[0][axis] = f"n{axis}"
    inputs = [sg.tensor(f"x{k}", dtype="float32", shape=tuple(s)) for k, s in enumerate(sizes)]
    y = own(*inputs)
    given = [jnp.asarray(a) for a in arrays]
    held = [torch.tensor(a, requires_grad=back) for a in arrays]
    if not back:

        def forward(*x: Any) -> Any:
            with torch.no_grad():
                return in_torch(*x)

        return {
            "symgraph": Timed(sg.compile(inputs, y), tuple(arrays)),
            "jax": Timed(jax.jit(in_jax), tuple(given), jax.block_until_ready),
            "torch": Timed(forward, tuple(held)),
        }
    every = tuple(range(len(arrays)))
    slopes = jax.jit(jax.grad(lambda *x: (in_jax(*x) ** 2).sum(), every))
    return {
        "symgraph": Timed(sg.compile(inputs, sg.grad((y * y).sum(), inputs)), tuple(arrays)),
        "jax": Timed(slopes, tuple(given), jax.block_until_ready),
        "torch": Timed(lambda *x: torch.autograd.grad((in_torch(*x) ** 2).sum(), x), tuple(held)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="blocks of each contender (%(default)s)")
    add("--only", default="", help="layers whose names contain this")
    add("--sizes", default="known", choices=("known", "unknown"), help="(%(default)s)")
    options = parser.parse_args()
    torch = importlib.import_module("torch")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print("| layer | images | forward, ms: symgraph | JAX | torch | ratio |"
          " with gradients, ms: symgraph | JAX | torch | ratio |")  # fmt: skip
    print("|---|---|" + "---:|" * 8)
    ratios: list[float] = []
    for layer in layers():
        if options.only not in layer.name:
            continue
        rng = np.random.default_rng(0)
        arrays = [rng.normal(size=s).astype("float32") / math.sqrt(math.prod(s[1:]) or 1)
                  for s in layer.shapes]  # fmt: skip
        cells = []
        for back in (False, True):
            timed = contenders(layer, arrays, options.sizes == "known", back)
            results = {n: leaves(t.run()) for n, t in timed.items()}
            for name in ("jax", "torch"):
                wrong = disagreement(results["symgraph"], results[name])
                if wrong:
                    raise SystemExit(f"{layer.name}: beside {name}, {wrong}")
            found = compare(timed, dict.fromkeys(timed, 0.0), options.rounds, REST / 4)
            ratios.append(min(found[n].median for n in ("jax", "torch")) / found["symgraph"].median)
            cells += [f"{1e3 * found[n].median:.3g}" for n in ("symgraph", "jax", "torch")]
            cells.append(f"{ratios[-1]:.2f}")
        shape = "x".join(map(str, layer.shapes[0]))
        print(f"| {layer.name} | {shape} | {' | '.join(cells)} |", flush=True)
    print(f"\n{summary(ratios)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
