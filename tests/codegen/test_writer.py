"""The LLVM text writer, its literals, and what LLVM makes of them."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading

import numpy as np
import pytest

from symgraph.codegen import libllvm, llvm
from symgraph.codegen.literals import constant, constants, literal_int
from symgraph.codegen.writer import FunctionWriter, ModuleWriter
from symgraph.errors import TargetError, VerifyError
from symgraph.runtime import elf


def _run(module: ModuleWriter, name: str, *args: int) -> int:
    """Call a function of int64 arguments and result."""
    loaded = elf.load(llvm.compile_object(module.text()))
    kinds = [ctypes.c_int64] * (len(args) + 1)
    return ctypes.CFUNCTYPE(*kinds)(loaded.address(name))(*args)


def _function(*names: str) -> tuple[ModuleWriter, FunctionWriter]:
    module = ModuleWriter()
    return module, module.function("f", [("i64", n, "") for n in names], "i64")


# values and scopes --------------------------------------------------------------------------------


def test_values_made_in_a_loop_are_not_used_after_it():
    module, fn = _function("n")
    before = fn.val("mul i64 %n, 3")
    inner = []

    def body(i, carried):
        assert fn.val("mul i64 %n, 3") == before  # what was made before is seen inside
        inner.append(fn.val("add i64 %n, 7"))
        return [fn.val(f"add i64 {carried[0]}, {inner[0]}")]

    (total,) = fn.loop(0, "%n", 1, [("i64", "0")], body)
    after = fn.val("add i64 %n, 7")
    assert after != inner[0]
    fn.ret("i64", fn.val(f"add i64 {total}, {after}"))
    assert _run(module, "f", 4) == 4 * 11 + 11
    assert _run(module, "f", 0) == 7


def test_values_of_a_branch_are_not_used_after_it():
    module, fn = _function("n")
    made = []
    cond = fn.val("icmp sgt i64 %n, 10")
    (y,) = fn.if_(
        cond,
        lambda: made.append(fn.val("mul i64 %n, 2")) or [made[0]],
        lambda: made.append(fn.val("mul i64 %n, 2")) or ["-1"],
        ["i64"],
    )
    made.append(fn.val("mul i64 %n, 2"))
    assert len(set(made)) == 3
    fn.ret("i64", fn.val(f"sub i64 {y}, {made[2]}"))
    assert _run(module, "f", 20) == 0
    assert _run(module, "f", 5) == -11


def test_fresh_values_are_never_shared():
    fn = FunctionWriter("f", [("ptr", "p", "")])
    assert fn.fresh("load i64, ptr %p") != fn.fresh("load i64, ptr %p")


# control ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", (False, True))
@pytest.mark.parametrize(
    "bounds", [(0, 0, 1), (0, 1, 1), (0, 10, 3), (5, 2, 1), (10, 0, -3), (-4, 4, 4)]
)
def test_loop_counts_like_range(bounds, known):
    start, stop, step = bounds
    module, fn = _function("start", "stop")
    ends = (start, stop) if known else ("%start", "%stop")
    total, last = fn.loop(
        *ends, step, [("i64", "0"), ("i64", "-99")],
        lambda i, c: [fn.val(f"add i64 {fn.val(f'mul i64 {c[0]}, 100')}, {i}"), i],
    )  # fmt: skip
    fn.ret("i64", fn.val(f"xor i64 {total}, {last}"))
    wanted, last_wanted = 0, -99
    for i in range(start, stop, step):
        wanted, last_wanted = wanted * 100 + i, i
    assert _run(module, "f", start, stop) == wanted ^ last_wanted


def test_loop_without_turns_or_with_one_is_no_loop():
    for stop in (0, 1):
        module, fn = _function()
        (x,) = fn.loop(0, stop, 1, [("i64", "7")], lambda i, c: [fn.val(f"add i64 {c[0]}, {i}")])
        fn.ret("i64", x)
        assert "br " not in module.text()
        assert _run(module, "f") == 7


def test_nested_loops_with_branches_inside():
    module, fn = _function("n", "m")

    def inner(i, j, carried):
        even = fn.val(f"icmp eq i64 {fn.val(f'and i64 {j}, 1')}, 0")
        return fn.if_(
            even,
            lambda: [fn.val(f"add i64 {carried[0]}, {fn.val(f'mul i64 {i}, {j}')}")],
            lambda: [fn.val(f"sub i64 {carried[0]}, 1")],
            ["i64"],
        )

    def outer(i, carried):
        return fn.loop(0, "%m", 1, [("i64", carried[0])], lambda j, c: inner(i, j, c))

    (total,) = fn.loop(0, "%n", 1, [("i64", "0")], outer)
    fn.ret("i64", total)
    wanted = sum(i * j if j % 2 == 0 else -1 for i in range(5) for j in range(6))
    assert _run(module, "f", 5, 6) == wanted
    assert _run(module, "f", 5, 0) == 0


def test_while_tests_first():
    """Greatest common divisor by Euclid."""
    module, fn = _function("a", "b")
    a, _ = fn.while_(
        [("i64", "%a"), ("i64", "%b")],
        lambda v: fn.val(f"icmp ne i64 {v[1]}, 0"),
        lambda v: [v[1], fn.val(f"urem i64 {v[0]}, {v[1]}")],
    )
    fn.ret("i64", a)
    assert _run(module, "f", 84, 36) == 12
    assert _run(module, "f", 7, 0) == 7


def test_an_arm_may_return():
    module, fn = _function("n")
    fn.if_(fn.val("icmp slt i64 %n, 0"), lambda: fn.ret("i64", "-1"))
    fn.ret("i64", "%n")
    assert _run(module, "f", -5) == -1
    assert _run(module, "f", 5) == 5


def test_slots_stand_in_the_entry_block():
    module, fn = _function("n")

    def body(i, _):
        at = fn.slot("i64", 4)
        fn.raw(f"store i64 {i}, ptr {at}")
        return [fn.fresh(f"load i64, ptr {at}")]

    (x,) = fn.loop(0, "%n", 1, [("i64", "3")], body)
    fn.ret("i64", x)
    assert module.text().splitlines()[2].strip() == "%s0 = alloca [4 x i64], align 64"
    assert _run(module, "f", 9) == 8


def test_misuse_is_refused():
    fn = FunctionWriter("f", [], "i64")
    with pytest.raises(ValueError, match="not closed"):
        fn.text()
    with pytest.raises(ValueError, match="needs both arms"):
        fn.if_("true", lambda: ["1"], types=["i64"])
    with pytest.raises(ValueError, match="not closed before next"):
        fn.block("next")
    fn.ret("i64", "1")
    with pytest.raises(ValueError, match="closed twice"):
        fn.ret("i64", "2")
    module = ModuleWriter()
    module.add(fn)
    with pytest.raises(ValueError, match="function f already"):
        module.function("f", [])
    module.global_("g", "internal constant i8 1")
    with pytest.raises(ValueError, match="another global g"):
        module.global_("g", "internal constant i8 2")


# modules ------------------------------------------------------------------------------------------


def _sample_module() -> ModuleWriter:
    module = ModuleWriter()
    fn = module.function("area", [("double", "r", "")], "double")
    words = [("double", word) for word in ("%r", "%r", "0.0")]
    square = fn.call("double", "llvm.fma.f64", words)
    table = module.constant("[2 x double]", "[double 3.0, double 4.0]")
    assert module.constant("[2 x double]", "[double 3.0, double 4.0]") == table
    pi = fn.fresh(f"load double, ptr {table}")
    fn.if_(fn.val(f"fcmp olt double {pi}, 1.0"), lambda: None, likely=False)
    fn.ret("double", fn.val(f"fmul double {square}, {pi}"))
    return module


def test_text_of_a_module():
    assert (
        _sample_module().text()
        == """\
