"""Graphs over a further leading axis: vmap, vectorize and the rules of the ops."""
