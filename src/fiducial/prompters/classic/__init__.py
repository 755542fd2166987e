"""Classic vision as a prompter: regions by colour and contrast, no weights, no nouns."""

from fiducial.prompters.classic.prompter import ClassicPrompter

__all__ = ["ClassicPrompter"]
