import ctypes
import gc
import random

import pytest

from symgraph.runtime import elf
from symgraph.runtime.elf import UnsupportedObject, load

PLAIN = """
define i64 @twice(i64 %x) {
  %y = add i64 %x, %x
  ret i64 %y
}
define i64 @four(i64 %x) {
  %y = call i64 @twice(i64 %x)
  %z = call i64 @twice(i64 %y)
  ret i64 %z
}
"""
CONSTANTS = """
@table = internal constant [4 x double] [double 1.5, double 2.5, double 3.5, double 4.5]
@mask = internal constant [64 x i8] zeroinitializer, align 64
define double @pick(i64 %i) {
  %p = getelementptr [4 x double], ptr @table, i64 0, i64 %i
  %v = load double, ptr %p
  %q = getelementptr i8, ptr @mask, i64 %i
  %b = load volatile i8, ptr %q
  %f = uitofp i8 %b to double
  %w = fadd double %v, %f
  ret double %w
}
define i64 @where() {
  %a = ptrtoint ptr @mask to i64
  ret i64 %a
}
"""
POINTERS = """
@functions = internal constant [2 x ptr] [ptr @one, ptr @two]
define i64 @one() {
  ret i64 1
}
define i64 @two() {
  ret i64 2
}
define i64 @choose(i64 %i) {
  %p = getelementptr [2 x ptr], ptr @functions, i64 0, i64 %i
  %f = load volatile ptr, ptr %p
  %r = call i64 %f()
  ret i64 %r
}
"""
EXTERNAL = """
declare double @fmod(double, double)
declare ptr @memset(ptr, i32, i64)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define double @rest(double %x, double %y) {
  %r = call double @fmod(double %x, double %y)
  %s = call double @fmod(double %r, double %y)
  ret double %s
}
define void @fill(ptr %p, i64 %n) {
  %r = call ptr @memset(ptr %p, i32 7, i64 %n)
  ret void
}
define void @copy(ptr %p, ptr %q, i64 %n) {
  call void @llvm.memcpy.p0.p0.i64(ptr %p, ptr %q, i64 %n, i1 false)
  ret void
}
define ptr @which() {
  ret ptr @fmod
}
"""
SWITCH = (
    "define i64 @sw(i64 %x) {\n  switch i64 %x, label %d ["
    + "".join(f"i64 {k}, label %l{k} " for k in range(12))
    + "]\nd:\n  ret i64 -1\n"
    + "".join(
        f"l{k}:\n  %v{k} = mul i64 %x, {3 * k + 1}\n  %w{k} = xor i64 %v{k}, {k * 7919 + 5}\n"
        f"  ret i64 %w{k}\n"
        for k in range(12)
    )
    + "}\n"
)

I64 = ctypes.c_int64


def call(code, name, result, *types):
    return ctypes.CFUNCTYPE(result, *types)(code.address(name))


def test_calls_inside_the_image(emit):
    code = load(emit(PLAIN))
    assert call(code, "four", I64, I64)(5) == 20
    assert set(code.symbols) == {"twice", "four"}
    with pytest.raises(KeyError):
        code.address("nothing")


def test_read_only_data_and_its_alignment(emit):
    code = load(emit(CONSTANTS))
    pick = call(code, "pick", ctypes.c_double, I64)
    assert [pick(k) for k in range(4)] == [1.5, 2.5, 3.5, 4.5]
    assert call(code, "where", I64)() % 64 == 0
    assert "table" not in code.symbols  # local


def test_tables_of_addresses(emit):
    code = load(emit(POINTERS))
    choose = call(code, "choose", I64, I64)
    assert [choose(0), choose(1)] == [1, 2]


def test_jump_tables(emit):
    code = load(emit(SWITCH))
    sw = call(code, "sw", I64, I64)
    assert [sw(k) for k in range(12)] == [(k * (3 * k + 1)) ^ (k * 7919 + 5) for k in range(12)]
    assert sw(99) == -1


