import numpy as np
import pytest

from fakes import BoxPrompter, BoxSegmenter
from fiducial import Image
from fiducial.contracts import Overlay
from fiducial.errors import InputError
from fiducial.overlays import BlankOverlay
from fiducial.pipeline import Pipeline


def test_the_prompter_sees_nothing_and_the_segmenter_everything():
    image = Image(np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8), name="noise.png")
    assert isinstance(BlankOverlay(), Overlay)
    pipe = Pipeline(
        prompter=BoxPrompter((1, 1, 3, 3)), segmenter=BoxSegmenter(), overlays=(BlankOverlay(colour="red"),)
    )
    pipe(image, "a")
    shown = pipe.prompter.seen[0][0]
    assert (shown.name, shown.pixels.shape) == ("noise.png", (4, 6, 3))
    assert np.unique(shown.pixels.reshape(-1, 3), axis=0).tolist() == [[230, 25, 25]]
    assert np.array_equal(pipe.segmenter.encoded[0].pixels, image.pixels)


def test_a_colour_that_cannot_be_read_is_refused():
    with pytest.raises(InputError, match="colour"):
        BlankOverlay(colour="redd")
