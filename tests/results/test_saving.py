from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError, UnknownNameError
from fiducial.results import FORMATS, annotations, file_stem, file_stems

ALL = ("png", "mask", "json", "coco", "labelme")


def test_writes_every_format(two, tmp_path):
    folder = tmp_path / "new" / "folder"
    paths = two.save(folder, ALL)
    assert {key: path.name for key, path in paths.items()} == {
        "png": "harbour.jpg.overlay.png",
        "mask": "harbour.jpg.mask.png",
        "instances": "harbour.jpg.instances.png",
        "json": "harbour.jpg.json",
        "coco": "harbour.jpg.coco.json",
        "labelme": "harbour.jpg.labelme.json",
    }
    assert sorted(folder.iterdir()) == sorted(paths.values())
    assert all(path.stat().st_size for path in paths.values())
    assert set(FORMATS) == set(ALL)


def test_no_target_writes_every_format(make, tmp_path):
    assert len(make().save(tmp_path, ALL)) == 6


def test_default_formats_and_stem(two, tmp_path):
    assert list(two.save(tmp_path, stem="mine")) == ["png", "json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.json", "mine.overlay.png"]


def test_a_format_twice_is_written_once(two, tmp_path):
    assert list(two.save(tmp_path, ["json", "json"])) == ["json"]


def test_refuses_an_unknown_format_before_writing(two, tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown format 'cocoa': did you mean 'coco'\? known: coco, json"):
        two.save(tmp_path / "out", ["json", "cocoa"])
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"write \['json'\]"):
        two.save(tmp_path, "json")


@pytest.mark.parametrize("stem", ["", "a/b", "../a", ".", "a\0b", "x" * 300])
def test_refuses_a_stem_that_is_no_name(two, tmp_path, stem):
    with pytest.raises(InputError, match="cannot begin a file name"):
        two.save(tmp_path, ["json"], stem=stem)


def test_replaces_its_files_unless_forbidden(two, tmp_path):
    first = two.save(tmp_path, ["json"])["json"]
    first.write_text("old")
    two.save(tmp_path, ["json"])
    assert first.read_text("utf-8") != "old"
    with pytest.raises(InputError, match="is there already"):
        two.save(tmp_path, ["json"], overwrite=False)


def test_a_writer_that_fails_leaves_nothing(two, tmp_path, monkeypatch):
    def broken(segmentation, folder):
        raise InputError("no colour left")

    monkeypatch.setattr(annotations, "write_coco", broken)
    with pytest.raises(InputError, match="no colour left"):
        two.save(tmp_path / "out", ["json", "coco"])
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made(two, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="the folder cannot be made"):
        two.save(tmp_path / "file", ["json"])


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.jpg", "a.jpg"),
        ("x/a.png", "a.png"),
        ("C:\\pictures\\a.png", "a.png"),
        ("https://host/a.png?size=3", "a.png_size=3"),
        ("", "image"),
        ("..", "image"),
        ("/", "image"),
        ("a\n<b>.tif ", "a__b_.tif"),
        ("Schiffe über.jpg", "Schiffe über.jpg"),
    ],
)
def test_file_stem(name, stem):
    assert file_stem(name) == stem


def test_a_long_name_is_cut_but_stays_its_own():
    one, other = file_stem("ü" * 300 + "1.jpg"), file_stem("ü" * 300 + "2.jpg")
    assert one != other
    assert len(one.encode()) <= 180
    assert file_stem(one) == one


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["x/a.jpg", "y/a.jpg", "y/b.jpg"], ["x__a.jpg", "y__a.jpg", "b.jpg"]),
        (["p/x/a.jpg", "q/x/a.jpg"], ["p__x__a.jpg", "q__x__a.jpg"]),
        (["a.jpg", "a.jpg", "a.jpg-2"], ["a.jpg", "a.jpg-3", "a.jpg-2"]),
        (["a.jpg", "x/A.JPG"], ["a.jpg", "x__A.JPG"]),
        ([], []),
        (["", "image"], ["image", "image-2"]),
    ],
)
def test_file_stems(names, stems):
    assert file_stems(names) == stems


parts = st.sampled_from(["a", "A", "b", "a__b", "a-2", "..", "a.jpg", " ", "ü"])
names = st.lists(st.lists(parts, min_size=1, max_size=4).map("/".join), max_size=12)


@given(names)
def test_stems_never_meet_and_are_safe(given_names):
    stems = file_stems(given_names)
    assert len(stems) == len(given_names)
    assert len({stem.casefold() for stem in stems}) == len(stems)
    assert all(file_stem(stem) == stem for stem in stems)


@given(st.text(max_size=30), st.integers(1, 20))
def test_any_text_gives_a_safe_stem(text, times):
    stem = file_stem(text * times)
    assert stem
    assert not set(stem) & set('/\\\0<>:"|?*\n')
    assert file_stem(stem) == stem
    assert len(stem.encode()) <= 180


def test_no_picture_takes_the_name_of_the_runs_own_card():
    assert file_stem("run") == "run_"
    assert file_stem("run.png") == "run.png"
