"""Vision-language models in this process: an instruction and an image go in, coordinates come out."""

from fiducial.prompters.vlm.prompter import VLMPrompter

__all__ = ["VLMPrompter"]
