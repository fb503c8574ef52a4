"""First and second derivatives beside JAX's."""
