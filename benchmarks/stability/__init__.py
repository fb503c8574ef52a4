"""How many bits of a result are wrong when formulas are written as in a textbook."""
