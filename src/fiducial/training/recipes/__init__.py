"""The configurations of the shipped weights."""
