"""Functions that run on an NVIDIA GPU: target="cuda"."""
