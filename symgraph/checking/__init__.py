"""Compiled functions that check themselves: mode="debug" and mode="nan"."""
