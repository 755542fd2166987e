"""Which versions are at work: what every run writes beside its output."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "fiducial",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "scipy",
    "scikit-image",
    "lark",
    "torch",
    "transformers",
    "accelerate",
    "safetensors",
    "torchao",
    "supervision",
)
"""Packages whose version can change a result."""


def versions() -> dict[str, str | None]:
    """Return the version of Python and of each package; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
