"""Graphs in files: one zip with a header, the text of the graph, and arrays in NumPy's format.

    header.json           format, version, the words of constants, shared variables and defaults,
                          and which arrays are bfloat16: they are kept as uint16
    graph.txt             ir.text
    constants/0.npy ...   values of the constants that the text only names
    shared/0.npy ...      values of the shared variables when the graph was saved
    defaults/0.npy ...    defaults of inputs

Members are stored uncompressed, so a small file cannot unfold into a large one. Nothing in a file
is executed: no pickle, no eval.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from symgraph import dtypes
from symgraph.errors import ArgumentError, GraphFileError
from symgraph.ir.graph import Graph, Input
from symgraph.ir.text import GraphPrinter
from symgraph.ir.verify import verify
from symgraph.runtime.later import Later

if TYPE_CHECKING:  # they load much that nothing else needs
    import zipfile

    from symgraph.ir import parse as _parse
else:
    _parse = Later("symgraph.ir.parse")

FORMAT, VERSION = "symgraph.graph", 1
_DATE = (1980, 1, 1, 0, 0, 0)  # the same graph gives the same bytes


def save(path: str | os.PathLike[str], graph: Graph) -> None:
    """Write a graph to a file, values of constants and shared variables included.

    The file appears at once or not at all. Raises VerifyError for a graph that is not well formed,
    GraphFileError for one with a parameter that cannot be written, OSError.

    >>> import os, tempfile
    >>> from symgraph.ir.types import TensorType
    >>> x = Input(TensorType("float64", (3,)), "x")
    >>> with tempfile.TemporaryDirectory() as d:
    ...     save(os.path.join(d, "g.sg"), Graph((x,), (x,)))
    ...     load(os.path.join(d, "g.sg")).inputs[0].name
    'x'
    """
    if not isinstance(graph, Graph):
        raise ArgumentError(
            f"save writes a Graph, not {type(graph).__name__}",
            hint="sg.Graph(inputs, outputs), or the .graph of a compiled function",
        )
    verify(graph, "save")
    printer = GraphPrinter(graph)
    text = "\n".join(printer.lines) + "\n"
    values = {w: s.get_value(borrow=True) for w, s in printer.shared.items()}
    _parse.parse_graph(text, printer.data, values)  # what cannot be read must not be written
    defaults = {
        str(k): np.asarray(v.default)
        for k, v in enumerate(graph.inputs)
        if isinstance(v, Input) and v.default is not None
    }
    groups = {"constants": printer.data, "shared": values, "defaults": defaults}
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}")
    try:
        with open(temporary, "xb") as file:
            _write(file, text, groups)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _write(file: IO[bytes], text: str, groups: dict[str, dict[str, np.ndarray]]) -> None:
    import zipfile

    header: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    header |= {group: list(arrays) for group, arrays in groups.items()}
    header["bfloat16"] = [
        f"{group}/{k}" for group, arrays in groups.items()
        for k, array in enumerate(arrays.values()) if str(array.dtype) == "bfloat16"
    ]  # fmt: skip
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as members:
        members.writestr(zipfile.ZipInfo("header.json", _DATE), json.dumps(header, indent=1))
        members.writestr(zipfile.ZipInfo("graph.txt", _DATE), text)
        for group, arrays in groups.items():
            for k, array in enumerate(arrays.values()):
                entry = zipfile.ZipInfo(f"{group}/{k}.npy", _DATE)
                dense = np.ascontiguousarray(array).reshape(array.shape)  # 0-d stays 0-d
                if f"{group}/{k}" in header["bfloat16"]:
                    dense = dense.view("uint16")
                with members.open(entry, "w", force_zip64=True) as member:
                    npy.write_array(member, dense, allow_pickle=False)


def load(path: str | os.PathLike[str]) -> Graph:
    """Read a graph that :func:`save` wrote; its inputs and shared variables are new ones.

    Raises GraphFileError when the file is damaged, of another kind or version; OSError.
    """
    import zipfile

    with open(path, "rb") as file:
        try:
            return _read(file)
        except GraphFileError as error:
            raise GraphFileError(f"{os.fspath(path)}: {error.what}", hint=error.hint) from error
        except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, ValueError, TypeError,
                NotImplementedError, RuntimeError, EOFError, MemoryError, RecursionError,
                AttributeError, OverflowError, OSError) as error:  # fmt: skip
            raise GraphFileError(f"{os.fspath(path)} is not a saved graph: {error}") from error


def _read(file: IO[bytes]) -> Graph:
    import zipfile

    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as members:
        for entry in members.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
                raise GraphFileError(f"member {entry.filename!r} is compressed or too large")
        header = json.loads(members.read("header.json"))
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise GraphFileError("not a saved graph")
        if header.get("version") != VERSION:
            raise GraphFileError(
                f"version {header.get('version')!r} of the format, this is version {VERSION}",
                hint="read it with the version of symgraph that wrote it",
            )
        groups = {g: _arrays(members, header, g) for g in ("constants", "shared", "defaults")}
        text = members.read("graph.txt").decode()
    graph = _parse.parse_graph(text, groups["constants"], groups["shared"])
    for k, value in groups["defaults"].items():
        graph.inputs[int(k)].default = value  # type: ignore[attr-defined]
    return graph


def _arrays(members: zipfile.ZipFile, header: dict[str, Any], group: str) -> dict[str, np.ndarray]:
    found = {}
    for k, word in enumerate(header[group]):
        member = io.BytesIO(members.read(f"{group}/{k}.npy"))  # read whole: the checksum is tested
        array = npy.read_array(member, allow_pickle=False)
        if f"{group}/{k}" in header.get("bfloat16", ()) and array.dtype == "uint16":
            array = array.view(dtypes.numpy_dtype("bfloat16"))
        if str(array.dtype) not in dtypes.ALL:
            raise GraphFileError(f"{group}/{k}.npy has the unsupported dtype {array.dtype}")
        found[str(word)] = array
    return found
