"""Where the workers of the thread team run, as LLVM IR: on any processor but the caller's.

Linux puts a thread that is woken where it ran before or beside the one that wakes it, and where
processors were busy lately it looks for no idle one. Then caller and worker take turns on one
processor while another idles, until a tick of the clock moves one of them, 4 ms or more (a 3x3
convolution on two processors: 13 ms in the place of 6.5). So a caller that is on another processor
than at the last time takes that one from the workers' masks, and gives them all others of its own
mask. A caller with a single processor changes nothing, nor does one of a large team: the more
processors there are, the less often two threads meet.

    aside(state)         workers go elsewhere, if they might be on the caller's processor
    registered(state)    the calling worker tells its number to those who move it
"""

from __future__ import annotations

KNOWN = 16  # workers that are told; a team with more is left alone

# system calls: sched_setaffinity, sched_getaffinity, gettid
CALLS = {"x86_64": (203, 204, 186), "aarch64": (122, 123, 178)}

TEXT = """
define internal void @aside(ptr %state) {
start:
  %mask = alloca [1024 x i8], align 16
  %known = getelementptr i8, ptr %state, i64 $registered$
  %workers = load atomic i32, ptr %known acquire, align 4
  %getcpu = call ptr @word(ptr %state, i64 $sched_getcpu$)
  %missing = icmp eq ptr %getcpu, null
  %many = icmp ugt i32 %workers, $known$
  %no = or i1 %missing, %many
  br i1 %no, label %done, label %ask
ask:
  %cpu = call i32 %getcpu()
  %place = add i32 %cpu, 1
  %p_avoided = getelementptr i8, ptr %state, i64 $avoided$
  %avoided = load atomic i32, ptr %p_avoided monotonic, align 4
  %same = icmp eq i32 %place, %avoided
  %strange = icmp uge i32 %cpu, 8192
  %leave = or i1 %same, %strange
  br i1 %leave, label %done, label %read
read:
  store atomic i32 %place, ptr %p_avoided monotonic, align 4
  %f = call ptr @word(ptr %state, i64 $syscall$)
  %bytes = call i64 (i64, ...) %f(i64 $getaffinity$, i64 0, i64 1024, ptr %mask)
  %byte = lshr i32 %cpu, 3
  %byte64 = zext i32 %byte to i64
  %within = icmp slt i64 %byte64, %bytes
  br i1 %within, label %clear, label %done
clear:
  %p_byte = getelementptr i8, ptr %mask, i64 %byte64
  %bits = load i8, ptr %p_byte
  %low = and i32 %cpu, 7
  %low8 = trunc i32 %low to i8
  %bit = shl i8 1, %low8
  %others = xor i8 %bit, -1
  %rest = and i8 %bits, %others
  store i8 %rest, ptr %p_byte
  br label %tell
tell:
  %k = phi i32 [0, %clear], [%k2, %on]
  %more = icmp ult i32 %k, %workers
  br i1 %more, label %one, label %done
one:
  %k64 = zext i32 %k to i64
  %off = mul i64 %k64, 4
  %at = add i64 %off, $tids$
  %p_tid = getelementptr i8, ptr %state, i64 %at
  %tid = load atomic i32, ptr %p_tid monotonic, align 4
  %unknown = icmp eq i32 %tid, 0
  br i1 %unknown, label %on, label %set
set:
  %tid64 = zext i32 %tid to i64
  %r = call i64 (i64, ...) %f(i64 $setaffinity$, i64 %tid64, i64 %bytes, ptr %mask)
  br label %on
on:
  %k2 = add i32 %k, 1
  br label %tell
done:
  ret void
}

; the next caller moves all workers again, this one too
define internal void @registered(ptr %state) {
start:
  %known = getelementptr i8, ptr %state, i64 $registered$
  %k = atomicrmw add ptr %known, i32 1 acq_rel
  %fits = icmp ult i32 %k, $known$
  br i1 %fits, label %put, label %done
put:
  %f = call ptr @word(ptr %state, i64 $syscall$)
  %tid = call i64 (i64, ...) %f(i64 $gettid$)
  %tid32 = trunc i64 %tid to i32
  %k64 = zext i32 %k to i64
  %off = mul i64 %k64, 4
  %at = add i64 %off, $tids$
  %p_tid = getelementptr i8, ptr %state, i64 %at
  store atomic i32 %tid32, ptr %p_tid monotonic, align 4
  %p_avoided = getelementptr i8, ptr %state, i64 $avoided$
  store atomic i32 0, ptr %p_avoided release, align 4
  br label %done
done:
  ret void
}
"""


def placement(machine: str) -> str:
    """The text for a machine of `CALLS`, but for the offsets of the state."""
    numbers = zip(("setaffinity", "getaffinity", "gettid"), CALLS[machine], strict=True)
    text = TEXT.replace("$known$", str(KNOWN))
    for name, number in numbers:
        text = text.replace(f"${name}$", str(number))
    return text
