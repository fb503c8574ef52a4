import ctypes
import pickle

import numpy as np
import pytest

from symgraph.runtime import abi


def test_the_layout_verifies_here():
    assert abi.verify_layout() and abi.native_entry_usable()


@pytest.mark.parametrize("name", ["A_DATA", "A_ND", "A_DIMS", "A_STRIDES", "A_DESCR", "A_FLAGS"])
def test_a_wrong_offset_is_noticed(monkeypatch, name):
    # four bytes off reads neighbours, never memory that is not there
    monkeypatch.setattr(abi, name, abi.A_BASE if name != "A_ND" else abi.A_FLAGS)
    if name in ("A_DIMS", "A_STRIDES"):
        monkeypatch.setattr(abi, "_words", lambda address, count: (address,) * count)
    assert not abi.verify_layout()


def test_an_error_while_verifying_means_unusable(monkeypatch):
    def broken():
        raise RuntimeError

    monkeypatch.setattr(abi, "verify_layout", broken)
    abi.native_entry_usable.cache_clear()
    try:
        assert abi.native_entry_usable() is False
    finally:
        abi.native_entry_usable.cache_clear()


ALL = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]


@pytest.mark.parametrize("code", ALL)
def test_descr_word_is_what_lies_in_memory(code):
    dt = np.dtype(code)
    assert abi.read_word(id(dt) + abi.D_KIND) & abi.DESCR_MASK == abi.descr_word(code)


def test_descr_words_tell_dtypes_apart():
    assert len({abi.descr_word(code) for code in ALL}) == len(ALL)
    assert abi.descr_word(">f8") != abi.descr_word("<f8")


def test_descr_word_of_unpickled_arrays():
    array = pickle.loads(pickle.dumps(np.arange(3.0)))
    assert abi.read_word(id(array.dtype) + abi.D_KIND) & abi.DESCR_MASK == abi.descr_word("f8")


def test_addresses():
    assert abi.pyobject("PyFloat_Type") == id(float)
    assert abi.numpy_address("PyArray_Type") == id(np.ndarray)
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_ssize_t)(abi.pyaddr("PyTuple_New"))
    assert new(0) == ()
    with pytest.raises(AttributeError):
        abi.pyaddr("PyNothing_AtAll")
    with pytest.raises(KeyError):
        abi.numpy_address("PyArray_Nothing")
