"""Loops: the Compute of an op, the loop language, and the Program grammar."""
