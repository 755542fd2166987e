import os

import numpy as np
import PIL.Image
import pytest

from fiducial.errors import ImageError, InputError
from fiducial.images import find_images, folders, list_images, read_image


@pytest.fixture
def pictures(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / name, format="JPEG")
        return tmp_path

    return make


def names(found):
    return [path.name for path in found.paths]


def test_every_suffix_of_a_jpeg_is_read(pictures):
    folder = pictures("a.jpg", "b.JFIF", "c.jpe", "d.jpeg", "e.jif")
    found = find_images([folder])
    assert found.paths == list_images([folder])
    assert names(found) == ["a.jpg", "b.JFIF", "c.jpe", "d.jpeg", "e.jif"]
    assert found.skipped == []
    assert all(read_image(path).width == 6 for path in found.paths)


def test_avif_is_read_where_pillow_can(pictures, monkeypatch):
    folder = pictures("a.jpg", "b.avif")
    monkeypatch.setattr(folders, "can_open", lambda name: True)
    assert names(find_images([folder])) == ["a.jpg", "b.avif"]
    monkeypatch.setattr(folders, "can_open", lambda name: False)
    found = find_images([folder])
    assert (names(found), found.skipped) == (
        ["a.jpg"],
        [f"{folder / 'b.avif'}: pictures of the kind .avif are not read here: save it as JPEG, PNG or TIFF"],
    )


def test_pictures_that_are_not_read_are_named(pictures, monkeypatch):
    monkeypatch.setattr(folders, "can_open", lambda name: False)
    folder = pictures("a.jpg", "b.heic", "c.psd", "d.NEF", "notes.txt", "labels.json")
    found = find_images([folder])
    assert names(found) == ["a.jpg"]
    assert [line.split(": ")[0] for line in found.skipped] == [
        str(folder / name) for name in ("b.heic", "c.psd", "d.NEF")
    ]
    assert "pip install 'fiducial[pictures]'" in found.skipped[0]
    (folder / "a.jpg").unlink()
    with pytest.raises(InputError, match=r"no picture in this folder .*skipped .*b\.heic"):
        find_images([folder])


def test_folders_in_folders_on_request(pictures):
    folder = pictures("b.jpg", "a/z.jpg", "a/deep/y.png", "c/x.jpg", ".hidden/w.jpg")
    os.symlink(folder, folder / "c" / "loop")
    assert names(find_images([folder])) == ["b.jpg"]
    assert [str(path.relative_to(folder)) for path in find_images([folder], recursive=True).paths] == [
        "b.jpg",
        "a/z.jpg",
        "a/deep/y.png",
        "c/x.jpg",
    ]
    (folder / "b.jpg").unlink()
    with pytest.raises(InputError, match="its folders hold some: add --recursive"):
        find_images([folder])


def test_what_cannot_be_looked_into_is_named(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read_image(find_images([tmp_path / ("n" * 100)]).paths[0])
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(find_images([tmp_path / ("n" * 300)]).paths[0])
    with pytest.raises(ImageError, match="cannot be read"):
        read_image("a\0b.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="no regular file"):
        read_image(tmp_path / "pipe.png")
