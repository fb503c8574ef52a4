"""A recurrent network that learns to spell: letter after letter, the names of the numbers to 999.

    python examples/numbers_lstm.py
    symgraph dump examples/numbers_lstm.py:loss --stage program

An embedding, a long short-term memory and a softmax over letters, trained by Adam on three names in
four; then it writes names of its own, some of which it has never seen.
"""

from __future__ import annotations

import time

import numpy as np

import symgraph as sg

ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen""".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
LETTERS = "\n abcdefghijklmnopqrstuvwxyz-"
UNITS, STEPS, BATCH, RATE = 64, 500, 64, 0.01


def name_of(n: int) -> str:
    """The name of a number below 1000."""
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10 - 2] + (f"-{ONES[n % 10]}" if n % 10 else "")
    return f"{ONES[n // 100]} hundred" + (f" and {name_of(n % 100)}" if n % 100 else "")


NAMES = [name_of(n) for n in range(1000)]
LONGEST = max(map(len, NAMES)) + 1  # and the end of the line


def coded(names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Letters as numbers, [batch, time], padded with ends of lines; and the lengths."""
    rows = [[LETTERS.index(c) for c in name.ljust(LONGEST, "\n")] for name in names]
    return np.array(rows), np.array([len(name) + 1 for name in names])


# the model ----------------------------------------------------------------------------------------

keys = iter(sg.random.split(sg.random.key(0), 4).eval())


def weights(*shape: int) -> sg.Shared:
    """New weights, as Glorot and Bengio (2010) advise."""
    start = sg.nn.initializers.glorot_uniform(next(keys), shape, dtype="float32")
    return sg.shared(start.eval(), name=f"w{len(parameters)}")


parameters: list[sg.Shared] = []
parameters.append(table := weights(len(LETTERS), 16))
parameters.append(w := weights(16, 4 * UNITS))
parameters.append(u := weights(UNITS, 4 * UNITS))
parameters.append(b := sg.shared(np.zeros(4 * UNITS, "float32"), name="b"))
parameters.append(out := weights(UNITS, len(LETTERS)))

letters = sg.tensor("letters", dtype="int64", shape=("batch", "time"))
lengths = sg.tensor("lengths", dtype="int64", shape=("batch",))

before = sg.concatenate([sg.zeros((letters.shape[0], 1), "int64"), letters[:, :-1]], axis=1)
hidden, _ = sg.nn.lstm(sg.nn.embedding(before, table), (w, u, b), batch_first=True, lengths=lengths)
counted = sg.where(sg.arange(letters.shape[1]) < lengths[:, None], letters, -1)
loss = sg.nn.softmax_cross_entropy(hidden @ out, counted, ignore_index=-1, reduction="mean")

gradients = sg.optim.clip_by_global_norm(sg.grad(loss, parameters), 1.0)
updates = sg.optim.adam(gradients, parameters, sg.optim.cosine_decay(RATE, STEPS))

# one letter more: for writing
letter = sg.tensor("letter", dtype="int64", shape=("batch",))
key = sg.tensor("key", dtype="uint32", shape=(2,))
h, c = (sg.tensor(n, dtype="float32", shape=("batch", UNITS)) for n in ("h", "c"))
new_h, new_c = sg.nn.lstm_cell(sg.nn.embedding(letter, table), h, c, w, u, b)
noise = -sg.log(-sg.log(sg.random.uniform(key, (letter.shape[0], len(LETTERS)), "float32") + 1e-7))
chosen = sg.argmax(new_h @ out + noise, axis=1)  # a draw from the softmax (Gumbel, 1954)


def written(write: sg.Function, count: int) -> list[str]:
    """Names that the model writes, a letter at a time."""
    last = np.zeros(count, "int64")
    states = [np.zeros((count, UNITS), "float32") for _ in range(2)]
    rows = []
    for t in range(LONGEST):
        last, *states = write(last, np.array([1, t], "uint32"), *states)
        rows.append(last)
    texts = ["".join(LETTERS[k] for k in row) for row in np.stack(rows, 1)]
    return [text.split("\n")[0] for text in texts]


def main() -> float:
    """Train, write, and return the share of names written that are names of numbers."""
    train = sg.compile([letters, lengths], loss, updates=updates, name="numbers_train")
    write = sg.compile([letter, key, h, c], [chosen, new_h, new_c], name="numbers_write")
    for label, function in (("train", train), ("write", write)):
        found = function.statistics
        source = "read from the disk cache" if found["cached"] else "compiled"
        print(f"  {label}     {source} in {1e3 * found['total']:.1f} ms")
    rng = np.random.default_rng(0)
    known = set(rng.permutation(NAMES)[:750].tolist())
    texts, sizes = coded(sorted(known))
    start = time.perf_counter()
    for step in range(1, STEPS + 1):
        batch = rng.integers(0, len(texts), BATCH)
        value = float(train(texts[batch], sizes[batch]))
        if step == 1 or step % 100 == 0:
            print(f"  step {step:4}   loss {value:.4f}")
    print(f"  calls     {1e3 * (time.perf_counter() - start) / STEPS:.1f} ms each")
    names = written(write, 200)
    right = float(np.mean([name in NAMES for name in names]))
    new = {name for name in names if name in NAMES and name not in known}
    print("  writes    " + ", ".join(names[:4]))
    print(f"  new       {len(new)} names that it has not seen: {', '.join(sorted(new)[:3])}")
    print(f"  accuracy  {right:.4f} of what it writes are names of numbers")
    return right


if __name__ == "__main__":
    main()
