"""sg.optimize: minima, roots, fixed points, least squares and linear systems inside graphs.

    found = sg.optimize.minimize(lambda w: loss(w, data) + penalty * sg.sum(w**2), w0)
    slope = sg.grad(validation(found.x), penalty)

Each search is a native loop in the compiled program. Its result has derivatives with respect to
everything that the function reads, by the implicit function theorem, so that neither the method
nor the number of its steps matters to them.
"""

from symgraph.optimize.implicit import LinearSolution, linear_solve
from symgraph.optimize.minimizing import Minimum, minimize
from symgraph.optimize.roots import Root, fixed_point, root
from symgraph.optimize.scalars import ScalarMinimum, minimize_scalar, root_scalar
from symgraph.optimize.squares import LeastSquares, least_squares

__all__ = [
    "LeastSquares", "LinearSolution", "Minimum", "Root", "ScalarMinimum", "fixed_point",
    "least_squares", "linear_solve", "minimize", "minimize_scalar", "root", "root_scalar",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
