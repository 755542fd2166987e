from __future__ import annotations

import subprocess
import sys

import pytest

import fiducial.refiners


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, fiducial.refiners; print(sorted({'torch', 'skimage', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there():
    for name in fiducial.refiners.__all__:
        assert getattr(fiducial.refiners, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Polish'"):
        fiducial.refiners.Polish  # noqa: B018
