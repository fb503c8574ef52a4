"""From scalar expressions to machine code: LLVM text, vector mathematics, the LLVM library."""
