"""CG-Reasoner: a mask and a sentence about one picture that agree in space, and what is asked and said about it."""
