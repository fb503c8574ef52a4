"""What compiled code stands on: memory layout, callables, object loader, pool, BLAS, disk cache."""
