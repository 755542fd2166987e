"""Two detectors as one: what the one draws whole, and what the other finds by boxes."""

from __future__ import annotations

from collections.abc import Sequence

from fiducial.images import Image
from fiducial.prompters.detector.limits import Limit
from fiducial.prompters.detector.reading import Detection, Reading
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.subjects.drawing import SubjectDetector


class JoinedDetector:
    """Knows the names of both; a name of both is left to the subjects.

    Args:
        grounder: finds things by boxes.
        subjects: draws what is looked for in medical pictures.
    """

    def __init__(self, grounder: NanoDetector, subjects: SubjectDetector) -> None:
        self.grounder, self._subjects = grounder, subjects
        self._drawn = frozenset(one.name for one in subjects.subjects)
        boxed = {name.name: name.domain for name in grounder.grounder.names}
        self.domains: dict[str, str] = {**boxed, **{one.name: one.domain for one in subjects.subjects}}
        """The kind of picture that each name is looked for in."""
        self._words = Vocabulary.read().covering(self.domains.items())

    def read(self, noun: str) -> Reading:
        """Say what a noun phrase is taken to mean."""
        return self._words.look_up(noun)

    def vocabulary(self) -> tuple[str, ...]:
        """Return the names that are known, singular."""
        return tuple(self.domains)

    def hardly_found(self, image: Image, name: str) -> Limit | None:
        """Return what of a name is hardly found in a picture, where what finds boxes knows it."""
        return None if name in self._drawn else self.grounder.hardly_found(image, name)

    def detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """Find all instances of each name; see :meth:`fiducial.prompters.detector.reading.Detector.detect`."""
        boxed = [[name for name in some if name not in self._drawn] for some in names]
        drawn = [[name for name in some if name in self._drawn] for some in names]
        found: list[list[Detection]] = [[] for _ in images]
        for detector, wanted in ((self.grounder, boxed), (self._subjects, drawn)):
            if any(wanted):
                for every, some in zip(found, detector.detect(images, wanted), strict=True):
                    every.extend(some)
        return [sorted(every, key=lambda one: -one.score) for every in found]
