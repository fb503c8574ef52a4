"""Penalties tuned by their gradients: a minimum inside a minimum, one native program.

    python examples/penalty_tuning.py

Logistic regression tells malignant from benign tumours (569 cells, 30 measurements; the Wisconsin
data that come with scikit-learn). Each weight has a penalty of its own. The inner search finds the
weights for given penalties on the training cells; the outer one moves the penalties to where these
weights do best on other cells. Its gradients pass through the inner minimum by the implicit
function theorem (Bengio, "Gradient-based optimization of hyperparameters", 2000).
"""

from __future__ import annotations

import time

import numpy as np

import symgraph as sg

x, y = sg.matrix("x", shape=("cells", 31)), sg.vector("y", shape=("cells",))
other_x = sg.matrix("other_x", shape=("others", 31))
other_y = sg.vector("other_y", shape=("others",))
start = sg.scalar("start")  # the logarithm of the penalty that all weights begin with


def loss(w: sg.Variable, x: sg.Variable, y: sg.Variable) -> sg.Variable:
    """The mean of minus the logarithm of the probability of the labels, which are 1 and -1."""
    return sg.mean(sg.softplus(-(x @ w) * y))


def weights(log_penalties: sg.Variable) -> sg.Variable:
    """The weights that fit the training cells best."""
    cost = lambda w: loss(w, x, y) + 0.5 * sg.sum(sg.exp(log_penalties) * w * w)  # noqa: E731
    return sg.optimize.minimize(cost, sg.zeros(31), method="newton").x


def validation(log_penalties: sg.Variable) -> sg.Variable:
    """How badly they do on other cells; a weak pull keeps the penalties within reason."""
    pull = 1e-3 * sg.mean((log_penalties - start) ** 2)
    return loss(weights(log_penalties), other_x, other_y) + pull


first = sg.full((31,), start)
best = sg.optimize.minimize(validation, first, method="l-bfgs", tol=1e-5, max_steps=40)
before, after = weights(first), weights(best.x)
outputs = [before, after, validation(first), best.fun, best.converged, best.steps, best.x]


def data() -> list[tuple[np.ndarray, np.ndarray]]:
    """Standardised measurements and a column of ones with their labels, in three parts."""
    from sklearn.datasets import load_breast_cancer  # slow to import

    cells, kinds = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(kinds))
    cells, kinds = cells[order], 1.0 - 2.0 * kinds[order]
    cells = (cells - cells[:200].mean(0)) / cells[:200].std(0)
    cells = np.column_stack([cells, np.ones(len(cells))])
    return [(cells[a:b], kinds[a:b]) for a, b in ((0, 200), (200, 400), (400, 569))]


def main() -> None:
    began = time.perf_counter()
    tune = sg.compile([x, y, other_x, other_y, start], outputs, name="tune")
    print(f"compiled  {time.perf_counter() - began:.2f} s")
    train, other, (test_x, test_y) = data()
    began = time.perf_counter()
    old, new, worse, better, converged, steps, penalties = tune(*train, *other, np.log(1e-3))
    print(f"tuned     {time.perf_counter() - began:.2f} s, {steps} steps, converged: {converged}")
    print(f"other cells: loss {worse:.4f} with equal penalties, {better:.4f} with tuned ones")
    for word, w in (("equal", old), ("tuned", new)):
        margin = (test_x @ w) * test_y
        lost = np.logaddexp(0, -margin).mean()
        print(f"test cells, {word} penalties: loss {lost:.4f}, accuracy {np.mean(margin > 0):.3f}")
    low, high = np.exp([penalties.min(), penalties.max()])
    print(f"penalties {low:.1e} to {high:.1e}")


if __name__ == "__main__":
    main()
