"""Questions from a phantom whose geometry is known, on grids that are flipped, oblique and anisotropic."""

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from fiducial.misground import wording
from fiducial.misground.anatomy import Anatomy, Spread, from_middle, gap
from fiducial.misground.building import BuildConfig, questions_of
from fiducial.misground.checking import InMillimetres
from fiducial.misground.items import FACTORS, KINDS
from fiducial.misground.names import is_midline, readable, side_of, with_article
from fiducial.misground.questions import OrientationError
from fiducial.misground.situations import in_image
from fiducial.misground.sources import PhantomConfig
from fiducial.volumes import LabelMap, Volume
from fiducial.volumes.phantom import ORGANS

CENTRES = {organ.name: np.array(organ.centre) for organ in ORGANS}
GRIDS = {
    "straight": {},
    "flipped": {"axes": "LPS"},
    "turned": {"axes": "SLA", "spacing": (5.0, 4.0, 4.0)},
    "oblique": {"axes": "PIR", "spacing": (4.0, 5.0, 4.0), "rotation": (9.0, -6.0, 12.0)},
}
TOWARDS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@cache
def made(grid, count=200):
    source = PhantomConfig(**GRIDS[grid]).open()
    return questions_of(source, BuildConfig(per_volume=count))


def of_kind(grid, kind):
    return [item for item, _ in made(grid)[1] if item.factors.kind == kind]


def asked_of(item):
    return item.situation.split("/")[2]


@pytest.mark.parametrize("grid", GRIDS)
def test_every_kind_is_asked_on_every_grid(grid):
    items = [item for item, _ in made(grid)[1]]
    counts = Counter(item.factors.kind for item in items)
    assert set(counts) == set(KINDS)
    assert max(counts.values()) - min(counts.values()) <= 12
    assert len({item.id for item in items}) == len(items) == 200


@pytest.mark.parametrize("grid", GRIDS)
def test_whole_structures_are_ordered_as_their_true_centres_are(grid):
    """The phantom's own centres, which nothing of the room reads, are a third way to the answer."""
    checked = 0
    for item in of_kind(grid, "order") + of_kind(grid, "relation"):
        asked = asked_of(item)
        first, second = item.provenance["structures"][:2]
        if asked not in TOWARDS or item.factors.input != "stack" or "tumour" in (first, second):
            continue
        axis, sign = TOWARDS[asked]
        apart = sign * (CENTRES[first] - CENTRES[second])[axis]
        if abs(apart) < 15:  # an oblique field of view cuts some organs
            continue
        right = {0: first, 1: second}[int(apart < 0)]
        said = item.options[item.answer]
        expected = ("yes" if apart > 0 else "no") if item.factors.kind == "relation" else with_article(right)
        assert said.startswith(expected) or item.factors.background == "blank", (item.id, item.text)
        checked += 1
    assert checked >= 5


def test_words_of_the_image_follow_from_how_it_is_oriented():
    """Directional items state the orientation, and from it the same answer follows as from the patient's direction."""
    seen = set()
    for grid in GRIDS:
        for item in of_kind(grid, "order"):
            if item.factors.terms != "directional":
                continue
            asked = asked_of(item)
            header = item.question.split("\n")[0]
            word = wording.WORDS[asked]
            at_left = (
                f"left is {'the patient' if asked in 'LR' else ''}" in header and f"left is {_said(asked)}" in header
            )
            at_top = f"top is {_said(asked)}" in header
            where = "further left" if at_left else "higher" if at_top else None
            if where:
                assert where in item.question, (word, item.text)
                seen.add(where)
            else:
                assert "further right" in item.question or "lower" in item.question
    assert seen == {"further left", "higher"}


def _said(letter):
    return f"the patient's {wording.WORDS[letter]}" if letter in "LR" else wording.WORDS[letter]


def test_items_of_one_situation_differ_in_one_factor_from_the_reference():
    situations = {}
    for item, _ in made("straight")[1]:
        situations.setdefault(item.situation, []).append(item)
    several = [items for items in situations.values() if len(items) > 1]
    assert len(several) > 20
    for first, *others in several:
        assert first.id.endswith("reference")
        for other in others:
            changed = [name for name in FACTORS if getattr(first.factors, name) != getattr(other.factors, name)]
            assert len(changed) == 1, (other.id, changed)
            assert (other.answer, other.flipped) == (first.answer, first.flipped)


def test_answers_are_balanced_over_their_places():
    for kind, count in (("relation", 2), ("order", 3), ("position", 4), ("identity", 4), ("slice_order", 2)):
        places = Counter(item.answer for item in of_kind("straight", kind))
        situations = {item.situation for item in of_kind("straight", kind)}
        assert len(places) == min(count, len(situations))
        assert max(places.values()) - min(places.values()) <= 11, kind


def test_building_again_gives_the_same_questions():
    source = PhantomConfig().open()
    config = BuildConfig(per_volume=60)
    once, again = ([item for item, _ in questions_of(source, config)[1]] for _ in range(2))
    assert once == again
    other = [item for item, _ in questions_of(source, replace(config, seed=1))[1]]
    assert {item.situation for item in other} != {item.situation for item in once}


def test_nothing_through_a_slice_can_be_told_from_it():
    across = {"axial": "superior-inferior", "coronal": "anterior-posterior", "sagittal": "left-right"}
    for grid in GRIDS:
        for item in of_kind(grid, "unanswerable"):
            assert item.factors.axis == across[item.factors.plane]
            assert item.factors.input == "slice"
            assert item.options[item.answer] == "cannot be told from this slice"


