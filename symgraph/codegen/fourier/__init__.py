"""Discrete Fourier transforms as kernels: see driver.py."""