@k0 = internal unnamed_addr constant [2 x double] [double 3.0, double 4.0], align 64

declare double @llvm.fma.f64(double, double, double)

define double @area(double %r) {
entry:
  %v1 = call double @llvm.fma.f64(double %r, double %r, double 0.0)
  %v2 = load double, ptr @k0
  %v3 = fcmp olt double %v2, 1.0
  br i1 %v3, label %then1, label %end2, !prof !0
then1:
  br label %end2
end2:
  %v4 = fmul double %v1, %v2
  ret double %v4
}

!0 = !{!"branch_weights", i32 1, i32 100000}
"""
    )


def test_the_same_program_gives_the_same_text():
    assert _sample_module().text() == _sample_module().text()


def test_literals():
    assert constant("float32", 1, 0.1) == "0x3FB99999A0000000"  # rounded to float32 first
    assert constant("float32", 1, 1e300) == constant("float32", 1, np.inf) == "0x7FF0000000000000"
    assert constant("float64", 1, -0.0) == "0x8000000000000000"
    assert constant("uint8", 2, 200) == "splat (i8 -56)"
    assert constants("bool", [True, False]) == "<i1 true, i1 false>"
    for value in (0, 5, -7, 2**62):
        assert literal_int(constant("int64", 1, value)) == value
        assert literal_int(constant("int64", 8, value)) == value
    assert literal_int(constant("float64", 8, 2.0)) is None


# LLVM ---------------------------------------------------------------------------------------------


def test_errors_quote_the_line_and_the_function():
    text = "define i64 @first() {\n  ret i64 1\n}\ndefine i64 @second() {\n  ret i32 1\n}\n"
    with pytest.raises(VerifyError, match=r"line 5 in @second: .*: ret i32 1"):
        llvm.compile_object(text)


def test_a_processor_without_fma_is_refused(monkeypatch):
    plain = llvm.host()._replace(cpu="antique", has_fma=False)
    monkeypatch.setattr(llvm, "_host", plain)
    monkeypatch.setattr(llvm, "_idle", {})  # no machine is left from before
    with pytest.raises(TargetError, match="antique has no fused multiply-add"):
        llvm.compile_object("define void @f() {\n  ret void\n}")


def test_orc_loads_what_we_compile():
    data = llvm.compile_object("define i64 @f() {\n  ret i64 42\n}")
    results = []

    def load() -> None:  # in a thread that has compiled nothing yet
        library = llvm.load_orc(data, ["f"])
        results.append(ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("f"))())

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(60)
    assert results == [42]


def test_threads_compile_at_the_same_time():
    results = []

    def work(k: int) -> None:
        module, fn = _function("n")
        fn.ret("i64", fn.val(f"add i64 %n, {k}"))
        results.append(_run(module, "f", 100) - k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [100] * 4


def test_host_and_its_fingerprint():
    target = llvm.host()
    assert target.vector_bits in (128, 256, 512)
    assert target.has_fma
    assert len(llvm.host_fingerprint()) == 32
    assert llvm.host_fingerprint() == llvm.host_fingerprint()


def test_fingerprint_and_remembered_host_do_without_llvmlite():
    code = f"""
