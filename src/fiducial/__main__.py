"""``python -m fiducial``."""

from fiducial.cli import entry

entry()
