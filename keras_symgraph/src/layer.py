"""What layers have of this backend: nothing."""

from __future__ import annotations


class BackendLayer:
    """Base of `keras.Layer`."""
