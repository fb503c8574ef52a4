"""Doors for other libraries: their graphs, and their words."""
