"""The thread team as LLVM IR: fork and join over pthreads and the futex, without Python.

One team serves the process. All functions take the address of its state, a block of memory with a
cache line for each word that threads fight over; the addresses of C functions lie there too, so
that the object has no external symbol and no data of its own.

    team_run(state, body, context, count, grain, limit)   body(context, begin, end, worker), for
        ranges of `grain` turns that cover 0 .. count; at most `limit` threads, with different
        numbers `worker` from 0 (the caller) to limit - 1
    team_share(state, body, context, turns, cost, least, multiple, room, memory) -> i32
        team_run with a grain for work of `cost` picoseconds, of which `least` are worth waking a
        thread: of less only those take part that are awake;
        with `room` bytes for each thread, whose address is the context's first word; 0: not done
    team_threads(state) -> i64                            the limit for the calling thread
    team_awake(state) -> i64                              the same for work that is not worth waking
        anybody: no more than are awake; where too few are, every 32nd time the others are
    team_poll(state) -> i32                               1 when a signal's handler raised

Workers are started by the first run that wants them, with all signals blocked, and never end. They
spin for a while after a run, then sleep on `generation`. A run that finds the team busy (a run
inside a run, another thread's run) does all turns itself.

The caller waits for workers that have entered the run, not for those that sleep: `region` holds the
flag `open`, a flag that the caller sleeps, and four times the number of workers inside. So a run is
never slower than its turns in one thread plus the call that wakes the others.

On which processors they run is told in placement_ir.py.

Sources: the futex system call (Drepper, "Futexes are tricky", 2011); dynamic chunks by a shared
counter as in OpenMP's `schedule(dynamic)`.
"""

from __future__ import annotations

from symgraph.codegen.placement_ir import KNOWN, placement

#: byte offsets of the state; words that several threads write have a cache line of their own
STATE = {
    "generation": 0,  # i32: one more for each run
    "next": 64,  # i64: the first turn that nobody has taken
    "region": 128,  # i32: 1 open, 2 the caller sleeps, 4 for each worker inside
    "busy": 192,  # i32
    "sleepers": 256,  # i32
    "entered": 320,  # i32: workers that have asked for a number in this run
    "count": 384,
    "grain": 392,
    "body": 400,
    "context": 408,
    "limit": 416,
    "runs": 424,  # how often the team ran, for tests and the curious
    "threads": 448,  # the process's limit
    "spin": 456,  # pauses before a worker sleeps
    "started": 464,
    "most": 472,  # workers that can be had: less once the system has refused one
    "overrides": 480,  # how many words of the table below may be in use
    "main": 488,  # the thread that handles signals
    "polled": 496,  # when, in nanoseconds
    "declined": 504,  # how often there were fewer awake than the limit
    "syscall": 512,
    "pthread_create": 520,
    "pthread_detach": 528,
    "pthread_sigmask": 536,
    "sigfillset": 544,
    "pthread_self": 552,
    "clock_gettime": 560,
    "PyGILState_Ensure": 568,
    "PyErr_CheckSignals": 576,
    "PyGILState_Release": 584,
    "sched_getcpu": 592,  # may be null
    "registered": 600,  # i32: workers that told their number
    "avoided": 604,  # i32: one more than the processor that is the caller's alone, or 0
    "table": 640,  # (thread, limit) for threads with a limit of their own
    "tids": 1664,  # i32: the numbers of the first workers
}
FUNCTIONS = tuple(
    n for n, place in STATE.items() if STATE["syscall"] <= place < STATE["sched_getcpu"]
)
OVERRIDES = 64
SIZE = STATE["tids"] + 4 * KNOWN
POLL_EVERY = 30_000_000  # nanoseconds between two looks for signals

# system call numbers of the futex and the instruction that a spinning processor likes, by machine
_FUTEX = {"x86_64": 202, "aarch64": 98}
_PAUSE = {"x86_64": ("x86.sse2.pause", "", ""), "aarch64": ("aarch64.hint", "i32", " 1")}


def team_module(machine: str = "") -> str:
    """The text of the team's module for Linux on a machine; for others a team of one thread.

    >>> "@worker" in team_module("x86_64"), "@worker" in team_module("")
    (True, False)
    """
    team = _TEAM + placement(machine) if machine in _FUTEX else _ALONE
    text = _LIMIT + _SHARE + team
    text = text.replace("$futex$", str(_FUTEX.get(machine, 0)))
    if machine in _FUTEX:
        name, kind, value = _PAUSE[machine]
        text = f"declare void @llvm.{name}({kind})\n\n" + text
        text = text.replace("$pause$", f"call void @llvm.{name}({kind}{value})")
    text = text.replace("$every$", str(POLL_EVERY))
    for name, offset in STATE.items():
        text = text.replace(f"${name}$", str(offset))
    return text


