"""Drawn scenes and referring expressions: instructions with exact truth, made from a seed or from annotations."""
