"""Passes: a tensor graph in, an equal and better tensor graph out. The list is in pipeline.py."""
