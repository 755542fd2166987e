"""Referring expressions: what they say is true of exactly what they name, with room to spare."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.datasets.sample import Sample
from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Mask, Prompts
from fiducial.images import Image
from fiducial.synthetic.expressions import FAMILIES, NO_TARGET, VERSION, propose, reads_back, say
from fiducial.synthetic.places import beside, between, near
from fiducial.synthetic.proposals import place_line, size_line
from fiducial.synthetic.referring import (
    Expression,
    ReferringDataset,
    expression_lines,
    read_expressions,
    referring_expressions,
)
from fiducial.synthetic.view import View, read_colours, stated_colour
from fiducial.synthetic.vocabulary import confusable, many, some, spoken

SIZE = (400, 600)
# four ships in a row of growing size, a bridge below, a tank in the corner
LABELS = ("ship", "ship", "ship", "ship", "bridge", "storage_tank")
BOXES = (
    (20, 60, 60, 90),
    (150, 60, 210, 100),
    (300, 50, 380, 100),
    (470, 40, 590, 110),
    (250, 250, 350, 290),
    (20, 340, 50, 370),
)
COLOURS = ("red", "blue", "blue", "red", "grey", "white")


def view_of(labels=LABELS, boxes=BOXES, colours=COLOURS, size=SIZE) -> View:
    masks = [Mask.from_box(box, *size) for box in boxes]
    return View.of(size, labels, masks=masks, stated=None if colours is None else [stated_colour(c) for c in colours])


def words_of(view: View, *, vocabulary=("airplane",)) -> dict[str, tuple[int, ...]]:
    return {one.words: one.chosen for one in propose(view, np.random.default_rng(0), vocabulary)}


class Pictures:
    """A dataset in memory: one sample per picture, or per picture and label."""

    name = "harbours"

    def __init__(self, samples) -> None:
        self.samples = list(samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self):
        return iter(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def sample(number: int = 0, labels=LABELS, boxes=BOXES, **changes) -> Sample:
    pixels = np.full((*SIZE, 3), 90, np.uint8)
    for box, colour in zip(boxes, COLOURS, strict=False):
        rgb = {"red": (200, 30, 30), "blue": (40, 70, 200), "grey": (130, 130, 130), "white": (250, 250, 250)}[colour]
        pixels[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = rgb
    given = {
        "id": f"p{number}",
        "image_path": None,
        "picture": Image(pixels, name=f"p{number}"),
        "instruction": "all",
        "instances": tuple(Mask.from_box(box, *SIZE) for box in boxes),
        "size": SIZE,
        "labels": tuple(labels),
    }
    return Sample(**(given | changes))


# -- what is said ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ("the bridge", (4,)),
        ("the largest ship", (3,)),
        ("the two smallest ships", (0, 1)),
        ("the leftmost ship", (0,)),
        ("the two rightmost ships", (2, 3)),
        ("the second ship from the left", (1,)),
        ("the third ship from the right", (1,)),
        ("the second largest ship", (2,)),
        ("the storage tank closest to the top left corner", None),
        ("the ship between the bridge and the storage tank", None),
        ("the leftmost of the two largest ships", (2,)),
        ("the leftmost blue ship", (1,)),
        ("the largest red ship", (3,)),
        ("the purple ship", ()),
        ("the fifth ship from the left", ()),
        ("the third storage tank from the left", None),
    ],
)
def test_proposals_of_a_harbour(words, chosen) -> None:
    assert words_of(view_of()).get(words) == chosen


def test_every_family_is_proposed_and_reads_back() -> None:
    view = view_of()
    proposals = propose(view, np.random.default_rng(0), ("airplane",))
    assert {one.family for one in proposals} == set(FAMILIES)
    assert all(reads_back(view, one, vocabulary=("airplane",)) for one in proposals)
    assert all(list(one.chosen) == sorted(set(one.chosen)) for one in proposals)


boxes_strategy = st.lists(
    st.tuples(st.integers(0, 540), st.integers(0, 340), st.integers(9, 200), st.integers(9, 150)),
    min_size=1,
    max_size=7,
)


@settings(max_examples=10)
@given(places=boxes_strategy, data=st.data())
def test_whatever_is_proposed_reads_back_and_fits_its_family(places, data) -> None:
    boxes = [(x, y, min(600, x + w), min(400, y + h)) for x, y, w, h in places]
    labels = data.draw(st.lists(st.sampled_from(("ship", "bridge", "car")), min_size=len(boxes), max_size=len(boxes)))
    names = st.sampled_from(("red", "blue", "white"))
    colours = data.draw(st.lists(names, min_size=len(boxes), max_size=len(boxes)))
    view = view_of(labels, boxes, colours)
    for one in propose(view, np.random.default_rng(1), ("airplane",)):
        # "The leftmost bridge in the middle" may be read as the middle of the left side: what is said is read first.
        doubtful = "most " in one.words and one.words.endswith((" in the middle", " in the centre"))
        assert doubtful or reads_back(view, one, vocabulary=("airplane",)), one
        assert (one.chosen == ()) == (one.family in NO_TARGET)


@settings(max_examples=25)
@given(places=boxes_strategy)
def test_a_mirrored_picture_says_right_for_left(places) -> None:
    boxes = [(x, y, min(600, x + w), min(400, y + h)) for x, y, w, h in places]
    labels = ["ship"] * len(boxes)
    mirrored = [(600 - x2, y1, 600 - x1, y2) for x1, y1, x2, y2 in boxes]
    left = words_of(view_of(labels, boxes, None), vocabulary=())
    right = words_of(view_of(labels, mirrored, None), vocabulary=())
    assert left.get("the leftmost ship") == right.get("the rightmost ship")
    assert left.get("the second ship from the right") == right.get("the second ship from the left")
    assert left.get("the largest ship", left.get("the biggest ship")) == right.get(
        "the largest ship", right.get("the biggest ship")
    )


# -- margins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("second", "clear"), [((200, 100, 240, 151), True), ((200, 100, 240, 149), False)])
def test_larger_means_by_three_tenths(second, clear) -> None:
    view = view_of(("ship", "ship"), [(100, 100, 140, 139), second], None)
    line = size_line(view, view.things, largest=True)
    assert (line.first(1) is not None) == clear


def test_nothing_is_smaller_than_what_the_border_may_have_cut() -> None:
    boxes = [(0, 100, 40, 140), (200, 100, 300, 200)]
    view = view_of(("ship", "ship"), boxes, None)
    assert size_line(view, view.things, largest=True).cuts == frozenset()
    inside = view_of(("ship", "ship"), [(10, 100, 50, 140), boxes[1]], None)
    assert size_line(inside, inside.things, largest=True).cuts == {1}


@pytest.mark.parametrize(("x", "clear"), [(130, True), (118, False)])
def test_further_left_means_by_a_share_of_the_width(x, clear) -> None:
    view = view_of(("ship", "ship"), [(100, 100, 120, 120), (x, 200, x + 20, 220)], None)
    assert (place_line(view, view.things, "left").first(1) is not None) == clear


def test_nested_things_have_no_order_from_the_left() -> None:
    view = view_of(("ship", "ship"), [(100, 100, 400, 200), (300, 120, 360, 160)], None)
    assert place_line(view, view.things, "left").cuts == frozenset()


@pytest.mark.parametrize(
    ("box", "found"),
    [((20, 180, 60, 220), 1), ((440, 180, 480, 220), 0), ((150, 10, 190, 50), None), ((280, 180, 320, 220), None)],
)
def test_left_of_needs_to_be_clear(box, found) -> None:
    view = view_of(("ship", "bridge"), [box, (250, 150, 350, 250)], None)
    result = beside(view, view.things[:1], view.things[1], "left")
    assert (None if result is None else len(result)) == found


@pytest.mark.parametrize(("gap", "found"), [(40, 1), (100, None), (230, 0)])
def test_near_needs_to_be_clear(gap, found) -> None:
    view = view_of(("ship", "bridge"), [(200 + gap, 100, 230 + gap, 200), (100, 100, 200, 200)], None)
    result = near(view.things[:1], view.things[1])
    assert (None if result is None else len(result)) == found


@pytest.mark.parametrize(("x", "found"), [(290, 1), (120, None), (560, 0)])
def test_between_needs_to_be_clear(x, found) -> None:
    boxes = [(x, 190, x + 20, 210), (60, 180, 100, 220), (440, 180, 480, 220)]
    view = view_of(("ship", "bridge", "pier"), boxes, None)
    result = between(view.things[:1], view.things[1], view.things[2])
    assert (None if result is None else len(result)) == found


@pytest.mark.parametrize(("centre", "said"), [(150, True), (195, None), (230, None), (400, False)])
def test_a_third_has_room_on_both_sides(centre, said) -> None:
    boxes = [(centre - 10, 190, centre + 10, 210), (500, 190, 520, 210)]
    words = words_of(view_of(("ship", "ship"), boxes, None), vocabulary=())
    there = {words.get("the ship on the left"), words.get("the ship on the left side")}
    assert (there - {None} == {(0,)}) == (said is True)
    assert (() in there) == (said is False)


def test_things_too_small_to_be_noticed_silence_their_name() -> None:
    view = view_of((*LABELS, "ship"), (*BOXES, (400, 300, 405, 305)), (*COLOURS, "red"))
    assert set(view.groups) == {"bridge", "storage tank"}
    cut = view_of((*LABELS, "bridge"), (*BOXES, (0, 200, 15, 230)), (*COLOURS, "red"))
    assert "bridge" not in cut.groups


# -- colours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rgb", "clear"),
    [((200, 25, 30), {"red"}), ((40, 70, 200), {"blue"}), ((250, 250, 250), {"white"}), ((215, 60, 26), set())],
)
def test_only_certain_colours_are_clear(rgb, clear) -> None:
    noisy = np.clip(np.array(rgb) + np.random.default_rng(0).normal(0, 4, (500, 3)), 0, 255).astype(np.uint8)
    reading = read_colours(noisy)
    assert reading.clear == clear
    assert clear or len(reading.possible) > 1


def test_a_red_car_with_dark_windows_is_red_and_not_clearly_without_black() -> None:
    pixels = np.concatenate([np.full((70, 3), (200, 25, 30)), np.full((30, 3), (20, 20, 22))]).astype(np.uint8)
    reading = read_colours(pixels)
    assert reading.clear == {"red"}
    assert reading.possible == {"red", "black"}
    assert reading.shares == pytest.approx({"red": 0.7, "black": 0.3})


def test_colours_are_measured_in_the_picture() -> None:
    (found,) = referring_expressions(Pictures([sample()]), 3, families=["colour"], per_image=1)
    assert found.family == "colour"
    assert {COLOURS[k] for k in found.instances} == {next(c for c in COLOURS if c in found.instruction)}


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "one", "more"),
    [
        ("ground_track_field", "running track", "running tracks"),
        ("Person", "person", "people"),
        ("wine glass", "wine glass", "wine glasses"),
        ("tv", "TV", "TVs"),
        ("knife", "knife", "knives"),
        ("sheep", "sheep", "sheep"),
        ("Baseball-Field", "baseball field", "baseball fields"),
    ],
)
def test_labels_are_said_as_people_do(label, one, more) -> None:
    assert (spoken(label), many(spoken(label)), some(one, 1), some(one, 2)) == (one, more, one, more)


def test_what_could_be_seen_all_the_same_is_not_said_to_be_absent() -> None:
    assert confusable("truck", frozenset({"car"}))
    assert confusable("vehicle", frozenset({"zebra"}))
    assert not confusable("airplane", frozenset({"bridge"}))
    words = words_of(view_of(), vocabulary=("harbor", "airplane"))
    assert any("airplane" in one for one in words)
    assert not any("harbor" in one for one in words)


def test_people_are_neither_sized_nor_coloured() -> None:
    words = words_of(view_of(("person", "person", "person"), BOXES[1:4], COLOURS[1:4]), vocabulary=())
    assert "the leftmost person" in words
    assert not any(one for one in words if "large" in one or "blue" in one or "small" in one)


# -- choosing --------------------------------------------------------------------------------------


def test_say_is_repeatable_and_mixes_families() -> None:
    view = view_of()
    first, again = (say(view, np.random.default_rng(5), 12, vocabulary=["airplane"]) for _ in range(2))
    assert first == again
    assert len(first) == 12
    assert len({one.family for one in first}) >= 8
    assert sum(one.family in NO_TARGET for one in first) <= 2
    assert max(Counter(one.chosen for one in first).values()) <= 2


def test_say_keeps_to_the_families_asked_for() -> None:
    said = say(view_of(), np.random.default_rng(5), 50, families=["size"])
    assert {one.family for one in said} == {"size"}


def test_nothing_is_said_of_an_empty_picture_but_what_is_absent() -> None:
    said = say(View.of(SIZE, (), masks=()), np.random.default_rng(0), 5, vocabulary=["airplane"])
    assert [one.family for one in said] == ["no_target_class"]
    assert say(View.of(SIZE, (), masks=()), np.random.default_rng(0), 5) == []


# -- datasets --------------------------------------------------------------------------------------


def test_a_picture_gets_the_same_expressions_whatever_else_there_is() -> None:
    alone = referring_expressions(Pictures([sample(1)]), 4, families=["size", "order", "position"])
    among = referring_expressions(
        Pictures([sample(0), sample(1), sample(2)]), 4, families=["size", "order", "position"]
    )
    assert alone == [one for one in among if one.image == "p1"]
    assert alone != referring_expressions(Pictures([sample(1)]), 5, families=["size", "order", "position"])


def test_expressions_carry_what_they_need() -> None:
    found = referring_expressions(Pictures([sample(k) for k in range(3)]), 7, per_image=4)
    assert [one.id for one in found[:5]] == ["p0#0", "p0#1", "p0#2", "p0#3", "p1#0"]
    assert {one.version for one in found} == {VERSION}
    assert {one.seed for one in found} == {7}
    for one in found:
        assert one.boxes == tuple(tuple(map(float, BOXES[k])) for k in one.instances)
    assert len(referring_expressions(Pictures([sample(k) for k in range(3)]), 7, limit=5)) == 5


def test_samples_of_one_picture_are_put_together(tmp_path) -> None:
    import PIL.Image

    path = tmp_path / "a" / "one.png"
    path.parent.mkdir()
    PIL.Image.fromarray(sample().picture.pixels).save(path)
    whole = sample(0, picture=None, image_path=path)
    masks = whole.instances
    parts = [
        sample(0, id="p0-ship", picture=None, image_path=path, instances=masks[:4], labels=LABELS[:4]),
        sample(0, id="p0-rest", picture=None, image_path=path, instances=masks[3:], labels=LABELS[3:]),
    ]
    once, twice = (referring_expressions(Pictures(samples), 2) for samples in ([whole], parts))
    assert once == twice
    assert {one.image for one in once} == {"one.png"}


def test_pictures_with_crowds_are_left_out() -> None:
    crowd = sample(0, ignore=Mask.from_box((0, 200, 200, 300), *SIZE))
    assert referring_expressions(Pictures([crowd]), 1) == []
    assert referring_expressions(Pictures([sample(1), crowd]), 1, limit=3)[-1].image == "p1"


def test_boxes_are_enough() -> None:
    frame = sample().frame
    boxed = replace(sample(), instances=None, boxes=Prompts.from_boxes(frame, BOXES))
    dataset = Pictures([boxed])
    found = referring_expressions(dataset, 1, families=["size", "order"])
    assert found
    back = ReferringDataset(dataset, found)[0]
    assert back.instances is None
    assert [prompt.box for prompt in back.prompts()] == list(found[0].boxes)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"families": ["colours"]}, UnknownNameError, "did you mean 'colour'"),
        ({"seed": -1}, InputError, "numbers from 0"),
        ({"per_image": -1}, InputError, "numbers from 0"),
    ],
)
def test_wrong_arguments(arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        referring_expressions(Pictures([sample()]), **arguments)


def test_instances_need_labels() -> None:
    with pytest.raises(InputError, match="6 instances but 0 labels"):
        referring_expressions(Pictures([sample(labels=())]))


def test_a_view_needs_whole_instances() -> None:
    with pytest.raises(InputError, match="1 labels for 0"):
        View.of(SIZE, ["ship"], masks=[])
    with pytest.raises(InputError, match="empty mask"):
        View.of(SIZE, ["ship"], masks=[Mask.empty(*SIZE)])
    with pytest.raises(InputError, match="without a picture"):
        _ = View.of(SIZE, ["ship"], boxes=[(0, 0, 9, 9)]).picture


# -- files -----------------------------------------------------------------------------------------


def test_lines_come_back_and_make_samples(tmp_path) -> None:
    dataset = Pictures([sample(k) for k in range(3)])
    found = referring_expressions(dataset, 11)
    path = tmp_path / "expressions.jsonl"
    path.write_text(expression_lines(found), encoding="utf-8")
    assert read_expressions(path) == found
    referring = ReferringDataset(dataset, read_expressions(path))
    assert (referring.name, len(referring), referring.ids[0]) == ("harbours-referring", len(found), "p0#0")
    for one, back in zip(found, referring, strict=True):
        assert back.instruction == one.instruction
        assert back.instances == tuple(dataset[0].instances[k] for k in one.instances)
        assert back.labels == tuple(LABELS[k] for k in one.instances)
        assert back.meta["family"] == one.family
    json.dumps(referring[0].meta)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instances": [-1]}, "numbers from 0"),
        ({"instances": [0, 1]}, "2 instances but 1 boxes"),
        ({"instances": 3}, "'instances' has to be a list"),
        ({"boxes": [[1, 2, 3]]}, "a box has four numbers"),
        ({"seed": True}, "'seed' has to be a int"),
        ({"id": None}, "'id' has to be a str"),
    ],
)
def test_broken_values_are_named(tmp_path, changes, message) -> None:
    good = asdict(Expression("a#0", "a", "the ship", "class", (0,), ((1.0, 2.0, 3.0, 4.0),), 1, 0))
    path = tmp_path / "broken.jsonl"
    path.write_text("\n" + json.dumps(good | changes) + "\n")
    with pytest.raises(InputError, match=f"line 2: .*{message}"):
        read_expressions(path)


def test_broken_files_are_named(tmp_path) -> None:
    path = tmp_path / "broken.jsonl"
    with pytest.raises(InputError, match="no such file"):
        read_expressions(path)
    path.write_text("{")
    with pytest.raises(InputError, match="line 1: not valid JSON"):
        read_expressions(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="an object is expected at the top, got list"):
        read_expressions(path)
    line = json.dumps(asdict(Expression("a#0", "a", "the ship", "class", (), (), 1, 0)))
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(InputError, match="1 ids occur more than once"):
        read_expressions(path)


def test_a_changed_source_is_noticed() -> None:
    dataset = Pictures([sample()])
    found = [one for one in referring_expressions(dataset, 1) if one.instances]
    moved = Pictures([sample(boxes=[(x1 + 1, y1, x2 + 1, y2) for x1, y1, x2, y2 in BOXES])])
    with pytest.raises(InputError, match="not where it was"):
        _ = ReferringDataset(moved, found)[0]
    with pytest.raises(InputError, match=r"1 pictures of the expressions are not in 'harbours'.*'p0'"):
        ReferringDataset(Pictures([sample(5)]), found)


# -- the sentences, kept ---------------------------------------------------------------------------


def test_the_generator_still_says_what_version_2_said() -> None:
    said = [one.instruction for one in referring_expressions(Pictures([sample()]), 0, per_image=8)]
    assert said == SAID_BY_VERSION_2


SAID_BY_VERSION_2 = [
    "outline all ships in the upper left",
    "show me the third largest ship",
    "outline the storage tank to the left of the bridge",
    "the two smallest ships",
    "the bridge in the top right",
    "all ships other than the blue ones",
    "the two blue ships",
    "the storage tank",
]
