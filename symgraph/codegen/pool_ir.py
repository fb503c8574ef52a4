"""The output pool as LLVM IR: blocks of 256 KB and more survive the arrays that used them.

First touch of fresh pages costs more than most kernels, so freed blocks are kept in lists by size
class (four classes an octave) and handed out again. All functions take the address of a table of
64-bit words as their first argument: `STATE` names its words. The addresses of C functions come
through the table too, so that the object has no external symbol.

    start           bytes of the block, next block in the list, address of the data
    data - 16       class (-1: a small block, from malloc), address of the start
    data            start + 64 + colour, at a multiple of 64; the colour differs from block to
                    block, because data at equal offsets in its pages collides in the L1 cache

The signatures are those of NumPy's `PyDataMemAllocator` (numpy/ndarraytypes.h):
`pool_malloc(ctx, size)`, `pool_calloc(ctx, n, size)`, `pool_realloc(ctx, ptr, size)`,
`pool_free(ctx, ptr, size)`; and `pool_trim(ctx) -> bytes given back`.
"""

from __future__ import annotations

#: the words of the table, in order; `HEADS` is the first of the 256 list heads
STATE = (
    "lock",
    "kept",  # bytes in the lists
    "cap",  # kept above this: the lists are given back
    "hits",
    "misses",
    "live",  # bytes handed out and not yet freed
    "mmap",
    "munmap",
    "madvise",
    "malloc",
    "free",
    "memcpy",
    "memset",
    "yield",  # sched_yield
)
HEADS = 16
WORDS = HEADS + 256
POOL_FROM = 1 << 18  # bytes; smaller blocks are quicker from malloc
_ROOM = 4096  # of a block besides its data: head and colour (15 * 192 + 64 at most)
_HUGE_FROM = 1 << 21  # a huge page

_AT = {name: 8 * k for k, name in enumerate(STATE)}


def pool_module(target_triple_is_linux: bool = True) -> str:
    """The text of the pool's module. On Linux large blocks are mapped, with huge pages where they
    fit; elsewhere they come from malloc.

    >>> "@pool_malloc" in pool_module()
    True
    """
    blocks = _MAPPED if target_triple_is_linux else _FROM_MALLOC
    text = _COMMON + blocks + _ALLOCATE + _RELEASE + _RESIZE
    for name, offset in _AT.items():
        text = text.replace(f"${name}$", str(offset))
    for name, value in (("heads", 8 * HEADS), ("from", POOL_FROM), ("room", _ROOM)):
        text = text.replace(f"${name}$", str(value))
    return text.replace("$huge$", str(_HUGE_FROM)).replace("$in_huge$", str(_HUGE_FROM - 1))


_COMMON = """\
declare i64 @llvm.ctlz.i64(i64, i1)
declare {i64, i1} @llvm.umul.with.overflow.i64(i64, i64)

define internal ptr @word(ptr %ctx, i64 %offset) {
  %p = getelementptr i8, ptr %ctx, i64 %offset
  %w = load ptr, ptr %p
  ret ptr %w
}

define internal void @add_to(ptr %ctx, i64 %offset, i64 %n) {
  %p = getelementptr i8, ptr %ctx, i64 %offset
  %old = load i64, ptr %p
  %new = add i64 %old, %n
  store i64 %new, ptr %p
  ret void
}

; spins, because the guarded sections are a few instructions long; yields when the holder sleeps
define internal void @lock(ptr %ctx) {
start:
  br label %try
try:
  %n = phi i64 [0, %start], [%n2, %spin], [0, %give_way]
  %was = atomicrmw xchg ptr %ctx, i32 1 acquire
  %free = icmp eq i32 %was, 0
  br i1 %free, label %have, label %held
held:
  %n2 = add i64 %n, 1
  %long = icmp ugt i64 %n2, 200
  br i1 %long, label %give_way, label %spin
spin:
  br label %try
give_way:
  %yield = call ptr @word(ptr %ctx, i64 $yield$)
  %r = call i32 %yield()
  br label %try
have:
  ret void
}

define internal void @unlock(ptr %ctx) {
  store atomic i32 0, ptr %ctx release, align 8
  ret void
}
"""

