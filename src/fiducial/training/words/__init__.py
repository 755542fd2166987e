"""Training of the word table: a small student of a MiniLM's sentence embeddings."""

from fiducial.training.words.config import WordsConfig
from fiducial.training.words.loop import train

__all__ = ["WordsConfig", "train"]
