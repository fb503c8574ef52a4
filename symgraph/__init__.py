"""symgraph: symbolic tensor graphs compiled to native code.

    import symgraph as sg

    x = sg.vector("x")
    f = sg.compile([x], sg.sum(sg.exp(-x * x)))

Importing this module loads nothing else. The first public name that is asked for loads `api.py`,
which holds them all; so the command line can answer without NumPy.
"""

from __future__ import annotations

import gc
import importlib
import sys
from importlib.machinery import PathFinder
from types import ModuleType

# As type checkers know it; to import it from typing would be half of this module's time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from symgraph import integrate, optim, optimize, rewrite  # noqa: F401
    from symgraph.api import *  # noqa: F403

__version__ = "0.1.0"
# namespaces that are not among the names of api.py: loaded when asked for
_LATER = ("integrate", "optim", "optimize", "rewrite")
# doors to other libraries, which they import
_DOORS = {"pymc": "symgraph.interop.pymc", "pytensor": "symgraph.interop.pytensor"}


class _Package(ModuleType):
    """This module's class: it loads the public names, and keeps `sg.scalar` the function.

    Python sets a package's attribute to a submodule when that is imported. The submodule `scalar`
    has the name of a public function; code inside the package reaches it by `from ... import`.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") and name != "__all__":  # Python's own questions
            raise AttributeError(f"module 'symgraph' has no attribute {name!r}")
        if name in _DOORS:
            return importlib.import_module(_DOORS[name])
        api = sys.modules.get("symgraph.api")
        if api is not None and name in getattr(api, "__all__", ()):
            return self._filled(api)[name]
        if name in _LATER:  # what they make has the methods of all other tensors
            _api()
        if name != "scalar" and PathFinder.find_spec(f"symgraph.{name}", self.__path__):
            return importlib.import_module(f"symgraph.{name}")
        api = _api()
        if name in self._filled(api):
            return self.__dict__[name]
        errors = importlib.import_module("symgraph.errors")
        what = f"module 'symgraph' has no attribute {name!r}"
        raise errors.NoSuchAttribute(what, hint=_instead(name, api))

    def _filled(self, api: ModuleType) -> dict[str, Any]:
        """The names of this module, the public ones among them."""
        names = vars(api)
        self.__dict__.update({n: names[n] for n in (*names["__all__"], "__all__")})
        return self.__dict__

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "scalar" or not isinstance(value, ModuleType):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return ["__version__", *_LATER, *self.__all__]


def _api() -> ModuleType:
    """All public names. Two hundred modules make a hundred thousand objects that stay: the
    collector, a sixth of the time, has nothing to find among them."""
    if "symgraph.api" in sys.modules or not gc.isenabled():
        return importlib.import_module("symgraph.api")
    gc.disable()
    try:
        return importlib.import_module("symgraph.api")
    finally:
        gc.enable()


def _instead(name: str, api: ModuleType) -> str:
    """What to write for a name that is not there, for the message."""
    import difflib

    places = ("nn", "linalg", "special", "random", "sparse", "fft", "signal")
    found = [f"sg.{p}.{name}" for p in places if name in getattr(vars(api)[p], "__all__", ())]
    porting = importlib.import_module("symgraph.interop.porting")
    if not found and (answer := porting.equivalent(f"theano.tensor.{name}")).write:
        found = [answer.write]
    if not found:
        found = [answer.write] if (answer := porting.equivalent(f"theano.{name}")).write else []
    if not found:
        found = [f"sg.{n}" for n in difflib.get_close_matches(name, api.__all__, 1, 0.6)]
    return f"did you mean {found[0]}?" if found else ""


sys.modules[__name__].__class__ = _Package