_LIMIT = """\
declare i64 @llvm.umax.i64(i64, i64)

define internal ptr @word(ptr %state, i64 %offset) {
  %p = getelementptr i8, ptr %state, i64 %offset
  %w = load ptr, ptr %p
  ret ptr %w
}

define internal i64 @number(ptr %state, i64 %offset) {
  %p = getelementptr i8, ptr %state, i64 %offset
  %w = load i64, ptr %p
  ret i64 %w
}

; the limit of a thread that has one of its own, else the process's
define i64 @team_threads(ptr %state) {
start:
  %all = call i64 @number(ptr %state, i64 $threads$)
  %n = call i64 @number(ptr %state, i64 $overrides$)
  %none = icmp eq i64 %n, 0
  br i1 %none, label %common, label %search
common:
  ret i64 %all
search:
  %self = call ptr @word(ptr %state, i64 $pthread_self$)
  %me = call i64 %self()
  br label %look
look:
  %k = phi i64 [0, %search], [%k2, %on]
  %off = mul i64 %k, 16
  %at = add i64 %off, $table$
  %who = call i64 @number(ptr %state, i64 %at)
  %mine = icmp eq i64 %who, %me
  br i1 %mine, label %own, label %on
own:
  %at2 = add i64 %at, 8
  %limit = call i64 @number(ptr %state, i64 %at2)
  ret i64 %limit
on:
  %k2 = add i64 %k, 1
  %more = icmp slt i64 %k2, %n
  br i1 %more, label %look, label %common
}
"""

_SHARE = """
; `memory` holds the addresses of malloc(pool, bytes), free(pool, block, 0) and of the pool
define i32 @team_share(ptr %state, ptr %body, ptr %context, i64 %turns, i64 %cost, i64 %least,
                       i64 %multiple, i64 %room, ptr %memory) {
start:
  %large = icmp sge i64 %cost, %least
  br i1 %large, label %all, label %some
all:
  %threads = call i64 @team_threads(ptr %state)
  br label %who
some:
  %awake = call i64 @team_awake(ptr %state)
  br label %who
who:
  %limit = phi i64 [%threads, %all], [%awake, %some]
  %alone = icmp sle i64 %limit, 1
  %none = icmp sle i64 %turns, 1
  %no = or i1 %alone, %none
  br i1 %no, label %not, label %reckon
not:
  ret i32 0
reckon:
  %part = lshr i64 %least, 3
  %unit = call i64 @llvm.umax.i64(i64 %part, i64 1)
  %worth = udiv i64 %cost, %unit
  %ranges = call i64 @llvm.umax.i64(i64 %worth, i64 1)
  %few = udiv i64 %turns, %ranges
  %pieces = shl i64 %limit, 2
  %above = sub i64 %turns, 1
  %share = udiv i64 %above, %pieces
  %even = add i64 %share, 1
  %larger = call i64 @llvm.umax.i64(i64 %few, i64 %even)
  %up = add i64 %larger, %multiple
  %up1 = sub i64 %up, 1
  %keep = sub i64 0, %multiple
  %grain = and i64 %up1, %keep
  %plain = icmp eq i64 %room, 0
  br i1 %plain, label %run, label %own
run:
  call void @team_run(ptr %state, ptr %body, ptr %context, i64 %turns, i64 %grain, i64 %limit)
  ret i32 1
own:
  %malloc = call ptr @word(ptr %memory, i64 0)
  %free = call ptr @word(ptr %memory, i64 8)
  %pool = call ptr @word(ptr %memory, i64 16)
  %bytes = mul i64 %room, %limit
  %block = call ptr %malloc(ptr %pool, i64 %bytes)
  %bad = icmp eq ptr %block, null
  br i1 %bad, label %not, label %with
with:
  store ptr %block, ptr %context
  call void @team_run(ptr %state, ptr %body, ptr %context, i64 %turns, i64 %grain, i64 %limit)
  call void %free(ptr %pool, ptr %block, i64 0)
  ret i32 1
}
"""

