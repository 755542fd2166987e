"""Detectors: noun phrases to boxes, and the prompter that lets spatial phrases choose among them."""

from fiducial.prompters.detector.contract import Detection, Detector, Reading
from fiducial.prompters.detector.prompter import DetectorPrompter

__all__ = ["Detection", "Detector", "DetectorPrompter", "Reading"]