def test_allowed_external_functions(emit):
    code = load(emit(EXTERNAL))
    double = ctypes.c_double
    assert call(code, "rest", double, double, double)(7.5, 2.0) == 1.5
    buffer, other = ctypes.create_string_buffer(100), ctypes.create_string_buffer(100)
    call(code, "fill", None, ctypes.c_void_p, I64)(ctypes.addressof(buffer), 99)
    call(code, "copy", None, ctypes.c_void_p, ctypes.c_void_p, I64)(
        ctypes.addressof(other), ctypes.addressof(buffer), 100
    )
    assert other.raw == b"\7" * 99 + b"\0"
    fmod = ctypes.cast(ctypes.CDLL(None).fmod, ctypes.c_void_p).value
    assert call(code, "which", ctypes.c_void_p)() == fmod


REFUSED = {
    "declare void @system()\ndefine void @f() {\n  call void @system()\n  ret void\n}":
        "undefined symbol 'system'",
    "@state = global i64 3\ndefine i64 @f() {\n  %v = load i64, ptr @state\n  ret i64 %v\n}":
        "writable",
    "@state = internal global i64 0\ndefine ptr @f() {\n  ret ptr @state\n}":
        "writable",
    "@t = thread_local global i64 3\ndefine ptr @f() {\n  ret ptr @t\n}":
        "thread-local",
    "@c = common global i64 0\ndefine ptr @f() {\n  ret ptr @c\n}":
        "no place",
    "@e = external global i64\ndefine ptr @f() {\n  ret ptr @e\n}":
        "undefined symbol 'e'",
}  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_what_is_not_understood_is_refused(emit, text, reason):
    with pytest.raises(UnsupportedObject, match=reason):
        load(emit(text))


def test_other_formats_are_refused(emit):
    blob = emit(PLAIN)
    wrong_machine = blob[:18] + b"\xb7\0" + blob[20:]
    shared = blob[:16] + b"\3\0" + blob[18:]
    for bad in (b"", b"\x7fELF", b"MZ" + bytes(200), bytes(64), wrong_machine, shared):
        with pytest.raises(UnsupportedObject):
            load(bad)


@pytest.mark.parametrize("text", [PLAIN, CONSTANTS, POINTERS, EXTERNAL], ids="pcxe")
def test_truncated_objects_are_refused(emit, text):
    blob = emit(text)
    for size in range(0, len(blob) - 1, 7):
        with pytest.raises(UnsupportedObject):
            load(blob[:size])


@pytest.mark.parametrize("text", [PLAIN, CONSTANTS, POINTERS, EXTERNAL], ids="pcxe")
def test_damaged_objects_load_or_are_refused(emit, text):
    blob, rng = emit(text), random.Random(7)
    for _ in range(600):
        damaged = bytearray(blob)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(blob))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        try:
            load(bytes(damaged))
        except UnsupportedObject:
            pass


def mappings():
    with open("/proc/self/maps") as file:
        return file.readlines()


def test_no_page_is_writable_and_executable(emit):
    codes = [load(emit(EXTERNAL)) for _ in range(5)]
    rights = {}
    for line in mappings():
        where, right = line.split()[:2]
        first, last = (int(end, 16) for end in where.split("-"))
        for code in codes:
            start = code.address("rest") & -4096
            for page in range(start, start + code.size, 4096):
                if first <= page < last:
                    rights.setdefault(page - start, set()).add(right)
    assert rights == {0: {"r-xp"}, 4096: {"r--p"}}


def test_memory_is_given_back(emit):
    keep = load(emit(CONSTANTS))
    before = len(mappings())
    many = [load(emit(CONSTANTS)) for _ in range(50)]
    assert len(mappings()) >= before + 50
    del many
    gc.collect()
    assert len(mappings()) <= before + 2
    assert call(keep, "pick", ctypes.c_double, I64)(1) == 2.5


def test_a_system_without_executable_memory(emit, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "mprotect")

    monkeypatch.setattr(elf, "_protect", refuse)
    with pytest.raises(UnsupportedObject, match="no executable memory"):
        load(emit(PLAIN))