_ALONE = """
define i64 @team_awake(ptr %state) {
  ret i64 1
}

define void @team_run(ptr %state, ptr %body, ptr %context, i64 %count, i64 %grain, i64 %limit) {
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %go, label %out
go:
  call void %body(ptr %context, i64 0, i64 %count, i64 0)
  ret void
out:
  ret void
}

define i32 @team_poll(ptr %state) {
  ret i32 0
}
"""

_TEAM = """
define internal i64 @futex(ptr %state, ptr %word, i64 %op, i64 %value) {
  %f = call ptr @word(ptr %state, i64 $syscall$)
  %r = call i64 (i64, ...) %f(i64 $futex$, ptr %word, i64 %op, i64 %value, i64 0, i64 0, i64 0)
  ret i64 %r
}

declare i64 @llvm.smin.i64(i64, i64)

define internal i64 @up(ptr %state) {
  %started = call i64 @number(ptr %state, i64 $started$)
  %p = getelementptr i8, ptr %state, i64 $sleepers$
  %asleep = load atomic i32, ptr %p seq_cst, align 4
  %wide = sext i32 %asleep to i64
  %n = sub i64 %started, %wide
  ret i64 %n
}

; the caller and the workers that spin or work. A worker that is woken for nothing spins again, so
; that the next ones of many small runs have it
define i64 @team_awake(ptr %state) {
start:
  %limit = call i64 @team_threads(ptr %state)
  %up = call i64 @up(ptr %state)
  %some = add i64 %up, 1
  %n = call i64 @llvm.smin.i64(i64 %some, i64 %limit)
  %few = icmp slt i64 %n, %limit
  br i1 %few, label %count, label %done
count:
  %p_declined = getelementptr i8, ptr %state, i64 $declined$
  %declined = load i64, ptr %p_declined
  %declined2 = add i64 %declined, 1
  store i64 %declined2, ptr %p_declined
  %phase = and i64 %declined2, 31
  %due = icmp eq i64 %phase, 0
  br i1 %due, label %rouse, label %done
rouse:
  %started = call i64 @number(ptr %state, i64 $started$)
  %missing = sub i64 %limit, %n
  %hired = add i64 %started, 1
  %all = icmp sge i64 %hired, %limit
  br i1 %all, label %wake, label %hire
wake:
  call void @aside(ptr %state)
  %r = call i64 @futex(ptr %state, ptr %state, i64 129, i64 %missing)
  br label %done
hire:
  ret i64 %limit
done:
  ret i64 %n
}

; waits until the generation is not `old`; spins, then sleeps (FUTEX_WAIT_PRIVATE)
define internal i32 @wait(ptr %state, i32 %old) {
start:
  %sleepers = getelementptr i8, ptr %state, i64 $sleepers$
  br label %spin
spin:
  %i = phi i64 [0, %start], [%i2, %again], [0, %sleep]
  %now = load atomic i32, ptr %state acquire, align 4
  %new = icmp ne i32 %now, %old
  br i1 %new, label %done, label %more
more:
  %i2 = add i64 %i, 1
  %most = call i64 @number(ptr %state, i64 $spin$)
  %on = icmp slt i64 %i, %most
  br i1 %on, label %again, label %sleep
again:
  $pause$
  br label %spin
sleep:
  %was = atomicrmw add ptr %sleepers, i32 1 seq_cst
  %wide = zext i32 %old to i64
  %r = call i64 @futex(ptr %state, ptr %state, i64 128, i64 %wide)
  %is = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %spin
done:
  ret i32 %now
}

; takes ranges of turns until there are none left
define internal void @chunks(ptr %state, i64 %worker) {
start:
  %count = call i64 @number(ptr %state, i64 $count$)
  %grain = call i64 @number(ptr %state, i64 $grain$)
  %body = call ptr @word(ptr %state, i64 $body$)
  %context = call ptr @word(ptr %state, i64 $context$)
  %next = getelementptr i8, ptr %state, i64 $next$
  br label %take
take:
  %begin = atomicrmw add ptr %next, i64 %grain monotonic
  %some = icmp slt i64 %begin, %count
  br i1 %some, label %run, label %done
run:
  %stop = add i64 %begin, %grain
  %inside = icmp slt i64 %stop, %count
  %end = select i1 %inside, i64 %stop, i64 %count
  call void %body(ptr %context, i64 %begin, i64 %end, i64 %worker)
  br label %take
done:
  ret void
}

; a new worker has seen no generation: it looks at the region once before it waits
define internal ptr @worker(ptr %state) {
start:
  %region = getelementptr i8, ptr %state, i64 $region$
  %entered = getelementptr i8, ptr %state, i64 $entered$
  call void @registered(ptr %state)
  br label %loop
loop:
  %seen = phi i32 [-1, %start], [%now, %left]
  %now = call i32 @wait(ptr %state, i32 %seen)
  %in = atomicrmw add ptr %region, i32 4 acq_rel
  %flag = and i32 %in, 1
  %closed = icmp eq i32 %flag, 0
  br i1 %closed, label %leave, label %ask
ask:
  %place = atomicrmw add ptr %entered, i32 1 monotonic
  %place64 = zext i32 %place to i64
  %worker = add i64 %place64, 1
  %limit = call i64 @number(ptr %state, i64 $limit$)
  %wanted = icmp slt i64 %worker, %limit
  br i1 %wanted, label %work, label %leave
work:
  call void @chunks(ptr %state, i64 %worker)
  br label %leave
leave:
  %out = atomicrmw sub ptr %region, i32 4 acq_rel
  %last = icmp eq i32 %out, 6
  br i1 %last, label %wake, label %left
wake:
  %r = call i64 @futex(ptr %state, ptr %region, i64 129, i64 1)
  br label %left
left:
  br label %loop
}

; starts workers until there are `wanted`, with every signal blocked: they go to Python's threads
define internal void @start(ptr %state, i64 %wanted) {
start:
  %thread = alloca i64
  %all = alloca [128 x i8], align 16
  %old = alloca [128 x i8], align 16
  %fill = call ptr @word(ptr %state, i64 $sigfillset$)
  %mask = call ptr @word(ptr %state, i64 $pthread_sigmask$)
  %create = call ptr @word(ptr %state, i64 $pthread_create$)
  %detach = call ptr @word(ptr %state, i64 $pthread_detach$)
  %started = getelementptr i8, ptr %state, i64 $started$
  %most = getelementptr i8, ptr %state, i64 $most$
  %first = load i64, ptr %started
  %x = call i32 %fill(ptr %all)
  %y = call i32 %mask(i32 0, ptr %all, ptr %old)
  br label %loop
loop:
  %k = phi i64 [%first, %start], [%k2, %made]
  %more = icmp slt i64 %k, %wanted
  br i1 %more, label %make, label %done
make:
  %r = call i32 %create(ptr %thread, ptr null, ptr @worker, ptr %state)
  %fine = icmp eq i32 %r, 0
  br i1 %fine, label %made, label %refused
made:
  %id = load i64, ptr %thread
  %d = call i32 %detach(i64 %id)
  %k2 = add i64 %k, 1
  br label %loop
refused:
  store i64 %k, ptr %most
  br label %done
done:
  store i64 %k, ptr %started
  %z = call i32 %mask(i32 2, ptr %old, ptr null)
  ret void
}

define void @team_run(ptr %state, ptr %body, ptr %context, i64 %count, i64 %grain, i64 %limit) {
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %ask, label %out
ask:
  %short = icmp sge i64 %grain, %count
  %one = icmp sle i64 %limit, 1
  %alone = or i1 %short, %one
  br i1 %alone, label %serial, label %try
try:
  %busy = getelementptr i8, ptr %state, i64 $busy$
  %swap = cmpxchg ptr %busy, i32 0, i32 1 acq_rel monotonic
  %won = extractvalue {i32, i1} %swap, 1
  br i1 %won, label %share, label %serial
serial:
  call void %body(ptr %context, i64 0, i64 %count, i64 0)
  br label %out
share:
  %above = sub i64 %count, 1
  %helpers = udiv i64 %above, %grain
  %others = sub i64 %limit, 1
  %fewer = icmp slt i64 %helpers, %others
  %want0 = select i1 %fewer, i64 %helpers, i64 %others
  %most = call i64 @number(ptr %state, i64 $most$)
  %beyond = icmp sgt i64 %want0, %most
  %want = select i1 %beyond, i64 %most, i64 %want0
  %have = call i64 @number(ptr %state, i64 $started$)
  %lack = icmp slt i64 %have, %want
  br i1 %lack, label %hire, label %open
hire:
  call void @start(ptr %state, i64 %want)
  br label %open
open:
  call void @aside(ptr %state)
  %p_count = getelementptr i8, ptr %state, i64 $count$
  store i64 %count, ptr %p_count
  %p_grain = getelementptr i8, ptr %state, i64 $grain$
  store i64 %grain, ptr %p_grain
  %p_body = getelementptr i8, ptr %state, i64 $body$
  store ptr %body, ptr %p_body
  %p_context = getelementptr i8, ptr %state, i64 $context$
  store ptr %context, ptr %p_context
  %p_limit = getelementptr i8, ptr %state, i64 $limit$
  %admitted = add i64 %want, 1
  store i64 %admitted, ptr %p_limit
  %p_runs = getelementptr i8, ptr %state, i64 $runs$
  %runs = load i64, ptr %p_runs
  %runs2 = add i64 %runs, 1
  store i64 %runs2, ptr %p_runs
  %p_next = getelementptr i8, ptr %state, i64 $next$
  store atomic i64 0, ptr %p_next monotonic, align 8
  %p_entered = getelementptr i8, ptr %state, i64 $entered$
  store atomic i32 0, ptr %p_entered monotonic, align 4
  %region = getelementptr i8, ptr %state, i64 $region$
  %opened = atomicrmw or ptr %region, i32 1 acq_rel
  %generation = atomicrmw add ptr %state, i32 1 seq_cst
  %up = call i64 @up(ptr %state)
  %missing = sub i64 %want, %up
  %any = icmp sgt i64 %missing, 0
  br i1 %any, label %wake, label %mine
wake:
  %woken = call i64 @futex(ptr %state, ptr %state, i64 129, i64 %missing)
  br label %mine
mine:
  call void @chunks(ptr %state, i64 0)
  %closed = atomicrmw and ptr %region, i32 -2 acq_rel
  br label %join
join:
  %turn = phi i64 [0, %mine], [%turn2, %pause]
  %left = load atomic i32, ptr %region acquire, align 4
  %inside = icmp ugt i32 %left, 3
  br i1 %inside, label %patience, label %end
patience:
  %turn2 = add i64 %turn, 1
  %long = icmp sgt i64 %turn, 4000
  br i1 %long, label %doze, label %pause
pause:
  $pause$
  br label %join
doze:
  %flagged = atomicrmw or ptr %region, i32 2 acq_rel
  br label %asleep
asleep:
  %still = load atomic i32, ptr %region acquire, align 4
  %wait = icmp ugt i32 %still, 3
  br i1 %wait, label %sleep, label %unflag
sleep:
  %value = zext i32 %still to i64
  %slept = call i64 @futex(ptr %state, ptr %region, i64 128, i64 %value)
  br label %asleep
unflag:
  %cleared = atomicrmw and ptr %region, i32 -3 acq_rel
  br label %end
end:
  store atomic i32 0, ptr %busy release, align 4
  br label %out
out:
  ret void
}

; signal handlers run in Python's main thread, when it asks; the clock is CLOCK_MONOTONIC_COARSE
define i32 @team_poll(ptr %state) {
entry:
  %time = alloca [2 x i64], align 16
  %self = call ptr @word(ptr %state, i64 $pthread_self$)
  %me = call i64 %self()
  %main = call i64 @number(ptr %state, i64 $main$)
  %mine = icmp eq i64 %me, %main
  br i1 %mine, label %look, label %no
look:
  %clock = call ptr @word(ptr %state, i64 $clock_gettime$)
  %r = call i32 %clock(i32 6, ptr %time)
  %seconds = load i64, ptr %time
  %p_nano = getelementptr i8, ptr %time, i64 8
  %nano = load i64, ptr %p_nano
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %nano
  %p_polled = getelementptr i8, ptr %state, i64 $polled$
  %polled = load i64, ptr %p_polled
  %since = sub i64 %now, %polled
  %early = icmp ult i64 %since, $every$
  br i1 %early, label %no, label %ask
ask:
  store i64 %now, ptr %p_polled
  %ensure = call ptr @word(ptr %state, i64 $PyGILState_Ensure$)
  %check = call ptr @word(ptr %state, i64 $PyErr_CheckSignals$)
  %release = call ptr @word(ptr %state, i64 $PyGILState_Release$)
  %held = call i32 %ensure()
  %raised = call i32 %check()
  call void %release(i32 %held)
  %bad = icmp ne i32 %raised, 0
  %answer = zext i1 %bad to i32
  ret i32 %answer
no:
  ret i32 0
}
"""
