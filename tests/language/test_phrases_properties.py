"""What must hold for any candidates: position words agree with positions, order and symmetry are kept."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt
from fiducial.language.candidates import COLOURS, Candidate
from fiducial.language.phrases import resolve

SIZE = 240
FRAME = Frame.pixels(SIZE, SIZE)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x, y = draw(st.integers(0, SIZE - 2)), draw(st.integers(0, SIZE - 2))
    return (x, y, draw(st.integers(x + 1, SIZE)), draw(st.integers(y + 1, SIZE)))


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    unit = st.none() | st.floats(0, 1)
    colours = draw(st.dictionaries(st.sampled_from(COLOURS), st.floats(0, 1), max_size=3))
    prompt = Prompt(FRAME, box=draw(boxes()), label=draw(st.sampled_from(["ship", "cargo ship", "pier", None])))
    return Candidate(prompt, roundness=draw(unit), brightness=draw(unit), length=draw(unit), colours=colours)


scenes = st.lists(candidates(), min_size=1, max_size=7, unique_by=lambda one: one.prompt.box)


def centre(candidate: Candidate) -> tuple[float, float]:
    x1, y1, x2, y2 = candidate.prompt.box
    return (x1 + x2) / 2, (y1 + y2) / 2


def size(candidate: Candidate) -> float:
    x1, y1, x2, y2 = candidate.prompt.box
    return (x2 - x1) * (y2 - y1)


KEYS = {
    "leftmost": lambda one: centre(one)[0],
    "rightmost": lambda one: -centre(one)[0],
    "topmost": lambda one: centre(one)[1],
    "bottommost": lambda one: -centre(one)[1],
    "northernmost": lambda one: centre(one)[1],
    "largest": lambda one: -size(one),
    "smallest": size,
    "widest": lambda one: one.prompt.box[0] - one.prompt.box[2],
    "tallest": lambda one: one.prompt.box[1] - one.prompt.box[3],
    "most central": lambda one: math.dist(centre(one), (SIZE / 2, SIZE / 2)),
}
RANKS = ["", "second ", "third ", "4th "]


@FEW
@given(scenes, st.sampled_from(sorted(KEYS)), st.integers(1, 4))
def test_superlatives_are_order_statistics(scene: list[Candidate], word: str, rank: int) -> None:
    chosen = resolve(f"the {RANKS[rank - 1]}{word} thing", scene, FRAME).chosen
    values = sorted(map(KEYS[word], scene))
    if rank > len(scene):
        assert chosen == ()
    else:
        assert KEYS[word](scene[chosen[0]]) == values[rank - 1]


@FEW
@given(scenes, st.sampled_from(sorted(KEYS)), st.integers(1, 9))
def test_a_number_takes_the_first_of_the_order(scene: list[Candidate], word: str, count: int) -> None:
    resolution = resolve(f"the {count} {word} things", scene, FRAME)
    values = [KEYS[word](scene[index]) for index in resolution.chosen]
    assert values == sorted(map(KEYS[word], scene))[:count]
    assert bool(resolution.unmet) == (count > len(scene))


@FEW
@given(scenes, st.sampled_from(["leftmost", "two largest", "red ones", "ships", "ones in the top half", "pier"]))
def test_an_exclusion_is_the_complement(scene: list[Candidate], words: str) -> None:
    inside = set(resolve(f"the {words}", scene, FRAME).chosen)
    outside = set(resolve(f"everything except the {words}", scene, FRAME).chosen)
    assert inside | outside == set(range(len(scene)))
    assert not inside & outside


INSTRUCTIONS = [
    "the ship",
    "all ships left of the pier",
    "the two largest ships near the pier, except the leftmost",
    "the roundest thing in the top half",
    "red or blue things",
    "ships between the two largest things",
    "the ship closest to the pier",
    "dark things on the left",
    "large ships in a corner",
    "the second ship from the left and the pier",
    "the things on the pier",
    "the ship next to a pier",
]


@FEW
@given(scenes, st.sampled_from(INSTRUCTIONS), st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(scene: list[Candidate], text: str, random) -> None:
    order = list(range(len(scene)))
    random.shuffle(order)
    resolution = resolve(text, scene, FRAME)
    shuffled = resolve(text, [scene[index] for index in order], FRAME)
    places = [centre(one) for one in scene]
    assume(len({(size(one), place) for one, place in zip(scene, places, strict=True)}) == len(scene))
    assert [order[index] for index in shuffled.chosen] == list(resolution.chosen)
    assert (shuffled.text, shuffled.unmet) == (resolution.text, resolution.unmet)


def mirrored(candidate: Candidate, axis: str) -> Candidate:
    x1, y1, x2, y2 = candidate.prompt.box
    box = (SIZE - x2, y1, SIZE - x1, y2) if axis == "x" else (x1, SIZE - y2, x2, SIZE - y1)
    if axis == "xy":
        box = (y1, x1, y2, x2)
    return Candidate(
        Prompt(FRAME, box=box, label=candidate.prompt.label, score=candidate.prompt.score),
        **{name: getattr(candidate, name) for name in ("area", "length", "roundness", "brightness", "colours")},
    )


FLIPS = {
    "x": {"left": "right", "right": "left", "leftmost": "rightmost", "east": "west"},
    "y": {"top": "bottom", "bottom": "top", "topmost": "bottommost", "above": "below", "north": "south"},
    "xy": {"left": "top", "top": "left", "leftmost": "topmost", "right": "bottom", "rightmost": "bottommost"},
}
FLIPPED = [
    ("x", "the leftmost thing"),
    ("x", "things on the left"),
    ("x", "things in the left half"),
    ("x", "things in the top left corner"),
    ("x", "the second thing from the right"),
    ("x", "all things to the left of the largest thing"),
    ("x", "the thing closest to the top right corner"),
    ("x", "things in the north east"),
    ("x", "the left ship"),
    ("y", "the topmost thing"),
    ("y", "things at the bottom"),
    ("y", "all things above the largest thing"),
    ("y", "things in the top half"),
    ("y", "things in the north east"),
    ("y", "things at the top edge"),
    ("xy", "the leftmost thing"),
    ("xy", "things in the right half"),
    ("xy", "things in the top left corner"),
    ("xy", "things in the centre"),
]


@pytest.mark.parametrize(("axis", "text"), FLIPPED)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scene=scenes)
def test_a_mirrored_picture_swaps_the_sides(axis: str, text: str, scene: list[Candidate]) -> None:
    # ties are broken towards the left and the top, which a mirror does not keep
    assume(len({centre(one)[0] for one in scene}) == len({centre(one)[1] for one in scene}) == len(scene))
    assume(len({size(one) for one in scene}) == len(scene))
    other = " ".join(FLIPS[axis].get(word, word) for word in text.split())
    straight = resolve(text, scene, FRAME)
    swapped = resolve(other, [mirrored(one, axis) for one in scene], FRAME)
    if "closest" in text:  # two candidates may be equally far
        reach = [math.dist(centre(one), (SIZE, 0)) for one in scene]
        assume(len(set(reach)) == len(scene))
    assert set(swapped.chosen) == set(straight.chosen)


@FEW
@given(scenes)
def test_position_words_agree_with_what_was_chosen(scene: list[Candidate]) -> None:
    third, half = SIZE / 3, SIZE / 2
    tests = {
        "things in the left half": lambda x, y: x < half,
        "things in the bottom half": lambda x, y: y > half,
        "things in the top right": lambda x, y: x > SIZE - third and y < third,
        "things on the left": lambda x, y: x < third,
        "things in the middle": lambda x, y: abs(x - half) <= third / 2 and abs(y - half) <= third / 2,
    }
    for text, test in tests.items():
        resolution = resolve(text, scene, FRAME)
        lie_there = {index for index, one in enumerate(scene) if test(*centre(one))}
        assert set(resolution.chosen) == lie_there or (not lie_there and (resolution.unmet or not resolution.chosen))


@FEW
@given(scenes, st.sampled_from(["left of", "right of", "above", "below", "near", "next to", "inside", "on"]))
def test_nothing_is_told_by_itself(scene: list[Candidate], word: str) -> None:
    pier = Candidate(Prompt(FRAME, box=(100, 100, 140, 140), label="lonely pier"))
    others = [one for one in scene if one.prompt.label != "pier"]
    assert len(others) not in resolve(f"everything {word} the pier", [*others, pier], FRAME).chosen


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=50) | st.lists(st.sampled_from(INSTRUCTIONS), min_size=2, max_size=4).map(" but ".join))
def test_any_text_is_resolved_or_refused(text: str) -> None:
    scene = [Candidate(Prompt(FRAME, box=(x, x, x + 30, x + 20), label="ship")) for x in (10, 60, 150)]
    try:
        resolution = resolve(text, scene, FRAME)
    except InputError:
        return
    assert set(resolution.chosen) <= {0, 1, 2}
    assert len(set(resolution.chosen)) == len(resolution.chosen)
    assert (resolution.outcome == "found") == bool(resolution.chosen)
    assert resolution.text.startswith("Chose")
