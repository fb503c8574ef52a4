"""How accurate the vector mathematics is: `python -m benchmarks.accuracy` (see `__main__`)."""
