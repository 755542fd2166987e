"""What the joint model learns from: pictures, masks and words that are moved together, and the cut by group."""

from dataclasses import replace

import numpy as np
import pytest

from fiducial.datasets import Sample
from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.reasoner.subjects import absent_subjects, find_modality
from fiducial.training.cg_reasoner_configs import CGReasonerRunConfig, ReasonerSource
from fiducial.training.cg_reasoner_data import ExampleDrawer, ReasonerPortion, read_portions
from tiny.reasoner import example, scans, write_scans


class Given(list):
    name = "given"


def lesion(**more):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[2:6, 3:9] = 200
    mask = Mask.from_box((3, 2, 9, 6), height=20, width=30)
    return Sample("one", None, Image(pixels), "ask", (mask,), (20, 30), **more)


def drawer(*sources):
    config = CGReasonerRunConfig(model="x", data=sources, absent=0.0)
    portions = [ReasonerPortion(source, Given([lesion()]), (0,), ()) for source in sources]
    return ExampleDrawer(config), portions


def test_pixels_mask_and_words_are_moved_together():
    skin = ReasonerSource("x", subject="skin lesion", modality="dermoscopy", scale=(0.7, 1.3))
    made, (portion,) = drawer(skin)
    seen = set()
    for seed in range(30):
        one = made.training(portion, 0, np.random.default_rng(seed))
        bright = Mask.from_dense(one.image.pixels[..., 0] > 100)
        assert bright.iou(one.truth) > 0.6
        x, y = one.centroid
        vertical, side = ("upper", "top") if y > 0 else ("lower", "bottom"), "left" if x < 0 else "right"
        assert any(word in one.answer for word in vertical)
        assert side in one.answer
        seen.add((one.image.height, x > 0, y > 0))
    assert len(seen) == 8  # turned or not, in every corner


def test_nobodys_chest_is_mirrored():
    chest = ReasonerSource("x", subject="heart", modality="chest X-ray")
    made, (portion,) = drawer(chest)
    for seed in range(8):
        one = made.training(portion, 0, np.random.default_rng(seed))
        assert np.array_equal(one.image.pixels, lesion().image().pixels)


def test_channels_are_shown_alone_by_their_chances():
    source = ReasonerSource("x", subject="heart", modality="chest X-ray", one_channel=(0.0, 0.5, 0.25))
    pixels = np.broadcast_to(np.array([10, 20, 30], np.uint8), (6, 8, 3)).copy()
    made, (portion,) = drawer(source)
    portion.dataset[0] = Sample("one", None, Image(pixels), "ask", (Mask.empty(6, 8),), (6, 8))
    shown = [made.training(portion, 0, np.random.default_rng(seed)).image.pixels[0, 0].tolist() for seed in range(80)]
    grey, composite = [30, 30, 30], [10, 20, 30]
    assert {tuple(one) for one in shown} == {(20, 20, 20), tuple(grey), tuple(composite)}
    assert 25 < shown.count([20, 20, 20]) < 55
    assert 8 < shown.count(grey) < 32


def test_a_head_is_shown_without_what_lies_around_the_brain():
    rows, columns = np.mgrid[:60, :80]
    away = np.hypot((rows - 30) / 25, (columns - 40) / 32)
    grey = np.select([away < 0.3, away < 0.93, away < 1], [140, 90, 250], 0).astype(np.uint8)  # tumour, brain, skull
    source = ReasonerSource("x", subject="tumour", modality="brain MRI", stripped=1.0)
    made, (portion,) = drawer(source)
    mask = Mask.from_dense(away < 0.3)
    portion.dataset[0] = Sample("one", None, Image(np.stack([grey] * 3, 2)), "ask", (mask,), (60, 80))
    for seed in range(8):
        shown = made.training(portion, 0, np.random.default_rng(seed))
        pixels, tumour = shown.image.pixels[..., 0], shown.truth.to_dense()
        edge = np.concatenate([pixels[30, 8:12], pixels[30, 68:72], pixels[5:8, 40], pixels[52:55, 40]])
        assert not edge.any()  # the skull is gone
        assert pixels[tumour].mean() > 200  # and what is left is stretched
        assert 0 < pixels[away < 0.7].mean() < 160
    white = Image(np.full((60, 80, 3), 255, np.uint8))
    portion.dataset[0] = Sample("one", None, white, "ask", (mask,), (60, 80))
    assert made.training(portion, 0, np.random.default_rng(0)).image.pixels.shape == (60, 80, 3)


def test_targets_of_other_kinds_are_asked_for_and_are_not_there():
    source = ReasonerSource("x", subject="polyp", modality="endoscopy")
    config = CGReasonerRunConfig(model="x", data=(source,), absent=1.0)
    portion = ReasonerPortion(source, Given([lesion()]), (0,), ())
    names, asked = {one.target.name for one in absent_subjects(find_modality("endoscopy"))}, set()
    for seed in range(12):
        made = ExampleDrawer(config).training(portion, 0, np.random.default_rng(seed))
        assert not made.truth
        assert made.centroid is None
        assert "polyp" not in made.answer.lower()
        asked |= {name for name in names if name in made.answer}
    assert len(asked) > 2


def test_questions_of_the_dataset_are_taken_as_they_are():
    given = ReasonerSource("x", questions="dataset")
    config = CGReasonerRunConfig(model="x", data=(given,))
    told = Given([lesion(meta={"answer": " In the top left. "}), lesion()])
    portion = ReasonerPortion(given, told, (0, 1), ())
    made = ExampleDrawer(config)
    one = made.training(portion, 0, np.random.default_rng(0))
    assert (one.question, one.answer) == ("ask", "In the top left.")
    with pytest.raises(InputError, match="its meta holds no answer to learn"):
        made.held_out(portion, 1)


def test_what_is_asked_for_has_to_be_said():
    made, (portion,) = drawer(ReasonerSource("x", subject="polyp"))
    unsaid = replace(portion, source=ReasonerSource("x"))
    with pytest.raises(InputError, match="says what is asked for: give x a subject"):
        made.held_out(unsaid, 0)
    named = replace(unsaid, dataset=Given([lesion(meta={"target": "polyp"})]))
    assert "polyp" in made.training(named, 0, np.random.default_rng(1)).answer.lower()


def test_groups_are_on_one_side_of_the_cut_and_held_out_pictures_are_asked_about_alike(tmp_path):
    write_scans(tmp_path / "scans")
    config = CGReasonerRunConfig(model="x", data=(scans(),))
    (portion,) = read_portions(config, tmp_path)
    patients = [
        {portion.dataset[index].meta["patient"] for index in part} for part in (portion.training, portion.held_out)
    ]
    assert not patients[0] & patients[1]
    assert len(patients[0] | patients[1]) == 8
    assert len(portion.training) + len(portion.held_out) == 24
    made = ExampleDrawer(config)
    one, again = (made.held_out(portion, portion.held_out[0]) for _ in range(2))
    assert (one.question, one.answer) == (again.question, again.answer)
    for held_out, words in ((0.0, "holds none out"), (1.0, "leaves none to train on")):
        with pytest.raises(InputError, match=words):
            read_portions(replace(config, data=(scans(held_out=held_out),)), tmp_path)


def test_targets_on_the_grid_are_the_covered_parts_of_cells():
    found = example((0, 0, 5, 10), size=(20, 30)).target(4)
    expected = np.zeros((4, 4), np.float32)
    expected[:2, 0] = 5 / 7.5
    np.testing.assert_allclose(found, expected, atol=1e-6)
