"""PageRank of a web of links, and which links a page owes its rank to.

    python examples/pagerank.py

The links are a sparse matrix of scipy.sparse that goes into a compiled function as it is. The walk
of the surfer is one `while_loop` in native code; the derivative of one page's rank by every link of
the web is a sparse matrix again, with the links' structure. Source of the method: Brin and Page,
"The anatomy of a large-scale hypertextual web search engine", 1998.
"""

from __future__ import annotations

import time

import numpy as np
import scipy.sparse

import symgraph as sg

PAGES, LINKS, DAMPING, STEPS = 20_000, 200_000, 0.85, 40

links = sg.sparse.csr_matrix("links", shape=("pages", "pages"))  # links[i, j]: from j to i
page = sg.scalar("page", "int64")


def step(rank: sg.Variable) -> sg.Variable:
    """Where the surfer is after one more click; from pages without links anywhere."""
    moved = DAMPING * (links @ rank)
    return moved + (1 - sg.sum(moved)) / links.shape[0]


def until_settled(state: tuple[sg.Variable, ...]) -> tuple[sg.Variable, ...]:
    rank, _, steps = state
    new = step(rank)
    return new, sg.sum(sg.abs(new - rank)), steps + 1


everywhere = sg.ones(links.shape[0]) / links.shape[0]
rank, _, steps = sg.while_loop(
    lambda state: state[1] > 1e-10, until_settled, (everywhere, sg.constant(1.0), sg.constant(0))
)
solve = sg.compile([links], {"rank": rank, "steps": steps}, name="rank")

walk = sg.scan(step, outputs_info=everywhere, n_steps=STEPS)
owed = sg.grad(walk[-1][page], links) * links  # what each link adds to the rank of the page
explain = sg.compile([links, page], owed, name="explain")


def web(seed: int = 0) -> scipy.sparse.csr_array:
    """Random links, most of them to few pages; each column sums to 1."""
    rng = np.random.default_rng(seed)
    source = rng.integers(0, PAGES, LINKS)
    target = np.minimum(rng.zipf(1.4, LINKS), 10**9) % PAGES
    found = scipy.sparse.csr_array((np.ones(LINKS), (target, source)), shape=(PAGES, PAGES))
    found.data[:] = 1.0  # a second link between the same pages does not count
    return scipy.sparse.csr_array(found / np.maximum(found.sum(0), 1))


def main() -> None:
    matrix = web()
    start = time.perf_counter()
    found = solve(matrix)
    spent = time.perf_counter() - start
    best = np.argsort(-found["rank"])[:5]
    print(f"{PAGES} pages, {matrix.nnz} links: settled after {found['steps']} steps, {spent:.3f} s")
    print("best pages", *(f"{p}: {found['rank'][p]:.4f}" for p in best))
    start = time.perf_counter()
    share = explain(matrix, int(best[0]))
    spent = time.perf_counter() - start
    row, column = share.tocoo().coords
    top = np.argsort(-share.data)[:3]
    print(f"links that page {best[0]} owes its rank to (of {share.nnz}, in {spent:.3f} s)")
    for k in top:
        print(f"  {column[k]} -> {row[k]}: {share.data[k]:.5f}")
    residual = np.abs(step_in_scipy(matrix, found["rank"]) - found["rank"]).sum()
    print(f"residual  {residual:.1e} by SciPy")


def step_in_scipy(matrix: scipy.sparse.csr_array, rank: np.ndarray) -> np.ndarray:
    moved = DAMPING * (matrix @ rank)
    return moved + (1 - moved.sum()) / PAGES


if __name__ == "__main__":
    main()
