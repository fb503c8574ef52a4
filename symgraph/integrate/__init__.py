"""sg.integrate: ordinary differential equations, and integrals of functions and samples.

y = sg.integrate.odeint(lambda y, t: -k * y, y0, t)
slope = sg.grad(sg.sum((y - data) ** 2), k)
"""

from symgraph.integrate.quadrature import cumulative_trapezoid, fixed_quad, simpson, trapezoid
from symgraph.integrate.solving import odeint

__all__ = ["cumulative_trapezoid", "fixed_quad", "odeint", "simpson", "trapezoid"]


def __dir__() -> list[str]:
    return __all__