import sys
from symgraph.codegen import libllvm, llvm
assert llvm.host_fingerprint() == {llvm.host_fingerprint()!r}
llvm.remember_host(llvm.HostTarget(*{tuple(llvm.host())!r}))
assert llvm.host().vector_bits
assert "llvmlite" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_library_is_called_as_llvmlite_calls_it():
    """Functions that we call without llvmlite's Python half have the types that it gives them."""

    import llvmlite.binding.context
    import llvmlite.binding.ffi

    def plain(kind):
        """A pointer to one of LLVM's own types is an address; a flag may be an int or a bool."""
        own = isinstance(kind, type) and issubclass(kind, ctypes._Pointer) and issubclass(
            kind._type_, ctypes.Structure)  # fmt: skip
        return ctypes.c_void_p if own else kind

    for name, (result, arguments) in libllvm.FUNCTIONS.items():
        theirs = getattr(llvmlite.binding.ffi.lib, "LLVMPY_" + name)
        if theirs.argtypes is not None:
            assert [plain(a) for a in theirs.argtypes] == arguments, name
        if result is not None:
            assert plain(theirs.restype) is result, name


def test_host_is_what_llvmlite_says():
    import llvmlite.binding as binding

    target = llvm.host()
    assert target.triple == binding.get_process_triple()
    assert target.cpu == binding.get_host_cpu_name()
    assert target.features == binding.get_host_cpu_features().flatten()
    assert target.llvm == ".".join(map(str, binding.llvm_version_info))


def test_several_modules_are_compiled_at_once(monkeypatch):
    monkeypatch.setattr(llvm, "SHARED_FROM", 0)
    monkeypatch.setattr(llvm, "processors", lambda: 3)
    texts = {f"f{k}": (f"define i64 @f() {{\n  ret i64 {k}\n}}", k % 3) for k in range(8)}
    found = llvm.compile_objects(texts)
    assert list(found) == list(texts)
    assert all(found[n] == llvm.compile_object(*texts[n]) for n in texts)
    with pytest.raises(VerifyError, match="LLVM refuses"):
        llvm.compile_objects({**texts, "bad": ("define i64 @f() {\n  ret i32 1\n}", 0)})
