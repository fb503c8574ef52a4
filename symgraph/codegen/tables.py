"""The address table of a compiled function.

Native code holds no address: each it needs is a word of a table reached from the function object,
filled when the code is loaded. So an object file can be kept on disk and used by any process.
"""

from __future__ import annotations

from symgraph.codegen.writer import FunctionWriter, Value

# Words that every entry uses, in this order; the executor knows their values.
FIXED = (
    "PyArray_Type", "PyArray_NewFromDescr", "PyTuple_New", "PyTuple_SetItem",
    "PyList_New", "PyList_SetItem",
    "PyObject_Vectorcall", "Py_IncRef", "Py_DecRef", "PyLong_AsLongLongAndOverflow",
    "PyEval_SaveThread", "PyEval_RestoreThread", "PyLong_FromLongLong", "slow", "fail",
    "fail_memory", "arena_malloc", "arena_free", "pool_state",  # these three as team_ir reads them
    "pool_malloc", "pool_free", "pool_handler",
)  # fmt: skip


class Table:
    """Assigns words to addresses as code asks for them.

    >>> t = Table()
    >>> t.slot("descr", "float32") == len(FIXED), t.slot("descr", "float32") == len(FIXED)
    (True, True)
    """

    def __init__(self) -> None:
        self.slots: dict[tuple[str, str], int] = {("api", n): k for k, n in enumerate(FIXED)}

    def slot(self, kind: str, key: str) -> int:
        """The word of an address: kind is api, descr, object (types, True), name (of an input, by
        its number), shared, constant, kernel, python, blas, team (see runtime/threads.py), special
        (functions of runtime/special_functions.py), parts (the records of products.py) or fourier
        (those of fourier_plans.py)."""
        return self.slots.setdefault((kind, key), len(self.slots))

    def load(self, fn: FunctionWriter, kind: str, key: str, table: Value = "%table") -> Value:
        """The address, read from the table."""
        k = self.slot(kind, key)
        where = fn.val(f"getelementptr i8, ptr {table}, i64 {8 * k}") if k else table
        return fn.val(f"load ptr, ptr {where}")

    def layout(self) -> list[list[str]]:
        """[kind, key] of every word in order, for the artifact's header."""
        return [list(k) for k in self.slots]