def test_no_name_gives_a_side_away():
    for grid in GRIDS:
        for item in of_kind(grid, "order") + of_kind(grid, "relation") + of_kind(grid, "unanswerable"):
            if item.factors.axis == "left-right":
                assert not any(side_of(name) for name in item.provenance["structures"])


def test_bare_marks_show_what_is_asked():
    """On a blank background the boxes alone have to be in the order that the answer says."""
    checked = 0
    for grid in ("straight", "flipped"):
        questions, items = made(grid)
        anatomy = questions.anatomy
        labels = {anatomy.name(label): label for label in anatomy.known}
        for item, (picture, *_) in items:
            if item.factors.background != "blank" or item.factors.kind != "order" or item.factors.input == "stack":
                continue
            assert "the red box" in item.question
            assert not any(readable(name) in item.text for name in item.provenance["structures"])
            slicing = anatomy.slicing(picture.plane)
            word = in_image(asked_of(item), slicing)
            axis, sign = int(word in ("up", "down")), 1 if word in ("right", "down") else -1
            boxes = [
                anatomy.section(labels[name], picture.plane, picture.index).box
                for name in item.provenance["structures"]
            ]
            red, blue = (sign * (box[axis] + box[axis + 2]) for box in boxes)
            assert item.options[item.answer] == ("the red box" if red > blue else "the blue box")
            checked += 1
    assert checked >= 2


def test_margins_hold_both_ways():
    for grid in GRIDS:
        gaps = [item.provenance["gap_mm"] for item in of_kind(grid, "order") + of_kind(grid, "relation")]
        assert len(gaps) > 30
        assert all(first >= 5.0 and second >= 2.5 for first, second in gaps)
    straight = [item.provenance["gap_mm"] for item in of_kind("straight", "order")]
    apart = [abs(first - second) for first, second in straight]
    assert np.median(apart) < 1e-6  # two ways to one number, but for a voxel on the border of a quarter
    assert max(apart) <= 5.001


def test_a_mirrored_first_way_is_caught():
    """The check is one that can fail: an anatomy that takes left for right raises."""
    questions, _ = made("straight", 60)
    drawer = questions.drawer
    mirrored = np.diag([-1.0, 1.0, 1.0, 1.0])
    labels = drawer.anatomy.labels
    questions_in_mirror = replace_second(questions, LabelMap(labels.array, mirrored @ labels.affine, labels.names))
    drawn = [situation for _ in range(400) if (situation := drawer.draw("relation")) is not None]
    with pytest.raises(OrientationError, match="from mm"):
        all(list(questions_in_mirror.items(situation, number)) for number, situation in enumerate(drawn))


def replace_second(questions, labels):
    from fiducial.misground.questions import Questions

    other = Questions(questions.drawer, "mirror", {})
    other.in_mm = InMillimetres(labels, [number for number in labels.names if is_midline(labels.name_of(number))])
    return other


# -- parts --------------------------------------------------------------------------------------------


def test_a_structure_is_measured_where_it_lies():
    array = np.zeros((8, 6, 4), np.uint8)
    array[1:3, 2:5, 1:4] = 1
    array[5:7, 0:2, :] = 2
    affine = np.diag([-2.0, 3.0, 5.0, 1.0])  # the first axis runs to the patient's left
    anatomy = Anatomy(Volume(array, affine, "CT"), LabelMap(array, affine, {1: "liver", 2: "spleen"}), least=1)
    right = anatomy.place(1, "R", "axial", "radiological", None)
    assert (right.mean, right.low, right.high) == (-3.0, -4.0, -2.0)
    assert anatomy.place(1, "L", "axial", "radiological", None).mean == 3.0
    assert anatomy.place(1, "A", "axial", "storage", 2).mean == 9.0
    section = anatomy.section(1, "axial", 2)
    assert section.box == (1, 1, 3, 4)  # left of the picture is the patient's right, which storage begins at
    assert gap(right, anatomy.place(2, "R", "axial", "radiological", None)) == pytest.approx(6.0)
    in_mm = InMillimetres(anatomy.labels)
    for asked in ("R", "S", "left", "down"):
        for view in ("radiological", "storage"):
            first, second = (one.place(1, asked, "coronal", view, 3) for one in (anatomy, in_mm))
            shift = anatomy.middle(asked, "coronal", view, 3) - in_mm.middle(asked, "coronal", view, 3)
            assert first.mean - second.mean == pytest.approx(shift)


def test_distances_from_the_middle():
    assert from_middle(Spread(-30.0, -40.0, -20.0), 0.0) == Spread(30.0, 20.0, 40.0)
    assert from_middle(Spread(2.0, -5.0, 9.0), 0.0) == Spread(2.0, 0.0, 9.0)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("iliac_vena_left", "left common iliac vein"),
        ("lung_lower_lobe_right", "lower lobe of the right lung"),
        ("vertebrae_S1", "vertebra S1"),
        ("left_kidney", "left kidney"),
        ("autochthon_right", "right autochthonous back muscle"),
        ("liver", "liver"),
    ],
)
def test_labels_are_read_as_words(label, words):
    assert readable(label) == words


def test_opposites_are_opposites():
    for one, other in wording.OPPOSITES.items():
        assert wording.OPPOSITES[other] == one
    for terms in ("anatomical", "colloquial"):
        phrases = [wording.order_question(letter, terms, ("a", "b"), "slice") for letter in "RLAPSIMT"]
        assert len(set(phrases)) == 8
    assert all(first != second for first, second in pairwise(sorted(KINDS)))
