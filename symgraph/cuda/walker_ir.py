"""The native code that goes through a program's steps: a walker over a tape of 64-bit words.

    walk(context, tape, begin, end) -> i32     0, an error's number of the driver, STOPPED, RAISED

The tape holds instructions one after another, each `code, length in words, ...`:

    LAUNCH  function blocks threads bytes addresses words | slot* | value* | pointer*
    COPY    target source bytes
    LOOP    turns flag rows finals | row* | final* | body ...
    BRANCH  pred words_of_then | then ... | otherwise ...
    HOST    number
    CALL    function patches | (word slot offset)* | 16 words

A slot is a place in the table of addresses. `value*` are a kernel's arguments, of which the first
`addresses` are filled from the table at each launch, and `pointer*` the addresses of the values, as
cuLaunchKernel takes them; `bytes` of shared memory are asked for beside the kernel's own. A row is
`slot base start step modulo each first`: before turn t of a loop the slot becomes the address
`base + each * ((start + step * t) mod modulo)`, at t = 0 that of `first` unless this is -1. A
final is `target bytes` and the last six of those, and is copied when the loop has ended. A flag
(-1: none) and a pred are bytes on the device, which are read before each turn and before the arms.
HOST calls Python; CALL any C function with words, of which some become addresses, each
one of the table and an offset.

With a `status` (a 32-bit word on the device) in the context, whatever waits reads that too, and
stops the walk where it is not 0: flags have not been computed then.

The text has no symbols of others: the driver's functions are in the context.
"""

from __future__ import annotations

LAUNCH, COPY, LOOP, BRANCH, HOST, CALL = 1, 2, 3, 4, 5, 6
STOPPED, RAISED = -1, -2
ROW, FINAL, WORDS = 7, 8, 16

#: words of the context
CONTEXT = (
    "where", "stream", "cuLaunchKernel", "cuMemcpyDtoDAsync_v2", "cuMemcpyDtoHAsync_v2",
    "cuStreamSynchronize", "python", "pinned", "status", "failed",
)  # fmt: skip


def walker_module() -> str:
    """The text of the walker's module.

    >>> "define i32 @walk(" in walker_module()
    True
    """
    text = _TEXT
    for k, name in enumerate(CONTEXT):
        text = text.replace(f"${name}$", str(k))
    words = ", ".join(f"i64 %w{k}" for k in range(WORDS))
    loads = "\n".join(
        f"  %w{k} = call i64 @number(ptr %words, i64 {k})" for k in range(WORDS)
    )  # fmt: skip
    return text.replace("$loads$", loads).replace("$words$", words)


