"""PyMC models compiled by symgraph and by PyTensor's own modes."""
