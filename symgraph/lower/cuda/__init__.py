"""Schedules for NVIDIA GPUs: from unscheduled kernels to launches of blocks and threads.

    program.py   the steps of a program; which kernel becomes which launches
    frame.py     a kernel on the way: its parameters, the memory behind them, new memory
    nest.py      which loops of a nest have turns that do not depend on each other
    pieces.py    a kernel cut where the whole grid has to wait
    chunks.py    long folds in two stages
    spread.py    a thread for each turn
    team.py      a block of threads for each turn, whose folds and loops its threads share out
                 (team_work.py: how many, and when they must meet)
    tiles.py     transposed reads through shared memory
    products.py  matrix products in tiles
    sorting.py   rows in order
    linear.py    small factorizations; derivatives.py: those of the factors

What a library of NVIDIA's can do is a choice, made when the sizes of a call are known, between its
calls with some kernels beside (factors.py and spectra.py: linear algebra, windows.py: convolutions,
fourier.py: transforms) and the steps that need no library.

What cannot be shared out is done by one thread: every kernel of the loop language has a schedule.
"""
