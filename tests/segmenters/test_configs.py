from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fiducial.config import read_part
from fiducial.errors import InputError
from fiducial.segmenters.configs import CacheConfig, NanoConfig
from fiducial.segmenters.sam_configs import Sam2Config, SamConfig


def test_describing_segmenters_loads_nothing_heavy() -> None:
    code = "import sys, fiducial.segmenters.sam_configs as c; c.Sam2Config(device='cpu'); print("
    code += "sorted({'torch', 'transformers', 'cv2', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_stand_for_checkpoints() -> None:
    assert read_part("segmenter", "sam2") == Sam2Config(model="facebook/sam2.1-hiera-small")
    assert read_part("segmenter", "sam:/some/folder?multimask=best") == SamConfig(
        model="/some/folder", multimask="best"
    )
    assert SamConfig(dtype="bfloat16").dtype == "bfloat16"


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (SamConfig, {"multimask": "all"}, "multimask.*'all'.*best, single"),
        (SamConfig, {"max_prompts": 0}, "max_prompts.*at least 1, got 0"),
        (Sam2Config, {"dtype": "int8"}, "dtype.*'int8'.*bfloat16"),
        (NanoConfig, {"passes": 0}, "passes.*at least 1"),
        (NanoConfig, {"batch_size": 0}, "batch_size.*at least 1"),
        (CacheConfig, {"folder": Path("here"), "max_bytes": 0}, "max_bytes.*at least 1"),
    ],
)
def test_options_are_checked(config, options, message) -> None:
    with pytest.raises(InputError, match=message):
        config(**options)