_TEXT = """\
define internal i64 @number(ptr %p, i64 %k) alwaysinline {
  %at = getelementptr i64, ptr %p, i64 %k
  %v = load i64, ptr %at
  ret i64 %v
}

define internal ptr @pointer(ptr %p, i64 %k) alwaysinline {
  %at = getelementptr i64, ptr %p, i64 %k
  %v = load ptr, ptr %at
  ret ptr %v
}

define internal i32 @launch(ptr %context, ptr %p) {
start:
  %where = call ptr @pointer(ptr %context, i64 $where$)
  %stream = call ptr @pointer(ptr %context, i64 $stream$)
  %call = call ptr @pointer(ptr %context, i64 $cuLaunchKernel$)
  %function = call ptr @pointer(ptr %p, i64 2)
  %blocks64 = call i64 @number(ptr %p, i64 3)
  %threads64 = call i64 @number(ptr %p, i64 4)
  %bytes64 = call i64 @number(ptr %p, i64 5)
  %addresses = call i64 @number(ptr %p, i64 6)
  %words = call i64 @number(ptr %p, i64 7)
  %blocks = trunc i64 %blocks64 to i32
  %threads = trunc i64 %threads64 to i32
  %bytes = trunc i64 %bytes64 to i32
  %slots = getelementptr i64, ptr %p, i64 8
  %values = getelementptr i64, ptr %slots, i64 %addresses
  %params = getelementptr i64, ptr %values, i64 %words
  br label %head
head:
  %k = phi i64 [0, %start], [%k2, %fill]
  %more = icmp slt i64 %k, %addresses
  br i1 %more, label %fill, label %go
fill:
  %slot = call i64 @number(ptr %slots, i64 %k)
  %address = call i64 @number(ptr %where, i64 %slot)
  %place = getelementptr i64, ptr %values, i64 %k
  store i64 %address, ptr %place
  %k2 = add i64 %k, 1
  br label %head
go:
  %r = call i32 %call(ptr %function, i32 %blocks, i32 1, i32 1, i32 %threads, i32 1, i32 1,
                      i32 %bytes, ptr %stream, ptr %params, ptr null)
  ret i32 %r
}

define internal i32 @copy(ptr %context, i64 %target, i64 %source, i64 %bytes) {
  %same = icmp eq i64 %target, %source
  %none = icmp eq i64 %bytes, 0
  %nothing = or i1 %same, %none
  br i1 %nothing, label %done, label %go
done:
  ret i32 0
go:
  %stream = call ptr @pointer(ptr %context, i64 $stream$)
  %call = call ptr @pointer(ptr %context, i64 $cuMemcpyDtoDAsync_v2$)
  %r = call i32 %call(i64 %target, i64 %source, i64 %bytes, ptr %stream)
  ret i32 %r
}

; a byte of the device, into the first word of pinned memory; the status into the second
define internal i32 @look(ptr %context, i64 %slot) {
  %where = call ptr @pointer(ptr %context, i64 $where$)
  %stream = call ptr @pointer(ptr %context, i64 $stream$)
  %read = call ptr @pointer(ptr %context, i64 $cuMemcpyDtoHAsync_v2$)
  %wait = call ptr @pointer(ptr %context, i64 $cuStreamSynchronize$)
  %pinned = call ptr @pointer(ptr %context, i64 $pinned$)
  %status = call i64 @number(ptr %context, i64 $status$)
  %second = getelementptr i64, ptr %pinned, i64 1
  store i64 0, ptr %pinned
  store i64 0, ptr %second
  %source = call i64 @number(ptr %where, i64 %slot)
  %a = call i32 %read(ptr %pinned, i64 %source, i64 1, ptr %stream)
  %fine = icmp eq i32 %a, 0
  br i1 %fine, label %next, label %failed
failed:
  ret i32 %a
next:
  %plain = icmp eq i64 %status, 0
  br i1 %plain, label %meet, label %also
also:
  %b = call i32 %read(ptr %second, i64 %status, i64 4, ptr %stream)
  %good = icmp eq i32 %b, 0
  br i1 %good, label %meet, label %failed2
failed2:
  ret i32 %b
meet:
  %c = call i32 %wait(ptr %stream)
  %well = icmp eq i32 %c, 0
  br i1 %well, label %see, label %failed3
failed3:
  ret i32 %c
see:
  %stop = call i64 @number(ptr %pinned, i64 1)
  %on = icmp eq i64 %stop, 0
  %r = select i1 %on, i32 0, i32 -1
  ret i32 %r
}

; base start step modulo each first
define internal i64 @row(ptr %where, ptr %r, i64 %t) {
  %first = call i64 @number(ptr %r, i64 5)
  %begins = icmp eq i64 %t, 0
  %has = icmp sge i64 %first, 0
  %use = and i1 %begins, %has
  br i1 %use, label %other, label %count
other:
  %given = call i64 @number(ptr %where, i64 %first)
  ret i64 %given
count:
  %slot = call i64 @number(ptr %r, i64 0)
  %start = call i64 @number(ptr %r, i64 1)
  %step = call i64 @number(ptr %r, i64 2)
  %modulo = call i64 @number(ptr %r, i64 3)
  %each = call i64 @number(ptr %r, i64 4)
  %base = call i64 @number(ptr %where, i64 %slot)
  %far = mul i64 %step, %t
  %k = add i64 %start, %far
  %plain = icmp eq i64 %modulo, 0
  %divisor = select i1 %plain, i64 1, i64 %modulo
  %rest = srem i64 %k, %divisor
  %negative = icmp slt i64 %rest, 0
  %up = add i64 %rest, %divisor
  %turned = select i1 %negative, i64 %up, i64 %rest
  %number = select i1 %plain, i64 %k, i64 %turned
  %offset = mul i64 %number, %each
  %r2 = add i64 %base, %offset
  ret i64 %r2
}

define internal i32 @loop(ptr %context, ptr %tape, ptr %p, i64 %pc, i64 %end) {
start:
  %where = call ptr @pointer(ptr %context, i64 $where$)
  %pinned = call ptr @pointer(ptr %context, i64 $pinned$)
  %turns = call i64 @number(ptr %p, i64 2)
  %flag = call i64 @number(ptr %p, i64 3)
  %rows = call i64 @number(ptr %p, i64 4)
  %finals = call i64 @number(ptr %p, i64 5)
  %row0 = getelementptr i64, ptr %p, i64 6
  %rowwords = mul i64 %rows, 7
  %final0 = getelementptr i64, ptr %row0, i64 %rowwords
  %finalwords = mul i64 %finals, 8
  %both = add i64 %rowwords, %finalwords
  %head = add i64 %both, 6
  %begin = add i64 %pc, %head
  %asks = icmp sge i64 %flag, 0
  br label %turn
turn:
  %t = phi i64 [0, %start], [%t2, %again]
  %more = icmp slt i64 %t, %turns
  br i1 %more, label %ask, label %over
ask:
  br i1 %asks, label %read, label %bind
read:
  %a = call i32 @look(ptr %context, i64 %flag)
  %fine = icmp eq i32 %a, 0
  br i1 %fine, label %test, label %failed
failed:
  ret i32 %a
test:
  %byte = call i64 @number(ptr %pinned, i64 0)
  %holds = icmp ne i64 %byte, 0
  br i1 %holds, label %bind, label %over
bind:
  br label %rowhead
rowhead:
  %k = phi i64 [0, %bind], [%k2, %rowbody]
  %left = icmp slt i64 %k, %rows
  br i1 %left, label %rowbody, label %body
rowbody:
  %far = mul i64 %k, 7
  %r = getelementptr i64, ptr %row0, i64 %far
  %slot = call i64 @number(ptr %r, i64 0)
  %rest = getelementptr i64, ptr %r, i64 1
  %address = call i64 @row(ptr %where, ptr %rest, i64 %t)
  %place = getelementptr i64, ptr %where, i64 %slot
  store i64 %address, ptr %place
  %k2 = add i64 %k, 1
  br label %rowhead
body:
  %b = call i32 @walk(ptr %context, ptr %tape, i64 %begin, i64 %end)
  %good = icmp eq i32 %b, 0
  br i1 %good, label %again, label %failed2
failed2:
  ret i32 %b
again:
  %t2 = add i64 %t, 1
  br label %turn
over:
  br label %finalhead
finalhead:
  %j = phi i64 [0, %over], [%j2, %copied]
  %left2 = icmp slt i64 %j, %finals
  br i1 %left2, label %final, label %done
final:
  %far2 = mul i64 %j, 8
  %f = getelementptr i64, ptr %final0, i64 %far2
  %tslot = call i64 @number(ptr %f, i64 0)
  %bytes = call i64 @number(ptr %f, i64 1)
  %rest2 = getelementptr i64, ptr %f, i64 2
  %source = call i64 @row(ptr %where, ptr %rest2, i64 %t)
  %target = call i64 @number(ptr %where, i64 %tslot)
  %c = call i32 @copy(ptr %context, i64 %target, i64 %source, i64 %bytes)
  %well = icmp eq i32 %c, 0
  br i1 %well, label %copied, label %failed3
failed3:
  ret i32 %c
copied:
  %j2 = add i64 %j, 1
  br label %finalhead
done:
  ret i32 0
}

define internal i32 @branch(ptr %context, ptr %tape, ptr %p, i64 %pc, i64 %end) {
  %pinned = call ptr @pointer(ptr %context, i64 $pinned$)
  %pred = call i64 @number(ptr %p, i64 2)
  %length = call i64 @number(ptr %p, i64 3)
  %then = add i64 %pc, 4
  %otherwise = add i64 %then, %length
  %a = call i32 @look(ptr %context, i64 %pred)
  %fine = icmp eq i32 %a, 0
  br i1 %fine, label %choose, label %failed
failed:
  ret i32 %a
choose:
  %byte = call i64 @number(ptr %pinned, i64 0)
  %holds = icmp ne i64 %byte, 0
  %from = select i1 %holds, i64 %then, i64 %otherwise
  %to = select i1 %holds, i64 %otherwise, i64 %end
  %r = call i32 @walk(ptr %context, ptr %tape, i64 %from, i64 %to)
  ret i32 %r
}

define internal i32 @foreign(ptr %context, ptr %p) {
start:
  %where = call ptr @pointer(ptr %context, i64 $where$)
  %function = call ptr @pointer(ptr %p, i64 2)
  %patches = call i64 @number(ptr %p, i64 3)
  %first = getelementptr i64, ptr %p, i64 4
  %far = mul i64 %patches, 3
  %words = getelementptr i64, ptr %first, i64 %far
  br label %head
head:
  %k = phi i64 [0, %start], [%k2, %fill]
  %more = icmp slt i64 %k, %patches
  br i1 %more, label %fill, label %go
fill:
  %at = mul i64 %k, 3
  %at2 = add i64 %at, 1
  %at3 = add i64 %at, 2
  %word = call i64 @number(ptr %first, i64 %at)
  %slot = call i64 @number(ptr %first, i64 %at2)
  %offset = call i64 @number(ptr %first, i64 %at3)
  %base = call i64 @number(ptr %where, i64 %slot)
  %address = add i64 %base, %offset
  %place = getelementptr i64, ptr %words, i64 %word
  store i64 %address, ptr %place
  %k2 = add i64 %k, 1
  br label %head
go:
$loads$
  %r = call i32 %function($words$)
  ret i32 %r
}

define i32 @walk(ptr %context, ptr %tape, i64 %begin, i64 %end) {
start:
  %where = call ptr @pointer(ptr %context, i64 $where$)
  br label %next
next:
  %pc = phi i64 [%begin, %start], [%following, %on]
  %more = icmp slt i64 %pc, %end
  br i1 %more, label %step, label %done
done:
  ret i32 0
step:
  %p = getelementptr i64, ptr %tape, i64 %pc
  %code = call i64 @number(ptr %p, i64 0)
  %length = call i64 @number(ptr %p, i64 1)
  %following = add i64 %pc, %length
  switch i64 %code, label %on [
    i64 1, label %launch
    i64 2, label %copy
    i64 3, label %loop
    i64 4, label %branch
    i64 5, label %host
    i64 6, label %foreign
  ]
launch:
  %a = call i32 @launch(ptr %context, ptr %p)
  br label %check
copy:
  %tslot = call i64 @number(ptr %p, i64 2)
  %sslot = call i64 @number(ptr %p, i64 3)
  %bytes = call i64 @number(ptr %p, i64 4)
  %target = call i64 @number(ptr %where, i64 %tslot)
  %source = call i64 @number(ptr %where, i64 %sslot)
  %b = call i32 @copy(ptr %context, i64 %target, i64 %source, i64 %bytes)
  br label %check
loop:
  %c = call i32 @loop(ptr %context, ptr %tape, ptr %p, i64 %pc, i64 %following)
  br label %check
branch:
  %d = call i32 @branch(ptr %context, ptr %tape, ptr %p, i64 %pc, i64 %following)
  br label %check
host:
  %number = call i64 @number(ptr %p, i64 2)
  %python = call ptr @pointer(ptr %context, i64 $python$)
  %e = call i32 %python(i64 %number)
  br label %check
foreign:
  %f = call i32 @foreign(ptr %context, ptr %p)
  br label %check
check:
  %status = phi i32 [%a, %launch], [%b, %copy], [%c, %loop], [%d, %branch], [%e, %host],
                    [%f, %foreign]
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %on, label %failed
on:
  br label %next
failed:
  %place = getelementptr i64, ptr %context, i64 $failed$
  %known = load i64, ptr %place
  %mine = icmp slt i64 %known, 0
  %place2 = select i1 %mine, i64 %pc, i64 %known
  store i64 %place2, ptr %place
  ret i32 %status
}
"""
