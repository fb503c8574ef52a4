"""Kernels with blocks and threads (loops/launch.py) as LLVM IR for NVPTX, PTX and machine code."""
