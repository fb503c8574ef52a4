"""NativeBase: the base class whose calls go straight to machine code.

Memory of an instance: [head][vectorcall address][context address][owner], then what Python adds to
a subclass (dictionary, weak references). CPython's calling protocol (PEP 590) reads the vectorcall
address and jumps; the code gets the instance as its first argument and finds its context table at
`CTX`. No Python frame lies in between.

An instance that was never bound holds NULL there. CPython answers a call of it with a TypeError
(`PyVectorcall_Call` checks), so that a half-made object is safe.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, TypeVar

from symgraph.runtime.abi import HDR, pyaddr

ENTRY = HDR  # where the vectorcall address lies in an instance
CTX = HDR + 8  # where the address of the context table lies
OWNER = HDR + 16  # a Python object that keeps code and table alive; NULL when unbound

_BASICSIZE = HDR + 24

# object.h, structmember.h, typeslots.h
_BASETYPE, _HAVE_VECTORCALL, _DEFAULT = 1 << 10, 1 << 11, 1 << 18
_T_PYSSIZET, _T_OBJECT_EX, _READONLY = 19, 16, 1
_PY_TP_CALL, _PY_TP_DOC, _PY_TP_MEMBERS = 50, 56, 72

_TP_FLAGS = HDR + 152  # tp_flags in PyTypeObject: after ob_size and 18 words

_DOC = b"A callable backed by machine code; see symgraph.runtime.callable."


class _Slot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("pfunc", ctypes.c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.c_void_p),
    ]


class _Member(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def _make_base() -> tuple[Any, tuple[Any, ...]]:
    """The type, and the C structures it was made of (3.11 keeps pointing at the name)."""
    members = (_Member * 3)(
        _Member(b"__vectorcalloffset__", _T_PYSSIZET, ENTRY, _READONLY, None),
        # T_OBJECT_EX and not READONLY: freed with the instance, but not by the garbage collector's
        # clearing of cycles, after which a finalizer might still call
        _Member(b"_owner", _T_OBJECT_EX, OWNER, 0, None),
    )
    doc = ctypes.create_string_buffer(_DOC)
    slots = (_Slot * 4)(
        _Slot(_PY_TP_CALL, pyaddr("PyVectorcall_Call")),
        _Slot(_PY_TP_DOC, ctypes.addressof(doc)),
        _Slot(_PY_TP_MEMBERS, ctypes.addressof(members)),
    )
    spec = _Spec(
        b"symgraph.runtime.callable.NativeBase",
        _BASICSIZE,
        0,
        _DEFAULT | _BASETYPE | _HAVE_VECTORCALL,
        ctypes.addressof(slots),
    )
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(pyaddr("PyType_FromSpec"))
    return make(ctypes.addressof(spec)), (members, doc, slots, spec)


if TYPE_CHECKING:

    class NativeBase:
        """A callable backed by machine code."""

        _owner: Any

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

else:
    NativeBase, _KEEP = _make_base()

T = TypeVar("T", bound=type)


def enable_vectorcall(cls: T) -> T:
    """Class decorator for subclasses of NativeBase: calls use the vectorcall slot on every Python.

    3.12 and later inherit the flag; before, `tp_flags` of the new class gets the bit here. Raises
    TypeError where the class defines `__call__`, which would take the slot's place, and where it is
    no NativeBase.

        >>> @enable_vectorcall
        ... class Function(NativeBase):
        ...     pass
        >>> Function()()
        Traceback (most recent call last):
        TypeError: 'Function' object does not support vectorcall
    """
    if not issubclass(cls, NativeBase):
        raise TypeError(f"{cls.__name__} is not a subclass of NativeBase")
    for base in cls.__mro__[: cls.__mro__.index(NativeBase)]:
        if "__call__" in vars(base):
            raise TypeError(f"{base.__name__} defines __call__: calls would not reach native code")
    if not cls.__flags__ & _HAVE_VECTORCALL:
        word = ctypes.c_ulong.from_address(id(cls) + _TP_FLAGS)
        if word.value == cls.__flags__:  # else calls take tp_call: slower by some 30 ns, as right
            word.value |= _HAVE_VECTORCALL
    return cls


def bind(obj: NativeBase, entry_address: int, ctx_address: int, owner: object) -> None:
    """Make calls of `obj` run the code at `entry_address`, signature
    `ptr (ptr self, ptr args, i64 nargsf, ptr kwnames)`.

    `owner` keeps the code, the table and all that the table points at alive; it lives as long as
    `obj` and must not refer to `obj`. Raises TypeError and ValueError for unsuitable arguments.
    """
    if not isinstance(obj, NativeBase):
        raise TypeError(f"cannot bind a {type(obj).__name__}")
    if entry_address <= 0 or ctx_address < 0:
        raise ValueError("bind needs the address of an entry")
    address = id(obj)
    previous = getattr(obj, "_owner", None)  # dies only after the new addresses are in place
    ctypes.c_void_p.from_address(address + ENTRY).value = None
    ctypes.c_void_p.from_address(address + CTX).value = ctx_address or None
    obj._owner = owner
    ctypes.c_void_p.from_address(address + ENTRY).value = entry_address
    del previous


def unbind(obj: NativeBase) -> None:
    """Take the code away again: calls raise TypeError. Not while another thread is in a call."""
    ctypes.c_void_p.from_address(id(obj) + ENTRY).value = None
    ctypes.c_void_p.from_address(id(obj) + CTX).value = None
    if hasattr(obj, "_owner"):
        del obj._owner


def entry_address(obj: NativeBase) -> int:
    """The bound entry's address, 0 when unbound."""
    return ctypes.c_void_p.from_address(id(obj) + ENTRY).value or 0
