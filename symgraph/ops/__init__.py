"""The tensor operations, one block each, and the functions that users call."""
