"""Modules that are imported when something in them is first used.

The compiler has a hundred modules, many of which serve some programs only: products, sorting, a
family of functions. The first function of a process waits a quarter of a millisecond for each.
"""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    """Stands for a module: its names are the module's, which the first use imports.

    >>> json = Later("json")
    >>> json.dumps([1, 2])
    '[1, 2]'
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python's own questions
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)


class LaterFunctions:
    """Stands for a module of functions: each name is a function, and calling it imports.

    >>> LaterFunctions("math").floor(2.5)
    2
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def function(*args: Any) -> Any:
            return getattr(importlib.import_module(self._name), name)(*args)

        function.__name__ = name
        return function
