"""A hierarchical model of PyMC, sampled by two samplers over symgraph, beside NUMBA's posterior.

    python examples/pymc_hierarchical.py [--draws 1000] [--reference NUMBA]

Houses in counties have a radon level of their own; levels of counties are drawn from a common
distribution. The model is sampled by nutpie through the addresses of symgraph's machine code, by
PyMC's own NUTS with the mode "SYMGRAPH", and by PyMC with another mode. Printed is a table of the
posteriors; out/pymc_hierarchical.svg shows them beside each other. Needs `pip install pymc nutpie`
(without nutpie two of the three are drawn).
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm

import symgraph
import symgraph.interop.pytensor  # registers the mode "SYMGRAPH"

COUNTIES, HOUSES = 12, 240
SHOWN = ("mu", "tau", "slope", "sigma", "level")
COLOURS = ("#1f6f8b", "#e07a1f", "#7a7a7a")


def hierarchical(rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """The model over made-up houses, and the values they were made with."""
    county = rng.integers(0, COUNTIES, HOUSES)
    floor = rng.integers(0, 2, HOUSES).astype(float)
    level = rng.normal(1.5, 0.4, COUNTIES)
    radon = level[county] - 0.7 * floor + rng.normal(0, 0.5, HOUSES)
    with pm.Model(coords={"county": [f"county {k}" for k in range(COUNTIES)]}) as model:
        mu = pm.Normal("mu", 0, 3)
        tau = pm.HalfNormal("tau", 1)
        z = pm.Normal("z", 0, 1, dims="county")
        levels = pm.Deterministic("level", mu + tau * z, dims="county")
        slope = pm.Normal("slope", 0, 2)
        sigma = pm.HalfNormal("sigma", 1)
        pm.Normal("radon", levels[county] + slope * floor, sigma, observed=radon)
    return model, {"mu": 1.5, "tau": 0.4, "slope": -0.7, "sigma": 0.5, "level": level}


def samplers(reference: str) -> dict[str, Any]:
    """Functions from the arguments of `sample` to a trace, by their titles."""

    def mode(name: str) -> Any:
        def sample(**options: Any) -> Any:
            return pm.sample(
                nuts_sampler="pymc", compile_kwargs={"mode": name}, progressbar=False, cores=1,
                **options,
            )  # fmt: skip

        return sample

    found = {"nutpie, symgraph's addresses": symgraph.pymc.sample} if _has_nutpie() else {}
    return {**found, "PyMC, SYMGRAPH": mode("SYMGRAPH"), f"PyMC, {reference}": mode(reference)}


def _has_nutpie() -> bool:
    return importlib.util.find_spec("nutpie") is not None


def summaries(trace: Any) -> dict[str, np.ndarray]:
    """Mean, standard deviation, the error of the mean, and quantiles of each number shown."""
    found = {}
    for name in SHOWN:
        draws = np.asarray(trace.posterior[name])
        draws = draws.reshape(*draws.shape[:2], -1)
        for k in range(draws.shape[2]):
            x = draws[:, :, k]
            blocks = x.reshape(-1, x.shape[1] // 10 if x.shape[1] >= 20 else 1).mean(axis=1)
            error = blocks.std(ddof=1) / np.sqrt(blocks.size)  # of batches, which hardly correlate
            label = f"{name} {k}" if draws.shape[2] > 1 else name
            quantiles = np.quantile(x, (0.05, 0.25, 0.75, 0.95))
            found[label] = np.array([x.mean(), x.std(), error, *quantiles])
    return found


def table(columns: dict[str, dict[str, np.ndarray]], truth: dict[str, float]) -> str:
    """The posteriors side by side: mean and standard deviation."""
    lines = ["".join([f"{'':10}{'made with':>10}", *(f"{title:>32}" for title in columns)])]
    for label, true in truth.items():
        cells = [f"{c[label][0]:>22.3f} +- {c[label][1]:.3f}" for c in columns.values()]
        lines.append(f"{label:10}{true:>10.3f}" + "".join(f"{c:>32}" for c in cells))
    return "\n".join(lines)


def furthest(columns: dict[str, dict[str, np.ndarray]]) -> float:
    """The largest difference of two columns' means, in its standard error."""
    rows = list(columns.values())
    worst = 0.0
    for a in rows[:-1]:
        for label, y in rows[-1].items():
            x = a[label]
            worst = max(worst, abs(x[0] - y[0]) / np.hypot(x[2], y[2]))
    return worst


def picture(columns: dict[str, dict[str, np.ndarray]], truth: dict[str, float]) -> str:
    """An SVG: for each number the intervals that hold 50 % and 90 %, one line for each sampler."""
    quantiles = np.array([[c[label][3:] for label in truth] for c in columns.values()])
    low, high = quantiles.min() - 0.1, quantiles.max() + 0.1
    width, left, row = 760, 90, 16 + 9 * len(columns)

    def x(value: float) -> float:
        return round(left + (width - left - 20) * (value - low) / (high - low), 1)

    out = []
    for k, (title, colour) in enumerate(zip(columns, COLOURS, strict=False)):
        out.append(f'<rect x="{left + 220 * k}" y="12" width="12" height="6" fill="{colour}"/>')
        out.append(f'<text x="{left + 220 * k + 18}" y="19">{title}</text>')
    for n, (label, true) in enumerate(truth.items()):
        y = 40 + row * n
        out.append(f'<text x="10" y="{y + 4 + 4.5 * (len(columns) - 1)}">{label}</text>')
        end = y + 9 * len(columns) - 3
        out.append(f'<path d="M{x(true)} {y - 6}V{end}" stroke="#c33" stroke-dasharray="2 2"/>')
        for k, (column, colour) in enumerate(zip(columns.values(), COLOURS, strict=False)):
            at, (mean, _, _, *q) = y + 9 * k, column[label]
            for a, b, thick in ((q[0], q[3], 1.5), (q[1], q[2], 5)):
                out.append(f'<path d="M{x(a)} {at}H{x(b)}" stroke="{colour}" '
                           f'stroke-width="{thick}"/>')  # fmt: skip
            out.append(f'<circle cx="{x(mean)}" cy="{at}" r="3" fill="#fff" stroke="{colour}"/>')
    for value in np.arange(np.ceil(2 * low), 2 * high) / 2:
        bottom = 40 + row * len(truth)
        out.append(f'<text x="{x(value)}" y="{bottom + 8}" text-anchor="middle">{value:g}</text>')
    height = 60 + row * len(truth)
    head = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12" '
    head += f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    body = "\n".join(out)
    return f'{head}\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'


def main() -> None:
    """Sample in three ways, print, draw, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--reference", default="NUMBA", help="another mode of PyTensor")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    model, made = hierarchical(np.random.default_rng(7))
    truth = {k: v for k, v in made.items() if np.ndim(v) == 0}
    truth.update({f"level {k}": v for k, v in enumerate(made["level"])})
    columns = {}
    for title, sample in samplers(args.reference).items():
        begin = time.perf_counter()
        with model:
            trace = sample(
                draws=args.draws, tune=args.draws, chains=2, random_seed=1,
            )  # fmt: skip
        columns[title] = summaries(trace)
        seconds = time.perf_counter() - begin
        print(f"{title}: {2 * args.draws} draws, {seconds:.1f} s with compiling")
    print(table(columns, truth))
    place = Path("out") / "pymc_hierarchical.svg"
    place.parent.mkdir(exist_ok=True)
    place.write_text(picture(columns, truth), encoding="utf-8")
    print(f"picture   {place}")
    print(f"means differ by at most {furthest(columns):.1f} standard errors")


if __name__ == "__main__":
    main()
