"""Words and coordinates: answers, the dialects in which models write coordinates, spatial phrases of people."""

from fiducial.language.answers import Answer, Outcome
from fiducial.language.candidates import Candidate

__all__ = ["Answer", "Candidate", "Outcome"]
