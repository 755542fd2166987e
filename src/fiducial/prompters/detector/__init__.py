"""Detectors: noun phrases to boxes, and the prompter that lets spatial phrases choose among them."""

from fiducial.prompters.detector.prompter import DetectorPrompter
from fiducial.prompters.detector.reading import Detection, Detector, Reading

__all__ = ["Detection", "Detector", "DetectorPrompter", "Reading"]
