from pathlib import Path

import numpy as np
import pytest
import skimage.data

from fiducial.errors import InputError, UnknownNameError
from fiducial.images import read_image
from fiducial.synthetic.samples import SAMPLES, sample_image, write_samples

SHIPS = Path(__file__).parents[2] / "docs" / "images" / "ships.png"


def test_every_sample_has_a_name_and_an_instruction_of_its_own():
    assert len({one.name for one in SAMPLES}) == len({one.instruction for one in SAMPLES}) == len(SAMPLES)


def test_scenes_and_photographs_are_what_they_are_called():
    assert np.array_equal(sample_image("ships.png").pixels, read_image(SHIPS).pixels)
    for one in SAMPLES:
        if one.scene is None:
            assert np.array_equal(sample_image(one.name).pixels[..., 0], skimage_channel(one.name))
    with pytest.raises(UnknownNameError, match="coins"):
        sample_image("coin.png")


def skimage_channel(name):
    found = getattr(skimage.data, Path(name).stem)()
    return found if found.ndim == 2 else found[..., 0]


def test_files_hold_the_pictures_and_others_are_left_alone(tmp_path):
    some = [one for one in SAMPLES if one.name in ("coins.png", "coffee.png")]
    (tmp_path / "new" / "coins.png").mkdir(parents=True)
    assert write_samples(tmp_path / "new", some) == [tmp_path / "new" / "coffee.png"]
    read, made = read_image(tmp_path / "new" / "coffee.png"), sample_image("coffee.png")
    assert np.array_equal(read.pixels, made.pixels)
    assert write_samples(tmp_path / "new", some) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        write_samples(tmp_path / "file" / "below", SAMPLES[:1])