_MAPPED = """
define internal ptr @block_new(ptr %ctx, i64 %bytes) {
  ; large blocks begin with a huge page, whose first touch costs no more than those of 30 small ones
  %large = icmp uge i64 %bytes, $huge$
  %spare = select i1 %large, i64 $huge$, i64 0
  %length = add i64 %bytes, %spare
  %mmap = call ptr @word(ptr %ctx, i64 $mmap$)
  %b = call ptr %mmap(ptr null, i64 %length, i32 3, i32 34, i32 -1, i64 0)
  %bi = ptrtoint ptr %b to i64
  %bad = icmp eq i64 %bi, -1
  br i1 %bad, label %none, label %got
none:
  ret ptr null
got:
  br i1 %large, label %huge, label %done
huge:
  %back = sub i64 0, %bi
  %before = and i64 %back, $in_huge$
  %after = sub i64 %spare, %before
  %h = getelementptr i8, ptr %b, i64 %before
  %e = getelementptr i8, ptr %h, i64 %bytes
  call void @unmap(ptr %ctx, ptr %b, i64 %before)
  call void @unmap(ptr %ctx, ptr %e, i64 %after)
  %madvise = call ptr @word(ptr %ctx, i64 $madvise$)
  %r = call i32 %madvise(ptr %h, i64 %bytes, i32 14)
  br label %done
done:
  %block = phi ptr [%b, %got], [%h, %huge]
  ret ptr %block
}

define internal void @unmap(ptr %ctx, ptr %b, i64 %bytes) {
  %some = icmp ne i64 %bytes, 0
  br i1 %some, label %give, label %done
give:
  call void @block_drop(ptr %ctx, ptr %b, i64 %bytes)
  br label %done
done:
  ret void
}

define internal void @block_drop(ptr %ctx, ptr %b, i64 %bytes) {
  %munmap = call ptr @word(ptr %ctx, i64 $munmap$)
  %r = call i32 %munmap(ptr %b, i64 %bytes)
  ret void
}
"""

_FROM_MALLOC = """
define internal ptr @block_new(ptr %ctx, i64 %bytes) {
  %malloc = call ptr @word(ptr %ctx, i64 $malloc$)
  %b = call ptr %malloc(i64 %bytes)
  ret ptr %b
}

define internal void @block_drop(ptr %ctx, ptr %b, i64 %bytes) {
  %free = call ptr @word(ptr %ctx, i64 $free$)
  call void %free(ptr %b)
  ret void
}
"""

