"""Places for the boxes of a layered picture: producers above consumers, edges short and straight.

The steps are those of Sugiyama, Tagawa and Toda (1981): layers by longest path, dummy nodes where
an edge passes a layer, crossings reduced by sweeps that sort each layer by the barycentre of its
neighbours, then positions. These minimise the squared distance to the neighbours under the minimal
gaps, exactly for one layer at a time: an isotonic regression (pool adjacent violators).

Every step is linear in boxes, edges and dummies, times a fixed number of sweeps. Dummies could be
quadratic in deep graphs, so `untangle.py` takes the longest edges out before.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import mul

from symgraph.records import NamedTuple

Point = tuple[float, float]

GAP_X, GAP_Y = 22.0, 46.0
DUMMY = 12.0  # the width of the lane of an edge that passes a layer
SWEEPS = 12


class Layout(NamedTuple):
    """``boxes`` are the top left corners. ``routes`` are points from source to target, with pairs
    of equal x where an edge passes a layer; one for each edge."""

    boxes: list[Point]
    routes: list[list[Point]]
    width: float
    height: float


def layered(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """A layout for boxes of these sizes; every edge leads from a lower number to a higher one.

    >>> layered([(10, 10), (10, 10)], [(0, 1)]).boxes
    [(0.0, 0.0), (0.0, 56.0)]
    """
    return _Layered(sizes, edges).result()


class _Layered:
    """Nodes are the boxes, then the dummies; ``up`` and ``down`` are their neighbours."""

    def __init__(self, sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]):
        self.sizes, self.edges = sizes, edges
        self.layer = layers(len(sizes), edges)
        self.widths = [w for w, _ in sizes]
        self.up: list[list[int]] = [[] for _ in sizes]
        self.down: list[list[int]] = [[] for _ in sizes]
        self.chains: list[list[int]] = []
        self._add_dummies()
        self.rows: list[list[int]] = [[] for _ in range(max(self.layer, default=-1) + 1)]
        for v, k in enumerate(self.layer):
            self.rows[k].append(v)

    def _add_dummies(self) -> None:
        for s, t in self.edges:
            chain = [s]
            for k in range(self.layer[s] + 1, self.layer[t]):
                self.layer.append(k)
                self.widths.append(DUMMY)
                self.up.append([])
                self.down.append([])
                chain.append(len(self.layer) - 1)
            chain.append(t)
            for a, b in pairwise(chain):
                self.down[a].append(b)
                self.up[b].append(a)
            self.chains.append(chain)

    def result(self) -> Layout:
        self._reduce_crossings()
        x = self._positions()
        if not x:
            return Layout([], [], 0.0, 0.0)
        left = min(c - w / 2 for c, w in zip(x, self.widths, strict=True))
        x = [c - left for c in x]
        tops, heights = self._heights(x)
        boxes = [
            (x[v] - self.widths[v] / 2, tops[self.layer[v]] + (heights[self.layer[v]] - h) / 2)
            for v, (_, h) in enumerate(self.sizes)
        ]
        width = max(c + w / 2 for c, w in zip(x, self.widths, strict=True))
        routes = self._routes(x, boxes, tops, heights)
        return Layout(boxes, routes, width, tops[-1] + heights[-1])

    # order within the layers

    def _reduce_crossings(self) -> None:
        place = [0] * len(self.layer)
        for row in self.rows:
            for k, v in enumerate(row):
                place[v] = k
        best, fewest = [row[:] for row in self.rows], self._crossings(place)
        sweeps = SWEEPS if len(self.layer) < 5000 else SWEEPS // 3
        for sweep in range(sweeps):
            if fewest == 0:
                break
            downward = sweep % 2 == 0
            around = self.up if downward else self.down
            for row in self.rows if downward else reversed(self.rows):
                _sort_by_barycentre(row, around, place)
            count = self._crossings(place)
            if count < fewest:
                best, fewest = [row[:] for row in self.rows], count
        self.rows = best

    def _crossings(self, place: list[int]) -> int:
        total = 0
        for k, row in enumerate(self.rows[:-1]):
            below = [p for v in row for p in sorted(place[w] for w in self.down[v])]
            total += _inversions(below, len(self.rows[k + 1]))
        return total

    # positions

    def _positions(self) -> list[float]:
        """The centre of each node."""
        x = [0.0] * len(self.layer)
        for row in self.rows:
            at = 0.0
            for v in row:
                x[v] = at + self.widths[v] / 2
                at += self.widths[v] + GAP_X
            for v in row:
                x[v] -= at / 2
        sweeps = 2 * SWEEPS if len(self.layer) < 5000 else SWEEPS
        pulls = [self._pulls(above, below) for above, below in ((1, 0), (0, 1), (1, 1))]
        get = x.__getitem__
        for sweep in range(sweeps):
            downward = sweep % 2 == 0
            pull = pulls[2 if sweep >= sweeps - 4 else 0 if downward else 1]
            for row in self.rows if downward else reversed(self.rows):
                wanted, weights = [], []
                for v in row:
                    near, forces, total = pull[v]
                    wanted.append(sum(map(mul, forces, map(get, near))) / total if near else x[v])
                    weights.append(total)
                self._place(row, wanted, weights, x)
        return x

    def _pulls(self, above: int, below: int) -> list[tuple[list[int], list[float], float]]:
        """For each node the neighbours it is drawn to, how strongly by each, and the sum."""
        count = len(self.sizes)
        found = []
        for v in range(len(self.layer)):
            near = [*(self.up[v] if above else ()), *(self.down[v] if below else ())]
            forces = [8.0 if v >= count and w >= count else 1.0 for w in near]
            found.append((near, forces, sum(forces) if near else 0.05))
        return found

    def _place(
        self, row: list[int], wanted: list[float], weights: list[float], x: list[float]
    ) -> None:
        """The positions nearest to the wanted ones in this order and with the minimal gaps."""
        offsets, at = [], 0.0
        before = -1
        for v in row:
            if before >= 0:
                at += (self.widths[before] + self.widths[v]) / 2 + self._gap(before, v)
            offsets.append(at)
            before = v
        blocks: list[tuple[float, float, int]] = []  # mean, weight, count
        for want, offset, weight in zip(wanted, offsets, weights, strict=True):
            mean, total, size = want - offset, weight, 1
            while blocks and blocks[-1][0] >= mean:
                other, w, n = blocks.pop()
                mean = (mean * total + other * w) / (total + w)
                total, size = total + w, size + n
            blocks.append((mean, total, size))
        k = 0
        for mean, _, size in blocks:
            for _ in range(size):
                x[row[k]] = mean + offsets[k]
                k += 1

    def _gap(self, a: int, b: int) -> float:
        count = len(self.sizes)
        return GAP_X if a < count and b < count else GAP_X / 2 if a < count or b < count else 2.0

    def _heights(self, x: list[float]) -> tuple[list[float], list[float]]:
        """The top and the height of each layer; layers with wide edges between get more room."""
        heights = [0.0] * len(self.rows)
        reach = [0.0] * len(self.rows)
        for v, (_, h) in enumerate(self.sizes):
            heights[self.layer[v]] = max(heights[self.layer[v]], h)
        for v, below in enumerate(self.down):
            for w in below:
                reach[self.layer[v]] = max(reach[self.layer[v]], abs(x[v] - x[w]))
        tops, at = [], 0.0
        for h, r in zip(heights, reach, strict=True):
            tops.append(at)
            at += h + GAP_Y + min(r / 14, 70.0)
        return tops, heights

    # edges

    def _routes(
        self, x: list[float], boxes: list[Point], tops: list[float], heights: list[float]
    ) -> list[list[Point]]:
        ends = self._ports(x)
        routes = []
        for number, chain in enumerate(self.chains):
            s, t = chain[0], chain[-1]
            a, b = self.layer[s], self.layer[t]
            points = [(x[s], boxes[s][1] + self.sizes[s][1]), (x[s], tops[a] + heights[a])]
            for v in chain[1:-1]:
                k = self.layer[v]
                points += [(x[v], tops[k]), (x[v], tops[k] + heights[k])]
            points += [(ends[number], tops[b]), (ends[number], boxes[t][1])]
            routes.append(points)
        return routes

    def _ports(self, x: list[float]) -> dict[int, float]:
        """Where each edge enters its target: side by side in the order in which they come."""
        entering: dict[int, list[tuple[float, int]]] = {}
        for number, chain in enumerate(self.chains):
            entering.setdefault(chain[-1], []).append((x[chain[-2]], number))
        ends = {}
        for t, arriving in entering.items():
            arriving.sort()
            step = min(26.0, self.widths[t] * 0.8 / len(arriving))
            for k, (_, number) in enumerate(arriving):
                ends[number] = x[t] + (k - (len(arriving) - 1) / 2) * step
        return ends


def layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """By longest path; then nodes that have more consumers than producers move towards them."""
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for s, t in edges:
        above[t].append(s)
        below[s].append(t)
    layer = [0] * count
    for v in range(count):
        layer[v] = max((layer[s] + 1 for s in above[v]), default=0)
    for v in reversed(range(count)):
        # what nobody else reads moves along; inputs are drawn again where they are needed
        held = sum(len(below[s]) > 1 and bool(above[s]) for s in above[v])
        if below[v] and len(below[v]) > held:
            layer[v] = min(layer[t] for t in below[v]) - 1
    return layer


def _sort_by_barycentre(row: list[int], around: list[list[int]], place: list[int]) -> None:
    keys = {
        v: sum(place[w] for w in around[v]) / len(around[v]) if around[v] else float(place[v])
        for v in row
    }
    row.sort(key=lambda v: keys[v])
    for k, v in enumerate(row):
        place[v] = k


def _inversions(values: list[int], size: int) -> int:
    """How many pairs stand in the wrong order, by a binary indexed tree."""
    tree = [0] * (size + 1)
    total = 0
    for seen, value in enumerate(values):
        k, below = value + 1, 0
        while k:
            below += tree[k]
            k -= k & -k
        total += seen - below
        k = value + 1
        while k <= size:
            tree[k] += 1
            k += k & -k
    return total
