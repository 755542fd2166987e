"""Words and coordinates: answers, dialects, reply parsing, spatial phrases.

``language.dialects`` reads and writes coordinates as each model family does; ``language.phrases``
picks among candidates as people say places; both give answers.
"""

from fiducial.language.answers import Answer, Outcome
from fiducial.language.candidates import Candidate

__all__ = ["Answer", "Candidate", "Outcome"]
