"""Bayesian logistic regression by Hamiltonian Monte Carlo: a sampler as one native loop.

    python examples/hmc_logistic.py

Four chains walk side by side over the weights of a model that tells malignant from benign tumours
(569 cells, 30 measurements; the Wisconsin data that come with scikit-learn). The whole run, with
its proposals, gradients and random numbers, is one `scan`: nothing returns to Python in between.
Source of the method: Neal, "MCMC using Hamiltonian dynamics", Handbook of MCMC, 2011.
"""

from __future__ import annotations

import time

import numpy as np

import symgraph as sg

CHAINS, DRAWS, WARM, STEPS, SIZE = 4, 600, 200, 16, 0.1

x = sg.matrix("x", shape=("cells", "weights"))
y = sg.vector("y", shape=("cells",))  # 1 malignant, -1 benign
seed = sg.tensor("seed", "uint32", (2,))


def log_density(w: sg.Variable) -> sg.Variable:
    """Of the weights of all chains [CHAINS, weights]: standard normal before the data are seen."""
    return -sg.sum(sg.softplus(-(w @ x.T) * y), axis=1) - 0.5 * sg.sum(w * w, axis=1)


def slope(w: sg.Variable) -> sg.Variable:
    return sg.grad(sg.sum(log_density(w)), w)


def leapfrog(_: sg.Variable, state: tuple[sg.Variable, ...]) -> tuple[sg.Variable, ...]:
    w, p = state
    p = p + 0.5 * SIZE * slope(w)
    w = w + SIZE * p
    return w, p + 0.5 * SIZE * slope(w)


def step(t: sg.Variable, w: sg.Variable) -> tuple[sg.Variable, sg.Variable]:
    """One draw of each chain, and how likely the proposal was to be accepted."""
    key = sg.random.fold_in(seed, t)
    p = sg.random.normal(sg.random.fold_in(key, 0), w.shape)
    new, q = sg.fori_loop(0, STEPS, leapfrog, (w, p))
    gain = log_density(new) - log_density(w) + 0.5 * sg.sum(p * p - q * q, axis=1)
    accept = sg.exp(sg.minimum(gain, 0))
    taken = sg.random.uniform(sg.random.fold_in(key, 1), (CHAINS,)) < accept
    return sg.where(taken[:, None], new, w), accept


start = sg.random.normal(seed, (CHAINS, x.shape[1]))
draws, acceptance = sg.scan(step, [sg.arange(DRAWS)], [start, None])


def data(held_out: int = 169) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Standardised measurements and a column of ones with their labels: to learn from, held out."""
    from sklearn.datasets import load_breast_cancer  # slow to import

    cells, labels = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    cells, labels = cells[order], np.where(labels[order] == 0, 1.0, -1.0)
    cells = np.column_stack([(cells - cells.mean(0)) / cells.std(0), np.ones(len(cells))])
    return (cells[held_out:], labels[held_out:]), (cells[:held_out], labels[:held_out])


def split_r_hat(kept: np.ndarray) -> np.ndarray:
    """How much the halves of the chains [draws, chains, weights] differ; 1 when they agree."""
    half = len(kept) // 2
    parts = np.concatenate([kept[:half], kept[half : 2 * half]], axis=1)
    within, between = parts.var(0, ddof=1).mean(0), half * parts.mean(0).var(0, ddof=1)
    return np.sqrt((half - 1) / half + between / within / half)


def main() -> float:
    """Sample, and return the share of held-out cells that the average model tells apart."""
    (cells, labels), (other, truth) = data()
    sample = sg.compile([x, y, seed], [draws, acceptance], name="hmc")
    began = time.perf_counter()
    weights, accepted = sample(cells, labels, sg.random.key(1).eval())
    seconds = time.perf_counter() - began
    kept = weights[WARM:]
    chance = (1 / (1 + np.exp(-(kept @ other.T)))).mean((0, 1))
    share = float(np.mean((chance > 0.5) == (truth > 0)))
    gradients = CHAINS * DRAWS * STEPS * 2
    print(f"  {CHAINS} chains of {DRAWS} draws, {gradients} gradients in {seconds:.2f} s")
    print(f"  accepted  {accepted[WARM:].mean():.3f}   worst r-hat  {split_r_hat(kept).max():.3f}")
    print(f"  accuracy  {share:.3f} on the held-out cells")
    return share


if __name__ == "__main__":
    main()
