import copy
import ctypes
import gc
import pickle
import sys
import weakref

import pytest

from symgraph.runtime import elf
from symgraph.runtime.abi import pyobject
from symgraph.runtime.callable import (
    CTX,
    NativeBase,
    bind,
    enable_vectorcall,
    entry_address,
    unbind,
)

# returns a new reference to the object in word 0 of the context table
RETURNS_WORD = f"""
define ptr @entry(ptr %self, ptr %args, i64 %nargs, ptr %kw) {{
  %p = getelementptr i8, ptr %self, i64 {CTX}
  %ctx = load ptr, ptr %p
  %r = load ptr, ptr %ctx
  %ip = getelementptr i8, ptr %ctx, i64 8
  %incref = load ptr, ptr %ip
  call void %incref(ptr %r)
  ret ptr %r
}}
"""


@enable_vectorcall
class Function(NativeBase):
    """A subclass as the executor makes one."""

    def __init__(self, name="f"):
        self.name = name


def table(answer):
    incref = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value
    return (ctypes.c_void_p * 2)(id(answer), incref)


@pytest.fixture
def bound(emit):
    answer = ["the answer"]
    code, ctx = elf.load(emit(RETURNS_WORD)), table(answer)
    function = Function()
    bind(function, code.address("entry"), ctypes.addressof(ctx), (code, ctx, answer))
    return function, answer


def test_a_bound_object_runs_its_code(bound):
    function, answer = bound
    assert function() is answer
    assert function(1, 2, x=3) is answer
    assert function(*range(20), **{"a": 1}) is answer
    assert list(map(function, [1, 2])) == [answer, answer]


def test_references_stay_level(bound):
    function, answer = bound
    before = sys.getrefcount(answer)
    for _ in range(1000):
        function()
    assert sys.getrefcount(answer) == before


@pytest.mark.parametrize("args", [(), (1,), (1, 2)])
def test_an_unbound_object_raises(args):
    for obj in (NativeBase(), Function(), Function.__new__(Function)):
        with pytest.raises(TypeError):
            obj(*args)
        with pytest.raises(TypeError):
            obj(*args, key=1)
        assert entry_address(obj) == 0


def test_unbinding_makes_calls_raise_and_frees_the_owner(emit):
    code, ctx, function = elf.load(emit(RETURNS_WORD)), table(None), Function()
    bind(function, code.address("entry"), ctypes.addressof(ctx), (code, ctx))
    assert function() is None
    dead = weakref.ref(code)
    del code
    assert dead() is not None
    unbind(function)
    assert dead() is None
    with pytest.raises(TypeError):
        function()
    unbind(function)


def test_the_owner_lives_as_long_as_the_object(emit):
    code, ctx, function = elf.load(emit(RETURNS_WORD)), table(None), Function()
    bind(function, code.address("entry"), ctypes.addressof(ctx), (code, ctx))
    dead = weakref.ref(code)
    del code
    gc.collect()
    assert function() is None and dead() is not None
    del function
    assert dead() is None


def test_the_owner_survives_until_the_end_of_a_collected_cycle(emit):
    code, ctx = elf.load(emit(RETURNS_WORD)), table(None)
    seen = []

    class Last:
        def __init__(self, function):
            self.function = function

        def __del__(self):
            seen.append(self.function())

    function = Function()
    bind(function, code.address("entry"), ctypes.addressof(ctx), (code, ctx))
    function.last = Last(function)
    dead = weakref.ref(code)
    del code, function
    gc.collect()
    assert seen == [None] and dead() is None


def test_binding_again_drops_the_old_owner(emit):
    code, function = elf.load(emit(RETURNS_WORD)), Function()
    for answer in ("one", "two"):
        ctx = table(answer)
        bind(function, code.address("entry"), ctypes.addressof(ctx), (code, ctx, answer))
        assert function() == answer


def test_an_ordinary_class(bound):
    function, _ = bound
    function.extra = 1
    assert weakref.ref(function)() is function and function.name == "f" and callable(function)
    assert "Function" in repr(function)


def test_copying_does_not_copy_addresses(bound):
    function, _ = bound
    with pytest.raises(TypeError):
        copy.copy(function)
    with pytest.raises(TypeError):
        pickle.dumps(function)


def test_wrong_uses_raise():
    with pytest.raises(TypeError, match="cannot bind a list"):
        bind([], 1, 1, None)
    with pytest.raises(ValueError, match="address of an entry"):
        bind(Function(), 0, 1, None)
    with pytest.raises(TypeError, match="not a subclass"):
        enable_vectorcall(int)

    class Hidden(NativeBase):
        def __call__(self):
            return 1

    with pytest.raises(TypeError, match="defines __call__"):
        enable_vectorcall(Hidden)
    assert Hidden()() == 1


def test_calls_take_the_vectorcall_slot(bound):
    assert Function.__flags__ & (1 << 11)

    @enable_vectorcall
    class Deeper(Function):
        pass

    assert Deeper.__flags__ & (1 << 11)
    assert pyobject("PyFloat_Type") == id(float)
