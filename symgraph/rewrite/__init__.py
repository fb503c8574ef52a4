"""The rewrite engine: rules are equations over any immutable graph."""
