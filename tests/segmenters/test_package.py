from __future__ import annotations

import subprocess
import sys

import pytest

import fiducial.segmenters


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, fiducial.segmenters; print(sorted({'torch', 'transformers', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there() -> None:
    for name in fiducial.segmenters.__all__:
        assert getattr(fiducial.segmenters, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Sam9'"):
        fiducial.segmenters.Sam9  # noqa: B018
