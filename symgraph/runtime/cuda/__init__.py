"""What runs code on an NVIDIA GPU: the driver, the pool of its memory, arrays, one device."""
