from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.results import Segmentation

Make = Callable[..., Segmentation]


@pytest.fixture
def image() -> Image:
    pixels = np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Image(pixels, name="pictures/harbour.jpg")


@pytest.fixture
def make(image: Image) -> Make:
    """Make results on one image, with everything that matters open."""

    def build(
        prompts: Sequence[Prompt] = (), masks: Sequence[Mask] = (), *, on: Image = image, **values: object
    ) -> Segmentation:
        asked = Prompts(on.frame, tuple(prompts))
        outcome = values.pop("outcome", Outcome.FOUND if prompts else Outcome.NO_TARGET)
        answer = Answer(outcome, asked, text=str(values.pop("text", "")), thinking="hm", repairs=("a comma",))
        return Segmentation(on, str(values.pop("instruction", "the ships")), answer, tuple(masks), asked, **values)  # type: ignore[arg-type]

    return build


@pytest.fixture
def two(make: Make, image: Image) -> Segmentation:
    """Two targets: a ring with a score of its own, and a box with the prompt's score."""
    dense = np.zeros((40, 60), bool)
    dense[5:25, 5:25] = True
    dense[10:18, 10:18] = False
    prompts = [
        Prompt(image.frame, box=(4.00049, 5, 25, 25), label="ship", score=0.5),
        Prompt(image.frame, box=(30, 10, 50, 30), points=((40, 20), (1.23456, 2)), point_labels=(1, 0), score=0.25),
    ]
    masks = [Mask.from_dense(dense, score=0.912345), Mask.from_box((30, 10, 50, 30), 40, 60)]
    return make(prompts, masks, recipe="nano", seconds={"prompt": 0.123456, "total": 2.0}, text="Two of them.")