# head of a block: 0 bytes, 8 next, 16 data; before the data: -16 class, -8 start; the data is at
# the first multiple of 64 from `at` on
_ALLOCATE = """
define internal ptr @block_open(ptr %b, i64 %bytes, i64 %class, i64 %at) {
  store i64 %bytes, ptr %b
  %dp = getelementptr i8, ptr %b, i64 16
  %bi = ptrtoint ptr %b to i64
  %above = add i64 %at, 63
  %di0 = add i64 %bi, %above
  %di = and i64 %di0, -64
  %d = inttoptr i64 %di to ptr
  store ptr %d, ptr %dp
  %cp = getelementptr i8, ptr %d, i64 -16
  store i64 %class, ptr %cp
  %sp = getelementptr i8, ptr %d, i64 -8
  store ptr %b, ptr %sp
  ret ptr %d
}

define internal ptr @small_new(ptr %ctx, i64 %size) {
  %bytes = add i64 %size, 128
  %malloc = call ptr @word(ptr %ctx, i64 $malloc$)
  %b = call ptr %malloc(i64 %bytes)
  %bad = icmp eq ptr %b, null
  br i1 %bad, label %none, label %got
none:
  ret ptr null
got:
  %d = call ptr @block_open(ptr %b, i64 %bytes, i64 -1, i64 64)
  ret ptr %d
}

define ptr @pool_malloc(ptr %ctx, i64 %size) {
  %small = icmp ult i64 %size, $from$
  br i1 %small, label %heap, label %check
heap:
  %h = call ptr @small_new(ptr %ctx, i64 %size)
  ret ptr %h
check:
  %absurd = icmp ugt i64 %size, 70368744177664
  br i1 %absurd, label %none, label %big
none:
  ret ptr null
big:
  %s0 = add i64 %size, $room$
  %s1 = sub i64 %s0, 1
  %lz = call i64 @llvm.ctlz.i64(i64 %s1, i1 true)
  %p = sub i64 63, %lz
  %p2 = sub i64 %p, 2
  %step = shl i64 1, %p2
  %mask = sub i64 %step, 1
  %r = add i64 %s0, %mask
  %keep = xor i64 %mask, -1
  %bytes = and i64 %r, %keep
  %m = lshr i64 %bytes, %p2
  %octave = shl i64 %p, 2
  %c1 = add i64 %octave, %m
  %class = sub i64 %c1, 4
  %heads = getelementptr i8, ptr %ctx, i64 $heads$
  %list = getelementptr ptr, ptr %heads, i64 %class
  call void @lock(ptr %ctx)
  call void @add_to(ptr %ctx, i64 $live$, i64 %bytes)
  %first = load ptr, ptr %list
  %empty = icmp eq ptr %first, null
  br i1 %empty, label %miss, label %hit
hit:
  %np = getelementptr i8, ptr %first, i64 8
  %next = load ptr, ptr %np
  store ptr %next, ptr %list
  %less = sub i64 0, %bytes
  call void @add_to(ptr %ctx, i64 $kept$, i64 %less)
  call void @add_to(ptr %ctx, i64 $hits$, i64 1)
  call void @unlock(ptr %ctx)
  %dp = getelementptr i8, ptr %first, i64 16
  %d = load ptr, ptr %dp
  ret ptr %d
miss:
  %mp = getelementptr i8, ptr %ctx, i64 $misses$
  %count = load i64, ptr %mp
  call void @add_to(ptr %ctx, i64 $misses$, i64 1)
  call void @unlock(ptr %ctx)
  %b = call ptr @block_new(ptr %ctx, i64 %bytes)
  %bad = icmp eq ptr %b, null
  br i1 %bad, label %retry, label %open
retry:
  %freed = call i64 @pool_trim(ptr %ctx)
  %b2 = call ptr @block_new(ptr %ctx, i64 %bytes)
  %bad2 = icmp eq ptr %b2, null
  br i1 %bad2, label %fail, label %open
fail:
  %back = sub i64 0, %bytes
  call void @lock(ptr %ctx)
  call void @add_to(ptr %ctx, i64 $live$, i64 %back)
  call void @unlock(ptr %ctx)
  ret ptr null
open:
  %block = phi ptr [%b, %miss], [%b2, %retry]
  %turn = and i64 %count, 15
  %colour = mul i64 %turn, 192
  %at = add i64 %colour, 64
  %fresh = call ptr @block_open(ptr %block, i64 %bytes, i64 %class, i64 %at)
  ret ptr %fresh
}
"""

