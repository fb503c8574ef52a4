"""Matrix products from a register-tiled microkernel of our own, as modules of LLVM text."""
