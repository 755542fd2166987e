"""The default's prompter, put together: boxes, what is drawn whole, the judge of kinds, and the spatial phrases."""

from __future__ import annotations

from fiducial.config import as_fields
from fiducial.prompters.classic import ClassicPrompter
from fiducial.prompters.configs import NanoConfig
from fiducial.prompters.detector import Detector, DetectorPrompter
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.weights import Grounder
from fiducial.prompters.kinds.gate import KindGate
from fiducial.prompters.subjects.drawing import SubjectDetector
from fiducial.prompters.subjects.joined import JoinedDetector


def build_nano(config: NanoConfig, grounder: Grounder) -> DetectorPrompter:
    """Put together what a description says; the judge and what draws are loaded when they are first needed."""
    boxes = NanoDetector(grounder, **as_fields(config))
    detector: Detector = boxes
    domains = {name.name: name.domain for name in grounder.names}
    if config.subjects:
        detector = joined = JoinedDetector(boxes, SubjectDetector.from_pretrained(config.subjects, config.device))
        domains = joined.domains
    kinds = None if config.any_picture else KindGate(domains, config.kinds, config.device)
    return DetectorPrompter(detector, regions=ClassicPrompter(rest=config.rest), rest=config.rest, kinds=kinds)
