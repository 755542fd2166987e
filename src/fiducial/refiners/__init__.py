"""Refiners: better prompts before the cut (``cfpg``), better masks after it (``mbo``).

Both are parts of PSLG-SAM's second stage and need no weights. Importing this package loads no OpenCV;
refining does.
"""

from fiducial.refiners.configs import BoundaryOptimisation, ForegroundPoint

__all__ = ["BoundaryOptimisation", "ForegroundPoint"]
