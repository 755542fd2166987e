"""Segmenters: an image becomes an embedding once, prompts become masks many times."""
