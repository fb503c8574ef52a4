"""Tests of the doors for other libraries, each skipped where its library is not installed."""
