"""The tensor graph: types, ops, variables, and the services that read graphs."""