_RELEASE = """
define void @pool_free(ptr %ctx, ptr %d, i64 %size) {
  %nothing = icmp eq ptr %d, null
  br i1 %nothing, label %out, label %go
go:
  %cp = getelementptr i8, ptr %d, i64 -16
  %class = load i64, ptr %cp
  %sp = getelementptr i8, ptr %d, i64 -8
  %b = load ptr, ptr %sp
  %small = icmp slt i64 %class, 0
  br i1 %small, label %heap, label %big
heap:
  %free = call ptr @word(ptr %ctx, i64 $free$)
  call void %free(ptr %b)
  ret void
big:
  %bytes = load i64, ptr %b
  %less = sub i64 0, %bytes
  %kp = getelementptr i8, ptr %ctx, i64 $kept$
  %lp = getelementptr i8, ptr %ctx, i64 $cap$
  call void @lock(ptr %ctx)
  call void @add_to(ptr %ctx, i64 $live$, i64 %less)
  %kept = load i64, ptr %kp
  %sum = add i64 %kept, %bytes
  %cap = load i64, ptr %lp
  %over = icmp ugt i64 %sum, %cap
  br i1 %over, label %full, label %keep
full:
  call void @unlock(ptr %ctx)
  %never = icmp ugt i64 %bytes, %cap
  br i1 %never, label %drop, label %room
drop:
  call void @block_drop(ptr %ctx, ptr %b, i64 %bytes)
  ret void
room:
  ; what lies in the lists was not asked for lately: sizes have changed
  %freed = call i64 @pool_trim(ptr %ctx)
  call void @lock(ptr %ctx)
  br label %keep
keep:
  call void @add_to(ptr %ctx, i64 $kept$, i64 %bytes)
  %heads = getelementptr i8, ptr %ctx, i64 $heads$
  %list = getelementptr ptr, ptr %heads, i64 %class
  %first = load ptr, ptr %list
  %np = getelementptr i8, ptr %b, i64 8
  store ptr %first, ptr %np
  store ptr %b, ptr %list
  call void @unlock(ptr %ctx)
  br label %out
out:
  ret void
}

; gives every kept block back; a list is taken under the lock and unmapped outside of it
define i64 @pool_trim(ptr %ctx) {
start:
  %heads = getelementptr i8, ptr %ctx, i64 $heads$
  br label %class
class:
  %c = phi i64 [0, %start], [%c2, %next_class]
  %freed = phi i64 [0, %start], [%freed2, %next_class]
  %list = getelementptr ptr, ptr %heads, i64 %c
  call void @lock(ptr %ctx)
  %first = load ptr, ptr %list
  store ptr null, ptr %list
  call void @unlock(ptr %ctx)
  br label %blocks
blocks:
  %b = phi ptr [%first, %class], [%next, %drop]
  %sum = phi i64 [0, %class], [%sum2, %drop]
  %end = icmp eq ptr %b, null
  br i1 %end, label %account, label %drop
drop:
  %bytes = load i64, ptr %b
  %np = getelementptr i8, ptr %b, i64 8
  %next = load ptr, ptr %np
  call void @block_drop(ptr %ctx, ptr %b, i64 %bytes)
  %sum2 = add i64 %sum, %bytes
  br label %blocks
account:
  %none = icmp eq i64 %sum, 0
  br i1 %none, label %next_class, label %subtract
subtract:
  %less = sub i64 0, %sum
  call void @lock(ptr %ctx)
  call void @add_to(ptr %ctx, i64 $kept$, i64 %less)
  call void @unlock(ptr %ctx)
  br label %next_class
next_class:
  %freed2 = add i64 %freed, %sum
  %c2 = add i64 %c, 1
  %more = icmp ult i64 %c2, 256
  br i1 %more, label %class, label %done
done:
  ret i64 %freed2
}
"""

_RESIZE = """
define ptr @pool_calloc(ptr %ctx, i64 %n, i64 %size) {
  %w = call {i64, i1} @llvm.umul.with.overflow.i64(i64 %n, i64 %size)
  %wide = extractvalue {i64, i1} %w, 1
  br i1 %wide, label %none, label %fits
fits:
  %bytes = extractvalue {i64, i1} %w, 0
  %d = call ptr @pool_malloc(ptr %ctx, i64 %bytes)
  %bad = icmp eq ptr %d, null
  br i1 %bad, label %none, label %clear
clear:
  %memset = call ptr @word(ptr %ctx, i64 $memset$)
  %r = call ptr %memset(ptr %d, i32 0, i64 %bytes)
  ret ptr %d
none:
  ret ptr null
}

define ptr @pool_realloc(ptr %ctx, ptr %old, i64 %size) {
  %fresh = icmp eq ptr %old, null
  br i1 %fresh, label %new, label %have
new:
  %d0 = call ptr @pool_malloc(ptr %ctx, i64 %size)
  ret ptr %d0
have:
  %sp = getelementptr i8, ptr %old, i64 -8
  %b = load ptr, ptr %sp
  %bytes = load i64, ptr %b
  %bi = ptrtoint ptr %b to i64
  %di = ptrtoint ptr %old to i64
  %head = sub i64 %di, %bi
  %capacity = sub i64 %bytes, %head
  %fits = icmp ule i64 %size, %capacity
  %half = lshr i64 %capacity, 1
  %used = icmp uge i64 %size, %half
  %stay = and i1 %fits, %used
  br i1 %stay, label %same, label %move
same:
  ret ptr %old
move:
  %d = call ptr @pool_malloc(ptr %ctx, i64 %size)
  %bad = icmp eq ptr %d, null
  br i1 %bad, label %out, label %copy
copy:
  %n = select i1 %fits, i64 %size, i64 %capacity
  %memcpy = call ptr @word(ptr %ctx, i64 $memcpy$)
  %r = call ptr %memcpy(ptr %d, ptr %old, i64 %n)
  call void @pool_free(ptr %ctx, ptr %old, i64 0)
  br label %out
out:
  ret ptr %d
}
"""
