"""Training of the mask decoder of a SAM-family model, its image encoder frozen."""

from fiducial.training.decoder.config import DecoderConfig
from fiducial.training.decoder.loop import train

__all__ = ["DecoderConfig", "train"]
