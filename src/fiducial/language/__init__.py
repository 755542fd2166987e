"""Words and coordinates: answers, dialects, reply parsing, spatial phrases."""

from fiducial.language.answers import Answer, Outcome

__all__ = ["Answer", "Outcome"]
