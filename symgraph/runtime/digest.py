"""BLAKE2b, the one hash of the project: names of cache entries and integrity of their bytes.

>>> hexdigest(b"abc")[:8]
'bddd813c'
"""

from __future__ import annotations

try:  # the module behind hashlib: importing hashlib itself costs 5-15 ms because it loads OpenSSL
    from _blake2 import blake2b
except ImportError:  # another Python
    from hashlib import blake2b

SIZE = 32


def digest(data: bytes | memoryview) -> bytes:
    """The 32 bytes of BLAKE2b-256 of `data`."""
    result: bytes = blake2b(data, digest_size=SIZE).digest()
    return result


def hexdigest(data: bytes | memoryview) -> str:
    """`digest` as 64 hexadecimal digits."""
    return digest(data).hex()
